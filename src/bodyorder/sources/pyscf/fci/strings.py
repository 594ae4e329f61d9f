"""Strings of electrons of one spin: what is left of them when one or two electrons are taken out, in PySCF's numbering."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pyscf.fci import cistring


@dataclass(frozen=True)
class Removal:
    """All ways to take k electrons out of the strings of n electrons in m orbitals: a_r, or a_s a_r with r < s.

    Sets of k orbitals are numbered in PySCF's order, too: r for one, s(s−1)/2 + r for two.

    :param sets: sets that the electrons of each remaining string leave free, shape (remaining, free sets)
    :param sources: the string with the electrons in each of these sets, same shape
    :param signs: +1 or −1 of each, same shape
    """

    sets: np.ndarray
    sources: np.ndarray
    signs: np.ndarray

    def from_all(self, n_sets: int) -> tuple[np.ndarray, np.ndarray]:
        """Sources and signs for every set, shape (sets, remaining); the sign of one that is not free is zero."""
        sources = np.zeros((n_sets, len(self.sets)), dtype=np.int64)
        signs = np.zeros(sources.shape)
        every = np.arange(len(self.sets))[:, None]
        sources[self.sets, every], signs[self.sets, every] = self.sources, self.signs
        return sources, signs

    def into(self, n_strings: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each string, every set of its electrons, the string that remains and the sign, shape (ways, strings)."""
        order = np.argsort(self.sources.ravel(), kind="stable").reshape(n_strings, -1).T
        remaining = np.broadcast_to(np.arange(len(self.sets))[:, None], self.sets.shape).ravel()
        return self.sets.ravel()[order], remaining[order], self.signs.ravel()[order]


@lru_cache(maxsize=64)
def removal(n_orbitals: int, n_electrons: int, count: int) -> Removal:
    """Take ``count`` (1 or 2) electrons out of ``n_electrons``, at least as many."""
    left = occupied(n_orbitals, n_electrons - count)
    sets = occupied(n_orbitals, count)
    free = ~(left @ sets.T)
    ways = math.comb(n_orbitals - n_electrons + count, count)
    columns = np.nonzero(free)[1].reshape(len(left), ways)
    filled = left[:, None, :] | sets[columns]
    # a_r passes the electrons in front of r; a second one, behind it, the same ones less one
    before = filled.cumsum(axis=-1) - filled
    passed = (before * sets[columns]).sum(axis=-1) - (count == 2)
    return Removal(columns, addresses(filled), 1.0 - 2.0 * (passed % 2))


@lru_cache(maxsize=64)
def occupied(n_orbitals: int, n_electrons: int) -> np.ndarray:
    """Which orbitals each string fills, shape (strings, n_orbitals)."""
    strings = np.array(cistring.make_strings(range(n_orbitals), n_electrons), dtype=object)
    return np.array([[bool(string >> orbital & 1) for orbital in range(n_orbitals)] for string in strings], dtype=bool)


def addresses(filled: np.ndarray) -> np.ndarray:
    """Place of each string: the i-th electron, in orbital p, counts binomial(p, i). Last axis: orbitals."""
    n_orbitals = filled.shape[-1]
    most = int(filled.sum(axis=-1).max())
    table = np.array([[math.comb(p, i) for i in range(most + 1)] for p in range(n_orbitals)])
    return (table[np.arange(n_orbitals), filled.cumsum(axis=-1)] * filled).sum(axis=-1)
