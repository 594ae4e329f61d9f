"""Where sub-clusters are put that share one structure and must not feel each other.

They stand on the sites of a grid whose box is as near to a cube as their number allows, around the origin. 64 of four atoms, 5 Å
apart, stay within some ±20 Å of it, so that a calculator that keeps positions in float32 rounds them by less than 1e-6 Å.
"""

from __future__ import annotations

import ase
import numpy as np

from bodyorder.structures.clusters import FloatArray, IntArray, System

#: Å between two sub-clusters beyond the cutoff, above rounding in float32.
GAP = 0.01


def spread(positions: FloatArray, distance: float) -> tuple[FloatArray, FloatArray]:
    """Put clusters on the sites of a grid around the origin, their boxes at least ``distance`` from each other.

    :param positions: in Å, shape (n, k, 3)
    :param distance: in Å
    :return: positions, shape (n, k, 3), and the lengths of a box, shape (3,), that repeated in space keeps the distance too
    """
    low, high = positions.min(axis=1), positions.max(axis=1)
    pitch = (high - low).max(axis=0) + distance
    counts = np.ones(3, dtype=np.int64)
    while counts.prod() < len(positions):
        counts[np.argmin((counts + 1) * pitch)] += 1
    sites = np.stack(np.unravel_index(np.arange(len(positions)), counts), axis=1) - (counts - 1) / 2
    return positions + (sites * pitch - (low + high) / 2)[:, None], counts * pitch


def side_by_side(positions: FloatArray, distance: float) -> FloatArray:
    """Put clusters in a row along x, the nearest atoms of each and of those before it ``distance`` apart.

    :param positions: in Å, shape (n, k, 3)
    :param distance: in Å
    :return: positions, shape (n, k, 3)
    """
    row = positions - positions.mean(axis=1, keepdims=True)
    for index in range(1, len(row)):
        row[index, :, 0] += _way(row[:index].reshape(-1, 3), row[index], np.array([1.0, 0.0, 0.0]), distance)
    return row


def at_distance(one: System, other: System, towards: FloatArray, distance: float) -> System:
    """Both structures as one, the other moved along the unit vector ``towards`` until their nearest atoms are ``distance`` apart.

    :param distance: in Å
    """
    moved = other.positions + _way(one.positions, other.positions, towards, distance) * towards
    return System(
        np.concatenate([one.numbers, other.numbers]),
        np.concatenate([one.positions, moved]),
        np.concatenate([one.charges, other.charges]),
        np.concatenate([one.moments, other.moments]),
        np.concatenate([one.bodies, other.bodies + one.bodies.max() - other.bodies.min() + 1]),
    )


def _way(one: FloatArray, other: FloatArray, towards: FloatArray, distance: float) -> float:
    """How far (Å) atoms move along a unit vector until the nearest of others is ``distance`` (Å) from them.

    The place is the last one along the way with an atom of each that far apart: |b − a + t·u| = d has its larger root at
    t = −u·(b − a) + √((u·(b − a))² − |b − a|² + d²). Where they pass each other farther apart it is where they are.
    """
    gaps = other[None] - one[:, None]
    along = gaps @ towards
    square = along**2 - (gaps**2).sum(axis=2) + distance**2
    ways = np.sqrt(square[square >= 0]) - along[square >= 0]
    return float(ways.max()) if len(ways) else 0.0


def structure(numbers: IntArray, positions: FloatArray, vacuum: float | None) -> ase.Atoms:
    """Sub-clusters as one neutral structure in vacuum, or in a periodic box for calculators that cannot do without.

    :param numbers: atomic numbers, shape (n, k)
    :param positions: as :func:`spread` gives them, or those of a single sub-cluster, shape (n, k, 3)
    :param vacuum: in Å, for a box that leaves more than this around them; None for no box
    """
    atoms = ase.Atoms(numbers=numbers.ravel(), positions=positions.reshape(-1, 3), info={"charge": 0})
    if vacuum is not None:
        low, high = atoms.positions.min(axis=0), atoms.positions.max(axis=0)
        lengths = high - low + vacuum + GAP
        atoms.positions += (lengths - low - high) / 2
        atoms.set_cell(lengths)
        atoms.set_pbc(True)
    return atoms
