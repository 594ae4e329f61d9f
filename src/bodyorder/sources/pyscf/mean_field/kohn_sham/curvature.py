"""Second derivatives of the energy with respect to rotations of orbitals, on a coarse grid.

Rotations κ of empty (a) into occupied orbitals (i) change the energy by 2 g·κ + κ·H·κ with

    (H κ)_ai = (ε_a − ε_i) κ_ai + ⟨a| δF |i⟩,    δF that of the density δD = Σ κ_ai (|a⟩⟨i| + |i⟩⟨a|) of each spin.

A solution without negative curvature is stable within real orbitals (Seeger and Pople, J. Chem. Phys. 66, 3045 (1977),
doi:10.1063/1.434318; Bauernschmitt and Ahlrichs, J. Chem. Phys. 104, 9047 (1996), doi:10.1063/1.471637).
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from pyscf.dft import numint

from bodyorder.sources.pyscf import eigensolver
from bodyorder.sources.pyscf.mean_field.kohn_sham.field import Field
from bodyorder.sources.pyscf.mean_field.kohn_sham.integration import COMPONENTS, density_of, waves_on, weighted_images
from bodyorder.sources.pyscf.mean_field.kohn_sham.relaxation import State

_NUMINT = numint.NumInt()
#: Rotations up to this many are looked at all together, more by iteration to a residual (hartree).
DENSE, RESIDUAL = 24, 3e-4


class Curvature:
    """Second derivatives at one state.

    :param field: the sub-cluster
    :param state: where
    :param level: of the grid
    :param parting: of one set of orbitals, how rotations act: whether they part the two spins (triplet) or keep them together
        (singlet); of two sets every rotation is meant
    """

    def __init__(self, field: Field, state: State, level: int, parting: bool = False):
        self.field, self.parting, self._level = field, parting, level
        self.closed = len(state.orbitals) == 1
        self.occupied: list[np.ndarray] = []
        self.empty: list[np.ndarray] = []
        gaps = []
        for fock, orbitals in zip(state.fock, state.orbitals, strict=True):
            energies, some, others, above = canonical(field, fock, orbitals)
            self.occupied.append(some)
            self.empty.append(others)
            gaps.append((above[:, None] - energies).ravel())
        self.gaps = np.concatenate(gaps)
        self._kernels: list[tuple[list[np.ndarray], np.ndarray | None]] = []
        for portion in field.points(level).portions() if field.functional.kind != "HF" else ():
            waves = [waves_on(portion, some, COMPONENTS[field.functional.kind]) for some in self.occupied]
            self._kernels.append((waves, self._kernel(portion.weights, waves)))

    def lowest(self, ceiling: float = np.inf) -> tuple[float, np.ndarray]:
        """Lowest second derivative and its direction; if it is clearly above ``ceiling``, a bound from above."""
        size = len(self.gaps)
        if not size:
            return np.inf, np.empty(0)
        if size <= DENSE:
            hessian = self.apply(np.eye(size))
            values, vectors = scipy.linalg.eigh(0.5 * (hessian + hessian.T), subset_by_index=[0, 0])
            return float(values[0]), vectors[:, 0]
        matrix = eigensolver.Matrix(self.apply, self.gaps)
        space = eigensolver.start(matrix)
        eigensolver.converge(matrix, space, RESIDUAL, ceiling=ceiling)
        found = bool(np.isfinite(space.residuals[0]))
        return (float(space.energies[0]) if found else -np.inf), space.state

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """H times rotations, the rows of an array of shape (count, rotations)."""
        parts = self._parts(vectors)
        moved = [empty @ part for empty, part in zip(self.empty, parts, strict=True)]  # (count, m, occupied) each
        images = [np.zeros_like(some) for some in moved]
        self._add_repulsion(moved, images)
        functional = self.field.functional
        if functional.kind != "HF":
            portions = self.field.points(self._level).portions()
            for portion, (waves, kernel) in zip(portions, self._kernels, strict=True):
                assert kernel is not None
                weighted_images(portion, waves, moved, kernel, images)
        result = self.gaps * vectors
        for part, empty, image in zip(self._parts(result), self.empty, images, strict=True):
            part += empty.T @ image  # a view
        return result

    def turned(self, direction: np.ndarray, angle: float) -> list[np.ndarray]:
        """The occupied orbitals rotated along a direction; one set becomes two where the spins part."""
        parts = self._parts(angle * direction[None])
        signs = (1.0, -1.0) if self.closed and self.parting else (1.0,) * len(parts)
        result = []
        for place, sign in enumerate(signs):
            place = 0 if self.closed else place
            moved = self.occupied[place] + sign * self.empty[place] @ parts[place][0]
            values, vectors = np.linalg.eigh(moved.T @ self.field.overlap @ moved)
            result.append(moved @ (vectors / np.sqrt(values)) @ vectors.T)
        return result

    def _parts(self, vectors: np.ndarray) -> list[np.ndarray]:
        parts, used = [], 0
        for empty, some in zip(self.empty, self.occupied, strict=True):
            shape = len(vectors), empty.shape[1], some.shape[1]
            parts.append(vectors[:, used : used + shape[1] * shape[2]].reshape(shape))
            used += shape[1] * shape[2]
        return parts

    def _add_repulsion(self, moved: list[np.ndarray], images: list[np.ndarray]) -> None:
        field = self.field
        exchanged = field.functional.exchange
        if self.parting and not exchanged:
            return
        halves = [change @ some.T for change, some in zip(moved, self.occupied, strict=True)]
        densities = np.array([half + half.transpose(0, 2, 1) for half in halves])  # (sets, count, m, m)
        potential = np.zeros_like(densities)
        if not self.parting:
            total = (2.0 if self.closed else 1.0) * densities.sum(axis=0)
            potential += field.repelled(total, 0.0, exchange=False)
        for share, omega in exchanged:
            flat = np.ascontiguousarray(densities.reshape(-1, *densities.shape[2:]))
            potential -= share * field.repelled(flat, omega, exchange=True).reshape(densities.shape)
        for image, some, one in zip(images, self.occupied, potential, strict=True):
            image += one @ some

    def _kernel(self, weights: np.ndarray, waves: list[np.ndarray]) -> np.ndarray:
        """Weighted second derivatives of the functional, shape (sets, components, sets, components, p)."""
        functional = self.field.functional
        density = np.array([density_of(wave, COMPONENTS[functional.kind], 1.0) for wave in waves])
        if self.closed:
            density = np.concatenate([density, density])
        inputs = density[:, 0] if functional.kind == "LDA" else density
        found = _NUMINT.eval_xc_eff(functional.name, inputs, deriv=2, xctype=functional.kind, spin=1)[2]
        count = density.shape[1]
        kernel = found.reshape(2, count, 2, count, -1) * weights
        if not self.closed:
            return kernel
        across = -kernel[:1, :, 1:] if self.parting else kernel[:1, :, 1:]
        return kernel[:1, :, :1] + across


def canonical(
    field: Field, fock: np.ndarray, orbitals: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Occupied and empty orbitals among which a Fock matrix is diagonal.

    :return: energies and orbitals of the occupied ones, orbitals of the empty ones and their energies
    """
    inside = (field.overlap @ field.basis).T @ orbitals
    others = field.basis @ scipy.linalg.null_space(inside.T) if inside.shape[1] else field.basis
    energies, vectors = np.linalg.eigh(orbitals.T @ fock @ orbitals)
    above, mixed = np.linalg.eigh(others.T @ fock @ others)
    return energies, orbitals @ vectors, others @ mixed, above
