"""Starts of a spin-polarised mean field: superposed atoms whose moments point up or down.

A mean field has many solutions, and the lowest is mostly the one that grows from moments that alternate between close
neighbours. Patterns of moments s are ranked by the antiferromagnetic energy s·J·s, J = exp(−d/0.5 Å).

Transition metals, lanthanides and actinides have more: electrons of one atom go between its outer s, d and f shells at little
cost, and a mean field that begins with 3d⁹ does not come to 3d⁷4s². Their starts hold whole electrons in orbitals that are turned
at random, in each of these occupations (:func:`configurations`).
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
from pyscf import gto
from pyscf.data import elements
from pyscf.scf import atom_hf, hf
from scipy.stats import ortho_group

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
#: Starts with whole electrons in open d and f shells.
CONFIGURATIONS = 24
#: Atomic numbers of elements with open d shells, and of those with open f shells, first and last.
OPEN_D, OPEN_F = ((21, 29), (39, 47), (57, 79), (89, 111)), ((57, 70), (89, 102))
#: Atomic numbers of the noble gases, and of none before hydrogen.
NOBLE = (0, 2, 10, 18, 36, 54, 86)


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
    :param shells: angular momentum of those that hold the outer s, d and f electrons of atoms with open d or f shells, else −1
    """

    coefficients: np.ndarray
    majority: np.ndarray
    minority: np.ndarray
    atoms: np.ndarray
    shells: np.ndarray

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
            np.concatenate([part.shells for part in parts]),
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
    """The occupied orbitals of one atom in its measured configuration, and others of the same shells."""
    atom = molecule(np.array([number]), np.zeros((1, 3)), basis)
    coefficients, occupations = _spherical(atom, elements.CONFIGURATION)
    angular = _angular(atom)
    shells = np.full(len(angular), -1)
    for momentum, shell in _outer(atom, number).items():
        places = np.flatnonzero(angular == momentum)[shell * (2 * momentum + 1) :][: 2 * momentum + 1]
        shells[places] = momentum
    held = (occupations > OCCUPIED) | (shells >= 0)
    majority = np.minimum(occupations[held], 1.0)  # Hund: a shell holds its electrons parallel as long as it can
    result = AtomicOrbitals(
        np.ascontiguousarray(coefficients[:, held]),
        majority,
        occupations[held] - majority,
        np.zeros(held.sum(), dtype=int),
        shells[held],
    )
    other = _promoted(number)
    if other is None:
        return result
    # without electrons, they let the shells be as large as in the other configuration
    further = _spherical(atom, other)[0][:, np.isin(shells, (0, 2))]
    nothing = np.zeros(further.shape[1])
    return AtomicOrbitals(
        np.concatenate([result.coefficients, further], axis=1),
        np.concatenate([result.majority, nothing]),
        np.concatenate([result.minority, nothing]),
        np.zeros(held.sum() + len(nothing), dtype=int),
        np.concatenate([result.shells, np.full(len(nothing), -1)]),
    )


def _spherical(atom: gto.Mole, configuration: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Orbitals of a spherical atom, those of each angular momentum together, and their electrons.

    :param configuration: electrons in s, p, d and f shells by atomic number
    """
    with warnings.catch_warnings(), without_checkpoints():
        warnings.simplefilter("ignore", DeprecationWarning)  # PySCF calls an old function of its own
        solver = (atom_hf.AtomHF1e if atom.nelectron == 1 else atom_hf.AtomSphAverageRHF)(atom)
        solver.atomic_configuration, solver.verbose = configuration, 0
        try:
            solver.kernel()
        except (
            np.linalg.LinAlgError
        ):  # its guess does not fit every core potential, such as that of gadolinium in CRENBL
            solver.init_guess = "1e"
            solver.kernel()
    return solver.mo_coeff, solver.mo_occ


def _angular(atom: gto.Mole) -> np.ndarray:
    """Angular momentum of each orbital of a spherical atom."""
    momenta = [atom.bas_angular(shell) for shell in range(atom.nbas) for _ in range(atom.bas_nctr(shell))]
    return np.concatenate([np.full(2 * momentum + 1, momentum) for momentum in sorted(momenta)])


def _outer(atom: gto.Mole, number: int) -> dict[int, int]:
    """The outer s, d and f shells of an atom where those are open: their place among the shells of each angular momentum."""
    momenta = [0, 2] * _within(number, OPEN_D) + [3] * _within(number, OPEN_F)
    filled = elements.CONFIGURATION[max(noble for noble in NOBLE if noble < number)]
    core = gto.ecp.core_configuration(atom.atom_nelec_core(0), atom_symbol=elements.ELEMENTS[number])
    return {momentum: filled[momentum] // (4 * momentum + 2) - core[momentum] for momentum in momenta}


def _promoted(number: int) -> list[list[int]] | None:
    """Configurations of all atoms in which one with an open d shell has its outer s electrons there; two of them in the s shell
    if it has them there already. None for other atoms."""
    if not _within(number, OPEN_D) or _within(number, OPEN_F):
        return None
    s, p, d, f = elements.CONFIGURATION[number]
    filled = elements.CONFIGURATION[max(noble for noble in NOBLE if noble < number)]
    outer = s - filled[0]
    moved = min(outer, 10 * (1 + filled[2] // 10) - d) or outer - 2
    result = [list(one) for one in elements.CONFIGURATION]
    result[number] = [s - moved, p, d + moved, f]
    return result


def _within(number: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= number <= last for first, last in ranges)


def configurations(atoms: AtomicOrbitals, signs: np.ndarray, unpaired: int) -> np.ndarray:
    """Densities of both spins with whole electrons in the open d and f shells, in the orbitals of the atoms.

    The outer s shell holds two electrons, one or none in turn, the others are in orbitals that are turned at random. A single
    atom with such shells takes the unpaired electrons that the others leave; several have as many as in their ground states.

    :param signs: patterns of moments, +1 or −1 for each atom, shape (patterns, k)
    :return: shape (:data:`CONFIGURATIONS` or 0 where no atom has such shells, 2, orbitals, orbitals)
    """
    owners = np.unique(atoms.atoms[atoms.shells >= 0])
    size = len(atoms.atoms)
    if not len(owners):
        return np.empty((0, 2, size, size))
    rng, found = np.random.default_rng(0), []
    for number in range(CONFIGURATIONS):
        occupations = atoms.occupations(signs[number % len(signs)])
        density = occupations[:, :, None] * np.eye(size)
        moments = occupations[0] - occupations[1]
        for atom in owners:
            places = np.flatnonzero((atoms.shells >= 0) & (atoms.atoms == atom))
            count = round(occupations[:, places].sum())
            moment = round(moments[places].sum())
            if len(owners) == 1:
                moment = unpaired - round(moments.sum() - moments[places].sum())
            most = min(count, 2 * len(places) - count)
            moment = int(np.clip(moment, -most, most))
            for spin, excess in enumerate((moment, -moment)):
                # an odd number is rounded up for one spin and down for the other
                some = (count + excess + (1 - spin)) // 2
                filled = _filled_shells(atoms.shells[places], min(some, len(places)), number % 3, spin, rng)
                density[spin][np.ix_(places, places)] = filled @ filled.T
        found.append(density)
    return np.array(found)


def _filled_shells(shells: np.ndarray, count: int, outer: int, spin: int, rng: np.random.Generator) -> np.ndarray:
    """So many orbitals of some shells, shape (orbitals, count).

    :param outer: how many electrons of the s shell go elsewhere, first those with spin down
    """
    turned = np.eye(len(shells))
    for momentum in (2, 3):
        places = np.flatnonzero(shells == momentum)
        if len(places) > 1:
            turned[np.ix_(places, places)] = ortho_group.rvs(len(places), random_state=rng)
    urgency = rng.random(len(shells))
    urgency[shells == 0] = -1.0 if outer + spin < 2 else 2.0
    return turned[:, np.argsort(urgency)[:count]]


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
