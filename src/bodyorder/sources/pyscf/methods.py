"""The table of methods: who computes, and what it costs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.task import Outcome, Task


@dataclass(frozen=True)
class Method:
    """One method.

    :param function: ``module:function`` in this package, called as ``function(task, cache) -> Outcome``
    :param precision: 1σ of one energy in eV: rounding and convergence
    :param batch: sub-clusters per call
    :param copies: of all (pq|rs) of a sub-cluster that it holds, without and with forces
    :param gradient: whether it has analytic forces
    """

    function: str
    precision: float
    batch: int
    copies: tuple[float, float]
    gradient: bool = True

    def run(self, task: Task, cache: IntegralCache) -> Outcome:
        """Compute."""
        module, _, name = self.function.partition(":")
        function: Callable[[Task, IntegralCache], Outcome] = getattr(importlib.import_module(module), name)
        return function(task, cache)


#: By the names of :data:`bodyorder.sources.pyscf.METHODS`.
TABLE = {
    "fci": Method("bodyorder.sources.pyscf.fci:evaluate", 1e-8, 128, (3.0, 5.0)),
    "uhf": Method("bodyorder.sources.pyscf.mean_field:evaluate", 1e-7, 16, (0.5, 0.5)),
}
