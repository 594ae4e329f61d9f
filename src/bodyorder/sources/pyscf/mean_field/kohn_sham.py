"""Kohn–Sham density functional theory through PySCF: several starts on a coarse grid, the lowest taken on and checked.

The grid belongs to the nuclei that are present: atoms that lend their functions bring no points, so that a sub-cluster is
integrated on the same points whatever functions it is given. How much energies scatter as it turns is known
(:mod:`~bodyorder.sources.pyscf.mean_field.grid_noise`). Functionals without second derivatives are not checked for
stability and rely on their starts; nonlocal correlation is left out of that check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.linalg
from pyscf import ao2mo, dft, gto, lib
from pyscf.dft import gen_grid, rks
from pyscf.scf import stability
from pyscf.scf.hf import dot_eri_dm
from scipy.sparse import linalg

from bodyorder._checks import InputError, check_between
from bodyorder.sources.pyscf.fitting import FittedIntegrals
from bodyorder.sources.pyscf.integrals import ClusterIntegrals, IntegralCache
from bodyorder.sources.pyscf.mean_field.fields import analytic_gradient, analytic_hessian, molecule_of, with_integrals
from bodyorder.sources.pyscf.mean_field.functionals import check_functional, has_curvature
from bodyorder.sources.pyscf.mean_field.records import record_state
from bodyorder.sources.pyscf.mean_field.refinement import refined
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.sources.pyscf.mean_field.unrestricted import Unrestricted
from bodyorder.sources.pyscf.orbitals import orthonormal
from bodyorder.sources.pyscf.problem import Answer, Problem

#: Level of PySCF's grids that energies are integrated on if not said otherwise, and of the one that ranks starts.
GRID, COARSE = 4, 1
#: Convergence of the energy (hartree) and of its derivative with respect to rotations of the orbitals.
ENERGY, GRADIENT = 1e-10, 1e-6
#: The same while starts are ranked.
RANKING = (1e-6, 1e-3)
#: The same on the coarse grid, from which the fine one is reached in a look or two.
CONVERGED = (1e-8, 3e-5)
#: Starts that end so far above the lowest (hartree) are not taken on.
FAR = 2e-2
#: Least second derivative (hartree) of a closed shell beyond doubt.
MARGIN = 0.05
#: Derivatives below this need no last Newton step, and steps to solve for it.
POLISHED, STEPS = 1e-8, 40
#: Starts that end within this of each other on the coarse grid (hartree) lead to one solution.
SAME = 1e-4
#: Different solutions taken on to the fine grid.
FINALISTS = 2
#: A second derivative below this means a saddle point; the coarse grid, which it comes from, blurs smaller ones. A minimum so
#: close to a saddle lies less than 1e-6 hartree below it.
CURVATURE = -1e-3
#: What must be gained by leaving a saddle point (hartree).
GAIN = 1e-7
#: Saddle points left one after the other before giving up, and angles tried at each (radians).
ESCAPES, ANGLES = 6, (1.0, 0.3)
#: Rotations up to this many are looked at all together.
DENSE = 40


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
class Functional:
    """What is minimised.

    :param name: as libxc knows it
    :param level: of the grid
    :param restricted: whether both spins share their orbitals
    """

    name: str
    level: int
    restricted: bool

    @classmethod
    def of(cls, options: dict[str, object], restricted: bool) -> Functional:
        """From the options ``xc`` and ``grid`` of a problem.

        :raises InputError: if ``xc`` is missing or unknown, or ``grid`` is no level
        """
        name = options.get("xc")
        if name is None:
            raise InputError("`xc` must name a density functional for rks and uks, such as xc=pbe, xc=pbe0 or xc=b3lyp")
        return cls(check_functional(name), check_between("grid", options.get("grid", GRID), 0, 9), restricted)


@dataclass
class Solver:
    """Finds the lowest field of one sub-cluster.

    :param mol: with its charge set
    :param nuclei: the same without the functions of other atoms
    :param integrals: of the batch
    :param row: the sub-cluster in it
    :param functional: what is minimised
    :param gradient: whether derivatives are wanted, which are linear in what is left of the slope where energies are quadratic
    """

    mol: gto.Mole
    nuclei: gto.Mole
    integrals: ClusterIntegrals
    row: int
    functional: Functional
    gradient: bool = False
    _grids: dict[int, gen_grid.Grids] = field(default_factory=dict)
    _ranged: dict[float, np.ndarray] = field(default_factory=dict)

    def lowest(self, unpaired: int, densities: np.ndarray) -> rks.KohnShamDFT | None:
        """The lowest solution that the starts lead to, or None if it has not converged or is no minimum.

        :param densities: of both spins to start from, shape (starts, 2, m, m)
        """
        rough = [self._solved(self._new(unpaired, COARSE, RANKING), density) for density in densities]
        rough.append(self._solved(self._new(unpaired, COARSE, RANKING), None))
        chosen: list[rks.KohnShamDFT] = []
        for candidate in sorted(rough, key=lambda candidate: candidate.e_tot):
            if not chosen or chosen[-1].e_tot + SAME < candidate.e_tot < chosen[0].e_tot + FAR:
                chosen.append(candidate)
        fine = [self._fine(candidate) for candidate in chosen[:FINALISTS]]
        found = min((one for one in fine if one.converged), key=lambda one: one.e_tot, default=None)
        if found is None or not has_curvature(self.functional.name):
            return found
        for _ in range(ESCAPES):
            way = self._downhill(found)
            if way is None:
                return self._polished(found) if self.gradient else found
            below = [self._refined(self._new(unpaired), self._rotated(found, way * angle)) for angle in ANGLES]
            lower = [one for one in below if one.converged and one.e_tot < found.e_tot - GAIN]
            if not lower:
                return None
            found = min(lower, key=lambda one: one.e_tot)
        return None

    def closed(self, density: np.ndarray) -> rks.KohnShamDFT | None:
        """The solution with one set of orbitals for both spins if it is stable by a margin, else None.

        :param density: of all electrons to start from, shape (m, m)
        """
        if not has_curvature(self.functional.name):
            return None
        # with the same grids and integrals
        shared = replace(self, functional=replace(self.functional, restricted=True))
        coarse = shared._solved(shared._new(0, COARSE, CONVERGED), density)
        if not coarse.converged or _least_parting(coarse) < MARGIN:
            return None
        fine = shared._fine(coarse)
        return fine if fine.converged else None

    def _fine(self, start: rks.KohnShamDFT) -> rks.KohnShamDFT:
        """The solution on the grid that is asked for, from one on a coarser grid."""
        unpaired = start.mol.spin
        if not (self.functional.restricted and unpaired):
            coarse = start
            if start.conv_tol > CONVERGED[0]:
                coarse = self._solved(self._new(unpaired, COARSE, CONVERGED), start.make_rdm1())
            fine = self._new(unpaired)
            if coarse.converged and refined(fine, coarse.mo_coeff, coarse.mo_occ, self._space):
                return fine
        return self._refined(self._new(unpaired), start.make_rdm1())

    @cached_property
    def _space(self) -> np.ndarray:
        """Orthonormal combinations of the functions, shape (m, r)."""
        orbitals, (rank,) = orthonormal(self.integrals.overlap[self.row][None])
        return orbitals[0][:, self.mol.nao - rank :]

    def _new(
        self, unpaired: int, level: int | None = None, convergence: tuple[float, float] = (ENERGY, GRADIENT)
    ) -> rks.KohnShamDFT:
        mol = self.mol.copy(deep=False)
        mol.spin = unpaired
        kind = dft.UKS if not self.functional.restricted else dft.ROKS if unpaired else dft.RKS
        with without_checkpoints():
            new = with_integrals(kind(mol, xc=self.functional.name), self.integrals, self.row)
        new.conv_tol, new.conv_tol_grad = convergence
        level = self.functional.level if level is None else level
        new.grids = self._grid(level)
        if new.do_nlc():
            new.nlcgrids = self._grid(max(level - 1, 0))
        if self._space.shape[1] < mol.nao:
            new._eigh = lambda fock, *_, **__: _inside(fock, self._space)
        new.get_jk = lambda mol=None, dm=None, hermi=1, with_j=True, with_k=True, omega=None: dot_eri_dm(
            self._repulsion(omega or 0.0), new.make_rdm1() if dm is None else dm, hermi, with_j, with_k
        )
        return new

    def _grid(self, level: int) -> gen_grid.Grids:
        """Points around the nuclei, with the functions that reach each of them."""
        if level not in self._grids:
            grids = gen_grid.Grids(self.nuclei)
            grids.level, grids.verbose = level, 0
            grids.build()
            grids.mol = self.mol
            grids.non0tab = grids.screen_index = grids.make_mask(self.mol, grids.coords)
            self._grids[level] = grids
        return self._grids[level]

    def _repulsion(self, omega: float) -> np.ndarray:
        """(μν|λσ) over pairs; with ``omega`` that of erf(ωr)/r, or of erfc(|ω|r)/r where it is negative."""
        if omega == 0.0:
            return self.integrals.repulsion[self.row]
        if omega not in self._ranged and (auxiliary := self.integrals.auxiliary) is not None:
            fitted = FittedIntegrals(self.mol, self.integrals.basis, auxiliary, omega)
            self._ranged[omega] = fitted.repulsion(np.arange(len(fitted.three)), np.arange(self.mol.natm))
        elif omega not in self._ranged:
            with self.mol.with_range_coulomb(omega):
                self._ranged[omega] = ao2mo.restore(4, self.mol.intor("int2e", aosym="s8"), self.mol.nao)
        return self._ranged[omega]

    def _solved(self, new: rks.KohnShamDFT, density: np.ndarray | None) -> rks.KohnShamDFT:
        if density is None:
            density = new.get_init_guess(key="minao")
        elif density.ndim == 3 and isinstance(new, dft.rks.RKS) and not isinstance(new, dft.roks.ROKS):
            density = density.sum(axis=0)
        new.kernel(dm0=np.asarray(density))
        return new

    def _refined(self, new: rks.KohnShamDFT, density: np.ndarray) -> rks.KohnShamDFT:
        self._solved(new, np.asarray(density))
        if not new.converged:
            second = new.newton().set(verbose=0)
            second.kernel(new.mo_coeff, new.mo_occ)
            new.converged, new.e_tot = second.converged, second.e_tot
            new.mo_coeff, new.mo_occ, new.mo_energy = second.mo_coeff, second.mo_occ, second.mo_energy
        return new

    def _polished(self, found: rks.KohnShamDFT) -> rks.KohnShamDFT:
        """The same after a Newton step, as forces are linear in what is left of the derivative."""
        gradient, action, diagonal = found.newton().set(verbose=0).gen_g_hop(found.mo_coeff, found.mo_occ)
        size, scale = gradient.size, np.maximum(diagonal, 0.1)
        if not size or np.linalg.norm(gradient) < POLISHED:
            return found
        step, _ = linalg.cg(
            linalg.LinearOperator((size, size), action, dtype=np.float64),
            -gradient,
            rtol=1e-2,
            maxiter=STEPS,
            M=linalg.LinearOperator((size, size), lambda vector: vector / scale, dtype=np.float64),
        )
        better = self._solved(self._new(found.mol.spin), self._rotated(found, step))
        return better if better.converged and abs(better.e_tot - found.e_tot) < GAIN else found

    def _rotated(self, found: rks.KohnShamDFT, angles: np.ndarray) -> np.ndarray:
        second = found.newton().set(verbose=0)
        rotation = second.update_rotate_matrix(angles, found.mo_occ)
        return found.make_rdm1(second.rotate_mo(found.mo_coeff, rotation), found.mo_occ)

    def _downhill(self, found: rks.KohnShamDFT) -> np.ndarray | None:
        """The rotation of the orbitals along which the energy falls fastest, of length 1, or None at a minimum."""
        way = None
        for level in dict.fromkeys((min(COARSE, self.functional.level), self.functional.level)):
            # what a coarse grid calls a saddle point may be one of its own
            copy = self._new(found.mol.spin, level)
            copy.mo_coeff, copy.mo_occ, copy.mo_energy = found.mo_coeff, found.mo_occ, found.mo_energy
            value, way = _lowest_curvature(copy)
            if value > CURVATURE:
                return None
        return way


def _least_parting(found: rks.KohnShamDFT) -> float:
    """Lowest second derivative with respect to rotations that part the spins of a closed shell."""
    action, diagonal = stability._gen_hop_rhf_external(found)[2:]
    if not diagonal.size:
        return np.inf
    return _lowest(action, diagonal, _starts(diagonal)[::-1], 1e-4, (30, 20))[0]


def _lowest_curvature(found: rks.KohnShamDFT) -> tuple[float, np.ndarray]:
    """Lowest second derivative with respect to rotations of the orbitals, and its direction."""
    gradient, action, diagonal = found.newton().set(verbose=0).gen_g_hop(found.mo_coeff, found.mo_occ)
    size = gradient.size
    if not size:
        return 0.0, gradient
    if size <= DENSE:
        hessian = np.array([action(unit) for unit in np.eye(size)])
        values, vectors = scipy.linalg.eigh(0.5 * (hessian + hessian.T), subset_by_index=[0, 0])
        return float(values[0]), vectors[:, 0]
    return _lowest(action, diagonal, _starts(diagonal), 1e-6, (60, 30))


def _starts(diagonal: np.ndarray) -> list[np.ndarray]:
    """Two vectors to begin with; one without symmetry reaches what breaks it."""
    size = diagonal.size
    return [np.random.default_rng(0).standard_normal(size), np.eye(size)[np.argmin(diagonal)]]


def _lowest(
    action: Callable[[np.ndarray], np.ndarray],
    diagonal: np.ndarray,
    starts: list[np.ndarray],
    tolerance: float,
    most: tuple[int, int],
) -> tuple[float, np.ndarray]:
    """The lowest eigenvalue of a matrix that is known by its action, and its vector.

    :param most: steps, and vectors held
    """
    value, vector = lib.davidson(
        action,
        starts,
        lambda x, e, *_: x / np.where(abs(diagonal - e) < 0.1, 0.1, diagonal - e),
        tol=tolerance,
        max_cycle=most[0],
        max_space=most[1],
        verbose=0,
    )
    return float(value), vector


def _evaluate(problem: Problem, cache: IntegralCache, restricted: bool) -> Answer:
    functional = Functional.of(problem.options, restricted)
    answer = Answer.empty(problem.batch)
    integrals = cache.integrals(problem.batch)
    spins = problem.spins
    search = Unrestricted(problem, cache)
    closed = search.closed
    starts = {spin: search.candidates(spin) for spin in spins}
    bare = replace(problem.batch, ghosts=np.empty((len(problem.batch), 0), dtype=np.int64))
    for row in range(len(problem.batch)):
        mol = molecule_of(problem.batch, row, cache.basis, spins[0])
        nuclei = molecule_of(bare, row, cache.basis, spins[0])
        solver = Solver(mol, nuclei, integrals, row, functional, problem.gradient or problem.hessian)
        if row in closed and not solver.gradient:
            alone = solver.closed(starts[0][row][0].sum(axis=0))
            if alone is not None:
                record_state(answer, row, 0, [alone.e_tot])
                answer.record("contamination", row, 0.0)
                continue
        fields = [solver.lowest(spin, starts[spin][row]) for spin in spins]
        failed = [spin for spin, found in zip(spins, fields, strict=True) if found is None]
        if failed:
            answer.messages[row] = (
                f"Kohn-Sham theory with xc={functional.name} must have a converged and stable solution, with "
                f"2S+1 = {failed[0] + 1} none is found; use another functional or uhf"
            )
            continue
        found = sorted((one for one in fields if one is not None), key=lambda one: one.e_tot)
        best, unpaired = found[0], found[0].mol.spin
        record_state(answer, row, unpaired, [one.e_tot for one in found])
        answer.record("contamination", row, max(best.spin_square()[0] - 0.25 * unpaired * (unpaired + 2), 0.0))
        if problem.gradient:
            # the points move with their nuclei
            answer.gradients[row] = analytic_gradient(best, integrals, grid_response=True)
        if problem.hessian:
            answer.curve(row, analytic_hessian(best))
    return answer


def _inside(fock: np.ndarray, space: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orbitals in what linearly dependent functions span."""
    energies, vectors = np.linalg.eigh(space.T @ np.asarray(fock) @ space)
    return energies, space @ vectors
