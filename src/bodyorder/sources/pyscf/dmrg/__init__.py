"""The density-matrix renormalisation group: the lowest state of every spin as a matrix product state, through block2."""

from __future__ import annotations

import numpy as np

from bodyorder._checks import first_line
from bodyorder.sources.pyscf.dmrg.chain import Chain, arrange
from bodyorder.sources.pyscf.dmrg.search import Lowest, Schedule, lowest_state
from bodyorder.sources.pyscf.dmrg.states import room
from bodyorder.sources.pyscf.fci.configurations import dimension
from bodyorder.sources.pyscf.fci.hamiltonian import Hamiltonians
from bodyorder.sources.pyscf.fci.states import lowest_states
from bodyorder.sources.pyscf.integrals import ClusterIntegrals, IntegralCache
from bodyorder.sources.pyscf.options import OPTIONS
from bodyorder.sources.pyscf.orbitals import orthonormal, transform_one, transform_two, unpack
from bodyorder.sources.pyscf.problem import Answer, Problem

#: Fewer orbitals than this make no chain.
SHORTEST = 4


def evaluate(problem: Problem, cache: IntegralCache) -> Answer:
    """Lowest state of each sub-cluster among the spins of the problem.

    Spins with up to ``exact`` configurations, and all spaces of fewer than four orbitals, are left to full configuration
    interaction: there it takes a second or two (H₆ in 6-31G), where a matrix product state that is nearly exact takes several.

    Energies are those of the matrix product state, so too high by what it leaves out, if by anything. ``discarded_weight`` is
    the largest of the last sweep, ``extrapolation`` what the line through the energies at smaller bond dimensions adds at no
    discarded weight (Olivares-Amaya et al., J. Chem. Phys. 142, 034102 (2015), doi:10.1063/1.4905329), and ``uncertainty``
    its whole size, for the energy is not corrected by it. For spins that were diagonalised the first two are zero.

    Scratch files of some hundred MB go to a folder of their own where ``TMPDIR`` says, and are removed at the end.

    :raises InputError: for options that cannot work, or if block2 is not installed
    """
    bond_dimension, sweeps, most = (_option(problem, name) for name in ("bond_dimension", "sweeps", "exact"))
    schedule = Schedule(bond_dimension, sweeps)
    answer = Answer.empty(problem.batch)
    integrals = cache.integrals(problem.batch)
    coefficients, ranks = orthonormal(integrals.overlap)
    for rank in np.unique(ranks):
        rows = np.flatnonzero(ranks == rank)
        sizes = {spin: dimension(rank, problem.n_electrons, spin) for spin in problem.spins}
        spins = [spin for spin, size in sizes.items() if size]
        if not spins:
            message = "this spin must have linearly independent functions, the atoms are too close; use a larger basis"
            answer.messages.update(dict.fromkeys(rows.tolist(), message))
            continue
        exact = [spin for spin in spins if rank < SHORTEST or sizes[spin] <= most]
        hamiltonians = _hamiltonians(integrals, coefficients, rows, rank, problem.n_electrons)
        known = _diagonalised(hamiltonians, exact, problem.memory)
        # orbitals of functions that depend on each other belong to no atom
        atoms = integrals.atoms if rank == coefficients.shape[1] else np.zeros(rank, dtype=np.int64)
        rest = [spin for spin in spins if spin not in exact]
        for place, row in enumerate(rows):
            found = known[place]
            if rest and not (found and found.message):
                own = hamiltonians.core[place], unpack(hamiltonians.repulsion[place, None], rank)[0]
                found = _renormalised(arrange(*own, problem.n_electrons, atoms), rest, schedule, problem.memory, found)
            if found:
                _enter(answer, int(row), found, integrals.nuclear[row])
    return answer


def _option(problem: Problem, name: str) -> int:
    option = OPTIONS[name]
    value = option.check(name, problem.options.get(name, option.default))
    assert isinstance(value, int)
    return value


def _hamiltonians(
    integrals: ClusterIntegrals, coefficients: np.ndarray, rows: np.ndarray, rank: int, n_electrons: int
) -> Hamiltonians:
    orbitals = coefficients[rows][:, :, -rank:]
    core, repulsion = integrals.core[rows], integrals.repulsion[rows]
    return Hamiltonians(transform_one(core, orbitals), transform_two(repulsion, orbitals), n_electrons)


def _diagonalised(hamiltonians: Hamiltonians, spins: list[int], memory: float) -> list[Lowest | None]:
    """The lowest state of each sub-cluster among spins small enough for full configuration interaction."""
    if not spins:
        return [None] * len(hamiltonians)
    states = lowest_states(hamiltonians, spins, memory)
    columns = zip(states.energies.tolist(), states.unpaired.tolist(), states.uncertainties.tolist(), strict=True)
    return [
        Lowest(energy, unpaired, uncertainty=uncertainty, message=states.messages.get(row, ""))
        for row, (energy, unpaired, uncertainty) in enumerate(columns)
    ]


def _renormalised(links: Chain, spins: list[int], schedule: Schedule, memory: float, known: Lowest | None) -> Lowest:
    """The lowest state among these spins and the one that is known."""
    needed = room(links.n_orbitals, schedule.bond_dimension)
    if needed > memory:
        size = f"{links.n_orbitals} orbitals at bond_dimension={schedule.bond_dimension}"
        return Lowest(np.nan, -1, message=f"DMRG of {size} needs about memory={2e-6 * needed:.0f} (MB)")
    try:
        return lowest_state(links, spins, schedule, memory, known)
    except RuntimeError as error:  # what block2 raises, of a full disk for one
        return Lowest(np.nan, -1, message=f"block2 failed: {first_line(error)}")


def _enter(answer: Answer, row: int, found: Lowest, nuclear: float) -> None:
    if found.message:
        answer.messages[row] = found.message
        return
    answer.energies[row] = found.energy + nuclear
    answer.record("multiplicity", row, found.unpaired + 1.0)
    answer.record("discarded_weight", row, found.discarded_weight)
    answer.record("extrapolation", row, found.extrapolation)
    answer.record("uncertainty", row, found.uncertainty)
