"""Correlation of closed shells, on one set of orbitals for both spins: a fraction of the work for the same energies."""

from __future__ import annotations

import numpy as np
from pyscf import ao2mo
from pyscf.cc import ccsd
from pyscf.mp import mp2

from bodyorder.sources.pyscf.correlated import coupled_cluster
from bodyorder.sources.pyscf.correlated.reference import Correlated, Reference

#: Bytes of transformed integrals that second order holds at once, as a part of what there is.
SHARE = 0.5


def second_order(reference: Reference, frozen: int, memory: float) -> Correlated:
    """MP2 of a closed shell.

    :param frozen: core orbitals that are not correlated
    :param memory: bytes to use
    """
    assert reference.solution is not None
    energies, coefficients = reference.solution.orbital_energies[0], reference.solution.coefficients[0]
    occupied = reference.solver.electrons(0)[0]

    def gradient() -> np.ndarray:
        field = reference.restricted()
        field.mol.incore_anyway = True
        perturbed = mp2.MP2(field, frozen=frozen)
        perturbed.verbose, perturbed.max_memory = 0, 1e-6 * memory
        perturbed.kernel(with_t2=True)
        return perturbed.nuc_grad_method().set(verbose=0).kernel()

    repulsion, order = reference.solver.integrals.packed(reference.row)
    orbitals = coefficients[order]
    energy = _pairs(repulsion, orbitals[:, frozen:occupied], orbitals[:, occupied:], energies[frozen:], memory)
    return Correlated(reference.solution.energy + energy, gradient)


def _pairs(
    repulsion: np.ndarray, occupied: np.ndarray, virtual: np.ndarray, energies: np.ndarray, memory: float
) -> float:
    """Σ (ia|jb) [2 (ia|jb) − (ib|ja)] / (ε_i + ε_j − ε_a − ε_b), as many i at once as there is room for."""
    o, v = occupied.shape[1], virtual.shape[1]
    if not o or not v:
        return 0.0
    step = max(1, int(SHARE * memory / (16.0 * o * v * v)))
    gaps, total = energies[:o, None] - energies[o:], 0.0
    for first in range(0, o, step):
        some = occupied[:, first : first + step]
        blocks = ao2mo.kernel(repulsion, (some, virtual, occupied, virtual), compact=False)
        for place, block in enumerate(np.reshape(blocks, (some.shape[1], v, o, v))):
            straight = block.transpose(1, 0, 2)  # j, a, b
            amplitudes = straight / (gaps[first + place][:, None] + gaps[:, None])
            total += 2.0 * np.vdot(straight, amplitudes) - np.vdot(straight.transpose(0, 2, 1), amplitudes)
    return float(total)


def doubles(reference: Reference, frozen: int, memory: float) -> Correlated | None:
    """CCSD of a closed shell, None where it does not converge at once; the parameters as for :func:`second_order`."""
    solved = _solved(reference, frozen, memory)
    if solved is None:
        return None
    return Correlated(float(solved.e_tot), lambda: _gradient(solved))


def triples(reference: Reference, frozen: int, memory: float) -> Correlated | None:
    """CCSD(T) of a closed shell; all else as for :func:`doubles`."""
    solved = _solved(reference, frozen, memory)
    if solved is None:
        return None
    energy = float(solved.e_tot) + float(solved.ccsd_t(eris=solved.eris))
    return Correlated(energy, lambda: coupled_cluster.NO_GRADIENT)


class Amplitudes(ccsd.CCSD):
    """PySCF's, with its integrals."""

    eris: object = None


def _solved(reference: Reference, frozen: int, memory: float) -> Amplitudes | None:
    """None where they do not converge at once."""
    field = reference.restricted()
    shift, history, steps = coupled_cluster.ATTEMPTS[0]
    solver = Amplitudes(field, frozen=frozen)
    solver.verbose, solver.max_memory = 0, 1e-6 * memory
    solver.incore_complete, solver.async_io = True, False
    solver.conv_tol, solver.conv_tol_normt = coupled_cluster.ENERGY, coupled_cluster.AMPLITUDES
    solver.level_shift, solver.max_cycle, solver.diis_space = shift, steps, history
    solver.eris = solver.ao2mo()
    with np.errstate(over="ignore", invalid="ignore"):  # a search may run away
        solver.kernel(eris=solver.eris)
    return solver if solver.converged and solver.e_tot <= field.e_tot + coupled_cluster.RAISED else None


def _gradient(solved: Amplitudes) -> np.ndarray | str:
    solved.solve_lambda(eris=solved.eris)
    if not solved.converged_lambda:
        return (
            "the response of coupled clusters must converge for forces, that of the state with 2S+1 = 1 does not; "
            "use forces=numerical"
        )
    return solved.nuc_grad_method().set(verbose=0).kernel(eris=solved.eris)
