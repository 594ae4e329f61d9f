"""One Kohn–Sham solution at a time through PySCF, on the fine grid throughout and to second order where need be.

For open shells of which both spins share their orbitals, and for what does not come to rest otherwise. Nonlocal correlation is
left out of the check for stability.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.linalg
from pyscf import ao2mo, dft, gto, lib
from pyscf.dft import gen_grid, rks
from pyscf.scf.hf import dot_eri_dm
from scipy.sparse import linalg

from bodyorder.sources.pyscf.fitting import FittedIntegrals
from bodyorder.sources.pyscf.integrals import ClusterIntegrals
from bodyorder.sources.pyscf.mean_field.fields import with_integrals
from bodyorder.sources.pyscf.mean_field.functionals import has_curvature
from bodyorder.sources.pyscf.mean_field.kohn_sham.functional import Functional
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.sources.pyscf.orbitals import orthonormal

#: Level of PySCF's grids that ranks starts.
COARSE = 1
#: Convergence of the energy (hartree) and of its derivative with respect to rotations of the orbitals.
ENERGY, GRADIENT = 1e-10, 1e-6
#: The same while starts are ranked.
RANKING = (1e-6, 1e-3)
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


@dataclass
class Solver:
    """Finds the lowest field of one sub-cluster.

    :param mol: with its charge set
    :param nuclei: the same without the functions of other atoms
    :param integrals: of the batch
    :param row: the sub-cluster in it
    :param functional: what is minimised
    """

    mol: gto.Mole
    nuclei: gto.Mole
    integrals: ClusterIntegrals
    row: int
    functional: Functional
    _grids: dict[int, gen_grid.Grids] = field(default_factory=dict)
    _ranged: dict[float, np.ndarray] = field(default_factory=dict)

    def lowest(self, unpaired: int, densities: np.ndarray) -> rks.KohnShamDFT | None:
        """The lowest solution that the starts lead to, or None if it has not converged or is no minimum.

        :param densities: of both spins to start from, shape (starts, 2, m, m)
        """
        rough = [self._solved(self.new(unpaired, COARSE, RANKING), density) for density in densities]
        rough.append(self._solved(self.new(unpaired, COARSE, RANKING), None))
        chosen: list[rks.KohnShamDFT] = []
        for candidate in sorted(rough, key=lambda candidate: candidate.e_tot):
            if not chosen or candidate.e_tot > chosen[-1].e_tot + SAME:
                chosen.append(candidate)
        fine = [self._refined(self.new(unpaired), candidate.make_rdm1()) for candidate in chosen[:FINALISTS]]
        found = min((one for one in fine if one.converged), key=lambda one: one.e_tot, default=None)
        if found is None or not has_curvature(self.functional.name):
            return found
        for _ in range(ESCAPES):
            way = self._downhill(found)
            if way is None:
                return self._polished(found)
            below = [self._refined(self.new(unpaired), self._rotated(found, way * angle)) for angle in ANGLES]
            lower = [one for one in below if one.converged and one.e_tot < found.e_tot - GAIN]
            if not lower:
                return None
            found = min(lower, key=lambda one: one.e_tot)
        return None

    @cached_property
    def _space(self) -> np.ndarray:
        """Orthonormal combinations of the functions, shape (m, r)."""
        orbitals, (rank,) = orthonormal(self.integrals.overlap[self.row][None])
        return orbitals[0][:, self.mol.nao - rank :]

    def new(
        self, unpaired: int, level: int | None = None, convergence: tuple[float, float] = (ENERGY, GRADIENT)
    ) -> rks.KohnShamDFT:
        """A PySCF object that has not been solved yet."""
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
        better = self._solved(self.new(found.mol.spin), self._rotated(found, step))
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
            copy = self.new(found.mol.spin, level)
            copy.mo_coeff, copy.mo_occ, copy.mo_energy = found.mo_coeff, found.mo_occ, found.mo_energy
            value, way = _lowest_curvature(copy)
            if value > CURVATURE:
                return None
        return way


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
    # a start without symmetry reaches what breaks it
    starts = [np.random.default_rng(0).standard_normal(size), np.eye(size)[np.argmin(diagonal)]]
    value, way = lib.davidson(
        action,
        starts,
        lambda x, e, *_: x / np.where(abs(diagonal - e) < 0.1, 0.1, diagonal - e),
        tol=1e-6,
        max_cycle=60,
        max_space=30,
        verbose=0,
    )
    return float(value), way


def _inside(fock: np.ndarray, space: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orbitals in what linearly dependent functions span."""
    energies, vectors = np.linalg.eigh(space.T @ np.asarray(fock) @ space)
    return energies, space @ vectors
