"""Mean fields of many sub-clusters: the lowest stable solution of each, found from several starts.

What is recorded of an unrestricted solution: its multiplicity (n↑ − n↓ + 1); its contamination; where that is large, as
uncertainty, the change of its energy on projection onto the spin it stands for; where solutions of two multiplicities are
nearly degenerate, their distance as gap and uncertainty.

What other methods build on:

- :func:`lowest_fields` gives, for each row of a problem, the lowest stable unrestricted solution as a converged PySCF object
  (``mo_coeff``, ``mo_occ``, ``mo_energy``, ``e_tot``, ``mol`` with charge, spin and ghosts, the integrals in place), or one
  line that says why there is none. ``spins=[2]`` asks for exactly two unpaired electrons; by default the lowest among
  ``problem.spins`` is given.
- :func:`closed_shells` gives the rows that are closed shells beyond doubt, for which nothing has to be searched.
- :func:`candidate_densities` gives densities close to the few lowest solutions, to start other mean fields from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pyscf.scf import uhf

from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field.fields import (
    Solution,
    analytic_gradient,
    analytic_hessian,
    molecule_of,
    to_pyscf,
)
from bodyorder.sources.pyscf.mean_field.projection import impurity
from bodyorder.sources.pyscf.mean_field.records import record_state
from bodyorder.sources.pyscf.mean_field.unrestricted import Unrestricted
from bodyorder.sources.pyscf.problem import Answer, Problem

#: Why a row failed.
UNSOLVED = "unrestricted Hartree-Fock must have a converged and stable solution, and none was found; use fci"


def evaluate(problem: Problem, cache: IntegralCache) -> Answer:
    """Unrestricted Hartree–Fock."""
    answer = Answer.empty(problem.batch)
    solver = Unrestricted(problem, cache)
    for row, solutions in enumerate(_solutions(solver)):
        if isinstance(solutions, str):
            answer.messages[row] = solutions
            continue
        solution, energies = solutions[0], [solution.energy for solution in solutions]
        mixed, doubt = impurity(solution, solver.electrons(solution.unpaired), solver.integrals, row)
        answer.record("contamination", row, mixed)
        record_state(answer, row, solution.unpaired, energies, doubt)
        if problem.gradient:
            mol = molecule_of(problem.batch, row, cache.basis, solution.unpaired)
            field = to_pyscf(solution, mol, solver.integrals, row)
            answer.gradients[row] = analytic_gradient(field, solver.integrals)
        if problem.hessian:
            mol = molecule_of(problem.batch, row, cache.basis, solution.unpaired)
            answer.curve(row, analytic_hessian(to_pyscf(solution, mol, solver.integrals, row)))
    return answer


def lowest_fields(problem: Problem, cache: IntegralCache, spins: Sequence[int] | None = None) -> list[uhf.UHF | str]:
    """The lowest stable unrestricted solution of each row as a converged PySCF object, or why there is none.

    :param spins: numbers of unpaired electrons to choose from; those of the problem if not given
    """
    solver = Unrestricted(problem if spins is None else replace(problem, spins=list(spins)), cache)
    found: list[uhf.UHF | str] = []
    for row, solutions in enumerate(_solutions(solver)):
        if isinstance(solutions, str):
            found.append(solutions)
            continue
        mol = molecule_of(problem.batch, row, cache.basis, solutions[0].unpaired)
        found.append(to_pyscf(solutions[0], mol, solver.integrals, row))
    return found


def candidate_densities(problem: Problem, cache: IntegralCache, unpaired: int) -> list[np.ndarray]:
    """Densities of both spins close to the few lowest solutions with that many unpaired electrons, lowest first.

    :return: for each row, shape (starts, 2, m, m)
    """
    return Unrestricted(replace(problem, spins=[unpaired]), cache).candidates(unpaired)


def closed_shells(problem: Problem, cache: IntegralCache) -> dict[int, Solution]:
    """The rows that are closed shells beyond doubt, with their restricted solutions, the lowest of all spins asked for."""
    return Unrestricted(problem, cache).closed


def _solutions(solver: Unrestricted) -> list[list[Solution] | str]:
    """The solutions of each row with each number of unpaired electrons, lowest first, or why one of them is missing."""
    return [
        UNSOLVED if found is None else sorted(found.values(), key=lambda solution: solution.energy)
        for found in solver.solutions()
    ]
