"""Starts of a spin-polarised mean field: superposed atoms whose moments point up or down.

A mean field has many solutions, and the lowest is mostly the one that grows from moments that alternate between close
neighbours. Patterns of moments s are ranked by the antiferromagnetic energy s·J·s, J = exp(−d/0.5 Å).
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.linalg
from pyscf.scf import atom_hf, hf

from bodyorder.sources.pyscf.basis import BasisSet
from bodyorder.sources.pyscf.integrals import molecule
from bodyorder.sources.spin.electrons import unpaired_electrons

#: Length in Å over which moments of two atoms feel each other.
RANGE = 0.5
#: Patterns used.
PATTERNS = 8
#: Up to this many open-shell atoms every pattern is looked at.
EXHAUSTIVE = 12
#: Descents from random patterns for more of them.
DESCENTS = 32
#: Electrons in an atomic orbital that count.
OCCUPIED = 1e-6


@contextmanager
def without_checkpoints() -> Iterator[None]:
    """Mean fields made in this context open no temporary file."""
    muted, hf.MUTE_CHKFILE = hf.MUTE_CHKFILE, True
    try:
        yield
    finally:
        hf.MUTE_CHKFILE = muted


@dataclass(frozen=True)
class AtomicOrbitals:
    """The occupied orbitals of spherical atoms.

    :param coefficients: shape (functions, orbitals)
    :param majority: electrons of the majority spin in each, shape (orbitals,)
    :param minority: of the other
    :param atoms: the atom that each belongs to
    """

    coefficients: np.ndarray
    majority: np.ndarray
    minority: np.ndarray
    atoms: np.ndarray

    @classmethod
    def of_cluster(cls, basis: BasisSet | str, numbers: np.ndarray, n_ghost_functions: int) -> AtomicOrbitals:
        """Those of all atoms; ghosts have functions but no orbitals."""
        parts = [atomic_orbitals(basis, int(number)) for number in numbers]
        coefficients = scipy.linalg.block_diag(*[part.coefficients for part in parts])
        return cls(
            np.pad(coefficients, ((0, n_ghost_functions), (0, 0))),
            np.concatenate([part.majority for part in parts]),
            np.concatenate([part.minority for part in parts]),
            np.repeat(np.arange(len(numbers)), [len(part.majority) for part in parts]),
        )

    def occupations(self, polarisations: np.ndarray) -> np.ndarray:
        """Electrons of either spin in each orbital, shape (…, 2, orbitals).

        :param polarisations: from −1 (down) through 0 (none) to +1 (up), for each atom, shape (…, k)
        """
        moments = polarisations[..., self.atoms] * (self.majority - self.minority)
        total = self.majority + self.minority
        return 0.5 * np.stack([total + moments, total - moments], axis=-2)


@lru_cache(maxsize=128)
def atomic_orbitals(basis: BasisSet | str, number: int) -> AtomicOrbitals:
    """The occupied orbitals of one atom."""
    atom = molecule(np.array([number]), np.zeros((1, 3)), basis)
    with warnings.catch_warnings(), without_checkpoints():
        warnings.simplefilter("ignore", DeprecationWarning)  # PySCF calls an old function of its own
        ((_, _, coefficients, occupations),) = atom_hf.get_atm_nrhf(atom).values()
    held = occupations > OCCUPIED
    majority = np.minimum(occupations[held], 1.0)  # Hund: a shell holds its electrons parallel as long as it can
    return AtomicOrbitals(
        np.ascontiguousarray(coefficients[:, held]),
        majority,
        occupations[held] - majority,
        np.zeros(held.sum(), dtype=int),
    )


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
    few = len(opened) <= EXHAUSTIVE
    signs = _every(len(opened)) if few else _descents(coupling, moments[opened], unpaired)
    excess = np.abs(signs @ moments[opened] - unpaired)
    signs = signs[excess == excess.min()]
    if unpaired == 0:
        signs = signs[signs[:, 0] > 0]  # turning every moment over changes nothing
    energies = ((signs @ coupling) * signs).sum(axis=1)
    best = np.argsort(energies, kind="stable")[:PATTERNS]
    result = np.ones((len(best), len(numbers)))
    result[:, opened] = signs[best]
    return result


def polarisations(numbers: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Moments that someone wants, as parts of what each atom can have, from −1 to 1, shape (k,)."""
    natural = np.array(unpaired_electrons(numbers, 0), dtype=np.float64)
    return np.clip(moments / np.maximum(natural, 1.0), -1.0, 1.0)


@lru_cache(maxsize=EXHAUSTIVE)
def _every(count: int) -> np.ndarray:
    return np.array(list(itertools.product((1.0, -1.0), repeat=count)))


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
