"""Sub-clusters as dense batches: many sub-clusters of one size in a few arrays, never an object per sub-cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import ase
import numpy as np

IntArray = np.ndarray
FloatArray = np.ndarray

#: Positions that agree to this length (Å) are the same for a key. Far below anything that changes an energy by 1e-9 eV.
KEY_RESOLUTION = 1e-10


@dataclass(frozen=True)
class System:
    """A structure as plain arrays: what sub-clusters are cut from.

    :param numbers: atomic numbers, shape (n_atoms,)
    :param positions: positions in Å, shape (n_atoms, 3)
    """

    numbers: IntArray
    positions: FloatArray

    @classmethod
    def from_atoms(cls, atoms: ase.Atoms) -> System:
        """The arrays of an ASE structure."""
        return cls(np.asarray(atoms.numbers, dtype=np.int64), np.asarray(atoms.positions, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class ClusterBatch:
    """``n`` sub-clusters of ``k`` atoms each.

    :param numbers: atomic numbers, shape (n, k)
    :param positions: positions in Å, shape (n, k, 3)
    :param parents: index of the structure each sub-cluster was cut from, shape (n,)
    :param members: indices of the sub-cluster's atoms in that structure, shape (n, k)
    :param systems: the structures by their index: all that ``parents`` refers to. A source whose work on a whole structure
        serves all its sub-clusters (integrals, say) finds it here.
    :param charges: total charge of each sub-cluster in elementary charges, shape (n,); zero if not given
    """

    numbers: IntArray
    positions: FloatArray
    parents: IntArray
    members: IntArray
    systems: Mapping[int, System] = field(repr=False)
    charges: IntArray

    @classmethod
    def cut(cls, systems: Mapping[int, System], parents: IntArray, members: IntArray) -> ClusterBatch:
        """Cut sub-clusters out of their structures.

        :param systems: structures by index
        :param parents: structure of each sub-cluster, shape (n,)
        :param members: atoms of each sub-cluster in that structure, shape (n, k)
        """
        parents = np.asarray(parents, dtype=np.int64)
        members = np.asarray(members, dtype=np.int64)
        present = np.unique(parents)
        used = {int(index): systems[int(index)] for index in present}
        offsets = np.cumsum([0] + [len(system) for system in used.values()])[:-1]
        numbers = np.concatenate([system.numbers for system in used.values()])
        positions = np.concatenate([system.positions for system in used.values()])
        flat = members + offsets[np.searchsorted(present, parents)][:, None]
        return cls(numbers[flat], positions[flat], parents, members, used, np.zeros(len(parents), dtype=np.int64))

    @classmethod
    def from_atoms(cls, clusters: Sequence[ase.Atoms]) -> ClusterBatch:
        """Whole structures of one size as a batch; each is its own parent."""
        systems = {index: System.from_atoms(atoms) for index, atoms in enumerate(clusters)}
        n_atoms = len(clusters[0])
        return cls.cut(systems, np.arange(len(clusters)), np.tile(np.arange(n_atoms), (len(clusters), 1)))

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def n_atoms(self) -> int:
        """Atoms in each sub-cluster."""
        return int(self.numbers.shape[1])

    def select(self, rows: IntArray) -> ClusterBatch:
        """The batch of the given rows only."""
        parents = self.parents[rows]
        systems = {int(index): self.systems[int(index)] for index in np.unique(parents)}
        return ClusterBatch(
            self.numbers[rows], self.positions[rows], parents, self.members[rows], systems, self.charges[rows]
        )

    def to_atoms(self, row: int) -> ase.Atoms:
        """One sub-cluster as an ASE structure in vacuum; its total charge in ``info["charge"]``."""
        return ase.Atoms(
            numbers=self.numbers[row], positions=self.positions[row], info={"charge": int(self.charges[row])}
        )

    def canonical(self) -> tuple[list[bytes], IntArray]:
        """Keys that name each sub-cluster whatever the order of its atoms and its place in space.

        :return: a 16-byte key per sub-cluster, and the permutations of shape (n, k) that bring its atoms into the order
            that the key stands for (``forces[row][permutation[row]]`` are forces in that order)
        """
        n, k = self.numbers.shape
        # The corner of the bounding box is the one reference point that no reordering of atoms changes in its last digit.
        corner = self.positions.min(axis=1, keepdims=True)
        grid = np.rint((self.positions - corner) / KEY_RESOLUTION).astype(np.int64)
        rows = np.repeat(np.arange(n), k)
        flat = grid.reshape(-1, 3)
        order = np.lexsort((flat[:, 2], flat[:, 1], flat[:, 0], self.numbers.ravel(), rows)).reshape(n, k)
        permutation = order - np.arange(n)[:, None] * k
        words = np.empty((n, 1 + 4 * k), dtype=np.int64)
        words[:, 0] = self.charges
        words[:, 1 : 1 + k] = np.take_along_axis(self.numbers, permutation, axis=1)
        words[:, 1 + k :] = np.take_along_axis(grid, permutation[:, :, None], axis=1).reshape(n, 3 * k)
        return [hashlib.blake2b(word, digest_size=16).digest() for word in words], permutation
