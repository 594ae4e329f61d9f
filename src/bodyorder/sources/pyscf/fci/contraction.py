"""Two-electron operators on vectors of determinants: two electrons are taken out and put back elsewhere.

    H c = Σ (pr|qs) a†_pα a†_qβ a_sβ a_rα c + Σ_{p<q, r<s} [(pr|qs) − (ps|qr)] (a†_pα a†_qα a_sα a_rα + same of β) c

Between the strings that remain after the removal an operator is one matrix product, dense in what it can fill (compare
Knowles and Handy, Chem. Phys. Lett. 111, 315 (1984), doi:10.1016/0009-2614(84)85513-X, who move one electron at a time, twice).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bodyorder.sources.pyscf.fci.strings import removal
from bodyorder.sources.pyscf.orbitals import unpack

#: Bytes of an intermediate that are held at once.
TOGETHER = 35_000_000
#: Rows that electrons are put back into at once, few enough for them to stay in the cache.
ROWS = 64


@dataclass(frozen=True)
class Operator:
    """What acts on two electrons of opposite and of equal spins, and a number.

    :param opposite: of a†_pα a†_qβ a_sβ a_rα at [q, p, s, r], shape (m, m, m, m)
    :param equal: of a†_p a†_q a_s a_r, p < q and r < s, shape (m(m − 1)/2, m(m − 1)/2); None for nothing
    :param constant: times the vector itself
    """

    opposite: np.ndarray
    equal: np.ndarray | None
    constant: float


def hamiltonian(core: np.ndarray, repulsion: np.ndarray, electrons: tuple[int, int]) -> Operator:
    """H of at least two electrons.

    :param core: shape (m, m)
    :param repulsion: (pq|rs) over pairs
    """
    m = len(core)
    full = unpack(repulsion[None], m)[0].copy()
    orbital, one = np.arange(m), core / (sum(electrons) - 1)
    full[:, :, orbital, orbital] += one[:, :, None]
    full[orbital, orbital] += one
    second, first = np.tril_indices(m, -1)
    equal = full[first[:, None], first, second[:, None], second] - full[first[:, None], second, second[:, None], first]
    return Operator(np.ascontiguousarray(full.transpose(2, 0, 3, 1)), equal, 0.0)


def squared_spin(n_orbitals: int, electrons: tuple[int, int]) -> Operator:
    """Ŝ² = Sz² + N/2 − Σ_pq a†_pα a†_qβ a_pβ a_qα."""
    unit = np.eye(n_orbitals)
    exchange = -np.einsum("qr,ps->qpsr", unit, unit)
    return Operator(exchange, None, 0.25 * (electrons[0] - electrons[1]) ** 2 + 0.5 * sum(electrons))


def penalised(operator: Operator, squared: Operator, spin: float, penalty: float) -> Operator:
    """H + penalty·(Ŝ² − S(S + 1)), which differs from H for other spins than S only."""
    constant = operator.constant + penalty * (squared.constant - spin * (spin + 1))
    return Operator(operator.opposite + penalty * squared.opposite, operator.equal, constant)


def centred(operator: Operator, electrons: tuple[int, int]) -> Operator:
    """The same operator with the mean of its elements between occupied orbitals in the constant: what rounds the less."""
    n_alpha, n_beta = electrons
    beta, alpha = np.meshgrid(np.arange(n_beta), np.arange(n_alpha), indexing="ij")
    opposite, constant = operator.opposite, operator.constant
    if alpha.size:
        mean = opposite[beta, alpha, beta, alpha].mean()
        orbital = np.arange(len(opposite))
        opposite = opposite.copy()
        opposite[orbital[:, None], orbital, orbital[:, None], orbital] -= mean
        constant += mean * alpha.size
    equal, most = operator.equal, max(electrons)
    if equal is not None and most > 1:
        mean = equal.diagonal()[: most * (most - 1) // 2].mean()
        equal = equal - mean * np.eye(len(equal))
        constant += mean * sum(count * (count - 1) // 2 for count in electrons)
    return Operator(opposite, equal, constant)


class Contraction:
    """Products of operators with vectors of determinants, arrays of shape (α strings, β strings, vectors).

    They are evaluated in the precision that the vectors have.

    :param electrons: of either spin
    :param parity: ±1 where c_IJ = ±c_JI in every vector, which halves the work, and 0 where that is not so
    """

    def __init__(self, n_orbitals: int, electrons: tuple[int, int], parity: int):
        self.n_orbitals, self.electrons, self.parity = n_orbitals, electrons, parity

    def apply(self, operator: Operator, vectors: np.ndarray) -> np.ndarray:
        """Products with some vectors, but for the constant."""
        turned = np.ascontiguousarray(vectors.transpose(1, 0, 2))
        result = np.zeros_like(turned)
        if min(self.electrons) > 0:
            self._opposite(operator.opposite.astype(turned.dtype, copy=False), turned, result)
        equal = None if operator.equal is None else operator.equal.astype(turned.dtype, copy=False)
        if self.parity:
            if equal is not None and self.electrons[0] > 1:
                # c and what comes of it are those of the other spin turned over
                self._equal(equal, self.electrons[0], turned, result)
            images = result.transpose(1, 0, 2) + self.parity * result
        else:
            if equal is not None and self.electrons[1] > 1:
                self._equal(equal, self.electrons[1], turned, result)
            images = np.ascontiguousarray(result.transpose(1, 0, 2))
            if equal is not None and self.electrons[0] > 1:
                self._equal(equal, self.electrons[0], vectors, images)
        return images

    def _opposite(self, elements: np.ndarray, turned: np.ndarray, result: np.ndarray) -> None:
        """Add what comes of electrons of both spins; with a parity, the half of it whose other half is that turned over."""
        m, (n_alpha, n_beta) = self.n_orbitals, self.electrons
        alpha, beta = removal(m, n_alpha, 1), removal(m, n_beta, 1)
        n_rows, n_strings, n_vectors = turned.shape
        n_left, free = len(alpha.sets), beta.sets.shape[1]
        sources, signs = alpha.from_all(m)
        # a column for each string, for each with its sign turned, and one of zeros
        signed = np.concatenate([turned, -turned, np.zeros_like(turned[:, :1])], axis=1)
        columns = np.where(signs == 0, 2 * n_strings, np.where(signs < 0, sources + n_strings, sources))
        step = max(1, min(n_left, TOGETHER // (m * n_rows * n_vectors * turned.itemsize)))
        removed, filled = np.empty((2, n_rows * m * step * n_vectors), dtype=turned.dtype)
        for first in range(0, n_left, step):
            last = min(first + step, n_left)
            width = (last - first) * n_vectors
            source = removed[: n_rows * m * width].reshape(n_rows, m, width)
            target = filled[: source.size].reshape(source.shape)
            into = source.reshape(n_rows, -1, n_vectors)
            np.take(signed, columns[:, first:last].ravel(), axis=1, out=into, mode="clip")
            target[:] = 0.0
            for left in range(first if self.parity else 0, len(beta.sets)):
                sets, places, sign = beta.sets[left], beta.sources[left], beta.signs[left].astype(turned.dtype)
                part = elements.take(sets, axis=0).take(sets, axis=2)
                part *= sign[:, None, None, None] * sign[:, None]
                count = (min(left + 1, last) - first) * n_vectors if self.parity else width
                before = source[places, :, :count].reshape(free * m, count)
                after = part.reshape(free * m, free * m) @ before
                if self.parity and left < last:
                    after[:, -n_vectors:] *= 0.5  # its own other half
                for place, more in zip(places, after.reshape(free, m, count), strict=True):
                    target[place, :, :count] += more
            self._put_back(target.reshape(n_rows, -1, n_vectors), (first, last), result)

    def _put_back(self, filled: np.ndarray, part: tuple[int, int], result: np.ndarray) -> None:
        """Add an α electron to some of the strings that remain, columns of ``filled`` with the orbital as first index."""
        first, last = part
        sets, left, signs = removal(self.n_orbitals, self.electrons[0], 1).into(result.shape[1])
        inside = (first <= left) & (left < last)
        columns = np.where(inside, sets * (last - first) + left - first, 0)
        signs = (signs * inside).astype(filled.dtype)[:, :, None]
        for row in range(0, len(result), ROWS):
            for column, sign in zip(columns, signs, strict=True):
                added = filled[row : row + ROWS].take(column, axis=1)
                added *= sign
                result[row : row + ROWS] += added

    def _equal(self, elements: np.ndarray, n_electrons: int, vectors: np.ndarray, result: np.ndarray) -> None:
        """Add what comes of two electrons of the spin whose strings are the rows."""
        table = removal(self.n_orbitals, n_electrons, 2)
        before, after = vectors.reshape(len(vectors), -1), result.reshape(len(result), -1)
        for sets, places, signs in zip(table.sets, table.sources, table.signs, strict=True):
            part = elements[sets[:, None], sets] * (signs[:, None] * signs).astype(elements.dtype)
            after[places] += part @ before[places]

    def squared_spin(self, vector: np.ndarray) -> np.ndarray:
        """Ŝ² of a vector, by way of one more electron with spin up: Ŝ² = Ŝ₋ Ŝ₊ + Sz (Sz + 1)."""
        m, (n_alpha, n_beta) = self.n_orbitals, self.electrons
        projection = 0.5 * (n_alpha - n_beta)
        result = projection * (projection + 1.0) * vector
        if n_beta == 0 or n_alpha == m:
            return result.astype(vector.dtype, copy=False)
        added, up = removal(m, n_alpha + 1, 1).from_all(m)
        taken, down = removal(m, n_beta, 1).from_all(m)
        raised = np.zeros((math.comb(m, n_alpha + 1), math.comb(m, n_beta - 1)), dtype=vector.dtype)
        turns = []
        for orbital in range(m):
            rows, columns = np.flatnonzero(up[orbital]), np.flatnonzero(down[orbital])
            before = np.ix_(rows, taken[orbital, columns])
            after = np.ix_(added[orbital, rows], columns)
            signs = up[orbital, rows, None], down[orbital, columns]
            raised[after] += vector[before] * signs[0] * signs[1]
            turns.append((before, after, signs))
        for before, after, signs in turns:
            result[before] += raised[after] * signs[0] * signs[1]
        return result
