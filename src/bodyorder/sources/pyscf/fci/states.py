"""Full configuration interaction for many sub-clusters at once, one total spin after the other.

Each spin is a space of its own, so a state cannot be mistaken for one of another spin, and the ground state is the lowest of the
lowest states of all spins. Small spaces are diagonalised whole, larger ones by an iteration from random vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bodyorder.sources.pyscf import eigensolver
from bodyorder.sources.pyscf.fci import determinants
from bodyorder.sources.pyscf.fci.configurations import dimension
from bodyorder.sources.pyscf.fci.hamiltonian import Densities, Hamiltonians
from bodyorder.sources.pyscf.fci.spaces import DenseSpace, SpinSpace, TableSpace
from bodyorder.sources.pyscf.orbitals import mean_field_orbitals, transform_one, transform_two

#: Spaces up to this dimension are diagonalised whole.
DENSE = 400
#: Spaces up to this dimension use a table of configurations.
TABLE = 5_000
#: Every spin that may be the lowest is converged to the first residual (hartree), then those that lie within a margin (hartree)
#: of the lowest to the second.
LOOSE, TIGHT, MARGIN = 1e-5, 1e-9, 1e-3
#: Two spins this close (hartree) are reported as a gap, asked for or not.
NEAR = 1e-6
#: Errors below this (hartree) are not worth a record.
NEGLIGIBLE = 1e-10


@dataclass
class FciStates:
    """Lowest states of ``n`` sub-clusters.

    :param energies: electronic energies in hartree, NaN where the search failed, shape (n,)
    :param unpaired: 2S of each state, shape (n,)
    :param densities: of each state, over the orbitals that the Hamiltonians were given in; zero where the search failed or
        where they were not asked for
    :param gaps: energy of the next state above it in hartree, NaN where it is not known or there is none, shape (n,)
    :param uncertainties: bounds on the errors of the energies in hartree, shape (n,)
    :param messages: why the search failed, by row
    """

    energies: np.ndarray
    unpaired: np.ndarray
    densities: Densities
    gaps: np.ndarray
    uncertainties: np.ndarray
    messages: dict[int, str]


def lowest_states(
    hamiltonians: Hamiltonians,
    spins: Sequence[int],
    memory: float,
    with_densities: bool = False,
    with_gaps: bool = False,
) -> FciStates:
    """Find the lowest state among some spins.

    A state that is degenerate is represented by one of its members, the same one in its energy and its densities. Its gap is the
    distance to the next one, be that the second of the same spin or the lowest of another of these spins; the 2S + 1 members of
    one multiplet count as one state.

    :param spins: numbers of unpaired electrons, each possible for the electrons and orbitals
    :param memory: bytes for wave functions
    :param with_gaps: whether to search for the next state; without it, gaps are known only where two spins lie within
        :data:`NEAR` of each other
    """
    n, m = len(hamiltonians), hamiltonians.n_orbitals
    two = np.zeros((n if with_densities else 0, m, m, m, m))
    states = FciStates(
        np.full(n, np.nan),
        np.full(n, -1),
        Densities(np.zeros((n, m, m)), two),
        np.full(n, np.nan),
        np.zeros(n),
        {},
    )
    too_large = [message for message in (_refusal(hamiltonians, spin, memory) for spin in spins) if message]
    if too_large:
        states.messages.update(dict.fromkeys(range(n), too_large[0]))
        return states
    step = _rows_at_once(hamiltonians, spins, memory)
    for first in range(0, n, step):
        rows = slice(first, min(first + step, n))
        part, rotation = _suitable_orbitals(hamiltonians.select(rows), spins)
        spaces = [_space(part, spin, memory) for spin in spins]
        choice, failed = _search(spaces)
        places = np.arange(len(choice))
        energies = np.stack([space.energies for space in spaces])[choice, places]
        errors = np.stack([space.errors for space in spaces])[choice, places]
        gaps = _gaps(spaces, choice, ~failed) if with_gaps else _near_degeneracies(spaces)
        for place in np.flatnonzero(failed):
            spin = spins[choice[place]]
            states.messages[first + int(place)] = (
                f"the lowest state of 2S = {spin} did not converge to {TIGHT:g} hartree"
            )
        good = places[~failed]
        states.energies[first + good] = energies[good]
        states.unpaired[first + good] = np.asarray(spins)[choice[good]]
        states.gaps[first + good] = gaps[good]
        states.uncertainties[first + good] = np.where(errors[good] > NEGLIGIBLE, errors[good], 0.0)
        for place in good if with_densities else ():
            densities = spaces[choice[place]].densities(place).rotated(rotation[place])
            states.densities.one[first + place], two[first + place] = densities.one[0], densities.two[0]
    return states


def _search(spaces: list[SpinSpace]) -> tuple[np.ndarray, np.ndarray]:
    """Which space holds the lowest state of each row, and whether a search failed."""
    lowest = np.full(len(spaces[0].energies), np.inf)
    searched = np.zeros((len(spaces), len(lowest)), dtype=bool)
    for space, rows in zip(spaces, searched, strict=True):
        rows[:] = ~space.above(lowest + NEAR)
        space.improve(np.flatnonzero(rows), LOOSE, ceilings=lowest + MARGIN)
        lowest = np.minimum(lowest, space.energies)
    close = np.stack([space.energies for space in spaces]) <= lowest + MARGIN
    for space, rows in zip(spaces, close, strict=True):
        space.improve(np.flatnonzero(rows), TIGHT)
    energies = np.where(close, np.stack([space.energies for space in spaces]), np.inf)
    failed = searched & np.isinf([space.residuals for space in spaces])
    some = np.any(failed, axis=0)
    # where the search of a space failed, that space is the one to report
    return np.where(some, np.argmax(failed, axis=0), np.argmin(energies, axis=0)), np.asarray(some)


def _near_degeneracies(spaces: list[SpinSpace]) -> np.ndarray:
    """Distance between the two lowest spins of each row where it is below :data:`NEAR`, else NaN."""
    if len(spaces) == 1:
        return np.full(len(spaces[0].energies), np.nan)
    lowest = np.sort([space.energies for space in spaces], axis=0)[:2]
    # infinite where a spin was passed over or failed
    gaps = np.subtract(lowest[1], lowest[0], out=np.full(lowest.shape[1], np.inf), where=np.isfinite(lowest[1]))
    return np.where(gaps <= NEAR, gaps, np.nan)


def _gaps(spaces: list[SpinSpace], choice: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Distance from the lowest state of each row to the next one, NaN where there is no other or none was found."""
    energies = np.stack([space.energies for space in spaces])[choice, np.arange(len(choice))]
    following = np.full(len(choice), np.inf)
    unknown = np.zeros(len(choice), dtype=bool)
    for place, space in enumerate(spaces):
        rows = np.flatnonzero((choice == place) & good)
        space.improve(rows, TIGHT, wanted=2)
        following[rows] = space.next_energies[rows]
        unknown[rows] |= np.isinf(space.residuals[rows])
    for place, space in enumerate(spaces):
        rows = np.flatnonzero((choice != place) & good & ~space.above(following))
        space.improve(rows, TIGHT, ceilings=following)
        following[rows] = np.minimum(following[rows], space.energies[rows])
        unknown[rows] |= np.isinf(space.residuals[rows])
    return np.where(unknown | ~good | np.isinf(following), np.nan, following - energies)


def _space(hamiltonians: Hamiltonians, unpaired: int, memory: float) -> SpinSpace:
    size = dimension(hamiltonians.n_orbitals, hamiltonians.n_electrons, unpaired)
    if size <= DENSE:
        return DenseSpace(hamiltonians, unpaired)
    if size <= TABLE:
        return TableSpace(hamiltonians, unpaired)
    return determinants.DeterminantSpace(hamiltonians, unpaired, memory)


def _suitable_orbitals(hamiltonians: Hamiltonians, spins: Sequence[int]) -> tuple[Hamiltonians, np.ndarray]:
    """The Hamiltonians over orbitals in which an iteration converges fast, where there is one, and the rotation."""
    m, count = hamiltonians.n_orbitals, hamiltonians.n_electrons
    if max(dimension(m, count, spin) for spin in spins) <= DENSE:
        return hamiltonians, np.zeros((len(hamiltonians), 0, 0))
    rotation = mean_field_orbitals(hamiltonians.core, hamiltonians.repulsion, count)
    core = transform_one(hamiltonians.core, rotation)
    return Hamiltonians(core, transform_two(hamiltonians.repulsion, rotation), count), rotation


def _refusal(hamiltonians: Hamiltonians, unpaired: int, memory: float) -> str:
    m, n_electrons = hamiltonians.n_orbitals, hamiltonians.n_electrons
    count = determinants.length(m, n_electrons, unpaired)
    if dimension(m, n_electrons, unpaired) <= TABLE or determinants.capacity(count, memory):
        return ""
    needed = 2 * 8.0 * count * (determinants.FEWEST + 5) / 1e6
    return f"full configuration interaction in {count} determinants needs about memory={needed:.0f} (MB)"


def _rows_at_once(hamiltonians: Hamiltonians, spins: Sequence[int], memory: float) -> int:
    m, count = hamiltonians.n_orbitals, hamiltonians.n_electrons
    sizes = [dimension(m, count, spin) for spin in spins]
    if max(sizes) > TABLE:
        return 1
    each = 8.0 * sum(size**2 if size <= DENSE else size * 2 * eigensolver.SPACE for size in sizes)
    return max(1, int(memory / 4 / each))
