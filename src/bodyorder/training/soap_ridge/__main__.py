"""``python -m bodyorder.training.soap_ridge options.yaml``: fit a model in the folder of a training, as metatrain trains one.

Reads ``training.xyz`` and ``validation.xyz`` as its options name them, writes ``model.pt`` and ``strengths.csv``.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch
import yaml
from ase.io import read

from bodyorder.training.soap_ridge.fit import errors, make_rows, solve
from bodyorder.training.soap_ridge.model import LinearSoap

#: Columns of ``strengths.csv``: errors of each fit, of energies in eV per atom and of forces in eV/Å, NaN without forces.
_COLUMNS = (
    "strength",
    "training_energy_rmse",
    "training_force_rmse",
    "validation_energy_rmse",
    "validation_force_rmse",
)
#: What the parts of ``architecture`` may hold.
_KNOWN = {"model": ("cutoff", "density", "basis"), "training": ("strengths", "loss", "atomic_baseline")}


def main(path: Path) -> None:
    """Fit for every strength of regularisation, keep the one with the least loss w_E ⟨(ΔE/n)²⟩ + ⟨ΔF²⟩ on the validation set.

    :param path: options in metatrain's layout; files in them, and those that are written, are in the working folder
    :raises ValueError: for options that nothing reads, or elements without a baseline where it is fixed
    """
    options = yaml.safe_load(path.read_text())
    architecture = options["architecture"]
    training = architecture["training"]
    for part, known in _KNOWN.items():
        for name in architecture[part]:
            if name not in known:
                raise ValueError(f"options of {part} must be among {', '.join(known)}, got {name!r}")
    model = LinearSoap(architecture["model"], architecture["atomic_types"])
    (training_set, forces), (validation_set, _) = _read(options["training_set"]), _read(options["validation_set"])
    print(f"fitting {model.n_features} features to {len(training_set)} clusters", flush=True)
    rows, held_out = make_rows(model, training_set, forces), make_rows(model, validation_set, forces)
    weight = training["loss"]["energy"]["weight"]
    baseline = _baseline(training.get("atomic_baseline"), model.elements)
    fits = solve(rows, training["strengths"], energy_weight=weight, baseline=baseline)
    table = [(fit.strength, *errors(rows, fit), *errors(held_out, fit)) for fit in fits]
    losses = [weight * energy**2 + (force**2 if forces else 0.0) for _, _, _, energy, force in table]
    best = int(np.argmin(losses))
    with Path("strengths.csv").open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(table)
    model.weights.copy_(torch.from_numpy(fits[best].weights))
    model.baseline.copy_(torch.from_numpy(fits[best].baseline))
    print(f"strength {fits[best].strength:g}: {1e3 * table[best][3]:.2f} meV/atom on the validation set", flush=True)
    model.export().save("model.pt", collect_extensions="extensions")


def _baseline(fixed: dict[str, dict[int, float]] | None, elements: Sequence[int]) -> np.ndarray | None:
    """Energies in eV at which single atoms are fixed, shape (elements,), or None to fit them."""
    if fixed is None:
        return None
    if missing := set(elements) - set(fixed["energy"]):
        raise ValueError(f"`atomic_baseline` must hold every element, and lacks {sorted(missing)}")
    return np.array([fixed["energy"][element] for element in elements])


def _read(part: dict[str, Any]) -> tuple[list[ase.Atoms], bool]:
    """Clusters of a set, and whether their forces count."""
    clusters = read(part["systems"]["read_from"], index=":")
    forces = bool(part["targets"]["energy"]["forces"])
    for atoms in clusters:
        # ASE takes what is called energy and forces for results of a calculator
        atoms.info["energy"] = atoms.get_potential_energy()
        if forces:
            atoms.arrays["forces"] = atoms.get_forces()
    return clusters, forces


if __name__ == "__main__":
    main(Path(sys.argv[1]))
