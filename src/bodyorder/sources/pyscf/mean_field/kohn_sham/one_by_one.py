"""One Kohn–Sham solution at a time through PySCF, on the fine grid throughout and to second order where need be.

For open shells of which both spins share their orbitals, and for what does not come to rest otherwise. Nonlocal correlation is
left out of the check for stability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from pyscf import dft, gto, lib
from pyscf.dft import rks
from scipy.sparse import linalg

from bodyorder.sources.pyscf.mean_field.fields import with_integrals
from bodyorder.sources.pyscf.mean_field.functionals import has_curvature
from bodyorder.sources.pyscf.mean_field.kohn_sham.field import Field, nonlocal_level
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints

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


@dataclass(frozen=True)
class Solver:
    """Finds the lowest solution of one sub-cluster.

    :param field: the sub-cluster
    """

    field: Field

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
        if found is None or not has_curvature(self.field.functional.name):
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

    def new(
        self, unpaired: int, level: int | None = None, convergence: tuple[float, float] = (ENERGY, GRADIENT)
    ) -> rks.KohnShamDFT:
        """A PySCF object that has not been solved yet."""
        field, functional = self.field, self.field.functional
        mol = field.mol.copy(deep=False)
        mol.spin = unpaired
        kind = dft.UKS if not functional.restricted else dft.ROKS if unpaired else dft.RKS
        with without_checkpoints():
            new = with_integrals(kind(mol, xc=functional.name), field.integrals, field.row)
        new.conv_tol, new.conv_tol_grad = convergence
        level = functional.level if level is None else level
        new.grids = field.grids(level)
        if new.do_nlc():
            new.nlcgrids = field.grids(nonlocal_level(level))
        if field.basis.shape[1] < mol.nao:
            new._eigh = lambda fock, *_, **__: _inside(fock, field.basis)

        def get_jk(
            mol: gto.Mole | None = None,
            dm: np.ndarray | None = None,
            hermi: int = 1,
            with_j: bool = True,
            with_k: bool = True,
            omega: float | None = None,
        ) -> tuple[np.ndarray | None, np.ndarray | None]:
            """Of symmetric densities, as all are that it is asked for."""
            densities = np.asarray(new.make_rdm1() if dm is None else dm)
            return (
                field.repelled(densities, omega or 0.0, exchange=False) if with_j else None,
                field.repelled(densities, omega or 0.0, exchange=True) if with_k else None,
            )

        new.get_jk = get_jk
        return new

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
        for level in dict.fromkeys((min(COARSE, self.field.functional.level), self.field.functional.level)):
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
