"""Full configuration interaction: every total spin a space of its own, small spaces diagonalised whole."""

from __future__ import annotations

import numpy as np

from bodyorder.sources.pyscf.fci.configurations import dimension
from bodyorder.sources.pyscf.fci.gradient import electronic_gradient
from bodyorder.sources.pyscf.fci.hamiltonian import Hamiltonians
from bodyorder.sources.pyscf.fci.states import lowest_states
from bodyorder.sources.pyscf.integrals import IntegralCache, nuclear_gradient
from bodyorder.sources.pyscf.orbitals import orthonormal, transform_one, transform_two
from bodyorder.sources.pyscf.problem import Answer, Problem


def evaluate(problem: Problem, cache: IntegralCache) -> Answer:
    """Lowest state of each sub-cluster among the spins of the problem.

    With the option ``gap`` the energy of the next state is searched for and recorded, see
    :func:`~bodyorder.sources.pyscf.fci.states.lowest_states`.
    """
    answer = Answer.empty(problem.batch)
    integrals = cache.integrals(problem.batch)
    coefficients, ranks = orthonormal(integrals.overlap)
    for rank in np.unique(ranks):
        rows = np.flatnonzero(ranks == rank)
        orbitals = coefficients[rows][:, :, -rank:]
        hamiltonians = Hamiltonians(
            transform_one(integrals.core[rows], orbitals),
            transform_two(integrals.repulsion[rows], orbitals),
            problem.n_electrons,
        )
        whole = rank == coefficients.shape[1]
        spins = [spin for spin in problem.spins if dimension(rank, problem.n_electrons, spin)]
        if not spins or (problem.gradient and not whole):
            wanted = "forces" if spins else "this spin"
            message = f"{wanted} must have linearly independent functions, the atoms are too close; use a smaller basis"
            answer.messages.update(dict.fromkeys(rows.tolist(), message))
            continue
        states = lowest_states(hamiltonians, spins, problem.memory, problem.gradient, bool(problem.options.get("gap")))
        answer.energies[rows] = states.energies + integrals.nuclear[rows]
        answer.messages.update({int(rows[place]): message for place, message in states.messages.items()})
        answer.record("multiplicity", rows, np.where(states.unpaired < 0, np.nan, states.unpaired + 1.0))
        answer.record("gap", rows, states.gaps)
        answer.record("uncertainty", rows, np.where(states.unpaired < 0, np.nan, states.uncertainties))
        if problem.gradient:
            part = problem.batch.select(rows)
            gradients = nuclear_gradient(part, cache.basis) + electronic_gradient(
                hamiltonians, states.densities, orbitals, cache.gradients(part), integrals.atoms
            )
            answer.gradients[rows] = np.where(np.isnan(states.energies)[:, None, None], np.nan, gradients)
    return answer
