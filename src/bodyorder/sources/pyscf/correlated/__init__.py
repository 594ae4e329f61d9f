"""Correlation on top of the lowest stable unrestricted Hartree–Fock state of every spin, of all electrons or without the cores.

The spin with the lowest correlated energy is kept, which need not be that of the lowest mean field. The methods read the
integrals that the mean field ran on. Contamination is that of the reference, and so is the uncertainty where it is large:
how far projection onto the spin it stands for would move its energy, more than what correlation leaves of that. Coupled
clusters of two electrons in a singlet, which are exact, have neither.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pyscf.scf import uhf

from bodyorder.sources.pyscf.correlated import closed
from bodyorder.sources.pyscf.correlated.coupled_cluster import doubles, triples
from bodyorder.sources.pyscf.correlated.perturbation import second_order
from bodyorder.sources.pyscf.correlated.reference import Correlated, Reference, references
from bodyorder.sources.pyscf.correlated.response import NoResponse, solved_response
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field.records import record_state
from bodyorder.sources.pyscf.problem import Answer, Problem

#: Makes the correlated state of a mean field, with a number of core orbitals and bytes to use, or says why there is none.
Correlation = Callable[[uhf.UHF, int, float], "Correlated | str"]
#: The same of a closed shell the short way, or None where the long one must be gone.
ShortWay = Callable[[Reference, int, float], "Correlated | None"]


def mp2(problem: Problem, cache: IntegralCache) -> Answer:
    """Second-order Møller–Plesset perturbation theory (doi:10.1103/PhysRev.46.618)."""
    return _evaluate(problem, cache, second_order, closed.second_order)


def ccsd(problem: Problem, cache: IntegralCache) -> Answer:
    """Coupled clusters with single and double excitations (Purvis and Bartlett, doi:10.1063/1.443164)."""
    return _evaluate(problem, cache, doubles, closed.doubles)


def ccsd_t(problem: Problem, cache: IntegralCache) -> Answer:
    """The same with perturbative triples (Raghavachari et al., doi:10.1016/S0009-2614(89)87395-6); no gradients."""
    return _evaluate(problem, cache, triples, closed.triples)


def _evaluate(problem: Problem, cache: IntegralCache, correlation: Correlation, short_way: ShortWay) -> Answer:
    answer = Answer.empty(problem.batch)
    best: dict[int, tuple[Reference, Correlated]] = {}
    energies: dict[int, list[float]] = {}
    for reference in references(problem, cache):
        row = reference.row
        if row in answer.messages:
            continue
        frozen = reference.frozen()
        state: Correlated | str | None = None
        if reference.closed:
            state = short_way(reference, frozen, problem.memory)
        if state is None:
            field = reference.field()
            state = field if isinstance(field, str) else correlation(field, frozen, problem.memory)
        if isinstance(state, str):
            # whether the spin that failed would have been the lowest is not known
            answer.messages[row] = state
            best.pop(row, None)
            continue
        energies.setdefault(row, []).append(state.energy)
        if state.energy <= min(energies[row]):
            best[row] = reference, state
    for row, (reference, state) in best.items():
        gradient = _gradient(state) if problem.gradient else answer.gradients[row]
        if isinstance(gradient, str):
            answer.messages[row] = gradient
            continue
        answer.gradients[row] = gradient
        mixed, doubt = (0.0, 0.0) if state.pure else reference.impurity()
        answer.record("contamination", row, mixed)
        record_state(answer, row, reference.unpaired, sorted(energies[row]), max(doubt, state.doubt))
    return answer


def _gradient(state: Correlated) -> np.ndarray | str:
    try:
        with solved_response():
            return state.gradient()
    except NoResponse as error:
        return str(error)
