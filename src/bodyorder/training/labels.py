"""Labelled sub-clusters: what training sets are drawn from."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import ase
import numpy as np

from bodyorder._checks import InputError, check_between
from bodyorder.engine.batching import make_tasks
from bodyorder.engine.computation import Wanted
from bodyorder.engine.pieces import Piece
from bodyorder.engine.scheduling import evaluate
from bodyorder.engine.store import Store, opened
from bodyorder.sources.registry import SourceLike, load_source
from bodyorder.structures import ClusterBatch, System, find_bodies, read_structures
from bodyorder.structures.duplicates import first_duplicates
from bodyorder.structures.io import StructuresLike
from bodyorder.subsets import complete

#: Group of a parent whose ``info`` names none.
NO_GROUP = "clusters"


@dataclass(frozen=True)
class LabelledBatch:
    """Sub-clusters of one size with their labels.

    :param clusters: n sub-clusters of k atoms; ``clusters.parents`` are indices into the structures that were labelled
    :param energies: in eV, NaN where the source failed, shape (n,)
    :param forces: in eV/Å, shape (n, k, 3), or None if the source gives none
    """

    clusters: ClusterBatch
    energies: np.ndarray
    forces: np.ndarray | None


@dataclass(frozen=True)
class LabelledClusters:
    """Structures and their sub-clusters with energies and forces, one dense batch per number of atoms.

    :param structures: the parents, from which all was cut
    :param batches: labelled sub-clusters by their number of atoms, ascending
    :param failures: why labels are missing, one line for each sub-cluster that has none
    """

    structures: tuple[ase.Atoms, ...] = field(repr=False)
    batches: Mapping[int, LabelledBatch] = field(repr=False)
    failures: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each structure, as its ``info["group"]`` names it."""
        return tuple(str(atoms.info.get("group", NO_GROUP)) for atoms in self.structures)

    def atom_energies(self) -> dict[int, float]:
        """Energy of an isolated atom in eV by atomic number, for the elements of which single atoms are labelled."""
        if 1 not in self.batches:
            return {}
        single = self.batches[1]
        labelled = np.isfinite(single.energies)
        elements, first = np.unique(single.clusters.numbers[labelled, 0], return_index=True)
        return dict(zip(elements.tolist(), single.energies[labelled][first].tolist(), strict=True))

    def to_atoms(self, size: int, row: int) -> ase.Atoms:
        """One labelled sub-cluster as an ASE structure.

        ``info`` holds ``energy`` (eV), ``parent``, ``group`` and ``members`` (its atoms in the parent, as text), ``arrays``
        holds ``forces`` (eV/Å) if there are any.
        """
        batch = self.batches[size]
        parent = int(batch.clusters.parents[row])
        atoms = ase.Atoms(numbers=batch.clusters.numbers[row], positions=batch.clusters.positions[row])
        atoms.info["energy"] = float(batch.energies[row])
        atoms.info["group"] = str(self.structures[parent].info.get("group", NO_GROUP))
        atoms.info["parent"] = parent
        # An array of one number would come back from a file as a number.
        atoms.info["members"] = "-".join(str(index) for index in batch.clusters.members[row])
        if batch.forces is not None:
            atoms.arrays["forces"] = np.array(batch.forces[row])
        return atoms


def label(
    structures: StructuresLike,
    source: SourceLike,
    *,
    orders: Collection[int] | None = None,
    forces: bool | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
) -> LabelledClusters:
    """Energies and forces of structures and of their sub-clusters of atoms.

    :param structures: the parents
    :param source: energy source, ASE calculator, or the spec of a source
    :param orders: numbers of atoms of the sub-clusters to label beside the parents themselves; every number if None
    :param forces: whether forces are wanted; where the source gives them if None
    :param store: file (or open :class:`~bodyorder.engine.store.Store`) of what is already computed; the rest is added
    :param executor: anything with the ``concurrent.futures`` interface; None computes in this process
    :return: all labels. Those of sub-clusters that failed are NaN, and ``failures`` says why.
    :raises InputError: if the input cannot work, a structure is charged, or two structures are the same cluster: one in a
        training set would give away the label of the other in a test set
    """
    frames = tuple(read_structures(structures))
    _check_neutral(frames)
    _check_distinct(frames)
    sizes = {len(atoms) for atoms in frames}
    wanted = (
        set(range(1, max(sizes))) if orders is None else {check_between("orders", n, 1, max(sizes)) for n in orders}
    )
    deepest = max(wanted, default=1)
    pieces = [
        Piece(System.from_atoms(atoms), find_bodies(atoms), complete(len(atoms), min(len(atoms), deepest)))
        for atoms in frames
    ]
    engine = load_source(source)
    if engine.capabilities.counterpoise != "none":
        raise InputError(
            f"labels must be energies of clusters by themselves, {engine.name} adds functions of other atoms"
        )
    forces = engine.capabilities.forces if forces is None else forces
    tasks = make_tasks(pieces, engine)
    parts: dict[int, list[tuple[ClusterBatch, np.ndarray, np.ndarray | None]]] = defaultdict(list)
    failures = []
    with opened(store) as kept:
        chosen = (task for task in tasks if task.batch.n_atoms in wanted | sizes)
        outcomes = evaluate(chosen, engine, wanted=Wanted(forces), store=kept, executor=executor)
        for outcome in outcomes:
            batch, computed = outcome.task.batch, outcome.computed
            parts[batch.n_atoms].append((batch, computed.energies, computed.forces))
            failures += [
                f"atoms {batch.members[row].tolist()} of structure {batch.parents[row]}: {message}"
                for row, message in computed.messages.items()
            ]
    return LabelledClusters(frames, {size: _join(parts[size]) for size in sorted(parts)}, tuple(failures))


def _join(parts: Sequence[tuple[ClusterBatch, np.ndarray, np.ndarray | None]]) -> LabelledBatch:
    batches, energies, forces = zip(*parts, strict=True)
    systems = {index: system for batch in batches for index, system in batch.systems.items()}
    parents = np.concatenate([batch.parents for batch in batches])
    members = np.concatenate([batch.members for batch in batches])
    return LabelledBatch(
        ClusterBatch.cut(systems, parents, members),
        np.concatenate(energies),
        None if forces[0] is None else np.concatenate(forces),
    )


def _check_neutral(frames: Sequence[ase.Atoms]) -> None:
    for index, atoms in enumerate(frames):
        if atoms.get_initial_charges().any():
            raise InputError(
                f"structures to label must be neutral, structure {index} has initial charges, which models do not see; "
                "set them to 0"
            )


def _check_distinct(frames: Sequence[ase.Atoms]) -> None:
    if pair := first_duplicates(frames):
        raise InputError(f"structures to label must differ, {pair[0]} and {pair[1]} are the same cluster")
