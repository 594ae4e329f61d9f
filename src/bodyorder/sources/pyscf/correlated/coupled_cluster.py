"""Coupled clusters of one reference, and what is done where their equations resist."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from pyscf import lib
from pyscf.cc import gccsd, gccsd_t, uccsd, uccsd_t
from pyscf.scf import uhf

from bodyorder.sources.pyscf.correlated import pair
from bodyorder.sources.pyscf.correlated.reference import Correlated, excitations, uncorrelated

#: Convergence of the energy (hartree) and of the amplitudes.
ENERGY, AMPLITUDES = 1e-11, 1e-9
#: (level shift in hartree, amplitudes that an extrapolation looks back on, steps), tried in this order.
ATTEMPTS = ((0.0, 14, 150), (0.3, 14, 250), (1.0, 20, 400))
#: A search whose energy has moved by no more than this (hartree) over its last steps has converged but for amplitudes that do not
#: matter to it; so much times its last movement is its uncertainty.
SETTLED, LAST, SAFETY = 1e-6, 60, 10.0
#: Correlation must lower the energy, but for this (hartree): amplitudes have other solutions, which are states of other spins.
RAISED = 1e-7
#: PySCF's own derivative of UCCSD(T) differs from differences of its energies by up to 1e-3 hartree/bohr.
NO_GRADIENT = "ccsd(t) has no analytic forces; use forces=numerical"


class Extrapolation(lib.diis.DIIS):
    """PySCF's, which drops what its error vectors have below a fixed length: close to convergence, where a soft direction
    is left, that is all of them. Here lengths are relative to the longest."""

    _H: np.ndarray

    def extrapolate(self, nd: int | None = None) -> np.ndarray:
        """The combination of vectors whose errors nearly cancel."""
        count = self.get_num_vec() if nd is None else nd
        held = self._H.copy()
        errors = self._H[1 : count + 1, 1 : count + 1]
        errors /= max(errors.diagonal().max(), np.finfo(np.float64).tiny)
        try:
            return super().extrapolate(count)
        finally:
            self._H = held


class Amplitudes(uccsd.UCCSD):
    """PySCF's, which remembers the energies that it came through."""

    def __init__(self, reference: uhf.UHF, frozen: int = 0):
        super().__init__(reference, frozen=frozen)
        self.course: list[float] = []
        #: whether they belong to two electrons in one orbital, which is no mean field
        self.paired = False

    def energy(self, *args: Any, **options: Any) -> float:
        """Correlation energy of some amplitudes in hartree."""
        value = super().energy(*args, **options)
        self.course.append(float(value))
        return value

    @property
    def doubt(self) -> float:
        """Uncertainty of the energy in hartree, infinite where it has not settled."""
        if self.converged:
            return 0.0
        moved = float(np.ptp(self.course[-LAST:]))
        return SAFETY * moved if moved < SETTLED and len(self.course) > LAST else np.inf


def doubles(reference: uhf.UHF, frozen: int, memory: float) -> Correlated | str:
    """CCSD of a converged reference.

    :param frozen: core orbitals that are not correlated
    :param memory: bytes to use
    """
    if not excitations(reference, 2, frozen):
        return uncorrelated(reference)
    solved = _solved(reference, frozen, memory)
    if isinstance(solved, str):
        return solved
    return Correlated(float(solved.e_tot), lambda: _gradient(solved), solved.doubt, solved.paired)


def triples(reference: uhf.UHF, frozen: int, memory: float) -> Correlated | str:
    """CCSD(T) of a converged reference.

    :param frozen: core orbitals that are not correlated
    :param memory: bytes to use
    """
    if not excitations(reference, 3, frozen):
        return doubles(reference, frozen, memory)
    solved = _solved(reference, frozen, memory)
    if isinstance(solved, str):
        return solved
    energy = float(solved.e_tot) + _perturbative_triples(solved)
    return Correlated(energy, lambda: NO_GRADIENT, solved.doubt)


def _solved(reference: uhf.UHF, frozen: int, memory: float) -> Amplitudes | str:
    eris, state = None, f"the state with 2S+1 = {reference.mol.spin + 1}"
    start = pair.start(reference) if reference.mol.nelec == (1, 1) else reference
    raised = False
    for shift, history, steps in ATTEMPTS:
        solver = Amplitudes(start, frozen)
        solver.verbose, solver.max_memory = 0, 1e-6 * memory
        solver.incore_complete, solver.async_io = True, False
        solver.conv_tol, solver.conv_tol_normt = ENERGY, AMPLITUDES
        solver.level_shift, solver.max_cycle = shift, steps
        solver.diis = _extrapolation(solver, history)
        eris = solver.ao2mo() if eris is None else eris
        with np.errstate(over="ignore", invalid="ignore"):  # a search may run away
            solver.kernel(eris=eris)
        if np.isfinite(solver.doubt):
            if solver.e_tot <= reference.e_tot + RAISED:
                solver.paired = start is not reference
                return solver
            raised = True
    if raised:
        return f"coupled clusters must lie below their mean field, those of {state} end above it, in another state; use fci"
    return (
        f"coupled clusters must converge, those of {state} do not in "
        f"{sum(steps for _, _, steps in ATTEMPTS)} steps with level shifts up to {ATTEMPTS[-1][0]} hartree; "
        "use mp2 or fci"
    )


def _extrapolation(solver: Amplitudes, history: int) -> Extrapolation:
    result = Extrapolation(solver, incore=True)
    result.space = history
    return result


def _perturbative_triples(solved: Amplitudes) -> float:
    eris = solved.ao2mo()
    if solved.t1[0].shape[1]:
        amplitudes = tuple(part.copy() for part in solved.t2)  # those of unlike spins serve as scratch
        return float(uccsd_t.kernel(solved, eris, solved.t1, amplitudes, verbose=0))
    # no orbital is empty for spin up, by whose number PySCF divides: spin down is alone
    alone = gccsd._PhysicistsERIs()
    alone.fock, alone.mo_energy = eris.fockb, eris.mo_energy[1]
    alone.oovv = eris.OVOV.transpose(0, 2, 1, 3) - eris.OVOV.transpose(0, 2, 3, 1)
    alone.ooov = eris.OVOO.transpose(2, 0, 3, 1) - eris.OVOO.transpose(0, 2, 3, 1)
    mixed = np.asarray(eris.get_OVVV())
    alone.ovvv = mixed.transpose(0, 2, 1, 3) - mixed.transpose(0, 2, 3, 1)
    return float(gccsd_t.kernel(SimpleNamespace(), alone, solved.t1[1], solved.t2[2], verbose=0))


def _gradient(solved: Amplitudes) -> np.ndarray | str:
    if solved.paired:
        return pair.gradient(solved)
    eris = solved.ao2mo()
    solved.diis = _extrapolation(solved, ATTEMPTS[0][1])  # the last one holds amplitudes
    solved.solve_lambda(eris=eris)
    if not solved.converged_lambda:
        return (
            "the response of coupled clusters must converge for forces, that of the state with "
            f"2S+1 = {solved._scf.mol.spin + 1} does not; use forces=numerical"
        )
    return solved.nuc_grad_method().set(verbose=0).kernel(eris=eris)
