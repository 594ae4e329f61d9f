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

#: Elements of an intermediate that are held at once.
TOGETHER = 3_000_000


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


class Contraction:
    """Products of operators with vectors of determinants, arrays of shape (α strings, β strings).

    :param electrons: of either spin
    :param parity: ±1 where c_IJ = ±c_JI in every vector, which halves the work, and 0 where that is not so
    """

    def __init__(self, n_orbitals: int, electrons: tuple[int, int], parity: int):
        self.n_orbitals, self.electrons, self.parity = n_orbitals, electrons, parity

    def apply(self, operator: Operator, vector: np.ndarray) -> np.ndarray:
        """One product."""
        turned = np.ascontiguousarray(vector.T)
        result = np.zeros_like(turned)
        if min(self.electrons) > 0:
            self._opposite(operator.opposite, turned, result)
        if self.parity:
            if operator.equal is not None and self.electrons[0] > 1:
                # c and what comes of it are those of the other spin turned over
                self._equal(operator.equal, self.electrons[0], turned, result)
            image = result.T + self.parity * result
        else:
            if operator.equal is not None and self.electrons[1] > 1:
                self._equal(operator.equal, self.electrons[1], turned, result)
            image = np.ascontiguousarray(result.T)
            if operator.equal is not None and self.electrons[0] > 1:
                self._equal(operator.equal, self.electrons[0], vector, image)
        image += operator.constant * vector
        return image

    def _opposite(self, elements: np.ndarray, turned: np.ndarray, result: np.ndarray) -> None:
        """Add what comes of electrons of both spins; with a parity, the half of it whose other half is that turned over."""
        m, (n_alpha, n_beta) = self.n_orbitals, self.electrons
        alpha, beta = removal(m, n_alpha, 1), removal(m, n_beta, 1)
        sources, signs = alpha.from_all(m)
        n_left, free = len(alpha.sets), beta.sets.shape[1]
        step = max(1, TOGETHER // (m * len(turned)))
        for first in range(0, n_left, step):
            last = min(first + step, n_left)
            width = last - first
            removed = turned[:, sources[:, first:last].ravel()]
            removed *= signs[:, first:last].ravel().astype(turned.dtype)
            filled = np.zeros_like(removed)
            source, target = removed.reshape(-1, m, width), filled.reshape(-1, m, width)
            for left in range(first if self.parity else 0, len(beta.sets)):
                sets, places, sign = beta.sets[left], beta.sources[left], beta.signs[left]
                part = elements[sets][:, :, sets] * (sign[:, None, None, None] * sign[:, None])
                part = part.astype(turned.dtype, copy=False)
                count = min(left + 1, last) - first if self.parity else width
                before = source[places, :, :count].reshape(free * m, count)
                after = part.reshape(free * m, free * m) @ before
                if self.parity and left < last:
                    after[:, -1] *= 0.5  # its own other half
                target[places, :, :count] += after.reshape(free, m, count)
            self._put_back(filled, (first, last), result)

    def _put_back(self, filled: np.ndarray, part: tuple[int, int], result: np.ndarray) -> None:
        """Add an α electron to some of the strings that remain, columns of ``filled`` with the orbital as first index."""
        first, last = part
        n_alpha = self.electrons[0]
        for sets, left, signs in zip(*removal(self.n_orbitals, n_alpha, 1).into(result.shape[1]), strict=True):
            strings = np.flatnonzero((first <= left) & (left < last))
            columns = sets[strings] * (last - first) + left[strings] - first
            added = filled[:, columns]
            added *= signs[strings].astype(filled.dtype)
            if len(strings) == result.shape[1]:
                result += added
            else:
                result[:, strings] += added

    def _equal(self, elements: np.ndarray, n_electrons: int, vector: np.ndarray, result: np.ndarray) -> None:
        """Add what comes of two electrons of the spin whose strings are the rows."""
        table = removal(self.n_orbitals, n_electrons, 2)
        for sets, places, signs in zip(table.sets, table.sources, table.signs, strict=True):
            part = elements[sets[:, None], sets] * (signs[:, None] * signs)
            result[places] += part.astype(vector.dtype, copy=False) @ vector[places]

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
            signs = (up[orbital, rows, None] * down[orbital, columns]).astype(vector.dtype)
            raised[after] += signs * vector[before]
            turns.append((before, after, signs))
        for before, after, signs in turns:
            result[before] += signs * raised[after]
        return result
