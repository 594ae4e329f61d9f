"""The lowest state of one spin in a space too large for a table: determinants, kept to that spin.

A search begins with vectors of that spin and takes steps that keep it: the Hamiltonian does, and so does a preconditioner that
sees the occupations of the orbitals alone. What rounding adds of other spins is held down by a penalty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from pyscf.fci import cistring, direct_spin1

from bodyorder.sources.pyscf import eigensolver
from bodyorder.sources.pyscf.fci.contraction import Contraction, Operator, centred, hamiltonian, penalised, squared_spin
from bodyorder.sources.pyscf.fci.hamiltonian import Densities, Hamiltonians
from bodyorder.sources.pyscf.fci.spaces import IteratedSpace
from bodyorder.sources.pyscf.fci.strings import occupied

#: Fewest vectors that the iteration may hold before it restarts, and most.
FEWEST, MOST = 12, 12
#: Vectors followed, and kept when the space is full.
BLOCK, KEPT = 2, 4
#: Determinants of low energy that an iteration begins from.
CORNER = 400
#: Bytes of the vectors of determinants that are multiplied at once.
TOGETHER = 8_000_000
#: Error of a product in single precision for each hartree of the largest diagonal element.
ROUGHNESS = 5e-8
#: Hartree for each unit of S'(S' + 1) that a state of another spin S' has more: little, as steps enlarge what there is of other
#: spins by it; and more, with exact products, where a search fails or ends in another spin.
PENALTIES = (0.2, 1.0, 5.0)
#: How far ⟨Ŝ²⟩ may be from S(S + 1).
PURE = 1e-3


def capacity(n_vector: int, memory: float) -> int:
    """Vectors (and as many images) of some length that fit into ``memory`` bytes, at most :data:`MOST`; 0 if too few do."""
    fitting = int(memory / (2 * 8.0 * n_vector)) - 4
    return min(MOST, fitting) if fitting >= FEWEST else 0


def sector(n_electrons: int, unpaired: int) -> tuple[tuple[int, int], int]:
    """Electrons of either spin among whose determinants a spin S = ``unpaired``/2 is searched, and the parity of its vectors.

    With as many of one spin as of the other, spins turned over change the sign of states of odd S and leave those of even S.
    """
    if unpaired in (0, 2) and n_electrons % 2 == 0:
        return (n_electrons // 2, n_electrons // 2), 1 if unpaired == 0 else -1
    return ((n_electrons + unpaired) // 2, (n_electrons - unpaired) // 2), 0


def length(n_orbitals: int, n_electrons: int, unpaired: int) -> int:
    """Numbers that a vector takes."""
    (n_alpha, n_beta), parity = sector(n_electrons, unpaired)
    alpha, beta = math.comb(n_orbitals, n_alpha), math.comb(n_orbitals, n_beta)
    return alpha * (alpha + parity) // 2 if parity else alpha * beta


class _Vectors:
    """Vectors of determinants of one spin S = ``unpaired``/2, with what of them is different as rows of numbers."""

    def __init__(self, n_orbitals: int, n_electrons: int, unpaired: int):
        self.unpaired = unpaired
        self.electrons, self.parity = sector(n_electrons, unpaired)
        self.contraction = Contraction(n_orbitals, self.electrons, self.parity)
        self.shape = tuple(cistring.num_strings(n_orbitals, count) for count in self.electrons)
        if self.parity:
            n_strings = self.shape[0]
            self.triangle = np.tri(n_strings, k=min(self.parity, 0), dtype=bool)
            self._diagonal = (
                np.arange(n_strings) * np.arange(3, n_strings + 3) // 2
                if self.parity > 0
                else np.empty(0, dtype=np.int64)
            )

    def squared_spin(self, vector: np.ndarray) -> float:
        """⟨Ŝ²⟩ of a row."""
        state = self.unpacked(vector[None])[:, :, 0]
        return float(np.vdot(state, self.contraction.squared_spin(state)) / np.vdot(state, state))

    def action(self, operator: Operator, precision: type) -> Callable[[np.ndarray], np.ndarray]:
        """Products with an operator in one precision, of rows."""
        together = max(1, TOGETHER // (np.dtype(precision).itemsize * math.prod(self.shape)))

        def apply(vectors: np.ndarray) -> np.ndarray:
            images = np.empty_like(vectors)
            for first in range(0, len(vectors), together):
                part = slice(first, first + together)
                states = self.unpacked(vectors[part].astype(precision, copy=False))
                images[part] = self.packed(self.contraction.apply(operator, states))
            images += operator.constant * vectors
            return images

        return apply

    def packed(self, states: np.ndarray) -> np.ndarray:
        """Rows with the lower triangle of arrays of determinants where the other one says the same, of the same norm, else with
        all of them.

        :param states: shape (α strings, β strings, count)
        """
        if not self.parity:
            return states.reshape(-1, states.shape[2]).T
        packed = np.ascontiguousarray(states[self.triangle].T)
        packed *= math.sqrt(2.0)
        packed[:, self._diagonal] /= math.sqrt(2.0)
        return packed

    def unpacked(self, vectors: np.ndarray) -> np.ndarray:
        """Arrays of determinants from rows, shape (α strings, β strings, count)."""
        if not self.parity:
            return np.ascontiguousarray(vectors.T).reshape(*self.shape, -1)
        states = np.zeros((*self.shape, len(vectors)), dtype=vectors.dtype)
        states[self.triangle] = vectors.T
        states *= math.sqrt(0.5)
        states += self.parity * states.transpose(1, 0, 2)
        if self.parity > 0:
            places = np.arange(self.shape[0])
            states[places, places] = vectors[:, self._diagonal].T
        return states

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """What vectors have of the spin among those that their determinants hold, by Löwdin's projection
        Π (Ŝ² − S'(S'+1)) / (S(S+1) − S'(S'+1)) (Phys. Rev. 97, 1509 (1955), doi:10.1103/PhysRev.97.1509).
        """
        spin, projected = self.unpaired / 2, []
        count, step = sum(self.electrons), 1 + abs(self.parity)
        most = min(count, 2 * self.contraction.n_orbitals - count)
        for vector in vectors:
            state = self.unpacked(vector[None])[:, :, 0]
            for unpaired in range(self.unpaired + 2 * step, most + 1, 2 * step):
                other = unpaired / 2 * (unpaired / 2 + 1)
                state = (self.contraction.squared_spin(state) - other * state) / (spin * (spin + 1) - other)
            projected.append(self.packed(state[:, :, None])[0])
        return np.stack(projected)


class DeterminantSpace(IteratedSpace):
    """States of spin S = ``unpaired``/2 among the determinants with the lowest |Sz| that holds no lower spin of their parity.

    Those hold higher spins, too; they are taken out of the vectors to begin with.

    :param memory: bytes for vectors
    """

    def __init__(self, hamiltonians: Hamiltonians, unpaired: int, memory: float):
        n_electrons, m = hamiltonians.n_electrons, hamiltonians.n_orbitals
        self._orbitals, self._unpaired = m, unpaired
        # matrices know the vectors, not the space that holds them: so its memory is free as soon as it is
        self._vectors = _Vectors(m, n_electrons, unpaired)
        self._electrons = self._vectors.electrons
        self._length = length(m, n_electrons, unpaired)
        self._hamiltonians, self._memory = hamiltonians, memory
        super().__init__([self._matrix(row, PENALTIES[0]) for row in range(len(hamiltonians))])

    def improve(self, rows: np.ndarray, tolerance: float, wanted: int = 1, ceilings: np.ndarray | None = None) -> None:
        """Bring the residuals of the ``wanted`` lowest states of some rows below ``tolerance``."""
        super().improve(rows, tolerance, wanted, ceilings)
        for penalty in PENALTIES[1:]:
            rows = np.array([row for row in rows if not self._pure(row)], dtype=np.int64)
            for row in rows:
                self._matrices[row], self._found[row] = self._matrix(row, penalty, rough=False), None
            super().improve(rows, tolerance, wanted, ceilings)
        for row in rows:
            if not self._pure(row):  # an energy of another spin, and of a penalty, is none
                self.residuals[row] = self.errors[row] = np.inf

    def _pure(self, row: int) -> bool:
        """Whether a search succeeded and the state, if it is kept, is of the spin."""
        space = self._found[row]
        if np.isinf(self.residuals[row]) or space is None:
            return not np.isinf(self.residuals[row])
        return abs(self._vectors.squared_spin(space.state) - self._unpaired / 2 * (self._unpaired / 2 + 1)) < PURE

    def _matrix(self, row: int, penalty: float, rough: bool = True) -> eigensolver.Matrix:
        core, repulsion = self._hamiltonians.core[row], self._hamiltonians.repulsion[row]
        spin = self._unpaired / 2
        squared = squared_spin(self._orbitals, self._electrons)
        exact = direct_spin1.make_hdiag(core, repulsion, self._orbitals, self._electrons)
        groups, sizes = _occupations(self._orbitals, self._electrons)
        levels = np.bincount(groups, exact, len(sizes)) / sizes
        operator = penalised(hamiltonian(core, repulsion, self._electrons), squared, spin, penalty)
        return eigensolver.Matrix(
            self._vectors.action(operator, np.float64),
            levels[groups[self._vectors.triangle.ravel()]] if self._vectors.parity else levels[groups],
            self._corner(core, repulsion, exact, levels),
            project=self._vectors.project,
            block=BLOCK,
            kept=KEPT,
            capacity=capacity(self._length, self._memory),
            rough=self._vectors.action(centred(operator, self._electrons), np.float32) if rough else None,
            noise=ROUGHNESS * float(np.abs(exact).max()),
        )

    def densities(self, row: int) -> Densities:
        """Density matrices of the lowest state of one row."""
        vector = self._vectors.unpacked(self.state(row)[None])[:, :, 0]
        links = tuple(cistring.gen_linkstr_index(range(self._orbitals), count) for count in self._electrons)
        one, two = direct_spin1.make_rdm12(vector, self._orbitals, self._electrons, links)
        two = 0.5 * (two + two.transpose(1, 0, 2, 3))
        two = 0.5 * (two + two.transpose(0, 1, 3, 2))
        return Densities(one[None], 0.5 * (two + two.transpose(2, 3, 0, 1))[None])

    def _corner(
        self, core: np.ndarray, repulsion: np.ndarray, exact: np.ndarray, levels: np.ndarray
    ) -> eigensolver.Corner:
        """States of the spin among all determinants of the lowest occupations."""
        groups, sizes = _occupations(self._orbitals, self._electrons)
        order = np.argsort(levels, kind="stable")
        ranks = np.empty(len(order))
        ranks[order] = np.arange(len(order))
        held = sizes[order].cumsum()
        count = int(held[max(0, int(np.searchsorted(held, CORNER, side="right")) - 1)])
        places, part = direct_spin1.pspace(core, repulsion, self._orbitals, self._electrons, ranks[groups], count)
        places = np.asarray(places, dtype=np.int64)
        np.fill_diagonal(part, exact[places])
        values, spins = np.linalg.eigh(_squared_spin(self._orbitals, self._electrons, places, groups[places]))
        basis = spins[:, np.abs(values - self._unpaired / 2 * (self._unpaired / 2 + 1)) < 0.5]
        values, vectors = np.linalg.eigh(basis.T @ part @ basis)
        vectors = basis @ vectors
        if not self._vectors.parity:
            return eigensolver.Corner(places, values, vectors)
        row, column = np.divmod(places, self._vectors.shape[1])
        kept = row >= column if self._vectors.parity > 0 else row > column
        packed = np.cumsum(self._vectors.triangle.ravel()) - 1
        weights = np.where(row == column, 1.0, math.sqrt(2.0))
        return eigensolver.Corner(packed[places[kept]], values, (vectors * weights[:, None])[kept])


@lru_cache(maxsize=4)
def _occupations(n_orbitals: int, electrons: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which determinants (α string major) fill the orbitals alike, numbered, and how many do."""
    alpha, beta = (occupied(n_orbitals, count) @ 3 ** np.arange(n_orbitals) for count in electrons)
    _, groups, sizes = np.unique((alpha[:, None] + beta).ravel(), return_inverse=True, return_counts=True)
    return groups.astype(np.int32), sizes


def _squared_spin(n_orbitals: int, electrons: tuple[int, int], places: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Ŝ² between some determinants: it exchanges one spin up and one spin down of orbitals that hold one electron each."""
    row, column = np.divmod(places, cistring.num_strings(n_orbitals, electrons[1]))
    alpha, beta = occupied(n_orbitals, electrons[0])[row], occupied(n_orbitals, electrons[1])[column]
    matrix = np.zeros((len(places), len(places)))
    for group in np.unique(groups):
        some = np.flatnonzero(groups == group)
        up, down = alpha[some], beta[some]
        differs = up[:, None] != up
        first, second = np.nonzero(differs.sum(axis=2) == 2)
        between = differs[first, second]
        # strictly between the two orbitals
        inside = (between.cumsum(axis=1) == 1) & ~between
        passed = (inside & up[first]).sum(axis=1) + (inside & down[first]).sum(axis=1)
        block = np.zeros((len(some), len(some)))
        block[first, second] = 2.0 * (passed % 2) - 1.0
        excess = electrons[0] - electrons[1]
        block[np.diag_indices(len(some))] = 0.25 * excess**2 + 0.5 * sum(electrons) - (up[0] & down[0]).sum()
        matrix[some[:, None], some] = block
    return matrix
