"""Neighbours of atoms, images in other cells included; of many free structures at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import ase
import numpy as np
from scipy.spatial import KDTree

#: Structures of up to this many atoms have all their distances made at once, for as many of them as have so many in all.
_FEW_ATOMS, _DISTANCES = 64, 2**21


def neighbours(quantities: str, atoms: ase.Atoms, cutoff: float) -> tuple[np.ndarray, ...]:
    """Pairs of atoms nearer than a cutoff, each from either end.

    :param quantities: which arrays of shape (n_pairs, …): ``i`` an atom, ``j`` its neighbour, ``S`` the cell that this one is in,
        ``d`` their distance in Å and ``D`` the vector from one to the other
    :param cutoff: in Å
    """
    # brings torch along where that is installed, which only periodic structures shall wait for
    from vesin import ase_neighbor_list

    found = ase_neighbor_list(quantities, atoms, cutoff)
    # vesin counts without signs, and numpy makes floats of such numbers beside signed ones
    return tuple(
        np.asarray(array, dtype=np.int64) if name in "ij" else array
        for name, array in zip(quantities, found, strict=True)
    )


def near_pairs(structures: Sequence[ase.Atoms], cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of atoms of one structure nearer than a cutoff, once each, of many structures without their cells.

    :param cutoff: in Å
    :return: the first atom of each pair, counted through all structures, the second, larger one, and their distance in Å, shape
        (n_pairs,) each
    """
    starts = np.cumsum([0] + [len(atoms) for atoms in structures])
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, atoms in enumerate(structures):
        by_size[len(atoms)].append(index)
    found = [np.empty((2, 0), dtype=np.int64)]
    for size, indices in by_size.items():
        at_once = max(1, _DISTANCES // size**2) if size <= _FEW_ATOMS else 1
        for begin in range(0, len(indices), at_once):
            some = indices[begin : begin + at_once]
            found.append(_pairs_of([structures[index].positions for index in some], starts[some], cutoff))
    pairs = np.concatenate(found, axis=1)
    positions = np.concatenate([atoms.positions for atoms in structures] or [np.empty((0, 3))])
    lengths = np.linalg.norm(positions[pairs[1]] - positions[pairs[0]], axis=1)
    near = lengths < cutoff
    return pairs[0][near], pairs[1][near], lengths[near]


def _pairs_of(positions: list[np.ndarray], starts: np.ndarray, cutoff: float) -> np.ndarray:
    """Pairs of atoms not farther than a cutoff in structures of one size, shape (2, n_pairs).

    :param starts: number of the first atom of each structure
    """
    n_atoms = len(positions[0])
    if n_atoms > _FEW_ATOMS:
        return KDTree(positions[0]).query_pairs(cutoff, output_type="ndarray").T + starts[0]
    centred = np.array(positions)
    centred -= centred.mean(axis=1, keepdims=True)
    squares = np.einsum("sax,sax->sa", centred, centred)
    products = centred @ centred.transpose(0, 2, 1)
    products *= -2.0
    products += squares[:, :, None] + (squares[:, None] - cutoff**2)
    # the exact bound is drawn from the lengths of those that are left
    rows, first, second = np.nonzero(np.triu(products <= 1e-12 * squares.max(initial=1.0), 1))
    return np.stack([first, second]) + starts[rows]
