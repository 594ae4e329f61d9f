"""From the energies of sub-clusters to order totals, and from those to the labelled dataset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import ase
import numpy as np
import xarray as xr
from ase.stress import full_3x3_to_voigt_6_stress

from bodyorder.engine.lattice import DOUBTS, Evaluated, Lattice
from bodyorder.engine.noise import SIGNIFICANT
from bodyorder.engine.noise import describe as describe_noise
from bodyorder.engine.results import SCHEMA_VERSION
from bodyorder.engine.selection import Selection
from bodyorder.engine.variables import describe
from bodyorder.sources.protocol import RECORDS, EnergySource
from bodyorder.structures.io import structure_names

#: Distributions whose versions are written into every result.
_VERSIONED = ("bodyorder", "numpy", "ase")


def assemble(
    structures: Sequence[ase.Atoms],
    evaluated: Evaluated,
    selection: Selection,
    lattices: Sequence[Lattice],
    *,
    subsets: bool,
) -> xr.Dataset:
    """The dataset of a decomposition.

    :param structures: as given by the user
    :param evaluated: where the energies came from
    :param selection: which sub-clusters were taken
    :param lattices: their energies, structure by structure
    :param subsets: whether to keep what belongs to single sub-clusters
    """
    source = evaluated.source
    top = max(lattice.piece.family.max_order for lattice in lattices)
    epsilons = [lattice.contributions() for lattice in lattices]
    # A structure of fewer bodies has no sub-clusters of the orders above: their sum is zero.
    contribution = np.zeros((len(lattices), top))
    noise = np.zeros((len(lattices), top))
    for row, (lattice, epsilon) in enumerate(zip(lattices, epsilons, strict=True)):
        totals = lattice.totals(epsilon)
        contribution[row, : len(totals)] = totals
        noise[row, : len(totals)] = lattice.noise()
    total = np.array([lattice.total for lattice in lattices])
    dataset = xr.Dataset(
        {
            "contribution": (("structure", "order"), contribution),
            "noise": (("structure", "order"), noise),
            "above_noise": (("structure", "order"), np.abs(contribution) > SIGNIFICANT * noise),
            "total": ("structure", total),
            "residual": ("structure", total - contribution.sum(axis=1)),
            "n_bodies": ("structure", [lattice.piece.n_bodies for lattice in lattices]),
            "n_evaluations": ("structure", [lattice.n_evaluations for lattice in lattices]),
            "failure": ("structure", [lattice.failure for lattice in lattices]),
        },
        coords={"structure": structure_names(structures), "order": np.arange(1, top + 1)},
        attrs={
            "schema_version": SCHEMA_VERSION,
            "source": source.name,
            "fingerprint": source.fingerprint,
            "spin": source.capabilities.spin,
            "counterpoise": source.capabilities.counterpoise,
            "noise": describe_noise(evaluated.measured, any(lattice.piece.is_estimated for lattice in lattices)),
            "bodies": selection.bodies if isinstance(selection.bodies, str) else "given",
            "family": ", ".join(sorted({lattice.piece.family.kind for lattice in lattices})),
            "cutoff": _cutoff(selection, source, lattices),
            "versions": _versions(source),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    if any("group" in atoms.info for atoms in structures):
        groups = [str(atoms.info.get("group", "")) for atoms in structures]
        dataset = dataset.assign_coords(group=("structure", groups))
    dataset = dataset.merge(_sites(structures, lattices, top)).merge(_doubts(lattices, top))
    if any(lattice.piece.cell is not None for lattice in lattices):
        dataset = dataset.merge(_cells(lattices, top))
    if subsets:
        dataset = dataset.merge(_subsets(lattices, epsilons, top))
    return describe(dataset)


def _cutoff(selection: Selection, source: EnergySource, lattices: Sequence[Lattice]) -> float | str:
    """The cutoff that was used: that of the source where a periodic structure needed one and none was given."""
    if selection.cutoff is None and any(lattice.piece.cell is not None for lattice in lattices):
        return source.cutoff or "none"
    return "none" if selection.cutoff is None else selection.cutoff


def _versions(source: EnergySource) -> str:
    return json.dumps(_own_versions() | dict(source.capabilities.versions))


@lru_cache(maxsize=1)
def _own_versions() -> dict[str, str]:
    return {name: version(name) for name in _VERSIONED}


def _sites(structures: Sequence[ase.Atoms], lattices: Sequence[Lattice], top: int) -> xr.Dataset:
    """What belongs to atoms."""
    sites = xr.Dataset(
        {
            "site_structure": ("site", np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])),
            "site_number": ("site", np.concatenate([atoms.numbers for atoms in structures])),
            "site_body": ("site", np.concatenate([lattice.piece.body_of_site for lattice in lattices])),
            "site_position": (("site", "xyz"), np.concatenate([atoms.positions for atoms in structures])),
        },
        coords={"xyz": ["x", "y", "z"]},
    )
    charges = np.concatenate([atoms.get_initial_charges() for atoms in structures])
    if charges.any():
        sites["site_charge"] = ("site", charges)
    if lattices[0].force_sums is not None:
        sites["force_contribution"] = (
            ("order", "site", "xyz"),
            _stacked([lattice.force_sums for lattice in lattices], top),
        )
    if lattices[0].atom_sums is not None:
        sites["atom_contribution"] = (("order", "site"), _stacked([lattice.atom_sums for lattice in lattices], top))
    return sites


def _stacked(sums: Sequence[np.ndarray | None], top: int) -> np.ndarray:
    """What each structure has for its orders and atoms, one behind the other along the atoms; zero in orders it does not have."""
    known = [values for values in sums if values is not None]
    return np.concatenate(
        [np.concatenate([values, np.zeros((top - len(values), *values.shape[1:]))]) for values in known], axis=1
    )


def _cells(lattices: Sequence[Lattice], top: int) -> xr.Dataset:
    """What belongs to periodic structures, NaN for others."""
    cells = np.full((len(lattices), 3, 3), np.nan)
    stress = np.full((len(lattices), top, 6), np.nan)
    for row, lattice in enumerate(lattices):
        if lattice.piece.cell is not None:
            atoms = lattice.piece.cell.crystal.atoms
            cells[row] = atoms.cell.array
            if lattice.force_sums is not None and atoms.cell.rank == 3:
                virial = -(lattice.virial + lattice.virial.transpose(0, 2, 1)) / 2 / atoms.get_volume()
                stress[row, : len(virial)] = full_3x3_to_voigt_6_stress(virial)
    dataset = xr.Dataset(
        {"cell": (("structure", "vector", "xyz"), cells)}, coords={"vector": ["a", "b", "c"], "xyz": ["x", "y", "z"]}
    )
    if lattices[0].force_sums is not None:
        dataset["stress_contribution"] = (("structure", "order", "voigt"), stress)
        dataset = dataset.assign_coords(voigt=["xx", "yy", "zz", "yz", "xz", "xy"])
    return dataset


def _subsets(lattices: Sequence[Lattice], epsilons: Sequence[Sequence[np.ndarray]], top: int) -> xr.Dataset:
    """What belongs to single sub-clusters, structure by structure and order by order."""
    members, cells, structure, order = [], [], [], []
    for index, lattice in enumerate(lattices):
        images = lattice.piece.family.nodes
        for rows in lattice.piece.family.members:
            padded = np.full((len(rows), top), -1, dtype=np.int32)
            padded[:, : rows.shape[1]] = rows if images is None else images.bodies[rows]
            members.append(padded)
            shifts = np.zeros((len(rows), top, 3), dtype=np.int32)
            if images is not None:
                shifts[:, : rows.shape[1]] = images.cells[rows]
            cells.append(shifts)
            structure.append(np.full(len(rows), index, dtype=np.int32))
            order.append(np.full(len(rows), rows.shape[1], dtype=np.int32))
    records: dict[str, tuple[Any, np.ndarray]] = {
        f"subset_{name}": ("subset", np.concatenate([_known(lattice, name) for lattice in lattices]))
        for name in _recorded(lattices)
    }
    if any(lattice.piece.cell is not None for lattice in lattices):
        records["subset_cells"] = (("subset", "slot", "xyz"), np.concatenate(cells))
    return xr.Dataset(
        {
            "subset_members": (("subset", "slot"), np.concatenate(members)),
            "subset_structure": ("subset", np.concatenate(structure)),
            "subset_order": ("subset", np.concatenate(order)),
            "subset_energy": ("subset", np.concatenate([e for lattice in lattices for e in lattice.energies])),
            "subset_contribution": ("subset", np.concatenate([e for epsilon in epsilons for e in epsilon])),
            **records,
        }
    )


def _doubts(lattices: Sequence[Lattice], top: int) -> xr.Dataset:
    """How many sub-clusters failed, and how many have a state that gives reason to doubt, by structure and order."""
    names = ["n_failed", *(name for name in DOUBTS if any(name in lattice.counts for lattice in lattices))]
    empty: Counter[int] = Counter()
    return xr.Dataset(
        {
            name: (
                ("structure", "order"),
                [[lattice.counts.get(name, empty)[order] for order in range(1, top + 1)] for lattice in lattices],
            )
            for name in names
        }
    )


def _recorded(lattices: Sequence[Lattice]) -> list[str]:
    return [name for name in RECORDS if any(name in lattice.records for lattice in lattices)]


def _known(lattice: Lattice, name: str) -> np.ndarray:
    if name not in lattice.records:
        return np.full(sum(lattice.piece.family.sizes), np.nan)
    return np.concatenate(lattice.records[name])
