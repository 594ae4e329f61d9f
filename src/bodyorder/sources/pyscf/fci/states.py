"""Full configuration interaction for many sub-clusters at once, one total spin after the other.

Each spin is a space of its own, so a state cannot be mistaken for one of another spin, and the ground state is the lowest of the
lowest states of all spins. Small spaces are diagonalised whole, larger ones by an iteration from random vectors.
"""

from __future__ import annotations

import math
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
TABLE = 30_000
#: Every spin is converged to the first residual (hartree), then those that may be the lowest to the second.
LOOSE, TIGHT = 1e-5, 1e-8
#: Spins within this of the lowest (hartree) may be the lowest.
MARGIN = 1e-3


@dataclass
class FciStates:
    """Lowest states of ``n`` sub-clusters.

    :param energies: electronic energies in hartree, NaN where the search failed, shape (n,)
    :param unpaired: 2S of each state, shape (n,)
    :param densities: of each state, over the orbitals that the Hamiltonians were given in; zero where the search failed or
        where they were not asked for
    :param messages: why the search failed, by row
    """

    energies: np.ndarray
    unpaired: np.ndarray
    densities: Densities
    messages: dict[int, str]


def lowest_states(
    hamiltonians: Hamiltonians, spins: Sequence[int], memory: float, with_densities: bool = False
) -> FciStates:
    """Find the lowest state among some spins.

    A state that is degenerate is represented by one of its members, the same one in its energy and its densities.

    :param spins: numbers of unpaired electrons, each possible for the electrons and orbitals
    :param memory: bytes for wave functions
    """
    n, m = len(hamiltonians), hamiltonians.n_orbitals
    one = np.zeros((n, m, m))
    two = np.zeros((n if with_densities else 0, m, m, m, m))
    energies, unpaired, messages = np.full(n, np.nan), np.full(n, -1), {}
    too_large = [message for message in (_refusal(hamiltonians, spin, memory) for spin in spins) if message]
    if too_large:
        return FciStates(energies, unpaired, Densities(one, two), dict.fromkeys(range(n), too_large[0]))
    step = _rows_at_once(hamiltonians, spins, memory)
    for first in range(0, n, step):
        rows = slice(first, min(first + step, n))
        part, rotation = _suitable_orbitals(hamiltonians.select(rows), spins)
        spaces = [_space(part, spin, memory) for spin in spins]
        found, failed = _search(spaces)
        for place, choice in enumerate(found):
            row = first + place
            if failed[place]:
                messages[row] = f"the lowest state of 2S = {spins[choice]} did not converge to {TIGHT:g} hartree"
                continue
            energies[row], unpaired[row] = spaces[choice].energies[place], spins[choice]
            if with_densities:
                densities = spaces[choice].densities(place).rotated(rotation[place])
                one[row], two[row] = densities.one[0], densities.two[0]
    return FciStates(energies, unpaired, Densities(one, two), messages)


def _search(spaces: list[SpinSpace]) -> tuple[np.ndarray, np.ndarray]:
    """Which space holds the lowest state of each row, and whether a search failed."""
    lowest = np.full(len(spaces[0].energies), np.inf)
    searched = np.zeros((len(spaces), len(lowest)), dtype=bool)
    for space, rows in zip(spaces, searched, strict=True):
        rows[:] = ~space.above(lowest)
        space.improve(np.flatnonzero(rows), LOOSE)
        lowest = np.minimum(lowest, space.energies)
    close = np.stack([space.energies for space in spaces]) <= lowest + MARGIN
    for space, rows in zip(spaces, close, strict=True):
        space.improve(np.flatnonzero(rows), TIGHT)
    energies = np.where(close, np.stack([space.energies for space in spaces]), np.inf)
    failed = searched & np.isinf([space.residuals for space in spaces])
    some = np.any(failed, axis=0)
    # where the search of a space failed, that space is the one to report
    return np.where(some, np.argmax(failed, axis=0), np.argmin(energies, axis=0)), np.asarray(some)


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


def _determinants(hamiltonians: Hamiltonians, unpaired: int) -> int:
    m, count = hamiltonians.n_orbitals, hamiltonians.n_electrons
    return math.comb(m, (count + unpaired) // 2) * math.comb(m, (count - unpaired) // 2)


def _refusal(hamiltonians: Hamiltonians, unpaired: int, memory: float) -> str:
    size = dimension(hamiltonians.n_orbitals, hamiltonians.n_electrons, unpaired)
    count = _determinants(hamiltonians, unpaired)
    if size <= TABLE or determinants.capacity(count, memory):
        return ""
    needed = 2 * 8.0 * count * (determinants.FEWEST + 5) / 1e6
    return f"full configuration interaction in {count} determinants needs about memory={needed:.0f} (MB)"


def _rows_at_once(hamiltonians: Hamiltonians, spins: Sequence[int], memory: float) -> int:
    m, count = hamiltonians.n_orbitals, hamiltonians.n_electrons
    sizes = [dimension(m, count, spin) for spin in spins]
    if max(sizes) > TABLE:
        return 1
    each = 8.0 * sum(size**2 if size <= DENSE else size * 2 * eigensolver.KEPT for size in sizes)
    each += 8.0 * max(sizes) * 3 * eigensolver.SPACE
    return max(1, int(memory / 4 / each))
