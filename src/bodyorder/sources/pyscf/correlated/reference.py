"""The mean fields that correlated methods start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from pyscf.data.elements import chemcore
from pyscf.scf import hf, uhf
from pyscf.soscf import newton_ah
from scipy.sparse import linalg

from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field import UNSOLVED
from bodyorder.sources.pyscf.mean_field.fields import Solution, closed_to_pyscf, molecule_of, to_pyscf
from bodyorder.sources.pyscf.mean_field.projection import impurity
from bodyorder.sources.pyscf.mean_field.spins import ABOVE
from bodyorder.sources.pyscf.mean_field.unrestricted import Unrestricted
from bodyorder.sources.pyscf.problem import Problem

#: Derivative with respect to rotations of the orbitals: a correlated energy is linear in what is left of it.
GRADIENT = 1e-9
#: The solution must not change by more than this (hartree) on the way there.
SAME = 1e-7
#: Newton steps before giving up.
STEPS = 6


@dataclass
class Correlated:
    """A correlated state of one sub-cluster.

    :param energy: in hartree
    :param gradient: computes dE/dR in hartree/bohr, shape (k, 3), or says why it cannot
    :param doubt: uncertainty of the energy in hartree
    :param pure: whether it has a spin of its own, however contaminated the mean field is
    """

    energy: float
    gradient: Callable[[], np.ndarray | str]
    doubt: float = 0.0
    pure: bool = False


@dataclass
class Reference:
    """The lowest mean field of one sub-cluster with a number of unpaired electrons.

    :param solver: of all rows
    :param row: the sub-cluster
    :param unpaired: electrons
    :param solution: None where there is none
    """

    solver: Unrestricted
    row: int
    unpaired: int
    solution: Solution | None

    def field(self) -> uhf.UHF | str:
        """As a converged PySCF object that holds its integrals, or why there is none."""
        if self.solution is None:
            return UNSOLVED
        mol = molecule_of(self.solver.problem.batch, self.row, self.solver.basis, self.unpaired)
        return tightened(to_pyscf(self.solution, mol, self.solver.integrals, self.row))

    @property
    def closed(self) -> bool:
        """Whether it is a closed shell beyond doubt, converged to the last."""
        return self.row in self.solver.closed

    def restricted(self) -> hf.RHF:
        """That of a closed shell as a converged PySCF object that holds its integrals."""
        assert self.solution is not None
        mol = molecule_of(self.solver.problem.batch, self.row, self.solver.basis, 0)
        return closed_to_pyscf(self.solution, mol, self.solver.integrals, self.row)

    def frozen(self) -> int:
        """Core orbitals that every chemist leaves uncorrelated, if that is asked for."""
        if not self.solver.problem.options.get("frozen_core"):
            return 0
        mol = molecule_of(self.solver.problem.batch, self.row, self.solver.basis, self.unpaired)
        return chemcore(mol)

    def impurity(self) -> tuple[float, float]:
        """Contamination, and where it is large the change of the energy (hartree) on projection onto the spin, else 0."""
        assert self.solution is not None
        return impurity(self.solution, self.solver.electrons(self.unpaired), self.solver.integrals, self.row)


def references(problem: Problem, cache: IntegralCache) -> Iterator[Reference]:
    """All rows with their mean fields of each spin in turn that may have the lowest correlated energy.

    Parallel electrons correlate less, or more by far less than :data:`ABOVE`: a mean field that is so much above the lowest one,
    and has more unpaired electrons, stays above it.
    """
    solver = Unrestricted(problem, cache)
    for row, found in enumerate(solver.solutions()):
        if found is None:
            yield Reference(solver, row, problem.spins[0], None)
            continue
        lowest = min(found.values(), key=lambda solution: solution.energy)
        for unpaired, solution in sorted(found.items()):
            if unpaired <= lowest.unpaired or solution.energy <= lowest.energy + ABOVE:
                yield Reference(solver, row, unpaired, solution)


def tightened(reference: uhf.UHF) -> uhf.UHF | str:
    """The same solution with orbitals that are good enough for what is linear in their errors, by Newton's method."""
    energy, occupations = reference.e_tot, np.asarray(reference.mo_occ)
    for _ in range(STEPS):
        gradient, hessian, diagonal = newton_ah.gen_g_hop_uhf(
            reference, reference.mo_coeff, occupations, with_symmetry=False
        )
        if np.linalg.norm(gradient) < GRADIENT:
            break
        angles = np.zeros((2, *reference.mo_coeff[0].shape[1:] * 2))
        angles[(occupations[:, :, None] == 0) & (occupations[:, None] > 0)] = _step(gradient, hessian, diagonal)
        reference.mo_coeff = reference.mo_coeff @ scipy.linalg.expm(angles - angles.transpose(0, 2, 1))
    else:
        return (
            f"the mean field of the state with 2S+1 = {reference.mol.spin + 1} must converge to {GRADIENT} hartree for "
            "what is correlated on top of it, and does not; use uhf or fci"
        )
    reference.mo_energy, reference.mo_coeff = reference.canonicalize(reference.mo_coeff, occupations)
    reference.e_tot = reference.energy_tot(reference.make_rdm1())
    if abs(reference.e_tot - energy) > SAME:
        return (
            f"the mean field of the state with 2S+1 = {reference.mol.spin + 1} must not change as it converges, and does "
            f"by {reference.e_tot - energy:.1e} hartree; use uhf or fci"
        )
    return reference


def _step(gradient: np.ndarray, hessian: Callable[[np.ndarray], np.ndarray], diagonal: np.ndarray) -> np.ndarray:
    size = len(gradient)
    scale = np.maximum(diagonal, 0.1)
    step, _ = linalg.cg(
        linalg.LinearOperator((size, size), hessian, dtype=np.float64),
        -gradient,
        rtol=1e-3,
        maxiter=2 * size,
        M=linalg.LinearOperator((size, size), lambda vector: vector / scale, dtype=np.float64),
    )
    return step


def excitations(reference: uhf.UHF, rank: int, frozen: int) -> bool:
    """Whether so many electrons at once can be excited.

    :param frozen: orbitals of either spin whose electrons cannot
    """
    occupied = np.count_nonzero(reference.mo_occ, axis=1)
    empty = reference.mo_occ.shape[1] - occupied
    return int(np.minimum(np.maximum(occupied - frozen, 0), empty).sum()) >= rank


def uncorrelated(reference: uhf.UHF) -> Correlated:
    """The mean field itself, which is all there is where no pair of electrons can be excited."""
    return Correlated(float(reference.e_tot), lambda: reference.nuc_grad_method().set(verbose=0).kernel())
