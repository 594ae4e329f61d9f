"""Kohn–Sham density functional theory: the lowest solution of each sub-cluster.

Functions on the points of an atom are the same for every sub-cluster that holds it: they are evaluated once
(:mod:`.points`). States are found and made self-consistent on a coarse grid, which a few looks at finer ones mend
(:mod:`.relaxation`); closed shells go a short way, others are searched (:mod:`.search`), and what is found is checked for
stability (:mod:`.curvature`).

The grid belongs to the nuclei that are present: atoms that lend their functions bring no points, so that a sub-cluster is
integrated on the same points whatever functions it is given. How much energies scatter as it turns is known
(:mod:`~bodyorder.sources.pyscf.mean_field.grid_noise`). Functionals without second derivatives are not checked for
stability and rely on their starts; nonlocal correlation is left out of that check.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pyscf.dft import rks

from bodyorder.sources.pyscf.integrals import ClusterIntegrals, IntegralCache
from bodyorder.sources.pyscf.mean_field import candidate_densities
from bodyorder.sources.pyscf.mean_field.fields import analytic_gradient, analytic_hessian, molecule_of
from bodyorder.sources.pyscf.mean_field.kohn_sham.curvature import canonical
from bodyorder.sources.pyscf.mean_field.kohn_sham.field import Field
from bodyorder.sources.pyscf.mean_field.kohn_sham.functional import Functional
from bodyorder.sources.pyscf.mean_field.kohn_sham.one_by_one import Solver
from bodyorder.sources.pyscf.mean_field.kohn_sham.points import PointCache, point_cache
from bodyorder.sources.pyscf.mean_field.kohn_sham.relaxation import State
from bodyorder.sources.pyscf.mean_field.kohn_sham.search import RESTS, Search
from bodyorder.sources.pyscf.mean_field.projection import contamination
from bodyorder.sources.pyscf.mean_field.records import record_state
from bodyorder.sources.pyscf.mean_field.spins import near_the_lowest
from bodyorder.sources.pyscf.mean_field.starts import RANGE, AtomicOrbitals, patterns
from bodyorder.sources.pyscf.problem import Answer, Problem

#: Patterns of moments whose energies s·J·s/2 differ by no more, J = exp(−d/0.5 Å), are about as good as each other.
ALIKE = 5e-3


def unrestricted(problem: Problem, cache: IntegralCache) -> Answer:
    """Spin-polarised Kohn–Sham theory.

    :raises InputError: if the option ``xc`` is missing or unknown, or ``grid`` is no level
    """
    return _evaluate(problem, cache, restricted=False)


def restricted(problem: Problem, cache: IntegralCache) -> Answer:
    """Kohn–Sham theory with one set of orbitals for both spins; unpaired electrons are parallel.

    :raises InputError: as :func:`unrestricted`
    """
    return _evaluate(problem, cache, restricted=True)


@dataclass(frozen=True)
class Solution:
    """The lowest with one number of unpaired electrons.

    :param unpaired: electrons
    :param energy: in hartree
    :param orbitals: occupied ones of both spins
    :param field: a PySCF object that holds it, where forces are wanted
    """

    unpaired: int
    energy: float
    orbitals: tuple[np.ndarray, np.ndarray]
    field: rks.KohnShamDFT | None = None


class Solutions:
    """Of the sub-clusters of a problem.

    :param problem: what is asked
    :param cache: where integrals come from
    :param functional: what is minimised
    """

    def __init__(self, problem: Problem, cache: IntegralCache, functional: Functional):
        self.problem, self.cache, self.functional = problem, cache, functional
        self.integrals: ClusterIntegrals = cache.integrals(problem.batch)
        self._points: PointCache = point_cache(cache)
        self._derivatives = problem.gradient or problem.hessian
        self._bare = replace(problem.batch, ghosts=np.empty((len(problem.batch), 0), dtype=np.int64))
        numbers = problem.batch.numbers[0]
        m = self.integrals.core.shape[1]
        self._orbitals = atoms = AtomicOrbitals.of_cluster(
            cache.basis, numbers, m - int(cache.functions(numbers).sum())
        )
        filled = atoms.occupations(np.zeros(len(numbers))).sum(axis=0)
        self._atoms = (atoms.coefficients * filled) @ atoms.coefficients.T
        #: whether atoms have shells of several orbitals, of which patterns of moments do not tell how electrons lie in them
        self._shells = len(atoms.atoms) > len(numbers)

    def all(self) -> list[dict[int, Solution | None]]:
        """For each row those of every number of unpaired electrons, None where one is missing that may be the lowest.

        Of closed shells beyond doubt only that without unpaired electrons is given. Those far above the lowest on the coarse grid
        are left out (:mod:`~bodyorder.sources.pyscf.mean_field.spins`).
        """
        rows = range(len(self.problem.batch))
        found: list[dict[int, Solution | None]] = [{} for _ in rows]
        fields = [self._field(row) for row in rows]
        if 0 in self.problem.spins and self._shells:
            for row in rows:
                search = self._search(fields[row], 0)
                state = search.closed()
                if state is not None:
                    found[row] = {0: self._solution(fields[row], row, 0, state)}
        left = np.array([row for row in rows if not found[row]], dtype=np.int64)
        if not len(left):
            return found
        moments = self.problem.moments
        part = replace(
            self.problem, batch=self.problem.batch.select(left), moments=None if moments is None else moments[left]
        )
        candidates = [candidate_densities(part, self.cache, unpaired) for unpaired in self.problem.spins]
        for row, *densities in zip(left.tolist(), *candidates, strict=True):
            starts = [
                np.concatenate([some, self._patterns(row, unpaired)])
                for some, unpaired in zip(densities, self.problem.spins, strict=True)
            ]
            found[row] = self._of_every_spin(fields[row], row, starts)
        return found

    def _of_every_spin(self, field: Field, row: int, starts: list[np.ndarray]) -> dict[int, Solution | None]:
        """The solutions of one row by number of unpaired electrons, from starts for each of them."""
        searches = [self._search(field, unpaired) for unpaired in self.problem.spins]
        rough = [
            [] if self.functional.restricted and unpaired else search.rough(densities)
            for unpaired, search, densities in zip(self.problem.spins, searches, starts, strict=True)
        ]

        def solve(place: int) -> tuple[Solution, float] | None:
            unpaired = self.problem.spins[place]
            solution = self._lowest(field, row, unpaired, searches[place], rough[place], starts[place])
            if solution is None:
                return None
            # grids are not held against each other
            return solution, rough[place][0].energy if rough[place] else solution.energy

        bottoms = [states[0].energy if states else -np.inf for states in rough]
        at_rest = [bool(states) and states[0].error < RESTS[0] for states in rough]
        found, missing = near_the_lowest(self.problem.spins, bottoms, at_rest, solve)
        return {**found, **dict.fromkeys(missing)}

    def _patterns(self, row: int, unpaired: int) -> np.ndarray:
        """Superposed atoms with moments up and down, where several patterns are about as good as the best.

        Atoms far from each other have them, and solutions that differ by little; the search for candidates keeps few of those.

        :return: densities of both spins, shape (patterns, 2, m, m)
        """
        batch, m = self.problem.batch, len(self._atoms)
        if self._shells:
            return np.empty((0, 2, m, m))
        some = patterns(batch.numbers[row], batch.positions[row], int(batch.charges[row]), unpaired)
        distances = np.linalg.norm(batch.positions[row][:, None] - batch.positions[row], axis=2)
        energies = 0.5 * ((some @ np.exp(-distances / RANGE)) * some).sum(axis=1)
        some = some[energies < energies.min() + ALIKE]
        if len(some) < 2:
            return np.empty((0, 2, m, m))
        filled = self._orbitals.occupations(some)[:, :, None]
        return (self._orbitals.coefficients * filled) @ self._orbitals.coefficients.T

    def _lowest(
        self, field: Field, row: int, unpaired: int, search: Search, rough: list[State], densities: np.ndarray
    ) -> Solution | None:
        """The lowest of one number of unpaired electrons, from states on the coarse grid where there are some."""
        if rough:
            state = search.lowest(rough)
            if state is not None:
                return self._solution(field, row, unpaired, state)
            if search.near is not None:
                # of one set of orbitals half of the density belongs to either spin
                densities = np.stack([search.near[0], search.near[-1]])[None] * (0.5 * len(search.near))
        solver = Solver(field)
        found = solver.lowest(unpaired, densities)
        if found is None:
            return None
        filled = np.asarray(found.mo_occ)
        sets = [np.asarray(found.mo_coeff)] * 2 if filled.ndim == 1 else list(found.mo_coeff)
        occupied = [filled > 0.5, filled > 1.5] if filled.ndim == 1 else [filled[0] > 0.5, filled[1] > 0.5]
        orbitals = (sets[0][:, occupied[0]], sets[1][:, occupied[1]])
        return Solution(unpaired, float(found.e_tot), orbitals, found)

    def _field(self, row: int) -> Field:
        spin = self.problem.spins[0]
        mol = molecule_of(self.problem.batch, row, self.cache.basis, spin)
        nuclei = molecule_of(self._bare, row, self.cache.basis, spin)
        return Field(mol, nuclei, self.integrals, row, self.functional, self.problem.batch, self._points)

    def _search(self, field: Field, unpaired: int) -> Search:
        count = self.problem.n_electrons
        electrons = (count + unpaired) // 2, (count - unpaired) // 2
        return Search(field, electrons, self._atoms, self._derivatives)

    def _solution(self, field: Field, row: int, unpaired: int, state: State) -> Solution:
        orbitals = (state.orbitals[0], state.orbitals[-1])
        found = self._as_pyscf(field, row, unpaired, state) if self._derivatives else None
        return Solution(unpaired, state.energy, orbitals, found)

    def _as_pyscf(self, field: Field, row: int, unpaired: int, state: State) -> rks.KohnShamDFT:
        """A converged PySCF object that holds a state, with the orbital energies of the fine grid."""
        solver = Solver(field)
        found = solver.new(unpaired)
        densities = field.densities(state.orbitals)
        if not self.functional.restricted and len(densities) == 1:
            densities = np.concatenate([densities, densities]) / 2.0
        fine = np.asarray(found.get_fock(dm=densities[0] if self.functional.restricted else densities))
        energies, orbitals, filled = [], [], []
        for fock, some in zip(fine[None] if self.functional.restricted else fine, state.orbitals, strict=False):
            below, occupied, empty, above = canonical(field, fock, some)
            energies.append(np.concatenate([below, above]))
            orbitals.append(np.concatenate([occupied, empty], axis=1))
            filled.append((np.arange(len(energies[-1])) < len(below)).astype(np.float64))
        if self.functional.restricted:
            found.mo_energy, found.mo_coeff, found.mo_occ = energies[0], orbitals[0], 2.0 * filled[0]
        else:
            found.mo_energy, found.mo_coeff, found.mo_occ = (
                np.array([some[0], some[-1]]) for some in (energies, orbitals, filled)
            )
        found.converged, found.e_tot = True, state.energy
        return found


def _evaluate(problem: Problem, cache: IntegralCache, restricted: bool) -> Answer:
    functional = Functional.of(problem.options, restricted)
    answer = Answer.empty(problem.batch)
    solutions = Solutions(problem, cache, functional)
    for row, each in enumerate(solutions.all()):
        failed = sorted(spin for spin, one in each.items() if one is None)
        if failed:
            answer.messages[row] = (
                f"Kohn-Sham theory with xc={functional.name} must have a converged and stable solution, with "
                f"2S+1 = {failed[0] + 1} none is found; use another functional or uhf"
            )
            continue
        found = sorted((one for one in each.values() if one is not None), key=lambda one: one.energy)
        best = found[0]
        record_state(answer, row, best.unpaired, [one.energy for one in found])
        answer.record("contamination", row, contamination(best.orbitals, solutions.integrals.overlap[row]))
        if best.field is not None and problem.gradient:
            # points move with their nuclei, where there are some
            settings = {} if functional.kind == "HF" else {"grid_response": True}
            answer.gradients[row] = analytic_gradient(best.field, solutions.integrals, **settings)
        if best.field is not None and problem.hessian:
            answer.curve(row, analytic_hessian(best.field))
    return answer
