"""From the energies of sub-clusters to order totals, and from those to the labelled dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version

import ase
import numpy as np
import xarray as xr

from bodyorder.engine.batching import WHOLE, Piece
from bodyorder.engine.evaluation import Outcome
from bodyorder.engine.results import SCHEMA_VERSION, describe
from bodyorder.engine.selection import Selection
from bodyorder.sources.base import EnergySource
from bodyorder.structures.io import structure_names
from bodyorder.subsets import contributions, order_coefficients

#: Distributions whose versions are written into every result.
_VERSIONED = ("bodyorder", "numpy", "ase")


@dataclass
class Lattice:
    """The energies of all sub-clusters of one structure as they arrive.

    :param piece: the structure
    :param energies: for each order E(S) in eV, shape (n_subsets,)
    :param force_sums: Σ_S c_n(S)·F_a(S) in eV/Å for each order n, shape (max_order, n_atoms, 3), or None
    """

    piece: Piece
    energies: list[np.ndarray]
    force_sums: np.ndarray | None
    coefficients: list[np.ndarray]
    whole: float = np.nan
    n_evaluations: int = 0
    failures: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, piece: Piece, forces: bool) -> Lattice:
        """Room for all energies of a structure, none of them known."""
        energies = [np.full(size, np.nan) for size in piece.family.sizes]
        sums = np.zeros((piece.family.max_order, len(piece.system), 3)) if forces else None
        return cls(piece, energies, sums, order_coefficients(piece.family))

    def fill(self, outcome: Outcome, rows: np.ndarray) -> None:
        """Take the energies in some rows of an outcome, all of this structure."""
        task, computed = outcome.task, outcome.computed
        self.n_evaluations += int(outcome.evaluated[rows].sum())
        orders = task.orders[rows]
        for order in np.unique(orders):
            here = rows[orders == order]
            if order == WHOLE:
                self.whole = float(computed.energies[here[0]])
                continue
            self.energies[order - 1][task.rows[here]] = computed.energies[here]
            if self.force_sums is not None and computed.forces is not None:
                weights = self.coefficients[order - 1]
                weights = np.broadcast_to(weights, (len(weights), self.piece.family.sizes[order - 1]))[
                    :, task.rows[here]
                ]
                members = task.batch.members[here].ravel()
                # Orders below the size of a sub-cluster do not hold its forces, and must not catch its NaN.
                for n in range(order - 1, len(weights)):
                    weighted = _weighted(weights[n][:, None, None], computed.forces[here])
                    np.add.at(self.force_sums[n], members, weighted.reshape(-1, 3))
        for row in rows:
            if int(row) in computed.messages:
                atoms = ", ".join(str(atom) for atom in task.batch.members[row])
                self.failures.append(f"atoms {atoms}: {computed.messages[int(row)]}")

    @property
    def total(self) -> float:
        """Energy of the whole structure in eV."""
        return float(self.energies[-1][0]) if self.piece.holds_whole else self.whole

    @property
    def failure(self) -> str:
        """Why something is missing, in one line; empty if nothing is."""
        if not self.failures:
            return ""
        return f"{len(self.failures)} of {self.piece.n_clusters} sub-clusters failed, the first: {self.failures[0]}"

    def noise(self, source: EnergySource) -> np.ndarray:
        """1σ of each order total in eV from the precision of the source, shape (max_order,)."""
        variance = np.zeros(self.piece.family.max_order)
        for order, (energies, weights) in enumerate(zip(self.energies, self.coefficients, strict=True), start=1):
            terms = _weighted(weights[order - 1 :] ** 2, source.precision.sigma(energies) ** 2)
            variance[order - 1 :] += terms.sum(axis=1)
        return np.sqrt(variance)


def assemble(
    structures: Sequence[ase.Atoms],
    source: EnergySource,
    selection: Selection,
    lattices: Sequence[Lattice],
    *,
    subsets: bool,
) -> xr.Dataset:
    """The dataset of a decomposition.

    :param structures: as given by the user
    :param source: where the energies came from
    :param selection: which sub-clusters were taken
    :param lattices: their energies, structure by structure
    :param subsets: whether to keep what belongs to single sub-clusters
    """
    top = max(lattice.piece.family.max_order for lattice in lattices)
    epsilons = [contributions(lattice.piece.family, lattice.energies) for lattice in lattices]
    # A structure of fewer bodies has no sub-clusters of the orders above: their sum is zero.
    contribution = np.zeros((len(lattices), top))
    noise = np.zeros((len(lattices), top))
    for row, (lattice, epsilon) in enumerate(zip(lattices, epsilons, strict=True)):
        contribution[row, : len(epsilon)] = [values.sum() for values in epsilon]
        noise[row, : len(epsilon)] = lattice.noise(source)
    total = np.array([lattice.total for lattice in lattices])
    dataset = xr.Dataset(
        {
            "contribution": (("structure", "order"), contribution),
            "noise": (("structure", "order"), noise),
            "total": ("structure", total),
            "residual": ("structure", total - contribution.sum(axis=1)),
            "n_bodies": ("structure", [len(lattice.piece.bodies) for lattice in lattices]),
            "n_evaluations": ("structure", [lattice.n_evaluations for lattice in lattices]),
            "failure": ("structure", [lattice.failure for lattice in lattices]),
        },
        coords={"structure": structure_names(structures), "order": np.arange(1, top + 1)},
        attrs={
            "schema_version": SCHEMA_VERSION,
            "source": source.name,
            "fingerprint": source.fingerprint,
            "spin": getattr(source, "spin", "none"),
            "bodies": selection.bodies if isinstance(selection.bodies, str) else "given",
            "family": selection.kind(source),
            "cutoff": "none" if selection.cutoff is None else selection.cutoff,
            "versions": _versions(source),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    if any("group" in atoms.info for atoms in structures):
        groups = [str(atoms.info.get("group", "")) for atoms in structures]
        dataset = dataset.assign_coords(group=("structure", groups))
    dataset = dataset.merge(_sites(structures, lattices, top))
    if subsets:
        dataset = dataset.merge(_subsets(lattices, epsilons, top))
    return describe(dataset)


def _weighted(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Products, zero where a weight is: what is not counted must not pass on its NaN."""
    return np.where(weights == 0, 0.0, weights * values)


def _versions(source: EnergySource) -> str:
    return json.dumps(_own_versions() | getattr(source, "versions", {}))


@lru_cache(maxsize=1)
def _own_versions() -> dict[str, str]:
    return {name: version(name) for name in _VERSIONED}


def _sites(structures: Sequence[ase.Atoms], lattices: Sequence[Lattice], top: int) -> xr.Dataset:
    """What belongs to atoms."""
    sites = xr.Dataset(
        {
            "site_structure": ("site", np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])),
            "site_number": ("site", np.concatenate([atoms.numbers for atoms in structures])),
            "site_body": ("site", np.concatenate([lattice.piece.bodies.labels for lattice in lattices])),
            "site_position": (("site", "xyz"), np.concatenate([atoms.positions for atoms in structures])),
        },
        coords={"xyz": ["x", "y", "z"]},
    )
    if lattices[0].force_sums is not None:
        forces = np.zeros((top, sites.sizes["site"], 3))
        first = 0
        for lattice in lattices:
            if lattice.force_sums is not None:
                orders, n_atoms, _ = lattice.force_sums.shape
                forces[:orders, first : first + n_atoms] = lattice.force_sums
                first += n_atoms
        sites["force_contribution"] = (("order", "site", "xyz"), forces)
    return sites


def _subsets(lattices: Sequence[Lattice], epsilons: Sequence[Sequence[np.ndarray]], top: int) -> xr.Dataset:
    """What belongs to single sub-clusters, structure by structure and order by order."""
    members, structure, order = [], [], []
    for index, lattice in enumerate(lattices):
        for rows in lattice.piece.family.members:
            padded = np.full((len(rows), top), -1, dtype=np.int32)
            padded[:, : rows.shape[1]] = rows
            members.append(padded)
            structure.append(np.full(len(rows), index, dtype=np.int32))
            order.append(np.full(len(rows), rows.shape[1], dtype=np.int32))
    return xr.Dataset(
        {
            "subset_members": (("subset", "slot"), np.concatenate(members)),
            "subset_structure": ("subset", np.concatenate(structure)),
            "subset_order": ("subset", np.concatenate(order)),
            "subset_energy": ("subset", np.concatenate([e for lattice in lattices for e in lattice.energies])),
            "subset_contribution": ("subset", np.concatenate([e for epsilon in epsilons for e in epsilon])),
        }
    )
