"""Starting densities of a spin-polarised mean field: superposed atoms whose moments point up or down.

A mean field has many solutions, and the lowest is mostly the one that grows from moments that alternate between close
neighbours. Patterns of moments s are ranked by the antiferromagnetic energy s·J·s, J = exp(−d/0.5 Å).
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from pyscf.scf import atom_hf, hf

from bodyorder.sources.pyscf.integrals import molecule
from bodyorder.sources.pyscf.spin import unpaired_electrons

#: Length in Å over which moments of two atoms feel each other.
RANGE = 0.5
#: Patterns used.
PATTERNS = 8
#: Up to this many open-shell atoms every pattern is looked at.
EXHAUSTIVE = 12
#: Descents from random patterns for more of them.
DESCENTS = 32


@contextmanager
def without_checkpoints() -> Iterator[None]:
    """Mean fields made in this context open no temporary file."""
    muted, hf.MUTE_CHKFILE = hf.MUTE_CHKFILE, True
    try:
        yield
    finally:
        hf.MUTE_CHKFILE = muted


@lru_cache(maxsize=128)
def atomic_densities(basis: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Spherical densities of the majority and the minority spin of an atom, shapes (functions, functions)."""
    atom = molecule(np.array([number]), np.zeros((1, 3)), basis)
    with warnings.catch_warnings(), without_checkpoints():
        warnings.simplefilter("ignore", DeprecationWarning)  # PySCF calls an old function of its own
        ((_, _, coefficients, occupations),) = atom_hf.get_atm_nrhf(atom).values()
    majority = np.minimum(occupations, 1.0)  # Hund: a shell holds its electrons parallel as long as it can
    minority = occupations - majority
    return (coefficients * majority) @ coefficients.T, (coefficients * minority) @ coefficients.T


def patterns(numbers: np.ndarray, positions: np.ndarray, charge: int, unpaired: int) -> np.ndarray:
    """The best patterns of moments that add up to ``unpaired`` electrons, or come closest to that.

    :return: +1 (up) or −1 (down) for each atom, shape (at most :data:`PATTERNS`, k)
    """
    moments = np.array(unpaired_electrons(numbers, charge), dtype=np.float64)
    opened = np.flatnonzero(moments)
    result = np.ones((1, len(numbers)))
    if len(opened) < 2:
        return result
    distances = np.linalg.norm(positions[opened, None] - positions[None, opened], axis=2)
    coupling = np.exp(-distances / RANGE) * np.outer(moments[opened], moments[opened])
    np.fill_diagonal(coupling, 0.0)
    if len(opened) <= EXHAUSTIVE:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(opened))))
    else:
        signs = _descents(coupling, moments[opened], unpaired)
    excess = np.abs(signs @ moments[opened] - unpaired)
    signs = signs[excess == excess.min()]
    if unpaired == 0:
        signs = signs[signs[:, 0] > 0]  # turning every moment over changes nothing
    energies = np.einsum("si,ij,sj->s", signs, coupling, signs)
    best = np.argsort(energies, kind="stable")[:PATTERNS]
    result = np.ones((len(best), len(numbers)))
    result[:, opened] = signs[best]
    return result


def starting_density(basis: str, numbers: np.ndarray, pattern: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Densities of both spins, shape (2, functions, functions).

    :param pattern: +1 or −1 for each atom
    :param ranges: first and last function of each atom
    """
    density = np.zeros((2, ranges[-1, 1], ranges[-1, 1]))
    for number, sign, (first, last) in zip(numbers, pattern, ranges, strict=True):
        block = slice(first, last)
        density[:, block, block] = atomic_densities(basis, int(number))[:: int(sign)]
    return density


def _descents(coupling: np.ndarray, moments: np.ndarray, unpaired: int) -> np.ndarray:
    """Patterns in which no exchange of two moments of one size lowers the energy, from random ones."""
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(DESCENTS):
        signs = np.ones(len(moments))
        for atom in rng.permutation(len(moments)):
            if signs @ moments - 2 * moments[atom] >= unpaired:
                signs[atom] = -1.0
        while True:
            field = coupling @ signs
            # flipping i and j changes the energy by −4 s_i f_i − 4 s_j f_j + 8 J_ij s_i s_j
            change = -4 * (signs * field)[:, None] - 4 * (signs * field)[None] + 8 * coupling * np.outer(signs, signs)
            change[(signs[:, None] == signs) | (moments[:, None] != moments)] = 0.0
            first, second = np.unravel_index(np.argmin(change), change.shape)
            if change[first, second] > -1e-12:
                break
            signs[[first, second]] *= -1.0
        found.add(tuple(signs if unpaired or signs[0] > 0 else -signs))
    return np.array(sorted(found))
