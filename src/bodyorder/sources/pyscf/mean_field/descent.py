"""From a determinant downhill to a stable solution, by all second derivatives of the energy.

Rotations κ of virtual (a) into occupied orbitals (i) of either spin change the energy by 2 g·κ + κ·H·κ with g = F_ai and

    H_ai,bj = δ_ij F_ab − δ_ab F_ij + 2 (ai|bj) − (ab|ij) − (aj|ib)    (one spin; 2 (ai|bj) between the spins)

A step along −g/|λ| in every eigenvector of H leaves saddle points; where H has no negative eigenvalue at a point without
gradient, the solution is stable within real orbitals of either spin (Seeger and Pople, J. Chem. Phys. 66, 3045 (1977),
doi:10.1063/1.434318).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bodyorder.sources.pyscf.mean_field.fields import GRADIENT
from bodyorder.sources.pyscf.mean_field.space import Space, packing

#: A second derivative below this means a saddle point.
CURVATURE = -1e-5
#: Up to this many rotations all second derivatives are computed, and up to more where iteration fails.
DENSE, DENSE_IF_NEEDED = 2000, 4000
#: Steps before giving up.
STEPS = 60
#: Longest step, its length where there is no gradient to follow, and how often it is halved.
LONGEST, KICK, HALVINGS = 0.4, 0.2, 6
#: Curvature (hartree) that a step at least reckons with.
FLATTEST = 1e-4
#: An energy that rises by more than this (hartree) refuses a step.
NOISE = 1e-10
#: Norm of a gradient (hartree) so small that second derivatives there are those of the solution.
SETTLED = 1e-5
#: Second derivatives serve further steps while each brings the gradient down by this.
REUSE = 0.1
#: Closer than this to the energy of a known solution (hartree), with a gradient no larger than this, is that solution again.
KNOWN, KNOWN_GRADIENT = 1e-6, 1e-4


class Descent:
    """One sub-cluster on its way down.

    :param space: the Hamiltonians
    :param row: the sub-cluster
    :param density: of both spins, of a determinant or close to one, shape (2, m, m)
    :param electrons: of either spin
    """

    def __init__(self, space: Space, row: int, density: np.ndarray, electrons: tuple[int, int]):
        self.space, self.row, self.electrons = space, np.array([row]), electrons
        basis = space.orbitals[row]
        metric = space.overlap[row] @ basis
        # natural orbitals, those that hold electrons first
        self.coefficients = basis @ np.linalg.eigh(-(metric.T @ density @ metric))[1]
        self.energy, self.fock = self._look(self.coefficients)
        #: whether it came to a solution that was known before
        self.repeated = False

    @property
    def n_rotations(self) -> int:
        """Rotations of both spins."""
        return sum(count * (self.coefficients.shape[2] - count) for count in self.electrons)

    def solve(self, known: float = np.inf) -> bool:
        """Go to a stable solution; whether one was reached.

        :param known: energy in hartree of a solution at which the way may end, with ``repeated`` set
        """
        if not self.n_rotations:
            self.coefficients = self._canonical(self.coefficients, self.fock)
            return True
        hessian: Hessian | None = None
        last = np.inf
        for _ in range(STEPS):
            gradient = self._gradient()
            size = float(np.linalg.norm(gradient))
            if size < KNOWN_GRADIENT and abs(self.energy - known) < KNOWN:
                self.repeated = True
                return False
            if hessian is None or size > REUSE * last or (size < GRADIENT and not hessian.definite):
                self.coefficients = self._canonical(self.coefficients, self.fock)
                gradient = self._gradient()
                hessian = Hessian(self._hessian(), size)
            if size < GRADIENT and hessian.definite:
                self._step(hessian.newton(gradient))  # what is linear in errors gains from one more
                self.coefficients = self._canonical(self.coefficients, self.fock)
                return True
            if not self._step(hessian.newton(gradient) if size > GRADIENT else KICK * hessian.downhill):
                if hessian.distance == size:
                    return False
                hessian = None
            last = size
        return False

    def orbital_energies(self) -> np.ndarray:
        """Diagonal of the Fock matrix over the orbitals, shape (2, r)."""
        return np.einsum("smp,smn,snp->sp", self.coefficients, self.fock, self.coefficients)

    def _step(self, direction: np.ndarray) -> bool:
        length = np.linalg.norm(direction)
        if length > LONGEST:
            direction = direction * (LONGEST / length)
        for _ in range(HALVINGS):
            coefficients = self._rotated(direction)
            energy, fock = self._look(coefficients)
            if energy < self.energy + NOISE:
                self.coefficients, self.energy, self.fock = coefficients, energy, fock
                return True
            direction = 0.5 * direction
        return False

    def _rotated(self, direction: np.ndarray) -> np.ndarray:
        """Cayley's transformation: exact to second order, and always orthogonal."""
        r = self.coefficients.shape[2]
        half = np.zeros((2, r, r))
        used = 0
        for spin, count in enumerate(self.electrons):
            size = count * (r - count)
            block = 0.5 * direction[used : used + size].reshape(r - count, count)
            half[spin, count:, :count], half[spin, :count, count:] = block, -block.T
            used += size
        return self.coefficients @ np.linalg.solve(np.eye(r) - half, np.eye(r) + half)

    def _look(self, coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        filled = [coefficients[spin, :, :count] for spin, count in enumerate(self.electrons)]
        density = np.array([[occupied @ occupied.T for occupied in filled]])
        fock = self.space.fock(density, self.row)
        return float(self.space.energies(density, fock, self.row)[0]), fock[0]

    def _canonical(self, coefficients: np.ndarray, fock: np.ndarray) -> np.ndarray:
        result = coefficients.copy()
        for spin, count in enumerate(self.electrons):
            for block in (slice(None, count), slice(count, None)):
                some = coefficients[spin][:, block]
                result[spin][:, block] = some @ np.linalg.eigh(some.T @ fock[spin] @ some)[1]
        return result

    def _gradient(self) -> np.ndarray:
        parts = [
            (self.coefficients[spin, :, count:].T @ self.fock[spin] @ self.coefficients[spin, :, :count]).ravel()
            for spin, count in enumerate(self.electrons)
        ]
        return np.concatenate(parts)

    def _hessian(self) -> np.ndarray:
        *_, index = packing(self.coefficients.shape[1])
        coulomb, energies = self.space.coulomb[int(self.row[0])], self.orbital_energies()
        shells = [
            (spin[:, :count], spin[:, count:]) for spin, count in zip(self.coefficients, self.electrons, strict=True)
        ]
        products = np.concatenate([_pairs(virtual, occupied) for occupied, virtual in shells], axis=1)
        hessian = 2.0 * (products.T @ (coulomb @ products))
        used = 0
        for (occupied, virtual), energy in zip(shells, energies, strict=True):
            n_occupied, n_virtual = occupied.shape[1], virtual.shape[1]
            some = slice(used, used + n_occupied * n_virtual)
            used = some.stop
            shape = (n_virtual, n_occupied, n_virtual, n_occupied)
            swapped = 0.5 * hessian[some, some].reshape(shape).transpose(0, 3, 2, 1)  # (aj|ib)
            between = (coulomb @ _pairs(occupied, occupied)).T[:, index]  # (μν|ij), shape (ij, m, m)
            between = (virtual.T @ between @ virtual).reshape(n_occupied, n_occupied, n_virtual, n_virtual)
            exchange = swapped + between.transpose(2, 0, 3, 1)
            hessian[some, some] -= exchange.reshape(used - some.start, used - some.start)
            hessian[np.arange(some.start, used), np.arange(some.start, used)] += (
                energy[n_occupied:, None] - energy[:n_occupied]
            ).ravel()
        return 0.5 * (hessian + hessian.T)


def _pairs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products of two orbitals in the pairs of functions, shape (pairs, products)."""
    first, second, weights, _ = packing(len(left))
    products = left[first][:, :, None] * right[second][:, None] + left[second][:, :, None] * right[first][:, None]
    return (products * (0.5 * weights)[:, None, None]).reshape(len(first), -1)


class Hessian:
    """Second derivatives at some distance from a solution.

    :param matrix: shape (rotations, rotations)
    :param distance: norm of the gradient there
    """

    def __init__(self, matrix: np.ndarray, distance: float):
        self.matrix, self.distance = matrix, distance

    @cached_property
    def definite(self) -> bool:
        """Whether there is no negative curvature, not even at the solution."""
        # a step |g|/λ changes λ by about as much; what is less than a tenth of λ does not change its sign
        margin = CURVATURE if self.distance < SETTLED else np.sqrt(10.0 * self.distance)
        return _factor(self.matrix, margin) is not None

    @property
    def downhill(self) -> np.ndarray:
        """The direction of the lowest curvature."""
        return self._modes[1][:, 0]

    def newton(self, gradient: np.ndarray) -> np.ndarray:
        """The step to where there is no gradient, downhill in every direction."""
        if self._factor is not None:
            return -cho_solve(self._factor, gradient, check_finite=False)
        curvatures, modes = self._modes
        return -(modes @ ((gradient @ modes) / np.maximum(np.abs(curvatures), FLATTEST)))

    @cached_property
    def _factor(self) -> tuple[np.ndarray, bool] | None:
        return _factor(self.matrix, CURVATURE)

    @cached_property
    def _modes(self) -> tuple[np.ndarray, np.ndarray]:
        return np.linalg.eigh(self.matrix)


def _factor(matrix: np.ndarray, shift: float) -> tuple[np.ndarray, bool] | None:
    try:
        return cho_factor(matrix - shift * np.eye(len(matrix)), lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
