"""Links: atoms that are near each other in some images, of many structures at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from bodyorder.structures.neighbours import neighbours

#: Two atoms closer than this (Å) stand on one spot. No nuclei come as close, and integrals of their functions are singular.
SAME_SPOT = 0.05

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
        """Number of the group of linked atoms that each atom is in, in the order of their first atoms, shape (n_atoms,)."""
        return components(self.first, self.second, n_atoms)

    def torn(self, cells: np.ndarray) -> Links:
        """Those whose atoms are not in the images in which they are near, once moved to ``cells``, shape (n_atoms, 3)."""
        return self[(cells[self.first] + self.shifts != cells[self.second]).any(axis=1)]

    def graph(self, weights: np.ndarray, n_atoms: int) -> csr_array:
        """The atoms as nodes, and these links as edges of some weights, shape (n,)."""
        order = np.argsort(self.first, kind="stable")
        ends = np.cumsum(np.bincount(self.first, minlength=n_atoms))
        return csr_array((weights[order], self.second[order], np.append(0, ends)), shape=(n_atoms, n_atoms))


def components(first: np.ndarray, second: np.ndarray, n_atoms: int) -> np.ndarray:
    """Number of the group of linked atoms that each atom is in, in the order of their first atoms, shape (n_atoms,).

    :param first: one atom of each pair that is linked, shape (n,)
    :param second: the other, shape (n,)
    """
    # each atom points to a smaller one of its group until all point to the smallest
    smallest = np.arange(n_atoms)
    while True:
        one, other = smallest[first], smallest[second]
        if np.array_equal(one, other):
            return (np.cumsum(smallest == np.arange(n_atoms)) - 1)[smallest]
        lower = np.minimum(one, other)
        np.minimum.at(smallest, one, lower)
        np.minimum.at(smallest, other, lower)
        while not np.array_equal(smallest, next_one := smallest[smallest]):
            smallest = next_one


def place_of(atom: int, structures: Sequence[ase.Atoms]) -> tuple[int, int]:
    """The structure of an atom that is counted through all of some, and its number in there."""
    starts = np.cumsum([0] + [len(atoms) for atoms in structures])
    place = int(np.searchsorted(starts, atom, side="right")) - 1
    return place, int(atom - starts[place])


def find_links(structures: Sequence[ase.Atoms], cutoff: float) -> Links:
    """All links shorter than ``cutoff`` (Å) of some structures, those of atoms with their own images among them.

    :return: atoms are counted through all structures, the first of each pair is never the larger one
    """
    starts = np.cumsum([0] + [len(atoms) for atoms in structures])
    nothing = np.empty(0, dtype=np.int64)
    found = [Links(nothing, nothing, np.empty((0, 3), dtype=np.int64), np.empty(0))]
    cells = _Cells(structures, cutoff)
    by_size: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for index, atoms in enumerate(structures):
        periodic = index in cells
        if len(atoms) <= _FEW_ATOMS and (periodic or not atoms.pbc.any()):
            by_size[len(atoms), periodic].append(index)
        else:
            found.append(_links_of(atoms, cutoff, starts[index]))
    for (size, periodic), indices in by_size.items():
        at_once = max(1, _DISTANCES // size**2)
        for begin in range(0, len(indices), at_once):
            some = np.array(indices[begin : begin + at_once])
            positions = np.array([structures[index].positions for index in some.tolist()])
            found.append(
                _among_nearest(positions, starts[some], cutoff, *cells.of(some))
                if periodic
                else _among_free(positions, starts[some], cutoff)
            )
    return Links.joined(found)


class _Cells:
    """Those periodic structures of few atoms of which no more than the nearest images of two atoms can be within a cutoff.

    Planes of their lattices are farther apart than twice that. Directions that are not periodic have normal vectors.
    """

    def __init__(self, structures: Sequence[ase.Atoms], cutoff: float):
        few = [i for i, atoms in enumerate(structures) if len(atoms) <= _FEW_ATOMS and atoms.pbc.any()]
        self._rows: dict[int, int] = {}
        if not few:
            return
        self._periodic = np.array([structures[index].pbc for index in few])
        self._vectors = np.array([_vectors(structures[index]) for index in few])
        self._inverse = np.linalg.inv(self._vectors)
        heights = 1 / np.sqrt(np.einsum("sxi,sxi->si", self._inverse, self._inverse))
        wide = ((heights > 2 * cutoff) | ~self._periodic).all(axis=1)
        self._rows = {index: row for row, index in enumerate(few) if wide[row]}

    def __contains__(self, index: int) -> bool:
        return index in self._rows

    def of(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vectors, shape (n, 3, 3), their inverse, and which directions are periodic, shape (n, 3)."""
        rows = [self._rows[index] for index in indices.tolist()]
        return self._vectors[rows], self._inverse[rows], self._periodic[rows]


def _vectors(atoms: ase.Atoms) -> np.ndarray:
    """Lattice vectors along periodic directions, and vectors of length 1 normal to them along others, shape (3, 3)."""
    if atoms.pbc.all():
        return atoms.cell.array
    cell = atoms.cell.copy()
    cell[~atoms.pbc] = 0
    return cell.complete().array


def _links_of(atoms: ase.Atoms, cutoff: float, start: int) -> Links:
    """Links of one structure, whose atoms are counted from ``start``."""
    if atoms.pbc.any():
        first, second, shifts, lengths = neighbours("ijSd", atoms, max(cutoff, _SHORTEST_REACH))
        once = (first <= second) & (lengths < cutoff)
        return Links(first[once] + start, second[once] + start, shifts[once].astype(np.int64), lengths[once])
    first, second = KDTree(atoms.positions).query_pairs(cutoff, output_type="ndarray").T
    return _measured(atoms.positions, first, second, start, cutoff)


def _among_free(positions: np.ndarray, starts: np.ndarray, cutoff: float) -> Links:
    """Links of structures of one size without cells, whose positions are of shape (n, n_atoms, 3)."""
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


def _among_nearest(
    positions: np.ndarray,
    starts: np.ndarray,
    cutoff: float,
    vectors: np.ndarray,
    inverse: np.ndarray,
    periodic: np.ndarray,
) -> Links:
    """Links of periodic structures of one size, where the nearest images are all that matter.

    :param positions: shape (n, n_atoms, 3)
    :param vectors: lattice vectors, shape (n, 3, 3), their inverse, and which directions are periodic, shape (n, 3)
    """
    fractions = positions @ inverse
    first, second = np.triu_indices(positions.shape[1], 1)
    apart = fractions[:, second]
    apart -= fractions[:, first]
    shifts = np.rint(apart)
    shifts *= periodic[:, None]
    apart -= shifts
    apart = apart @ vectors
    squares = np.einsum("spx,spx->sp", apart, apart)
    rows, pairs = np.nonzero(squares < cutoff**2)
    begin = starts[rows]
    moved = -shifts[rows, pairs].astype(np.int64)
    return Links(first[pairs] + begin, second[pairs] + begin, moved, np.sqrt(squares[rows, pairs]))
