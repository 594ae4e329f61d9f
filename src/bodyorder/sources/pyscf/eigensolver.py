"""The lowest eigenvalues of a large symmetric matrix that is known by its action on vectors.

A Davidson iteration (Davidson, J. Comput. Phys. 17, 87 (1975), doi:10.1016/0021-9991(75)90065-0) with three changes that keep it
from settling on an excited state: it starts from several vectors with a random part, which overlaps with every state of whatever
symmetry; it follows each of them until an eigenvalue above the lowest one claims it; and its preconditioner is positive definite,
so it pulls towards the bottom of the spectrum and not towards whatever lies near the present estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Vectors to begin with. Three miss the lowest of many close states of different symmetry once in a thousand times.
BLOCK = 4
#: Vectors kept when the space is full, and the fewest that an answer is believed from.
KEPT, FEWEST = 16, 8
#: Largest number of vectors.
SPACE = 40
#: Distance in hartree that the preconditioner keeps from the bottom of the diagonal.
SHIFT = 0.2
#: Length of the random part of a vector to begin with, where there is a corner to begin from.
NOISE = 0.1
ITERATIONS = 400
#: Error of an energy (hartree) that no further step is worth, and the largest residual at which it is believed: what is known of
#: the next state is an estimate, and where one was overlooked the error can be as large as the residual.
ACCURACY, BELIEVED = 1e-11, 3e-7
#: How many residuals above a ceiling an estimate must lie to be left there.
CLEAR = 10.0
#: A step of which less than this is new brings nothing but rounding.
NEW = 1e-10


@dataclass(frozen=True)
class Corner:
    """The part of a matrix between a few places, diagonalised.

    :param places: shape (c,)
    :param values: eigenvalues, ascending
    :param vectors: eigenvectors as columns, all or those of the wanted space, shape (c, values)
    """

    places: np.ndarray
    values: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class Matrix:
    """A symmetric matrix of dimension d.

    :param apply: multiplies vectors, the rows of an array of shape (count, d)
    :param diagonal: shape (d,)
    :param corner: places that the lowest states live in for the most part, if some are known
    :param project: keeps of vectors to begin with what belongs to the wanted space, which neither the matrix nor its diagonal and
        corner lead out of; None if that is the whole space
    :param block: vectors to begin with
    :param kept: vectors to keep when the space is full
    :param capacity: vectors to hold at most
    """

    apply: Callable[[np.ndarray], np.ndarray]
    diagonal: np.ndarray
    corner: Corner | None = None
    project: Callable[[np.ndarray], np.ndarray] | None = None
    block: int = BLOCK
    kept: int = KEPT
    capacity: int = SPACE


class Subspace:
    """Orthonormal vectors that contain the estimates, and the matrix's action on them.

    :param matrix: says how many vectors fit into it
    :param first: vectors to begin with, shape (count, d)
    :ivar state: the vector of the lowest energy, shape (d,)
    :ivar energies: lowest two eigenvalues in the subspace, shape (2,)
    :ivar residuals: |Hx − Ex| of their vectors x, shape (2,); an eigenvalue lies within this of the energy. Infinite before
        any search and where one failed.
    """

    def __init__(self, matrix: Matrix, first: np.ndarray):
        self._held, self._images = np.empty((2, matrix.capacity, first.shape[1]))
        self._small = np.zeros((matrix.capacity, matrix.capacity))
        self.count = 0
        self.add(matrix, first)
        self.state = first[0]
        self.energies, self.residuals = np.full(2, np.inf), np.full(2, np.inf)

    @property
    def error(self) -> float:
        """Bound on the error of the lowest energy (hartree): the residual r, or r²/g where a gap g to the next state is known.

        Kato, J. Phys. Soc. Jpn. 4, 334 (1949), doi:10.1143/JPSJ.4.334
        """
        gap = self.energies[1] - self.residuals[1] - self.energies[0]
        first = float(self.residuals[0])
        return min(first, first**2 / gap) if gap > 0.0 else first

    @property
    def vectors(self) -> np.ndarray:
        """The vectors held, shape (count, d)."""
        return self._held[: self.count]

    @property
    def images(self) -> np.ndarray:
        """What the matrix makes of them, same shape."""
        return self._images[: self.count]

    def add(self, matrix: Matrix, vectors: np.ndarray) -> None:
        """Take up some more."""
        count, more = self.count, self.count + len(vectors)
        self._held[count:more] = vectors
        self._images[count:more] = matrix.apply(vectors)
        self.count = more
        some = self.vectors @ self._images[count:more].T
        self._small[:more, count:more], self._small[count:more, :more] = some, some.T

    def estimates(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues in the subspace and their vectors as columns."""
        return np.linalg.eigh(self._small[: self.count, : self.count])

    def restart(self, coefficients: np.ndarray) -> None:
        """Keep some combinations only, orthonormal columns."""
        kept = coefficients.shape[1]
        small = coefficients.T @ self._small[: self.count, : self.count] @ coefficients
        self._held[:kept], self._images[:kept] = coefficients.T @ self.vectors, coefficients.T @ self.images
        self._small[:kept, :kept], self.count = small, kept

    def keep(self, values: np.ndarray, coefficients: np.ndarray, norms: np.ndarray) -> None:
        """Note what was found."""
        self.state = coefficients[:, 0] @ self.vectors
        self.energies, self.residuals = np.full(2, np.inf), np.full(2, 0.0)
        self.energies[: len(values[:2])], self.residuals[: len(norms[:2])] = values[:2], norms[:2]


def start(matrix: Matrix, seed: int = 0) -> Subspace:
    """Lowest states of the corner with a random part, or else random vectors weighted towards small diagonal elements."""
    noise = np.random.default_rng(seed).standard_normal((matrix.block, len(matrix.diagonal)))
    vectors = noise / (matrix.diagonal - matrix.diagonal.min() + SHIFT)
    if matrix.corner is not None:
        vectors *= NOISE / np.linalg.norm(vectors, axis=1)[:, None]
        count = min(matrix.block, matrix.corner.vectors.shape[1])
        vectors[:count, matrix.corner.places] += matrix.corner.vectors[:, :count].T
    return Subspace(matrix, _new_directions(_projected(matrix, vectors), np.empty((0, len(matrix.diagonal)))))


def converge(matrix: Matrix, space: Subspace, tolerance: float, wanted: int = 1, ceiling: float = np.inf) -> None:
    """Improve the estimates in place until the residuals of the ``wanted`` lowest are below ``tolerance`` (hartree).

    A residual r is small enough, too, where the error of its energy, see :attr:`Subspace.error`, is below :data:`ACCURACY`. The
    search also ends when the lowest estimate is clearly above ``ceiling``. The residuals of a search that does not get there in
    :data:`ITERATIONS` steps become infinite.

    :param wanted: 1 or 2
    """
    followed = max(matrix.block, wanted + 2)
    bottom = matrix.diagonal.min()
    exhausted = False
    before = np.empty((0, 0))
    for _ in range(ITERATIONS):
        values, coefficients = space.estimates()
        energies, lowest = values[:followed], coefficients[:, :followed].T
        residual = lowest @ space.images - energies[:, None] * (lowest @ space.vectors)
        norms = np.sqrt(np.einsum("kd,kd->k", residual, residual))
        enough = _enough(energies, norms, tolerance, wanted) or energies[0] - ceiling >= CLEAR * norms[0]
        if exhausted and not enough:
            break
        if exhausted or (enough and space.count >= min(FEWEST, matrix.kept)):
            space.keep(values, coefficients, norms)
            return
        if space.count + followed > matrix.capacity:
            space.restart(_with_last(coefficients[:, : matrix.kept], before))
            lowest = np.eye(space.count)[:followed]
        # a vector that an eigenvalue above the wanted ones claims is left alone
        last = min(wanted, len(energies)) - 1
        open_still = energies - norms <= energies[last] + norms[last]
        step = _preconditioned(matrix, residual[open_still & (norms > 0.0)], min(bottom, energies[0]))
        step = _new_directions(step, space.vectors)
        exhausted, before = not len(step), lowest[: matrix.block].T
        if not exhausted:
            space.add(matrix, step)
    space.residuals = np.full(2, np.inf)


def _with_last(coefficients: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Coefficients of what is kept and, beside it, of the lowest estimates of the step before: what a restart forgets otherwise.

    Stathopoulos and Saad, Electron. Trans. Numer. Anal. 7, 163 (1998)
    """
    padded = np.zeros((len(coefficients), before.shape[1]))
    padded[: len(before)] = before
    return np.concatenate([coefficients, _new_directions(padded.T, coefficients.T).T], axis=1)


def _enough(energies: np.ndarray, norms: np.ndarray, tolerance: float, wanted: int) -> bool:
    for state in range(min(wanted, len(energies))):
        above = energies[state + 1] - norms[state + 1] - energies[state] if state + 1 < len(energies) else 0.0
        known = norms[state] <= BELIEVED and norms[state] ** 2 <= ACCURACY * above
        if norms[state] > tolerance and not known:
            return False
    return True


def _preconditioned(matrix: Matrix, residual: np.ndarray, bottom: float) -> np.ndarray:
    step = residual / (matrix.diagonal - bottom + SHIFT)
    if matrix.corner is not None:
        places, values, vectors = matrix.corner.places, matrix.corner.values, matrix.corner.vectors
        inverse = 1.0 / (values - min(bottom, values[0]) + SHIFT)
        step[:, places] = (residual[:, places] @ vectors * inverse) @ vectors.T
    return step


def _projected(matrix: Matrix, vectors: np.ndarray) -> np.ndarray:
    """What belongs to the wanted space of vectors that have more of it than rounding."""
    if matrix.project is None or not len(vectors):
        return vectors
    inside = matrix.project(vectors)
    return inside[np.linalg.norm(inside, axis=1) > NEW * np.linalg.norm(vectors, axis=1)]


def _new_directions(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Orthonormal rows that span what the vectors add to the others."""
    found: list[np.ndarray] = []
    for vector in vectors:
        vector = vector / np.linalg.norm(vector)
        for _ in range(2):  # once leaves rounding that grows
            vector = vector - (others @ vector) @ others
            for other in found:
                vector = vector - (other @ vector) * other
            left = np.linalg.norm(vector)
            if left < NEW:
                break
            vector = vector / left
        else:
            found.append(vector)
    return np.array(found).reshape(len(found), others.shape[1])
