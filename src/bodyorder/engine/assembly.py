"""From the energies of sub-clusters to order totals, and from those to the tree of a result."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import ase
import numpy as np
import xarray as xr
from ase.stress import full_3x3_to_voigt_6_stress

from bodyorder.engine.additivity import unadditive_states
from bodyorder.engine.field import VACUUM
from bodyorder.engine.members import member_totals
from bodyorder.engine.noise import SIGNIFICANT
from bodyorder.engine.noise import describe as describe_noise
from bodyorder.engine.selection import Selection
from bodyorder.engine.subset_energies import Evaluated, SubsetEnergies
from bodyorder.results.asked import ASKED, NOT_ASKED
from bodyorder.results.files import SCHEMA_VERSION
from bodyorder.results.tree import grown
from bodyorder.results.variables import DOUBTS, describe
from bodyorder.sources.protocol import RECORDS, EnergySource
from bodyorder.structures.io import structure_names

#: Distributions whose versions are written into every result.
_VERSIONED = ("bodyorder", "numpy", "ase")


def assemble(
    structures: Sequence[ase.Atoms],
    evaluated: Evaluated,
    selection: Selection,
    by_structure: Sequence[SubsetEnergies],
    *,
    subsets: bool,
    field: str,
) -> xr.DataTree:
    """The result of a decomposition.

    :param structures: as given by the user
    :param evaluated: where the energies came from
    :param selection: which sub-clusters were taken
    :param by_structure: their energies, structure by structure
    :param subsets: whether to keep what belongs to single sub-clusters
    :param field: what the point charges around sub-clusters are, one word
    """
    source, pieces = evaluated.source, [own.piece for own in by_structure]
    top = max(own.piece.family.max_order for own in by_structure)
    epsilons = [own.contributions() for own in by_structure]
    # A structure of fewer bodies has no sub-clusters of the orders above: their sum is zero.
    contribution = np.zeros((len(by_structure), top))
    noise = np.zeros((len(by_structure), top))
    for row, (own, epsilon) in enumerate(zip(by_structure, epsilons, strict=True)):
        totals = own.totals(epsilon)
        contribution[row, : len(totals)] = totals
        noise[row, : len(totals)] = own.noise()
    total = np.array([own.total for own in by_structure])
    dataset = xr.Dataset(
        {
            "contribution": (("structure", "order"), contribution),
            "noise": (("structure", "order"), noise),
            "above_noise": (("structure", "order"), np.abs(contribution) > SIGNIFICANT * noise),
            "total": ("structure", total),
            "residual": ("structure", total - contribution.sum(axis=1)),
            "n_bodies": ("structure", [own.piece.n_bodies for own in by_structure]),
            "n_evaluations": ("structure", [own.n_evaluations for own in by_structure]),
            "failure": ("structure", [own.failure for own in by_structure]),
        },
        coords={"structure": structure_names(structures), "order": np.arange(1, top + 1)},
        attrs={
            "schema_version": SCHEMA_VERSION,
            "source": source.name,
            "fingerprint": source.fingerprint,
            "precision_absolute": float(source.precision.absolute),
            "precision_relative": float(source.precision.relative),
            "spin": source.capabilities.spin,
            "counterpoise": source.capabilities.counterpoise,
            "field": field,
            "noise": describe_noise(
                source,
                evaluated.measured,
                rounded=any(own.rounded for own in by_structure),
                sampled=any(own.piece.is_estimated for own in by_structure),
            ),
            "bodies": selection.bodies if isinstance(selection.bodies, str) else "given",
            "family": ", ".join(sorted({own.piece.family.kind for own in by_structure})),
            "cutoff": _cutoff(selection, source, by_structure),
            "whole": ASKED if selection.whole else NOT_ASKED,
            "force_kind": source.capabilities.force_kind if evaluated.wanted.forces else "none",
            "remark": "; ".join(filter(None, (source.capabilities.remark, *unadditive_states(source, pieces)))),
            "versions": _versions(source),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    if evaluated.wanted.members:
        dataset = dataset.merge(member_totals(by_structure, contribution), combine_attrs="override")
        dataset.attrs["member_kind"] = source.capabilities.member_kind
    if any("group" in atoms.info for atoms in structures):
        groups = [str(atoms.info.get("group", "")) for atoms in structures]
        dataset = dataset.assign_coords(group=("structure", groups))
    dataset = dataset.merge(_sites(structures, by_structure, top, field != VACUUM)).merge(_doubts(by_structure, top))
    if evaluated.wanted.hessians:
        dataset = dataset.merge(_hessians(by_structure, top))
    if any(own.piece.cell is not None for own in by_structure):
        dataset = dataset.merge(_cells(by_structure, top))
    if subsets:
        dataset = dataset.merge(_subsets(by_structure, epsilons, top))
    return grown(describe(dataset))


def _cutoff(selection: Selection, source: EnergySource, by_structure: Sequence[SubsetEnergies]) -> float | str:
    """The cutoff that was used: that of the source where a periodic structure needed one and none was given."""
    if selection.cutoff is None and any(own.piece.cell is not None for own in by_structure):
        return source.cutoff or "none"
    return "none" if selection.cutoff is None else selection.cutoff


def _versions(source: EnergySource) -> str:
    return json.dumps(_own_versions() | dict(source.capabilities.versions))


@lru_cache(maxsize=1)
def _own_versions() -> dict[str, str]:
    return {name: version(name) for name in _VERSIONED}


def _sites(
    structures: Sequence[ase.Atoms], by_structure: Sequence[SubsetEnergies], top: int, in_field: bool
) -> xr.Dataset:
    """What belongs to atoms."""
    sites = xr.Dataset(
        {
            "site_structure": ("site", np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])),
            "site_number": ("site", np.concatenate([atoms.numbers for atoms in structures])),
            "site_body": ("site", np.concatenate([own.piece.body_of_site for own in by_structure])),
            "site_position": (("site", "xyz"), np.concatenate([atoms.positions for atoms in structures])),
        },
        coords={"xyz": ["x", "y", "z"]},
    )
    charges = np.concatenate([atoms.get_initial_charges() for atoms in structures])
    if charges.any():
        sites["site_charge"] = ("site", charges)
    moments = np.concatenate([atoms.get_initial_magnetic_moments() for atoms in structures])
    if moments.any():
        sites["site_moment"] = ("site", moments)
    if in_field:
        sites["site_field_charge"] = ("site", np.concatenate([own.piece.system.field for own in by_structure]))
    if by_structure[0].force_sums is not None:
        sites["force_contribution"] = (
            ("order", "site", "xyz"),
            _stacked([own.force_sums for own in by_structure], top),
        )
    if by_structure[0].atom_sums is not None:
        sites["atom_contribution"] = (("order", "site"), _stacked([own.atom_sums for own in by_structure], top))
    return sites


def _stacked(sums: Sequence[np.ndarray | None], top: int) -> np.ndarray:
    """What each structure has for its orders and atoms, one behind the other along the atoms; zero in orders it does not have."""
    known = [values for values in sums if values is not None]
    return np.concatenate(
        [np.concatenate([values, np.zeros((top - len(values), *values.shape[1:]))]) for values in known], axis=1
    )


def _hessians(by_structure: Sequence[SubsetEnergies], top: int) -> xr.Dataset:
    """Second derivatives by the positions of two atoms of one structure, structure by structure."""
    sizes = [own.piece.n_sites for own in by_structure]
    pairs = [np.indices((size, size)).reshape(2, -1) for size in sizes]
    sums = [
        None if own.hessian_sums is None else own.hessian_sums.reshape(len(own.hessian_sums), -1, 3, 3)
        for own in by_structure
    ]
    wholes = [own.whole_hessian.reshape(-1, 3, 3) for own in by_structure if own.whole_hessian is not None]
    first, second = np.concatenate(pairs, axis=1).astype(np.int32)
    return xr.Dataset(
        {
            "atoms_structure": ("atoms", np.repeat(np.arange(len(sizes)), np.square(sizes))),
            "atoms_first": ("atoms", first),
            "atoms_second": ("atoms", second),
            "hessian_contribution": (("order", "atoms", "xyz", "by_xyz"), _stacked(sums, top)),
            "hessian_total": (("atoms", "xyz", "by_xyz"), np.concatenate(wholes)),
        }
    )


def _cells(by_structure: Sequence[SubsetEnergies], top: int) -> xr.Dataset:
    """What belongs to periodic structures, NaN for others."""
    cells = np.full((len(by_structure), 3, 3), np.nan)
    periodic = np.zeros((len(by_structure), 3), dtype=bool)
    stress = np.full((len(by_structure), top, 6), np.nan)
    for row, own in enumerate(by_structure):
        if own.piece.cell is not None:
            atoms = own.piece.cell.crystal.atoms
            cells[row], periodic[row] = atoms.cell.array, atoms.pbc
            if own.force_sums is not None and atoms.cell.rank == 3:
                virial = -(own.virial + own.virial.transpose(0, 2, 1)) / 2 / atoms.get_volume()
                stress[row, : len(virial)] = full_3x3_to_voigt_6_stress(virial)
    dataset = xr.Dataset(
        {"cell": (("structure", "vector", "xyz"), cells), "periodic": (("structure", "vector"), periodic)},
        coords={"vector": ["a", "b", "c"], "xyz": ["x", "y", "z"]},
    )
    if by_structure[0].force_sums is not None:
        dataset["stress_contribution"] = (("structure", "order", "voigt"), stress)
        dataset = dataset.assign_coords(voigt=["xx", "yy", "zz", "yz", "xz", "xy"])
    return dataset


def _subsets(by_structure: Sequence[SubsetEnergies], epsilons: Sequence[Sequence[np.ndarray]], top: int) -> xr.Dataset:
    """What belongs to single sub-clusters, structure by structure and order by order."""
    count = sum(len(rows) for own in by_structure for rows in own.piece.family.members)
    periodic = any(own.piece.cell is not None for own in by_structure)
    members = np.full((count, top), -1, dtype=np.int32)
    cells = np.zeros((count, top, 3), dtype=np.int32) if periodic else None
    structure, order = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
    start = 0
    for index, own in enumerate(by_structure):
        images = own.piece.family.nodes
        for rows in own.piece.family.members:
            here, slots = slice(start, start + len(rows)), slice(rows.shape[1])
            members[here, slots] = rows if images is None else images.bodies[rows]
            if cells is not None and images is not None:
                cells[here, slots] = images.cells[rows]
            structure[here], order[here] = index, rows.shape[1]
            start += len(rows)
    variables: dict[str, tuple[Any, np.ndarray]] = {
        "subset_members": (("subset", "slot"), members),
        "subset_structure": ("subset", structure),
        "subset_order": ("subset", order),
        "subset_energy": ("subset", _joined(own.energies for own in by_structure)),
        "subset_contribution": ("subset", _joined(epsilons)),
        "subset_noise": ("subset", np.sqrt(_joined(own.variances for own in by_structure))),
    }
    variables |= {
        f"subset_{name}": ("subset", np.concatenate([_known(own, name) for own in by_structure]))
        for name in _recorded(by_structure)
    }
    if cells is not None:
        variables["subset_cells"] = (("subset", "slot", "xyz"), cells)
    return xr.Dataset(variables)


def _joined(by_structure: Iterable[Sequence[np.ndarray]]) -> np.ndarray:
    """What belongs to single sub-clusters, structure by structure and order by order."""
    return np.concatenate([values for by_order in by_structure for values in by_order])


def _doubts(by_structure: Sequence[SubsetEnergies], top: int) -> xr.Dataset:
    """How many sub-clusters failed, and how many have a state that gives reason to doubt, by structure and order."""
    names = [name for name in DOUBTS if any(name in own.counts for own in by_structure)]
    empty: Counter[int] = Counter()
    return xr.Dataset(
        {
            name: (
                ("structure", "order"),
                [[own.counts.get(name, empty)[order] for order in range(1, top + 1)] for own in by_structure],
            )
            for name in names
        }
    )


def _recorded(by_structure: Sequence[SubsetEnergies]) -> list[str]:
    return [name for name in RECORDS if any(name in own.records for own in by_structure)]


def _known(own: SubsetEnergies, name: str) -> np.ndarray:
    if name not in own.records:
        return np.full(sum(own.piece.family.sizes), np.nan)
    return np.concatenate(own.records[name])
