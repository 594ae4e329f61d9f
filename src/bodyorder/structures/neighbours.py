"""Neighbours of atoms, images in other cells included."""

from __future__ import annotations

import ase
import numpy as np


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
