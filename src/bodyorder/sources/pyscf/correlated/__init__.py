"""Correlation on top of the lowest stable unrestricted Hartree–Fock state of every spin; all electrons correlated.

The spin with the lowest correlated energy is kept, which need not be that of the lowest mean field. The methods read the
integrals that the mean field ran on. Contamination is that of the reference, and so is the uncertainty where it is large:
how far projection onto the spin it stands for would move its energy, more than what correlation leaves of that. Coupled
clusters of two electrons in a singlet, which are exact, have neither.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pyscf.scf import uhf

from bodyorder.sources.pyscf.correlated.coupled_cluster import doubles, triples
from bodyorder.sources.pyscf.correlated.perturbation import second_order
from bodyorder.sources.pyscf.correlated.reference import Correlated, Reference, references
from bodyorder.sources.pyscf.correlated.response import NoResponse, solved_response
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field.records import record_state
from bodyorder.sources.pyscf.task import Outcome, Task

#: Makes the correlated state of a mean field, with bytes to use, or says why there is none.
Correlation = Callable[[uhf.UHF, float], "Correlated | str"]


def mp2(task: Task, cache: IntegralCache) -> Outcome:
    """Second-order Møller–Plesset perturbation theory (doi:10.1103/PhysRev.46.618)."""
    return _evaluate(task, cache, second_order)


def ccsd(task: Task, cache: IntegralCache) -> Outcome:
    """Coupled clusters with single and double excitations (Purvis and Bartlett, doi:10.1063/1.443164)."""
    return _evaluate(task, cache, doubles)


def ccsd_t(task: Task, cache: IntegralCache) -> Outcome:
    """The same with perturbative triples (Raghavachari et al., doi:10.1016/S0009-2614(89)87395-6); no gradients."""
    return _evaluate(task, cache, triples)


def _evaluate(task: Task, cache: IntegralCache, correlation: Correlation) -> Outcome:
    outcome = Outcome.empty(task.batch)
    best: dict[int, tuple[Reference, Correlated]] = {}
    energies: dict[int, list[float]] = {}
    for reference in references(task, cache):
        row = reference.row
        if row in outcome.messages:
            continue
        field = reference.field()
        state = field if isinstance(field, str) else correlation(field, task.memory)
        if isinstance(state, str):
            # whether the spin that failed would have been the lowest is not known
            outcome.messages[row] = state
            best.pop(row, None)
            continue
        energies.setdefault(row, []).append(state.energy)
        if state.energy <= min(energies[row]):
            best[row] = reference, state
    for row, (reference, state) in best.items():
        gradient = _gradient(state) if task.gradient else outcome.gradients[row]
        if isinstance(gradient, str):
            outcome.messages[row] = gradient
            continue
        outcome.gradients[row] = gradient
        mixed, doubt = (0.0, 0.0) if state.pure else reference.impurity()
        outcome.record("contamination", row, mixed)
        record_state(outcome, row, reference.unpaired, sorted(energies[row]), max(doubt, state.doubt))
    return outcome


def _gradient(state: Correlated) -> np.ndarray | str:
    try:
        with solved_response():
            return state.gradient()
    except NoResponse as error:
        return str(error)
