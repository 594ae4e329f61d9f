"""The table of methods: who computes, what it costs, and which options it takes. Importing this imports no PySCF."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodyorder.sources.pyscf.problem import Answer, Problem

if TYPE_CHECKING:
    from bodyorder.sources.pyscf.integrals import IntegralCache


@dataclass(frozen=True)
class Method:
    """One method.

    :param function: ``module:function`` in this package, called as ``function(problem, cache) -> Answer``
    :param precision: 1σ of one energy in eV: rounding and convergence; beside it stands the noise of a grid
    :param batch: most sub-clusters per call; fewer where they take long
    :param copies: of all (pq|rs) of a sub-cluster that it holds, without and with forces
    :param gradient: whether it has analytic forces
    :param total_spin: whether ``Problem.spins`` are total spins of its states, all of which it can choose from; else they are
        the unpaired electrons of a determinant, Sz alone
    :param invariant: whether rotated and reflected sub-clusters have the same energy within its precision: not with a grid
        that has directions of its own, and not where orbitals are cut in an order that follows the axes
    :param options: that it takes, by their names in :data:`bodyorder.sources.pyscf.options.OPTIONS`; their values are part of
        the fingerprint, so that a default can change without old energies being taken for new ones
    :param further: options that are part of the fingerprint only where they are not the defaults
    :param hessian: whether it has analytic second derivatives, of a plain Hamiltonian
    :param full_gradient: whether its analytic forces know scalar relativity and fitted integrals
    :param records: what it can tell of a state, names among :data:`bodyorder.sources.protocol.RECORDS`
    :param programs: packages that it runs, whose versions are part of the fingerprint
    """

    function: str
    precision: float
    batch: int
    copies: tuple[float, float]
    gradient: bool = True
    hessian: bool = False
    total_spin: bool = False
    invariant: bool = False
    options: tuple[str, ...] = ()
    further: tuple[str, ...] = ("relativity", "forces")
    full_gradient: bool = False
    records: tuple[str, ...] = ("multiplicity", "contamination", "gap", "uncertainty")
    programs: tuple[str, ...] = ("pyscf",)

    @property
    def takes(self) -> tuple[str, ...]:
        """All options that it takes."""
        return (*self.options, *self.further)

    def run(self, problem: Problem, cache: IntegralCache) -> Answer:
        """Compute."""
        module, _, name = self.function.partition(":")
        function: Callable[[Problem, IntegralCache], Answer] = getattr(importlib.import_module(module), name)
        if problem.gradient and problem.options.get("forces") == "numerical":
            from bodyorder.sources.pyscf.differences import gradients

            return gradients(function, problem, cache)
        return function(problem, cache)


_KOHN_SHAM = "bodyorder.sources.pyscf.mean_field.kohn_sham"
_RESTRICTED = "bodyorder.sources.pyscf.mean_field.restricted"
_CORRELATED = "bodyorder.sources.pyscf.correlated"
_FUNCTIONAL = ("xc", "grid", "forces")
_FITTED = ("dispersion", "density_fit", "relativity")
_FIELD = (*_FITTED, "forces")

#: By the names of :data:`bodyorder.sources.pyscf.METHODS`.
TABLE = {
    "fci": Method(
        "bodyorder.sources.pyscf.fci:evaluate",
        1e-8,
        512,
        (3.0, 5.0),
        total_spin=True,
        invariant=True,
        options=("gap",),
        records=("multiplicity", "gap", "uncertainty"),
    ),
    "dmrg": Method(
        "bodyorder.sources.pyscf.dmrg:evaluate",
        1e-7,
        8,
        (6.0, 6.0),
        gradient=False,
        total_spin=True,
        options=("bond_dimension", "sweeps", "exact", "forces"),
        further=("relativity",),
        records=("multiplicity", "uncertainty", "discarded_weight", "extrapolation"),
        programs=("pyscf", "block2"),
    ),
    "uhf": Method(
        "bodyorder.sources.pyscf.mean_field:evaluate",
        1e-7,
        256,
        (0.4, 0.6),
        hessian=True,
        invariant=True,
        further=_FIELD,
        full_gradient=True,
    ),
    "rhf": Method(f"{_RESTRICTED}:rhf", 1e-7, 16, (0.4, 0.6), hessian=True, further=_FIELD, full_gradient=True),
    "rohf": Method(f"{_RESTRICTED}:rohf", 1e-7, 16, (0.4, 0.6), further=_FIELD, full_gradient=True),
    "uks": Method(
        f"{_KOHN_SHAM}:unrestricted",
        1e-7,
        16,
        (0.5, 0.6),
        hessian=True,
        options=_FUNCTIONAL,
        further=_FITTED,
        full_gradient=True,
    ),
    "rks": Method(
        f"{_KOHN_SHAM}:restricted",
        1e-7,
        16,
        (0.5, 0.6),
        hessian=True,
        options=_FUNCTIONAL,
        further=_FITTED,
        full_gradient=True,
    ),
    "mp2": Method(
        f"{_CORRELATED}:mp2",
        1e-7,
        64,
        (0.5, 4.0),
        invariant=True,
        options=("forces",),
        further=("density_fit", "relativity", "frozen_core"),
    ),
    "ccsd": Method(
        f"{_CORRELATED}:ccsd",
        3e-7,
        16,
        (8.0, 10.0),
        invariant=True,
        options=("forces",),
        further=("relativity", "frozen_core"),
    ),
    "ccsd(t)": Method(
        f"{_CORRELATED}:ccsd_t",
        3e-7,
        16,
        (9.0, 9.0),
        gradient=False,
        invariant=True,
        options=("forces",),
        further=("relativity", "frozen_core"),
    ),
}
