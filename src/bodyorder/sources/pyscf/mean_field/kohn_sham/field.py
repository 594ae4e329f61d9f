"""The energy of one sub-cluster as a function of its occupied orbitals, on grids of any fineness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pyscf import ao2mo, dft, gto
from pyscf.dft import gen_grid
from pyscf.scf.hf import dot_eri_dm

from bodyorder.sources.pyscf.fitting import FittedIntegrals
from bodyorder.sources.pyscf.integrals import FOURFOLD, ClusterIntegrals
from bodyorder.sources.pyscf.mean_field.kohn_sham.functional import Functional
from bodyorder.sources.pyscf.mean_field.kohn_sham.integration import acting, matrices
from bodyorder.sources.pyscf.mean_field.kohn_sham.points import PointCache, Points
from bodyorder.sources.pyscf.orbitals import orthonormal
from bodyorder.structures.clusters import ClusterBatch


@dataclass(frozen=True)
class Look:
    """What a grid says of some orbitals.

    :param energy: in hartree
    :param fock: Fock matrices, shape (sets, m, m)
    :param functional: the part of the energy that is integrated over points
    :param potential: that of the Fock matrices
    """

    energy: float
    fock: np.ndarray
    functional: float
    potential: np.ndarray


@dataclass
class Field:
    """One sub-cluster.

    Orbitals are lists: occupied ones of both spins, shape (m, occupied) each, or one set that holds pairs.

    :param mol: with its charge, ghosts behind its atoms
    :param nuclei: the same without the functions of other atoms
    :param integrals: of its batch
    :param row: the sub-cluster there
    :param functional: what is minimised
    :param batch: the sub-clusters
    :param cache: of functions on points
    """

    mol: gto.Mole
    nuclei: gto.Mole
    integrals: ClusterIntegrals
    row: int
    functional: Functional
    batch: ClusterBatch
    cache: PointCache
    _points: dict[int, Points] = field(default_factory=dict)
    _grids: dict[int, gen_grid.Grids] = field(default_factory=dict)
    _repulsion: dict[float, tuple[np.ndarray, np.ndarray | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.core, self.overlap = self.integrals.core[self.row], self.integrals.overlap[self.row]
        self.nuclear = float(self.integrals.nuclear[self.row])
        coefficients, (rank,) = orthonormal(self.overlap[None])
        #: orthonormal combinations of the functions, shape (m, r)
        self.basis = coefficients[0][:, len(self.core) - rank :]

    def points(self, level: int) -> Points:
        """The points of a grid."""
        if level not in self._points:
            self._points[level] = Points(self.mol, self.nuclei, level, self.cache.of(self.batch, self.row, level))
        return self._points[level]

    def grids(self, level: int) -> gen_grid.Grids:
        """The points of a grid as PySCF has them, with the functions that reach each of them."""
        if level not in self._grids:
            grids = gen_grid.Grids(self.nuclei).set(level=level, verbose=0).build()
            grids.mol = self.mol
            grids.non0tab = grids.screen_index = grids.make_mask(self.mol, grids.coords)
            self._grids[level] = grids
        return self._grids[level]

    def look(self, orbitals: Sequence[np.ndarray], level: int) -> Look:
        """Energy and Fock matrices, without nonlocal correlation."""
        energy, fock = self._without_functional(orbitals)
        part, potential = matrices(self.functional, self.points(level), orbitals)
        return Look(energy + part, fock + potential, part, potential)

    def mended(self, orbitals: Sequence[np.ndarray], level: int, coarse: Look) -> tuple[float, np.ndarray]:
        """What a finer grid, and nonlocal correlation, change of the energy and of the Fock matrices.

        Of the matrices, what they make of occupied orbitals is known and the rest is taken to be zero.

        :param level: of the finer grid
        :param coarse: what the other one says of these orbitals
        """
        energy, images = acting(self.functional, self.points(level), orbitals)
        change = energy - coarse.functional
        images = [
            image - potential @ some for image, potential, some in zip(images, coarse.potential, orbitals, strict=True)
        ]
        if self.functional.nonlocal_correlation:
            energy, potential = self._nonlocal(orbitals, level)
            change += energy
            images = [image + potential @ some for image, some in zip(images, orbitals, strict=True)]
        return change, np.array([self._symmetric(some, image) for some, image in zip(orbitals, images, strict=True)])

    def _symmetric(self, orbitals: np.ndarray, image: np.ndarray) -> np.ndarray:
        """The symmetric matrix V with V·orbitals = image and nothing between empty orbitals."""
        dual = self.overlap @ orbitals
        half = image @ dual.T
        return half + half.T - dual @ (orbitals.T @ image) @ dual.T

    def densities(self, orbitals: Sequence[np.ndarray]) -> np.ndarray:
        """Density matrices, shape (sets, m, m)."""
        filling = 2.0 if len(orbitals) == 1 else 1.0
        return np.array([filling * some @ some.T for some in orbitals])

    def _without_functional(self, orbitals: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
        densities = self.densities(orbitals)
        total = densities.sum(axis=0)
        coulomb = self.repelled(total, 0.0, exchange=False)
        fock = np.repeat((self.core + coulomb)[None], len(densities), axis=0)
        energy = np.vdot(total, self.core) + 0.5 * np.vdot(total, coulomb) + self.nuclear
        for share, omega in self.functional.exchange:
            part = (share * (0.5 if len(orbitals) == 1 else 1.0)) * self.repelled(densities, omega, exchange=True)
            fock -= part
            energy -= 0.5 * np.vdot(part, densities)
        return float(energy), fock

    def repelled(self, densities: np.ndarray, omega: float, exchange: bool) -> np.ndarray:
        """Coulomb or exchange matrices of symmetric densities.

        :param omega: of erf(ωr)/r in place of 1/r, or of erfc(|ω|r)/r where it is negative
        """
        repulsion, order = self._pairs(omega)
        if order is None:
            return np.asarray(dot_eri_dm(repulsion, densities, 1, not exchange, exchange)[int(exchange)])
        rows, columns = np.ix_(order, order)
        turned = np.ascontiguousarray(densities[..., rows, columns])
        found = np.empty_like(densities)
        found[..., rows, columns] = dot_eri_dm(repulsion, turned, 1, not exchange, exchange)[int(exchange)]
        return found

    def _pairs(self, omega: float) -> tuple[np.ndarray, np.ndarray | None]:
        if omega not in self._repulsion:
            self._repulsion[omega] = self._evaluated(omega)
        return self._repulsion[omega]

    def _evaluated(self, omega: float) -> tuple[np.ndarray, np.ndarray | None]:
        auxiliary = self.integrals.auxiliary
        if omega == 0.0:
            if len(self.core) <= FOURFOLD or auxiliary is not None:
                return self.integrals.repulsion[self.row], None
            return self.integrals.packed(self.row)
        if auxiliary is not None:
            fitted = FittedIntegrals(self.mol, self.integrals.basis, auxiliary, omega)
            return fitted.repulsion(np.arange(len(fitted.three)), np.arange(self.mol.natm)), None
        with self.mol.with_range_coulomb(omega):
            repulsion = self.mol.intor("int2e", aosym="s8")
        return (ao2mo.restore(4, repulsion, len(self.core)) if len(self.core) <= FOURFOLD else repulsion), None

    def _nonlocal(self, orbitals: Sequence[np.ndarray], level: int) -> tuple[float, np.ndarray]:
        grids = self.grids(nonlocal_level(level))
        total = self.densities(orbitals).sum(axis=0)
        _, energy, potential = dft.numint.NumInt().nr_nlc_vxc(self.mol, grids, self.functional.name, total)
        return float(energy), np.asarray(potential)


def nonlocal_level(level: int) -> int:
    """Level of the grid for nonlocal correlation beside that for all else."""
    return max(level - 1, 0)
