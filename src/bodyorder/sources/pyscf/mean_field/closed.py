"""Closed shells the short way: the restricted solution, shown to be stable by a wide margin.

A restricted mean field is found with fitted integrals, where a step costs little. There all its second derivatives are known:

    T_ai,bj = δ_ij δ_ab (ε_a − ε_i) − (ab|ij) − (aj|ib)    for rotations that part the two spins (triplet),
    T + 4 (ai|bj)                                         for those that keep them together (singlet).

What is added for the latter is positive, so one matrix decides (Seeger and Pople, J. Chem. Phys. 66, 3045 (1977),
doi:10.1063/1.434318). Where T − margin has a Cholesky factor no second derivative is below the margin: the solution is stable,
and so far from where spins part that no other was found below it. Where it has none, spins may part, and the search among all
starts decides. A few Newton steps by the fitted second derivatives lead from the fitted solution to that of the exact integrals;
how fast they converge shows how well the fit knows the second derivatives.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from pyscf import gto, lib
from pyscf.scf.hf import dot_eri_dm
from scipy.linalg import cho_factor, cho_solve

from bodyorder.sources.pyscf.integrals import ClusterIntegrals
from bodyorder.sources.pyscf.mean_field.fields import Solution
from bodyorder.sources.pyscf.orbitals import orthonormal, pair_numbers

#: The least second derivative (hartree) of what goes this way.
MARGIN = 0.1
#: Rotations, of which all second derivatives are held.
ROTATIONS = 4000
#: Norm of the derivative (hartree) at which the fitted solution rests, steps before giving up, and matrices looked back on.
FITTED, FITTED_STEPS, HISTORY = 1e-5, 40, 8
#: Norm of the derivative from which one Newton step more leaves nothing, steps before giving up, and by what each must shrink it.
LAST, STEPS, CONTRACTION = 3e-6, 8, 0.2


def closed_shell(
    mol: gto.Mole, integrals: ClusterIntegrals, row: int, density: np.ndarray, margin: float = MARGIN
) -> Solution | None:
    """The restricted solution of a sub-cluster if it is stable by a margin, else None.

    :param mol: with its charge, an even number of electrons
    :param density: of all electrons to start from, shape (m, m)
    :param margin: least second derivative in hartree
    """
    occupied = mol.nelectron // 2
    if not 0 < occupied < mol.nao or occupied * (mol.nao - occupied) > ROTATIONS:
        return None
    repulsion, order = integrals.packed(row)
    square = np.ix_(order, order)
    fitted = Fitted(integrals.core[row][square], integrals.overlap[row][square], integrals.three(row, mol), occupied)
    if not fitted.solve(density[square]):
        return None
    curvatures = Curvatures(fitted)
    if not curvatures.above(margin):
        return None
    energy = _exact(fitted, curvatures, repulsion)
    if energy is None:
        return None
    coefficients = np.empty_like(fitted.coefficients)
    coefficients[order] = fitted.coefficients
    return Solution(
        0, energy + float(integrals.nuclear[row]), np.stack([coefficients] * 2), np.stack([fitted.energies] * 2)
    )


class Fitted:
    """A restricted mean field with fitted repulsion.

    :param core: one-electron integrals, shape (m, m)
    :param overlap: shape (m, m)
    :param three: (μν|P) V^(−1/2), shape (auxiliary functions, pairs)
    :param occupied: orbitals that hold two electrons
    """

    def __init__(self, core: np.ndarray, overlap: np.ndarray, three: np.ndarray, occupied: int):
        self.core, self.overlap, self.n_occupied = core, overlap, occupied
        basis, (rank,) = orthonormal(self.overlap[None])
        self.basis = basis[0][:, len(self.core) - rank :]
        self.three, self.square = three, lib.unpack_tril(three)
        self.coefficients = self.basis
        self.energies = np.empty(0)

    @property
    def occupied(self) -> np.ndarray:
        """Occupied orbitals, shape (m, o)."""
        return self.coefficients[:, : self.n_occupied]

    @property
    def virtual(self) -> np.ndarray:
        """Empty orbitals, shape (m, v)."""
        return self.coefficients[:, self.n_occupied :]

    def solve(self, density: np.ndarray) -> bool:
        """Find a solution from a density; whether one was found."""
        fock = self.core + self._repulsion(density, *_factors(density, self.overlap))
        extrapolation = lib.diis.DIIS(incore=True)
        extrapolation.space, extrapolation.verbose = HISTORY, 0
        for _ in range(FITTED_STEPS):
            self.diagonalise(fock)
            density = 2.0 * self.occupied @ self.occupied.T
            fock = self.core + self._repulsion(density, self.occupied, np.full(self.n_occupied, 2.0))
            if np.linalg.norm(self.occupied.T @ fock @ self.virtual) < FITTED:
                self.canonicalise(fock)
                return True
            product = self.basis.T @ fock @ density @ self.overlap @ self.basis
            fock = extrapolation.update(fock, product - product.T)
        return False

    def change(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """What the Fock matrix changes by between two sets of occupied orbitals."""
        density = 2.0 * (after @ after.T - before @ before.T)
        weights = np.repeat([2.0, -2.0], self.n_occupied)
        return self._repulsion(density, np.concatenate([after, before], axis=1), weights)

    def half(self, orbitals: np.ndarray) -> np.ndarray:
        """One function of the fit in its orbitals, shape (auxiliary functions, m, orbitals)."""
        m = len(self.core)
        return (self.square.reshape(-1, m) @ orbitals).reshape(-1, m, orbitals.shape[1])

    def _repulsion(self, density: np.ndarray, orbitals: np.ndarray, occupations: np.ndarray) -> np.ndarray:
        packed = lib.pack_tril(density + density.T - np.diag(np.diag(density)))
        coulomb = lib.unpack_tril((self.three @ packed) @ self.three)
        half = self.half(orbitals).transpose(1, 0, 2)
        exchange = (half * occupations).reshape(len(half), -1) @ half.reshape(len(half), -1).T
        return coulomb - 0.5 * exchange

    def diagonalise(self, fock: np.ndarray) -> None:
        """Take the orbitals of a Fock matrix."""
        self.energies, vectors = np.linalg.eigh(self.basis.T @ fock @ self.basis)
        self.coefficients = self.basis @ vectors

    def canonicalise(self, fock: np.ndarray) -> None:
        """Turn occupied and empty orbitals among themselves so that the Fock matrix is diagonal there."""
        parts = []
        for some in (self.occupied, self.virtual):
            energies, vectors = np.linalg.eigh(some.T @ fock @ some)
            parts.append((energies, some @ vectors))
        self.energies = np.concatenate([energies for energies, _ in parts])
        self.coefficients = np.concatenate([some for _, some in parts], axis=1)


def _factors(density: np.ndarray, overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orbitals and occupations of a density."""
    values, vectors = np.linalg.eigh(density)
    held = np.abs(values) > 1e-10
    return vectors[:, held], values[held]


class Curvatures:
    """All second derivatives of a fitted mean field, in its orbitals at this moment.

    :param field: the mean field, whose orbitals must stay these
    """

    def __init__(self, field: Fitted):
        o, virtual = field.n_occupied, field.virtual
        v = virtual.shape[1]
        half = field.half(field.occupied)
        pair = (virtual.T @ half).reshape(-1, v * o)
        hole = lib.pack_tril(field.occupied.T @ half)
        direct = pair.T @ pair
        # (μν|ij) of pairs i ≥ j, then (ab|ij)
        between = virtual.T @ lib.unpack_tril(hole.T @ field.three) @ virtual
        index = pair_numbers(o)
        triplet = -(between[index].transpose(2, 0, 3, 1) + direct.reshape(v, o, v, o).transpose(0, 3, 2, 1))
        #: shape (v o, v o)
        self.triplet = triplet.reshape(v * o, v * o)
        self.triplet[np.diag_indices(v * o)] += (field.energies[o:, None] - field.energies[:o]).ravel()
        self._direct = direct

    def above(self, margin: float) -> bool:
        """Whether no second derivative, of whatever rotation, is below a margin."""
        try:
            cho_factor(
                self.triplet - margin * np.eye(len(self.triplet)), lower=True, overwrite_a=True, check_finite=False
            )
        except np.linalg.LinAlgError:
            return False
        return True

    @cached_property
    def _factor(self) -> tuple[np.ndarray, bool]:
        return cho_factor(self.triplet + 4.0 * self._direct, lower=True, overwrite_a=True, check_finite=False)

    def newton(self, gradient: np.ndarray) -> np.ndarray:
        """The step to where there is no gradient, shape (v, o) as the gradient."""
        return -cho_solve(self._factor, gradient.ravel(), check_finite=False).reshape(gradient.shape)


def _exact(field: Fitted, curvatures: Curvatures, repulsion: np.ndarray) -> float | None:
    """Take a field to the solution with the integrals themselves, by Newton steps with fitted second derivatives.

    :param repulsion: (μν|λσ) over pairs of pairs
    :return: its electronic energy in hartree; None if the steps do not converge as they should
    """
    last = np.inf
    for _ in range(STEPS):
        occupied, virtual = field.occupied, field.virtual
        density = 2.0 * occupied @ occupied.T
        coulomb, exchange = dot_eri_dm(repulsion, density, hermi=1)
        fock = field.core + coulomb - 0.5 * exchange
        gradient = virtual.T @ fock @ occupied
        size = float(np.linalg.norm(gradient))
        if size > CONTRACTION * last:
            return None
        last = size
        step = curvatures.newton(gradient)
        field.coefficients = _rotated(field.coefficients, step)
        if size < LAST:
            field.canonicalise(fock + field.change(occupied, field.occupied))
            return float(0.5 * np.vdot(density, field.core + fock) + 2.0 * np.vdot(gradient, step))
    return None


def _rotated(coefficients: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Cayley's transformation: exact to second order, and always orthogonal."""
    v, o = step.shape
    half = np.zeros((o + v, o + v))
    half[o:, :o], half[:o, o:] = 0.5 * step, -0.5 * step.T
    return coefficients @ np.linalg.solve(np.eye(o + v) - half, np.eye(o + v) + half)
