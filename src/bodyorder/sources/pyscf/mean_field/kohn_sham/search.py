"""The lowest solution of one sub-cluster: closed shells the short way, others from several starts on grids ever finer."""

from __future__ import annotations

import numpy as np

from bodyorder.sources.pyscf.mean_field.closed import MARGIN
from bodyorder.sources.pyscf.mean_field.kohn_sham.curvature import Curvature
from bodyorder.sources.pyscf.mean_field.kohn_sham.field import Field
from bodyorder.sources.pyscf.mean_field.kohn_sham.relaxation import LEFT, Relaxation, State, refined

#: Levels of PySCF's grids that states are found on, and on which they are ranked.
COARSE, MIDDLE = 0, 1
#: Norm of the derivative (hartree) at which starts rest on either, and steps that they are given.
RESTS, STEPS = (3e-3, 1e-4), 30
#: Steps after which starts are dropped that are so much above the lowest (hartree).
FIRST, FAR = 6, 0.05
#: Starts that end within this of each other on the coarse grid (hartree), and whose orbitals share all but so much, are one.
SAME, SHARED = 1e-4, 1e-2
#: Different solutions that are ranked, if no more than so much above the lowest of the coarse grid (hartree), and what it may
#: still fall by where a start has not come to rest.
RANKED, WINDOW = 5, 0.02
#: Ranked ones this close (hartree) are told apart by the finest grid, if they are no more than so many.
CLOSE, FINALISTS = 2e-4, 3
#: Error of an energy that a few looks at the finest grid leave (hartree), and norm of the derivative at one of them where forces
#: are wanted.
ACCURACY, DERIVATIVE = 2e-9, 1e-6
#: A second derivative (hartree) below the first means a saddle point. The coarsest grid, which it comes from, blurs it by less
#: than the second. A minimum so close to a saddle point lies less than 1e-6 hartree below it.
CURVATURE, BLUR = -1e-3, 1e-2
#: Norm of the derivative (hartree) at which minima rest that have less curvature than that.
SOFT = 1e-6
#: What must be gained by leaving a saddle point (hartree), saddle points left one after the other, and angles tried at each.
GAIN, ESCAPES, ANGLES = 1e-7, 6, (1.0, 0.3)


class Search:
    """Solutions of one sub-cluster.

    :param field: the sub-cluster
    :param electrons: of either spin
    :param atoms: density of superposed atoms, shape (m, m)
    :param forces: whether derivatives are wanted
    """

    def __init__(self, field: Field, electrons: tuple[int, int], atoms: np.ndarray, forces: bool):
        self.field, self.electrons, self.atoms = field, electrons, atoms
        self._rest = DERIVATIVE if forces else 0.0
        #: density matrices close to the lowest solution, None before any was found
        self.near: np.ndarray | None = None
        self._level = field.functional.level
        self._coarse, self._middle = min(COARSE, self._level), min(MIDDLE, self._level)

    def closed(self, margin: float = MARGIN) -> State | None:
        """The solution with pairs of electrons if no second derivative is below a margin (hartree), else None."""
        if not self.field.functional.curved or self.electrons[0] != self.electrons[1]:
            return None
        start = self.determinant(np.repeat(0.5 * self.atoms[None], 2, axis=0))[:1]
        state = Relaxation(self.field, self._look(start), self._coarse).run(RESTS[0], STEPS)
        if state.error > RESTS[0]:
            return None
        curvature, _ = Curvature(self.field, state, self._coarse, parting=True).lowest(margin)
        if curvature < margin:
            return None
        # rotations that keep the spins together cost what repulsion adds; only correlation, which is less, takes some of it back
        return self._through(state)

    def rough(self, densities: np.ndarray) -> list[State]:
        """Where starts lead to on the coarse grid, the lowest first.

        :param densities: of both spins to start from, shape (starts, 2, m, m)
        """
        total = max(sum(self.electrons), 1)
        unpolarised = np.array([self.atoms * (count / total) for count in self.electrons])
        sets = 1 if self.field.functional.restricted else 2
        tracks = [
            Relaxation(self.field, self._look(self.determinant(density)[:sets]), self._coarse)
            for density in [*densities, unpolarised]
        ]
        first = [track.run(RESTS[0], FIRST).energy for track in tracks]
        rough = [
            track.run(RESTS[0], STEPS) for track, energy in zip(tracks, first, strict=True) if energy < min(first) + FAR
        ]
        return sorted(rough, key=lambda state: state.energy)

    def lowest(self, rough: list[State]) -> State | None:
        """The lowest solution that these lead to, or None if it has not come to rest or is no minimum."""
        ranked = []
        for state in self._different(rough):
            better = refined(self.field, state, (self._coarse, self._middle), np.inf, still=RESTS[1])
            if better is not None:
                ranked.append(better)
        ranked.sort(key=lambda state: state.energy)
        if ranked:
            self.near = self.field.densities(ranked[0].orbitals)
        finals = [self._final(state) for state in ranked if state.energy < ranked[0].energy + CLOSE][:FINALISTS]
        found = min((state for state in finals if state is not None), key=lambda state: state.energy, default=None)
        return self._minimum(found) if found is not None and self.field.functional.curved else found

    def determinant(self, density: np.ndarray) -> list[np.ndarray]:
        """The natural orbitals that hold most of a density of both spins."""
        metric = self.field.overlap @ self.field.basis
        return [
            self.field.basis @ np.linalg.eigh(-(metric.T @ some @ metric))[1][:, :count]
            for some, count in zip(density, self.electrons, strict=True)
        ]

    def _look(self, orbitals: list[np.ndarray]) -> State:
        return State(self.field, orbitals, self.field.look(orbitals, self._coarse))

    def _different(self, states: list[State]) -> list[State]:
        kept: list[State] = []
        for state in sorted(states, key=lambda state: state.energy):
            if kept and state.energy > kept[0].energy + WINDOW:
                break
            if not any(state.energy < one.energy + SAME and self._shared(state, one) for one in kept):
                kept.append(state)
        return kept[:RANKED]

    def _shared(self, one: State, other: State) -> bool:
        """Whether two states are one, or mirror images in spin."""
        overlaps = [
            [float(np.sum((some.T @ self.field.overlap @ others) ** 2)) for others in other.orbitals]
            for some in one.orbitals
        ]
        table, last = np.array(overlaps), len(overlaps) - 1
        straight, crossed = np.trace(table), table[0, last] + table[last, 0] if last else 0.0
        count = sum(some.shape[1] for some in one.orbitals)
        return bool(straight > count - SHARED or (self.electrons[0] == self.electrons[1] and crossed > count - SHARED))

    def _through(self, state: State) -> State | None:
        middle = refined(self.field, state, (self._coarse, self._middle), np.inf, still=RESTS[1])
        return None if middle is None else self._final(middle)

    def _final(self, state: State) -> State | None:
        return refined(self.field, state, (self._coarse, self._level), ACCURACY, self._rest)

    def _minimum(self, found: State) -> State | None:
        """A minimum below a solution, the solution itself if it is one, or None."""
        for _ in range(ESCAPES):
            curvature, value, direction = self._downhill(found)
            if value > CURVATURE:
                return self._settled(found) if value < BLUR else found
            turned = [self._through(self._look(curvature.turned(direction, angle))) for angle in ANGLES]
            lower = [state for state in turned if state is not None and state.energy < found.energy - GAIN]
            if not lower:
                return None
            found = min(lower, key=lambda state: state.energy)
        return None

    def _downhill(self, found: State) -> tuple[Curvature, float, np.ndarray]:
        """Lowest second derivative and its direction; it is negative only where each grid up to the finest says so."""
        for level in dict.fromkeys((self._coarse, self._middle, self._level)):
            curvature = Curvature(self.field, found, level)
            value, direction = curvature.lowest(BLUR)
            if value > (BLUR if level < self._middle else CURVATURE):
                break
        return curvature, value, direction

    def _settled(self, found: State) -> State | None:
        """A minimum of little curvature, where small derivatives leave more of an energy."""
        return refined(self.field, found, (self._coarse, self._level), LEFT * ACCURACY, self._rest, SOFT)
