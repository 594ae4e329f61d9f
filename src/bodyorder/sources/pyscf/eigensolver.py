"""The lowest eigenvalues of a large symmetric matrix that is known by its action on vectors.

A Davidson iteration (Davidson, J. Comput. Phys. 17, 87 (1975), doi:10.1016/0021-9991(75)90065-0) with three changes that keep it
from settling on an excited state: it starts from several vectors with a random part, which overlaps with every state of whatever
symmetry; it follows each of them until an eigenvalue above the lowest one claims it; and its preconditioner is positive definite,
so it pulls towards the bottom of the spectrum and not towards whatever lies near the present estimate.

Rough products, in single precision, do for most of its steps. An estimate's product is then wrong by no more than the
coefficients of the vectors with rough ones say. Where that is no longer small against the residual, the product with the estimate
is made anew and exactly; only small corrections follow, and theirs may be rough again. The last one with an estimate is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
#: Part of a residual that may be the error of rough products, and of how many hartree two estimates must be apart for rough
#: products to tell them from each other.
BLURRED, NEARBY = 0.2, 1e-2
#: Exact looks at the estimates, and steps between two of them, after which all products are exact.
LOOKS, PATIENCE = 6, 60
#: Numbers of each vector that are worked on at once.
TOGETHER = 65_536
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
    :param rough: multiplies vectors in single precision, if that is faster
    :param noise: length of the error of such a product with a vector of length one, in hartree
    """

    apply: Callable[[np.ndarray], np.ndarray]
    diagonal: np.ndarray
    corner: Corner | None = None
    project: Callable[[np.ndarray], np.ndarray] | None = None
    block: int = BLOCK
    kept: int = KEPT
    capacity: int = SPACE
    rough: Callable[[np.ndarray], np.ndarray] | None = None
    noise: float = 0.0


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
        self._errors = np.zeros((matrix.capacity, matrix.capacity))
        self.count = 0
        self.add(matrix, first)
        self.state = first[0]
        self.energies, self.residuals = np.full(2, np.inf), np.full(2, np.inf)

    @property
    def error(self) -> float:
        """Bound on the error of the lowest energy (hartree): the residual r, or r²/g where a gap g to the next state is known.

        Kato, J. Phys. Soc. Jpn. 4, 334 (1949), doi:10.1143/JPSJ.4.334
        """
        first = float(self.residuals[0])
        if np.isinf(first):
            return first
        gap = self.energies[1] - self.residuals[1] - self.energies[0]
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
        if more > len(self._held):
            self._held, self._images = (
                self._room(matrix.capacity, self._held),
                self._room(matrix.capacity, self._images),
            )
        self._held[count:more] = vectors
        self._images[count:more] = (matrix.rough or matrix.apply)(vectors)
        self.count = more
        some = self.vectors @ self._images[count:more].T
        self._errors[count:more], self._errors[:, count:more] = 0.0, 0.0
        if matrix.rough is not None:
            # of the two products that an element can be made of the better one
            better = self._errors.diagonal()[:count] < matrix.noise**2
            some[:count][better] = (self._images[:count] @ vectors.T)[better]
            self._errors[range(count, more), range(count, more)] = matrix.noise**2
        self._small[:more, count:more], self._small[count:more, :more] = some, some.T

    def estimates(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues in the subspace and their vectors as columns."""
        return np.linalg.eigh(self._small[: self.count, : self.count])

    def restart(self, coefficients: np.ndarray) -> None:
        """Keep some combinations only, orthonormal columns."""
        kept, turn = coefficients.shape[1], coefficients.T
        small = turn @ self._small[: self.count, : self.count] @ coefficients
        for first in range(0, self._held.shape[1], TOGETHER):
            part = slice(first, first + TOGETHER)
            self._held[:kept, part] = turn @ self.vectors[:, part]
            self._images[:kept, part] = turn @ self.images[:, part]
        self._small[:kept, :kept] = small
        self._errors[:kept, :kept] = turn @ self._errors[: self.count, : self.count] @ coefficients
        self.count = kept

    def shrink(self, kept: int) -> None:
        """Keep the lowest estimates only and no room for more, until some are added."""
        if self.count > kept:
            self.restart(self.estimates()[1][:, :kept])
        self._held, self._images = self.vectors.copy(), self.images.copy()

    def _room(self, capacity: int, held: np.ndarray) -> np.ndarray:
        room = np.empty((capacity, held.shape[1]))
        room[: self.count] = held[: self.count]
        return room

    def sharpen(self, matrix: Matrix, count: int) -> None:
        """Make the products with the first few vectors exact."""
        for place in range(count):
            self._images[place] = matrix.apply(self._held[place : place + 1])[0]
            some = self.vectors @ self._images[place]
            self._small[: self.count, place] = self._small[place, : self.count] = some
        self._errors[:count], self._errors[:, :count] = 0.0, 0.0

    def blurs(self, lowest: np.ndarray) -> np.ndarray:
        """Errors of the products with some combinations, rows, that rough products make."""
        errors = self._errors[: self.count, : self.count]
        return np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", lowest, errors, lowest), 0.0))

    def remainders(self, energies: np.ndarray, lowest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hx − Ex of some combinations, rows, and their lengths."""
        remainders = np.empty((len(energies), self._held.shape[1]))
        squares = np.zeros(len(energies))
        for first in range(0, remainders.shape[1], TOGETHER):
            part = slice(first, first + TOGETHER)
            some = lowest @ self.images[:, part] - energies[:, None] * (lowest @ self.vectors[:, part])
            squares += np.einsum("kd,kd->k", some, some)
            remainders[:, part] = some
        return remainders, np.sqrt(squares)

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
    looks, since = 0, 0
    exhausted = False
    before = np.empty((0, 0))
    for _ in range(ITERATIONS):
        values, coefficients = space.estimates()
        energies, lowest = values[:followed], coefficients[:, :followed].T
        residual, norms = space.remainders(energies, lowest)
        above = energies[0] - ceiling >= CLEAR * norms[0]
        enough = above or _enough(energies, norms, tolerance, wanted)
        finished = exhausted or (enough and space.count >= min(FEWEST, matrix.kept))
        blurs = np.zeros(1) if matrix.rough is None else space.blurs(lowest[:wanted])
        needed = ACCURACY if tolerance < BELIEVED else BLURRED * tolerance
        if enough and finished and (above or blurs.max() <= needed):
            space.keep(values, coefficients, norms)
            return
        if exhausted and matrix.rough is None:
            break
        blurred = np.any(blurs > np.maximum(BLURRED * norms[: len(blurs)], needed))
        if finished or blurred or (since > PATIENCE and matrix.rough is not None):
            space.restart(_with_last(coefficients[:, : matrix.kept], before))
            if exhausted or looks == LOOKS or since > PATIENCE:
                matrix = replace(matrix, rough=None)
            near = int(np.sum(values[: matrix.kept] <= energies[min(wanted, len(energies)) - 1] + NEARBY))
            space.sharpen(matrix, space.count if matrix.rough is None else near)
            looks, since, exhausted, before = looks + 1, 0, False, np.eye(space.count)[:, : matrix.block]
            continue
        if space.count + followed > matrix.capacity:
            space.restart(_with_last(coefficients[:, : matrix.kept], before))
            lowest = np.eye(space.count)[:followed]
        # a vector that an eigenvalue above the wanted ones claims is left alone
        last = min(wanted, len(energies)) - 1
        open_still = energies - norms <= energies[last] + norms[last]
        step = _preconditioned(matrix, residual[open_still & (norms > 0.0)], min(bottom, energies[0]))
        del residual  # large, and more room is needed now
        step = _new_directions(step, space.vectors)
        exhausted, before, since = not len(step), lowest[: matrix.block].T, since + 1
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
