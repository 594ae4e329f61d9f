"""Mean fields brought close to self-consistency, many starts of many sub-clusters at once.

This only ranks the starts: the best go on to a second-order method, which decides what has converged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bodyorder.sources.pyscf.mean_field.space import Space

#: Fock matrices that an extrapolation looks back on.
HISTORY = 8
#: What is added to the squares of their errors, relative to the largest, so that equal ones do no harm.
NEARLY_SINGULAR = 1e-13


@dataclass
class Tracks:
    """Starts and what has become of them.

    :param rows: the sub-cluster of each, ascending, shape (t,)
    :param densities: of both spins, shape (t, 2, m, m)
    :param energies: of these densities in hartree, shape (t,); infinite where they are not those of determinants
    :param errors: largest element of their commutator with the Fock matrix (hartree), shape (t,)
    """

    rows: np.ndarray
    densities: np.ndarray
    energies: np.ndarray
    errors: np.ndarray

    @classmethod
    def begin(cls, rows: np.ndarray, densities: np.ndarray) -> Tracks:
        """Densities that nothing is known of."""
        return cls(rows, densities, np.full(len(rows), np.inf), np.full(len(rows), np.inf))

    def select(self, some: np.ndarray) -> Tracks:
        """Some of them."""
        return Tracks(self.rows[some], self.densities[some], self.energies[some], self.errors[some])

    def update(self, some: np.ndarray, others: Tracks) -> None:
        """Put what has become of some of them in their place."""
        self.densities[some], self.energies[some], self.errors[some] = others.densities, others.energies, others.errors

    def lowest(self, count: int, same: float, window: float) -> Tracks:
        """For each row up to ``count`` different ones, lowest first, no more than ``window`` above the lowest.

        :param same: energies (hartree) that differ by no more are one
        """
        kept: list[int] = []
        order = np.lexsort((self.energies, self.rows))
        held = 0
        for track in order:
            if not kept or self.rows[track] != self.rows[kept[-1]]:
                kept.append(int(track))
                held, bottom = 1, self.energies[track]
            elif held < count and self.energies[kept[-1]] + same < self.energies[track] <= bottom + window:
                kept.append(int(track))
                held += 1
        return self.select(np.array(kept, dtype=np.int64))


def relax(space: Space, tracks: Tracks, electrons: tuple[int, int], steps: int, rest: float) -> Tracks:
    """Direct inversion in the iterative subspace (Pulay, J. Comput. Chem. 3, 556 (1982), doi:10.1002/jcc.540030413).

    :param electrons: of either spin
    :param steps: diagonalisations at most
    :param rest: a start is left alone once its error is below this
    :return: the same starts where their energy was lowest
    """
    result = Tracks.begin(tracks.rows, tracks.densities.copy())
    moving, densities = np.arange(len(tracks.rows)), tracks.densities
    focks: list[np.ndarray] = []
    errors: list[np.ndarray] = []
    occupied = np.empty(0)
    for step in range(steps + 1):
        rows = tracks.rows[moving]
        orbitals = space.orbitals[rows][:, None]
        fock = space.fock(densities, rows)
        inside = orbitals.transpose(0, 1, 3, 2) @ fock @ orbitals
        if step:  # the first densities are not those of a determinant
            product = inside @ occupied
            errors = [*errors, product - product.transpose(0, 1, 3, 2)][-HISTORY:]
            focks = [*focks, inside][-HISTORY:]
            energies = space.energies(densities, fock, rows)
            lower = energies < result.energies[moving]
            changed = moving[lower]
            size = np.abs(errors[-1]).max(axis=(1, 2, 3))
            result.energies[changed], result.densities[changed] = energies[lower], densities[lower]
            result.errors[changed] = size[lower]
            stay = size > rest
            if not stay.any() or step == steps:
                break
            if not stay.all():
                moving, orbitals = moving[stay], orbitals[stay]
                errors, focks = [error[stay] for error in errors], [fock[stay] for fock in focks]
            inside = _extrapolated(focks, errors)
        vectors = np.linalg.eigh(inside)[1]
        occupied = np.stack([_filled(vectors[:, spin], electrons[spin]) for spin in range(2)], axis=1)
        densities = orbitals @ occupied @ orbitals.transpose(0, 1, 3, 2)
    return result


def _filled(vectors: np.ndarray, count: int) -> np.ndarray:
    return vectors[:, :, :count] @ vectors[:, :, :count].transpose(0, 2, 1)


def _extrapolated(focks: list[np.ndarray], errors: list[np.ndarray]) -> np.ndarray:
    """The combination of Fock matrices whose errors nearly cancel, for each start."""
    count, n = len(errors), len(errors[0])
    if count == 1:
        return focks[0]
    flat = np.stack(errors, axis=1).reshape(n, count, -1)
    system = np.ones((n, count + 1, count + 1))
    system[:, :count, :count] = flat @ flat.transpose(0, 2, 1)
    scale = np.maximum(np.einsum("nii->ni", system)[:, :count].max(axis=1), np.finfo(np.float64).tiny)
    system[:, :count, :count] /= scale[:, None, None]
    system[:, np.arange(count), np.arange(count)] += NEARLY_SINGULAR
    system[:, count, count] = 0.0
    target = np.zeros((n, count + 1, 1))
    target[:, count] = 1.0
    weights = np.linalg.solve(system, target)[:, None, :count, 0]
    shape = focks[0].shape
    return (weights @ np.stack(focks, axis=1).reshape(n, count, -1)).reshape(shape)
