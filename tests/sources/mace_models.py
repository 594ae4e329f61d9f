"""Small MACE models with random weights, and what mace itself says of them."""

import os
import warnings
from contextlib import contextmanager

import ase
import numpy as np
import torch

from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

VARIABLE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


@contextmanager
def process_as_it_was():
    """Undo what mace does to the process that uses it, and do not listen to how it warns of itself."""
    usual, before = torch.get_default_dtype(), os.environ.get(VARIABLE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch.set_default_dtype(usual)
    os.environ.pop(VARIABLE, None)
    if before is not None:
        os.environ[VARIABLE] = before


def save_model(path, *, elements=(1, 6, 8), interactions=2, dtype="float64", seed=0, **changes):
    """Save a small MACE model with random weights, as MACE's own training does it.

    :param changes: of its settings; ``plain`` leaves out its scale and shift
    :return: path of the model
    """
    with process_as_it_was(), torch.serialization.safe_globals([slice]):
        from e3nn import o3
        from mace import modules

    torch.manual_seed(seed)
    settings = {
        "atomic_inter_scale": 1.7,
        "atomic_inter_shift": 0.3,
        "r_max": 3.5,
        "num_bessel": 6,
        "num_polynomial_cutoff": 5,
        "max_ell": 2,
        "interaction_cls": modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        "interaction_cls_first": modules.interaction_classes["RealAgnosticInteractionBlock"],
        "num_interactions": interactions,
        "num_elements": len(elements),
        "hidden_irreps": o3.Irreps(changes.pop("irreps", "8x0e + 8x1o")),
        "MLP_irreps": o3.Irreps("8x0e"),
        "atomic_energies": -13.6057 * np.arange(1.0, len(elements) + 1.0) ** 2,
        "avg_num_neighbors": 3.0,
        "atomic_numbers": list(elements),
        "correlation": 2,
        "gate": torch.nn.functional.silu,
        "radial_MLP": [16, 16],
    }
    with process_as_it_was():
        torch.set_default_dtype(getattr(torch, dtype))
        kind = modules.ScaleShiftMACE
        if changes.pop("plain", False):
            kind = modules.MACE
            settings = {name: value for name, value in settings.items() if not name.startswith("atomic_inter_")}
        torch.save(kind(**(settings | changes)), path)
    return path


def source_of(path, **options):
    return load_source({"source": f"mace:{path}", "trust": True} | options)


def pieces(n, k, seed=0, *, elements=(1, 6, 8), spacing=1.2):
    """Distorted pieces of a cubic lattice: compact clusters without atoms on top of each other."""
    rng = np.random.default_rng(seed)
    lattice = np.indices((3, 3, 3)).reshape(3, -1).T
    sites = np.array([rng.permutation(lattice)[:k] for _ in range(n)])
    positions = spacing * (sites + rng.uniform(-0.15, 0.15, size=(n, k, 3))) + rng.normal(scale=5.0, size=(n, 1, 3))
    return ClusterBatch.from_atoms([ase.Atoms(rng.choice(elements, k), place) for place in positions])


@contextmanager
def calculator_of(path, dtype="float64"):
    """mace's own calculator."""
    with process_as_it_was(), torch.jit.optimized_execution(False):
        from mace.calculators import MACECalculator

        os.environ[VARIABLE] = "1"  # as mace sets it where it is imported
        # mace 0.3.16 no longer sets it, and powers of nuclear charges come in it
        torch.set_default_dtype(getattr(torch, dtype))
        yield MACECalculator(str(path), device="cpu", default_dtype=dtype)


def one_by_one(path, batch, dtype="float64"):
    """Energies and forces by mace's own calculator."""
    energies, forces = [], []
    with calculator_of(path, dtype) as calculator:
        for row in range(len(batch)):
            atoms = batch.to_atoms(row)
            atoms.calc = calculator
            energies.append(atoms.get_potential_energy())
            forces.append(atoms.get_forces())
    return np.array(energies), np.array(forces)
