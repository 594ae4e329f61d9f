"""Links: atoms that are near each other in some images, of many structures at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from bodyorder.structures.neighbours import neighbours

#: Two links whose lengths differ by less than this (Å) are equally long; some files round positions as far as that.
SAME_LENGTH = 1e-3

#: Structures of up to this many atoms have all their distances made at once, for as many of them as have so many in all.
_FEW_ATOMS, _DISTANCES = 64, 2**20

#: Neighbours are looked for at least this far (Å): lists of far shorter reach divide a cell into far too many parts.
_SHORTEST_REACH = 1.0


@dataclass(frozen=True)
class Links:
    """Pairs of atoms and the images in which they are near each other, each pair from one end.

    :param first: an atom, shape (n,)
    :param second: the other, shape (n,)
    :param shifts: the cell that this one is in, shape (n, 3)
    :param lengths: in Å, shape (n,)
    """

    first: np.ndarray
    second: np.ndarray
    shifts: np.ndarray
    lengths: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Links:
        return Links(self.first[rows], self.second[rows], self.shifts[rows], self.lengths[rows])

    @classmethod
    def joined(cls, parts: Sequence[Links]) -> Links:
        """All of some links, one after the other."""
        names = ("first", "second", "shifts", "lengths")
        return cls(*(np.concatenate([getattr(some, name) for some in parts]) for name in names))

    def components(self, n_atoms: int) -> np.ndarray:
        """Number of the group of linked atoms that each atom is in, shape (n_atoms,)."""
        labels = connected_components(self.graph(np.ones(len(self.first)), n_atoms), directed=False)[1]
        return labels.astype(np.int64)

    def torn(self, cells: np.ndarray) -> Links:
        """Those whose atoms are not in the images in which they are near, once moved to ``cells``, shape (n_atoms, 3)."""
        return self[(cells[self.first] + self.shifts != cells[self.second]).any(axis=1)]

    def graph(self, weights: np.ndarray, n_atoms: int) -> csr_array:
        """The atoms as nodes, and these links as edges of some weights, shape (n,)."""
        return csr_array((weights, (self.first, self.second)), shape=(n_atoms, n_atoms))


def find_links(structures: Sequence[ase.Atoms], cutoff: float) -> Links:
    """All links shorter than ``cutoff`` (Å) of some structures, those of atoms with their own images among them.

    :return: atoms are counted through all structures, the first of each pair is never the larger one
    """
    starts = np.cumsum([0] + [len(atoms) for atoms in structures])
    few: dict[tuple[int, bool], list[int]] = defaultdict(list)
    nothing = np.empty(0, dtype=np.int64)
    found = [Links(nothing, nothing, np.empty((0, 3), dtype=np.int64), np.empty(0))]
    for index, atoms in enumerate(structures):
        if len(atoms) <= _FEW_ATOMS and (not atoms.pbc.any() or _nearest_are_all(atoms, cutoff)):
            few[len(atoms), bool(atoms.pbc.any())].append(index)
        else:
            found.append(_links_of(atoms, cutoff, starts[index]))
    for (size, periodic), indices in few.items():
        at_once = max(1, _DISTANCES // size**2)
        for begin in range(0, len(indices), at_once):
            some = indices[begin : begin + at_once]
            search = _among_nearest if periodic else _among_free
            found.append(search([structures[index] for index in some], starts[some], cutoff))
    return Links.joined(found)


def _links_of(atoms: ase.Atoms, cutoff: float, start: int) -> Links:
    """Links of one structure, whose atoms are counted from ``start``."""
    if atoms.pbc.any():
        first, second, shifts, lengths = neighbours("ijSd", atoms, max(cutoff, _SHORTEST_REACH))
        once = (first <= second) & (lengths < cutoff)
        return Links(first[once] + start, second[once] + start, shifts[once].astype(np.int64), lengths[once])
    first, second = KDTree(atoms.positions).query_pairs(cutoff, output_type="ndarray").T
    return _measured(atoms.positions, first, second, start, cutoff)


def _among_free(structures: Sequence[ase.Atoms], starts: np.ndarray, cutoff: float) -> Links:
    """Links of structures of one size without cells."""
    positions = np.array([atoms.positions for atoms in structures])
    centred = positions - positions.mean(axis=1, keepdims=True)
    squares = np.einsum("sax,sax->sa", centred, centred)
    products = centred @ centred.transpose(0, 2, 1)
    products *= -2.0
    products += squares[:, :, None] + (squares[:, None] - cutoff**2)
    # the exact bound is drawn from the lengths of those that are left
    rows, first, second = np.nonzero(np.triu(products <= 1e-12 * squares.max(initial=1.0), 1))
    n_atoms = positions.shape[1]
    found = _measured(positions.reshape(-1, 3), rows * n_atoms + first, rows * n_atoms + second, 0, cutoff)
    # from places in the array of these structures to places among all
    moved = starts[found.first // n_atoms] - found.first // n_atoms * n_atoms
    return Links(found.first + moved, found.second + moved, found.shifts, found.lengths)


def _measured(positions: np.ndarray, first: np.ndarray, second: np.ndarray, start: int, cutoff: float) -> Links:
    lengths = np.linalg.norm(positions[second] - positions[first], axis=1)
    near = lengths < cutoff
    count = int(near.sum())
    return Links(first[near] + start, second[near] + start, np.zeros((count, 3), dtype=np.int64), lengths[near])


def _nearest_are_all(atoms: ase.Atoms, cutoff: float) -> bool:
    """Whether of two atoms no more than the nearest images can be within ``cutoff`` (Å): planes of the lattice are far apart."""
    heights = 1 / np.linalg.norm(np.linalg.inv(_vectors(atoms)), axis=0)
    return bool((heights[atoms.pbc] > 2 * cutoff).all())


def _vectors(atoms: ase.Atoms) -> np.ndarray:
    """Lattice vectors along periodic directions, and along others those of length 1 that are normal to them, shape (3, 3)."""
    cell = atoms.cell.copy()
    cell[~atoms.pbc] = 0
    return cell.complete().array


def _among_nearest(structures: Sequence[ase.Atoms], starts: np.ndarray, cutoff: float) -> Links:
    """Links of periodic structures of one size, where the nearest images are all that matter."""
    cells = np.array([_vectors(atoms) for atoms in structures])
    periodic = np.array([atoms.pbc for atoms in structures])[:, None]
    fractions = np.array([atoms.positions for atoms in structures]) @ np.linalg.inv(cells)
    first, second = np.triu_indices(fractions.shape[1], 1)
    apart = fractions[:, second] - fractions[:, first]
    shifts = np.where(periodic, -np.rint(apart), 0.0)
    lengths = np.linalg.norm((apart + shifts) @ cells, axis=2)
    rows, pairs = np.nonzero(lengths < cutoff)
    begin = starts[rows]
    return Links(
        first[pairs] + begin, second[pairs] + begin, shifts[rows, pairs].astype(np.int64), lengths[rows, pairs]
    )
