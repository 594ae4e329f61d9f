"""Restricted Hartree–Fock, of closed shells and of open shells with parallel spins: the lowest stable solution of each.

Neither is additive for parts far from each other: one set of orbitals cannot leave one electron of a pair on either side.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pyscf import gto
from pyscf.scf import hf
from pyscf.scf.rohf import ROHF

from bodyorder.sources.pyscf.integrals import ClusterIntegrals, IntegralCache
from bodyorder.sources.pyscf.mean_field import candidate_densities, closed_shells
from bodyorder.sources.pyscf.mean_field.fields import (
    analytic_gradient,
    analytic_hessian,
    closed_to_pyscf,
    molecule_of,
    with_integrals,
)
from bodyorder.sources.pyscf.mean_field.iterative import stable
from bodyorder.sources.pyscf.mean_field.records import record_state
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.sources.pyscf.orbitals import orthonormal
from bodyorder.sources.pyscf.problem import Answer, Problem

#: Starts from random orbitals.
RANDOM = 4
#: Convergence while starts are ranked: energy and derivative with respect to rotations of the orbitals (hartree).
RANKING = (1e-6, 1e-3)
#: Starts that end within this of each other (hartree) lead to one solution.
SAME = 1e-5
#: Different solutions taken on.
FINALISTS = 2


def rhf(problem: Problem, cache: IntegralCache) -> Answer:
    """Restricted Hartree–Fock without unpaired electrons."""
    if 0 in problem.spins:
        return _evaluate(problem, cache, [0])
    answer = Answer.empty(problem.batch)
    message = f"rhf needs a closed shell, the spin rule leaves {problem.spins[0]} electrons unpaired; use rohf or uhf"
    answer.messages.update(dict.fromkeys(range(len(problem.batch)), message))
    return answer


def rohf(problem: Problem, cache: IntegralCache) -> Answer:
    """Restricted Hartree–Fock with any number of parallel unpaired electrons."""
    return _evaluate(problem, cache, problem.spins)


def _evaluate(problem: Problem, cache: IntegralCache, spins: list[int]) -> Answer:
    answer = Answer.empty(problem.batch)
    closed = closed_shells(replace(problem, spins=spins), cache)
    for row, solution in closed.items():
        record_state(answer, row, 0, [solution.energy])
        answer.record("contamination", row, 0.0)
        if problem.gradient or problem.hessian:
            integrals = cache.integrals(problem.batch.select(np.array([row])))
            field = closed_to_pyscf(solution, molecule_of(problem.batch, row, cache.basis, 0), integrals, 0)
            if problem.gradient:
                answer.gradients[row] = analytic_gradient(field, integrals)
            if problem.hessian:
                answer.curve(row, analytic_hessian(field))
    rest = np.array([row for row in range(len(problem.batch)) if row not in closed], dtype=np.int64)
    if len(rest):
        moments = None if problem.moments is None else problem.moments[rest]
        answer.take(rest, _searched(replace(problem, batch=problem.batch.select(rest), moments=moments), cache, spins))
    return answer


def _searched(problem: Problem, cache: IntegralCache, spins: list[int]) -> Answer:
    """What has no short way, by many starts."""
    answer, integrals = Answer.empty(problem.batch), cache.integrals(problem.batch)
    starts = {unpaired: candidate_densities(problem, cache, unpaired) for unpaired in spins}
    for row in range(len(problem.batch)):
        fields = []
        for unpaired in spins:
            mol = molecule_of(problem.batch, row, cache.basis, unpaired)
            fields.append(_lowest(mol, integrals, row, list(starts[unpaired][row])))
        found = sorted((field for field in fields if field is not None), key=lambda field: field.e_tot)
        if len(found) < len(fields):
            answer.messages[row] = (
                "a stable restricted Hartree-Fock solution must exist, and none was found; use uhf or fci"
            )
            continue
        record_state(answer, row, found[0].mol.spin, [field.e_tot for field in found])
        answer.record("contamination", row, 0.0)
        if problem.gradient:
            answer.gradients[row] = analytic_gradient(found[0], integrals)
        if problem.hessian:
            answer.curve(row, analytic_hessian(found[0]))
    return answer


def _lowest(mol: gto.Mole, integrals: ClusterIntegrals, row: int, densities: list[np.ndarray]) -> hf.SCF | None:
    """The lowest stable solution that some densities of both spins and others lead to."""
    densities = [*densities, *_random(mol, integrals.overlap[row])]
    ranked: list[tuple[float, int, np.ndarray]] = []
    for density in [*densities, _field(mol, integrals, row).get_init_guess(key="1e")]:
        field = _field(mol, integrals, row)
        field.conv_tol, field.conv_tol_grad = RANKING
        field.kernel(dm0=density if mol.spin or density.ndim == 2 else density.sum(axis=0))
        ranked.append((field.e_tot, len(ranked), field.make_rdm1()))
    finalists: list[tuple[float, int, np.ndarray]] = []
    for one in sorted(ranked, key=lambda rank: rank[:2]):
        if len(finalists) < FINALISTS and (not finalists or one[0] > finalists[-1][0] + SAME):
            finalists.append(one)
    solved = [stable(_field(mol, integrals, row), density) for _, _, density in finalists]
    return min((field for field in solved if field is not None), key=lambda field: field.e_tot, default=None)


def _field(mol: gto.Mole, integrals: ClusterIntegrals, row: int) -> hf.SCF:
    with without_checkpoints():
        return with_integrals(ROHF(mol) if mol.spin else hf.RHF(mol), integrals, row)


def _random(mol: gto.Mole, overlap: np.ndarray) -> list[np.ndarray]:
    """Densities of both spins of random determinants; the down electrons share orbitals with up electrons."""
    rng, (coefficients, ranks) = np.random.default_rng(0), orthonormal(overlap[None])
    orbitals, densities = coefficients[0][:, len(overlap) - ranks[0] :], []
    for _ in range(RANDOM):
        turned = orbitals @ np.linalg.qr(rng.standard_normal((ranks[0], ranks[0])))[0]
        densities.append(np.array([turned[:, :count] @ turned[:, :count].T for count in mol.nelec]))
    return densities
