"""Which sub-clusters are copies of each other: rotated, reflected, shifted, or with equal atoms in another order."""

from __future__ import annotations

import hashlib

import numpy as np

from bodyorder.structures.clusters import ClusterBatch

#: Distances that agree to this length (Å) are the same. What it changes in an energy is below 1e-9 eV.
SHAPE_RESOLUTION = 1e-11

#: Rounds in which every site learns of its surroundings before sites that still look alike are told apart by choice.
_ROUNDS = 2


def shapes(batch: ClusterBatch) -> list[bytes]:
    """Keys that name the shape of each sub-cluster: its elements, charge and distances, whatever way it is turned.

    Two sub-clusters of one key are copies: the key stands for the whole matrix of distances between atoms (and those that lend
    their functions), with the sites in an order that follows from the distances. It is found by refinement: sites are told
    apart by their distances to all others, then by what those look like; among sites that still look alike one is singled out,
    and so on (McKay and Piperno, J. Symb. Comput. 60, 94 (2014), doi:10.1016/j.jsc.2013.09.003). Only one choice is followed,
    which is enough where the sites that look alike are related by symmetry; elsewhere two copies may get different keys.

    :param batch: n sub-clusters
    :return: a 16-byte key per sub-cluster
    """
    numbers, positions = batch.numbers, batch.positions
    if batch.ghosts.shape[1]:
        elements, places = batch.of_ghosts()
        numbers = np.concatenate([numbers, -elements], axis=1)
        positions = np.concatenate([positions, places], axis=1)
    grid = np.rint(_distances(positions) / SHAPE_RESOLUTION).astype(np.int64)
    order = _order(numbers, grid)
    first, second = np.triu_indices(order.shape[1], 1)
    rows = np.arange(len(order))[:, None]
    words = np.concatenate(
        [
            batch.charges[:, None],
            np.take_along_axis(numbers, order, axis=1),
            grid[rows, order[:, first], order[:, second]],
        ],
        axis=1,
    )
    return [hashlib.blake2b(word, digest_size=16).digest() for word in words]


def _distances(positions: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[:, :, None] - positions[:, None], axis=3)


def _order(numbers: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """An order of the sites of each sub-cluster that does not depend on the order they are given in, shape (n, sites)."""
    n, sites = numbers.shape
    apart = _mixed(grid.view(np.uint64))
    marks = _mixed(numbers.astype(np.int64).view(np.uint64))
    for _ in range(_ROUNDS):
        marks = _refined(marks, apart)
    open_rows = np.arange(n)
    for step in range(1, sites):
        ordered = np.sort(marks[open_rows], axis=1)
        same = ordered[:, 1:] == ordered[:, :-1]
        alike = same.any(axis=1)
        open_rows, ordered, same = open_rows[alike], ordered[alike], same[alike]
        if not len(open_rows):
            break
        tied = np.take_along_axis(ordered, np.argmax(same, axis=1)[:, None], axis=1)
        chosen = np.argmax(marks[open_rows] == tied, axis=1)
        marks[open_rows, chosen] += np.uint64(step)
        for _ in range(_ROUNDS):
            marks[open_rows] = _refined(marks[open_rows], apart[open_rows])
    return np.argsort(marks, axis=1, kind="stable")


def _refined(marks: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """The mark of each site after it has learnt the marks of all sites and how far they are; whole numbers wrap around."""
    return _mixed(_mixed(apart ^ marks[:, None, :]).sum(axis=2) + np.uint64(3) * marks)


def _mixed(words: np.ndarray) -> np.ndarray:
    """Scatter 64-bit words (the finaliser of SplitMix64, doi:10.1145/2660193.2660195)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
