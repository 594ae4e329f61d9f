"""Unrestricted Hartree–Fock through PySCF, from several starts, every result checked for stability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from pyscf import gto
from pyscf.scf import uhf
from pyscf.soscf import newton_ah

from bodyorder.sources.pyscf import eigensolver
from bodyorder.sources.pyscf.mean_field.relax import AtomicMatrices, relax
from bodyorder.sources.pyscf.mean_field.starts import patterns, starting_density, without_checkpoints

#: Convergence of the energy (hartree) and of its derivative with respect to rotations of the orbitals.
ENERGY, GRADIENT = 1e-11, 1e-7
#: Starts that end within this of the lowest (hartree) lead to one solution.
SAME = 1e-6
#: Different solutions taken on to full convergence.
FINALISTS = 2
#: A second derivative below this means a saddle point.
CURVATURE = -1e-5
#: Rotations up to this many are looked at all together, more by iteration to a residual.
DENSE, RESIDUAL = 40, 1e-4
#: Saddle points left one after the other before giving up.
ESCAPES = 8


class SpinPolarised:
    """Mean fields of one sub-cluster.

    :param mol: with its charge set
    :param basis: name of the basis set
    :param matrices: its integrals
    :param positions: in Å, shape (k, 3)
    """

    def __init__(self, mol: gto.Mole, basis: str, matrices: AtomicMatrices, positions: np.ndarray):
        self.mol, self.basis, self.matrices, self.positions = mol, basis, matrices, positions

    def lowest(self, spins: Sequence[int]) -> uhf.UHF | None:
        """The lowest solution among some spins, or None if one of them has no converged and stable solution.

        :param spins: numbers of unpaired electrons
        """
        fields = [self._lowest_of_spin(unpaired) for unpaired in spins]
        found = [field for field in fields if field is not None]
        return min(found, key=lambda field: field.e_tot) if len(found) == len(fields) else None

    def _lowest_of_spin(self, unpaired: int) -> uhf.UHF | None:
        mol = self.mol.copy(deep=False)
        mol.spin = unpaired
        field = None
        for density in self._starts(mol):
            candidate = self._solve(mol, density)
            if candidate.converged and (field is None or candidate.e_tot < field.e_tot - SAME):
                field = candidate
        for _ in range(ESCAPES):
            if field is None or not field.converged:
                return None
            curvature, lower = _downhill(field)
            if curvature > CURVATURE:
                return field if np.isfinite(curvature) else None
            field = self._solve(mol, field.make_rdm1(lower, field.mo_occ))
        return None

    def _starts(self, mol: gto.Mole) -> list[np.ndarray]:
        """Densities close to the lowest solutions that the starts lead to."""
        numbers, ranges = mol.atom_charges(), mol.aoslice_by_atom()[:, 2:]
        starts = [
            starting_density(self.basis, numbers, pattern, ranges)
            for pattern in patterns(numbers, self.positions, mol.charge, mol.spin)
        ]
        starts.append(self._field(mol).get_init_guess(key="minao"))
        energies, densities = relax(self.matrices, np.array(starts), mol.nelec)
        chosen: list[int] = []
        for start in np.argsort(energies, kind="stable"):
            if not chosen or energies[start] > energies[chosen[-1]] + SAME:
                chosen.append(int(start))
        return [densities[start] for start in chosen[:FINALISTS]]

    def _field(self, mol: gto.Mole) -> uhf.UHF:
        with without_checkpoints():
            field = uhf.UHF(mol)
        field.verbose = 0
        field.conv_tol, field.conv_tol_grad = ENERGY, GRADIENT
        field._eri = self.matrices.repulsion
        field.get_hcore = lambda *_: self.matrices.core
        field.get_ovlp = lambda *_: self.matrices.overlap
        return field

    def _solve(self, mol: gto.Mole, density: np.ndarray) -> uhf.UHF:
        field = self._field(mol)
        field.kernel(dm0=density)
        if not field.converged:
            second = field.newton()
            second.verbose = 0
            second.kernel(field.mo_coeff, field.mo_occ)
            field.converged, field.e_tot = second.converged, second.e_tot
            field.mo_coeff, field.mo_occ, field.mo_energy = second.mo_coeff, second.mo_occ, second.mo_energy
        return field


def _downhill(field: uhf.UHF) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Lowest second derivative, infinite if it was not found, and the orbitals rotated along its direction."""
    gradient, action, diagonal = newton_ah.gen_g_hop_uhf(field, field.mo_coeff, field.mo_occ, with_symmetry=False)
    size = gradient.size
    if not size:
        return 0.0, field.mo_coeff
    if size <= DENSE:
        hessian = np.array([action(unit) for unit in np.eye(size)])
        values, vectors = scipy.linalg.eigh(hessian, subset_by_index=[0, 0])
        value, direction = values[0], vectors[:, 0]
    else:
        matrices = eigensolver.Matrices(
            lambda vectors, _: np.array([[action(vector) for vector in vectors[0]]]), np.array(diagonal)[None]
        )
        space = eigensolver.start(matrices)
        eigensolver.converge(matrices, space, np.zeros(1, dtype=np.int64), RESIDUAL)
        value, direction = space.energies[0], space.vectors[0, 0]
    rotated, used = [], 0
    for coefficients, occupations in zip(field.mo_coeff, field.mo_occ, strict=True):
        occupied, empty = np.flatnonzero(occupations > 0), np.flatnonzero(occupations == 0)
        count = len(occupied) * len(empty)
        angles = np.zeros((len(occupations), len(occupations)))
        angles[np.ix_(empty, occupied)] = direction[used : used + count].reshape(len(empty), len(occupied))
        rotated.append(coefficients @ scipy.linalg.expm(angles - angles.T))
        used += count
    return float(value), (rotated[0], rotated[1])
