"""The lowest state of one spin in a space too large for a table: PySCF's determinants, kept to that spin by projection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pyscf.fci import cistring, direct_spin0, direct_spin1, spin_op

from bodyorder.sources.pyscf import eigensolver
from bodyorder.sources.pyscf.fci.hamiltonian import Densities, Hamiltonians
from bodyorder.sources.pyscf.fci.spaces import IteratedSpace
from bodyorder.sources.pyscf.orbitals import unpack

#: Fewest vectors that the iteration may hold before it restarts.
FEWEST = 12
#: Vectors followed, and kept when the space is full.
BLOCK, KEPT = 2, 4
#: Determinants of low energy that an iteration begins from.
CORNER = 200


def capacity(n_determinants: int, memory: float) -> int:
    """Vectors (and as many images) that fit into ``memory`` bytes, at most the eigensolver's own choice; 0 if too few do."""
    fitting = int(memory / (2 * 8.0 * n_determinants)) - 4
    return min(eigensolver.SPACE, fitting) if fitting >= FEWEST else 0


class DeterminantSpace(IteratedSpace):
    """States of spin S = ``unpaired``/2 among the determinants with Sz = S.

    Those hold the spins S, S + 1, …; the higher ones are taken out of every vector by Löwdin's projection
    Π (Ŝ² − S'(S'+1)) / (S(S+1) − S'(S'+1)) (Phys. Rev. 97, 1509 (1955), doi:10.1103/PhysRev.97.1509).

    :param memory: bytes for vectors
    """

    def __init__(self, hamiltonians: Hamiltonians, unpaired: int, memory: float):
        n_electrons, m = hamiltonians.n_electrons, hamiltonians.n_orbitals
        self._orbitals = m
        self._electrons = (n_electrons + unpaired) // 2, (n_electrons - unpaired) // 2
        self._links = tuple(cistring.gen_linkstr_index_trilidx(range(m), count) for count in self._electrons)
        self._shape = tuple(cistring.num_strings(m, count) for count in self._electrons)
        self._unpaired, self._most = unpaired, min(n_electrons, 2 * m - n_electrons)
        super().__init__([self._matrix(hamiltonians, row, memory) for row in range(len(hamiltonians))])

    def _matrix(self, hamiltonians: Hamiltonians, row: int, memory: float) -> eigensolver.Matrix:
        m = self._orbitals
        core, repulsion = hamiltonians.core[row], hamiltonians.repulsion[row]
        operator = direct_spin1.absorb_h1e(core, unpack(repulsion[None], m)[0], m, self._electrons, 0.5)
        diagonal = direct_spin1.make_hdiag(core, repulsion, m, self._electrons)
        places, part = direct_spin1.pspace(core, repulsion, m, self._electrons, diagonal, CORNER)
        return eigensolver.Matrix(
            self._action(operator),
            diagonal,
            eigensolver.Corner(np.asarray(places), *np.linalg.eigh(part)),
            project=self._project,
            block=BLOCK,
            kept=KEPT,
            capacity=capacity(diagonal.size, memory),
            handed=KEPT,
        )

    def densities(self, row: int) -> Densities:
        """Density matrices of the lowest state of one row."""
        vector = self.state(row).reshape(self._shape)
        one, two = direct_spin1.make_rdm12(vector, self._orbitals, self._electrons, self._links_full())
        two = 0.5 * (two + two.transpose(1, 0, 2, 3))
        two = 0.5 * (two + two.transpose(0, 1, 3, 2))
        return Densities(one[None], 0.5 * (two + two.transpose(2, 3, 0, 1))[None])

    def _links_full(self) -> tuple[np.ndarray, ...]:
        return tuple(cistring.gen_linkstr_index(range(self._orbitals), count) for count in self._electrons)

    def _action(self, operator: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        # a singlet does not change when the spins change places, which saves half of the work
        solver, links = (direct_spin1, self._links) if self._unpaired else (direct_spin0, self._links[0])

        def apply(vectors: np.ndarray) -> np.ndarray:
            images = np.empty_like(vectors)
            for image, vector in zip(images, vectors, strict=True):
                state = np.ascontiguousarray(vector).reshape(self._shape)
                image[:] = solver.contract_2e(operator, state, self._orbitals, self._electrons, links).ravel()
            return images

        return apply

    def _project(self, vectors: np.ndarray) -> np.ndarray:
        spin = self._unpaired / 2
        projected = []
        for vector in vectors:
            state = np.ascontiguousarray(vector).reshape(self._shape)
            for twice in range(self._unpaired + 2, self._most + 1, 2):
                other = twice / 2 * (twice / 2 + 1)
                squared = spin_op.contract_ss(state, self._orbitals, self._electrons)
                state = (squared - other * state) / (spin * (spin + 1) - other)
            if self._unpaired == 0:
                state = 0.5 * (state + state.T)
            projected.append(state.ravel())
        return np.stack(projected)
