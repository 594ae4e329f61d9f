"""Self-consistency of one sub-cluster, on a coarse grid that is mended by what finer ones say.

Let E₀ be the energy on a coarse grid and E that on a fine one. Near orbitals where both are known,

    E ≈ E₀ + [E − E₀] + tr [F − F₀] (D' − D),

with an error of second order in D' − D times what the second derivatives of the two grids differ by, a few hundredths. So the
fine grid is looked at once or twice where ten looks would be needed to converge on it. How much the energy falls between two
looks says how much it still can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bodyorder.sources.pyscf.mean_field.kohn_sham.field import Field, Look

#: Fock matrices that an extrapolation looks back on.
HISTORY = 8
#: Steps before giving up, and norm of the derivative (hartree) at which a mended state rests.
STEPS, STILL = 60, 1e-5
#: What is left of an energy's fall after a look at the fine grid, at most.
LEFT = 0.02
#: Looks at a grid before giving up.
LOOKS = 10


@dataclass
class Mend:
    """What a finer grid changes near some orbitals.

    :param energy: in hartree, at these orbitals
    :param fock: shape (sets, m, m)
    :param densities: there, shape (sets, m, m)
    """

    energy: float
    fock: np.ndarray
    densities: np.ndarray


class State:
    """A determinant on its way.

    :param field: the sub-cluster
    :param orbitals: occupied ones of both spins, or one set that holds pairs
    :param coarse: what the coarse grid says of it
    :param mend: of a finer grid
    """

    def __init__(self, field: Field, orbitals: list[np.ndarray], coarse: Look, mend: Mend | None = None):
        self.orbitals, self.coarse = orbitals, coarse
        #: in hartree, mended
        self.energy = coarse.energy
        #: mended, shape (sets, m, m)
        self.fock = coarse.fock
        if mend is not None:
            change = field.densities(orbitals) - mend.densities
            self.energy += mend.energy + float(np.vdot(mend.fock, change))
            self.fock = self.fock + mend.fock
        error = 0.0
        for some, fock in zip(orbitals, self.fock, strict=True):
            image = field.basis.T @ (fock @ some)
            inside = field.basis.T @ (field.overlap @ some)
            error += float(np.linalg.norm(image - inside @ (inside.T @ image)) ** 2)
        #: norm of the derivative by rotations (hartree)
        self.error = float(np.sqrt(error))


class Relaxation:
    """Direct inversion in the iterative subspace (Pulay, J. Comput. Chem. 3, 556 (1982), doi:10.1002/jcc.540030413).

    :param field: the sub-cluster
    :param start: to start from
    :param level: of the coarse grid
    :param mend: of a finer grid
    """

    def __init__(self, field: Field, start: State, level: int, mend: Mend | None = None):
        self._field, self._level, self._mend = field, level, mend
        self._focks: list[np.ndarray] = []
        self._errors: list[np.ndarray] = []
        self._now = start
        #: what came closest to rest
        self.best = start

    def run(self, rest: float, steps: int = STEPS) -> State:
        """Go on for some steps, or until the norm of the derivative by rotations is below ``rest`` (hartree)."""
        basis = self._field.basis
        metric = self._field.overlap @ basis
        for _ in range(steps):
            if self.best.error < rest:
                break
            inside = basis.T @ self._now.fock @ basis
            occupied = [metric.T @ some for some in self._now.orbitals]
            product = np.array([one @ some @ some.T for one, some in zip(inside, occupied, strict=True)])
            self._errors = [*self._errors, (product - product.transpose(0, 2, 1)).ravel()][-HISTORY:]
            self._focks = [*self._focks, inside][-HISTORY:]
            vectors = np.linalg.eigh(_extrapolated(self._focks, self._errors))[1]
            orbitals = [basis @ some[:, : old.shape[1]] for some, old in zip(vectors, self._now.orbitals, strict=True)]
            self._now = State(self._field, orbitals, self._field.look(orbitals, self._level), self._mend)
            if self._now.error < self.best.error:
                self.best = self._now
        return self.best


def _extrapolated(focks: list[np.ndarray], errors: list[np.ndarray]) -> np.ndarray:
    count = len(errors)
    if count == 1:
        return focks[0]
    flat = np.array(errors)
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = flat @ flat.T
    scale = max(system.max(), np.finfo(np.float64).tiny)
    system /= scale
    system[np.arange(count), np.arange(count)] += 1e-13
    system[count, :count] = system[:count, count] = 1.0
    weights = np.linalg.solve(system, np.eye(count + 1)[count])[:count]
    return np.tensordot(weights, np.array(focks), axes=1)


def refined(
    field: Field, state: State, levels: tuple[int, int], accuracy: float, rest: float = 0.0, still: float = STILL
) -> State | None:
    """A state that rests on the coarse grid, as it rests on a finer one; None where it does not come to rest.

    :param levels: of the coarse and of the finer grid
    :param accuracy: error of the energy that is allowed (hartree)
    :param rest: norm of the derivative that is asked for at a look at the finer grid, 0 for whatever the energy needs
    :param still: norm of the derivative at which it rests between looks
    """
    coarse, level = levels
    for _ in range(LOOKS):
        change, fock = field.mended(state.orbitals, level, state.coarse)
        mend = Mend(change, fock, field.densities(state.orbitals))
        before = State(field, state.orbitals, state.coarse, mend)
        state = Relaxation(field, before, coarse, mend).run(0.01 * rest or still)
        if state.error > (0.1 * rest or still):
            return None
        if abs(before.energy - state.energy) * LEFT < accuracy and not 0.0 < rest < before.error:
            return state
    return None
