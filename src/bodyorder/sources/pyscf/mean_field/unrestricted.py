"""The lowest unrestricted solution of every sub-cluster of a problem.

Closed shells beyond doubt are found the short way (:mod:`~bodyorder.sources.pyscf.mean_field.closed`). All others are searched:
starts are brought close to self-consistency in the space of the atoms' own occupied orbitals, where a step costs next to
nothing; the few different solutions found there, and some starts that know nothing of them, go on in all functions;
the lowest of those goes downhill to a stable solution. Where several numbers of unpaired electrons are asked for, those whose
starts have come to rest far above the lowest solution of another end there.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from bodyorder.sources.pyscf.integrals import ClusterIntegrals, IntegralCache, all_numbers
from bodyorder.sources.pyscf.mean_field.closed import closed_shell
from bodyorder.sources.pyscf.mean_field.descent import DENSE, DENSE_IF_NEEDED, Descent
from bodyorder.sources.pyscf.mean_field.fields import Solution, molecule_of
from bodyorder.sources.pyscf.mean_field.iterative import solve_iteratively
from bodyorder.sources.pyscf.mean_field.relax import Tracks, relax
from bodyorder.sources.pyscf.mean_field.space import Space, of_one_rank
from bodyorder.sources.pyscf.mean_field.spins import near_the_lowest
from bodyorder.sources.pyscf.mean_field.starts import AtomicOrbitals, configurations, patterns, polarisations
from bodyorder.sources.pyscf.problem import Problem

#: Steps in the small space, when a start rests there (hartree), and how close solutions
#: that will be one may still be.
SMALL_STEPS, SMALL_REST, ALIKE = 25, 3e-4, 3e-5
#: Different solutions that go on, with and without shells of several orbitals; in the small space, if no more than so much
#: above the lowest (hartree).
KEPT, KEPT_SHELLS, WINDOW = 3, 10, 0.1
#: Where there are shells of several orbitals, random starts, and how far they stray from the field of the atoms (hartree).
RANDOM, STRAY = 30, (0.1, 0.3, 1.0)
#: Steps in all functions before those that are far above the lowest (hartree) are dropped, and after that.
FIRST_STEPS, FAR, LAST_STEPS = 5, 0.06, 12
#: When a start rests.
REST = 3e-4
#: Unfinished rivals of the lowest that go downhill too, if no more than so much above it (hartree).
RIVALS, CLOSE = 2, 5e-3
#: Rivals that always do where there are shells of several orbitals.
RIVALS_SHELLS = 3
#: Electrons of the smallest closed shell that is looked for the short way.
LEAST_CLOSED = 4
#: Largest element of the commutator of density and Fock matrix (hartree) with which a search far above the lowest solution goes
#: no further.
NEAR = 1e-2


class Unrestricted:
    """The sub-clusters of a problem.

    :param problem: what is asked
    :param cache: where integrals come from
    """

    def __init__(self, problem: Problem, cache: IntegralCache):
        self.problem, self.basis = problem, cache.basis
        self.integrals: ClusterIntegrals = cache.integrals(problem.batch)
        counts = cache.functions(all_numbers(problem.batch)[0])
        numbers = problem.batch.numbers[0]
        self.atoms = AtomicOrbitals.of_cluster(cache.basis, numbers, int(counts[len(numbers) :].sum()))
        # patterns of moments do not tell how the electrons of an open shell lie
        self._shells = len(self.atoms.atoms) > len(numbers)
        self._kept = KEPT_SHELLS if self._shells else KEPT

    @cached_property
    def closed(self) -> dict[int, Solution]:
        """The rows that are closed shells beyond doubt, with their solutions: the lowest of any number of unpaired electrons.

        Patterns of moments need few starts where no atom has a shell of several orbitals, so only others go this short way.
        """
        problem, found = self.problem, {}
        if not self._shells or 0 not in problem.spins or problem.n_electrons < LEAST_CLOSED:
            return {}
        occupations = self.atoms.occupations(np.zeros(len(problem.batch.numbers[0]))).sum(axis=0)
        density = (self.atoms.coefficients * occupations) @ self.atoms.coefficients.T
        for row in range(len(problem.batch)):
            mol = molecule_of(problem.batch, row, self.basis, 0)
            solution = closed_shell(mol, self.integrals, row, density)
            if solution is not None:
                found[row] = solution
        return found

    @cached_property
    def _open(self) -> np.ndarray:
        """Rows that the search among all starts decides."""
        return np.array([row for row in range(len(self.problem.batch)) if row not in self.closed], dtype=np.int64)

    @cached_property
    def _spaces(self) -> list[tuple[np.ndarray, Space, Space]]:
        """Open rows of one number of independent functions, in all functions and in the atoms' own orbitals."""
        if not len(self._open):
            return []
        integrals = self.integrals.select(self._open) if self.closed else self.integrals
        return [
            (self._open[rows], space, space.inside(self.atoms.coefficients)) for rows, space in of_one_rank(integrals)
        ]

    def solutions(self) -> list[dict[int, Solution] | None]:
        """The lowest stable solutions of each row by number of unpaired electrons; None where one is missing that may be lowest.

        Of closed shells beyond doubt only that without unpaired electrons is given. A number of unpaired electrons is left out
        if its search comes nowhere near the lowest solution of the others.
        """
        found: list[dict[int, Solution] | None] = [None] * len(self.problem.batch)
        for row, solution in self.closed.items():
            found[row] = {0: solution}
        relaxed = [self._relaxed(unpaired) for unpaired in self.problem.spins]
        for group in zip(*relaxed, strict=True):  # of one number of independent functions
            rows, space, _ = group[0]
            for place, row in enumerate(rows):
                mine = [tracks.select(np.flatnonzero(tracks.rows == place)) for *_, tracks in group]
                found[row] = self._of_every_spin(space, place, int(row), mine)
        return found

    def _of_every_spin(self, space: Space, place: int, row: int, relaxed: list[Tracks]) -> dict[int, Solution] | None:
        def solve(number: int) -> tuple[Solution, float] | None:
            solution = self._best(space, place, row, relaxed[number], self.problem.spins[number])
            return None if solution is None else (solution, solution.energy)

        bottoms = [float(tracks.energies.min()) for tracks in relaxed]
        at_rest = [bool(tracks.errors[np.argmin(tracks.energies)] < NEAR) for tracks in relaxed]
        found, missing = near_the_lowest(self.problem.spins, bottoms, at_rest, solve)
        return None if missing else found

    def candidates(self, unpaired: int) -> list[np.ndarray]:
        """Densities close to the few lowest solutions of each row, lowest first, shape (starts, 2, m, m) each."""
        found = [np.empty((0, 2, *self.integrals.core.shape[1:]))] * len(self.problem.batch)
        for row, solution in self.closed.items():
            if unpaired == 0:
                found[row] = solution.densities(self.electrons(0))[None]
        for rows, _, tracks in self._relaxed(unpaired):
            different = tracks.lowest(KEPT, ALIKE, np.inf)
            for place, row in enumerate(rows):
                found[row] = different.densities[different.rows == place]
        return found

    def _relaxed(self, unpaired: int) -> list[tuple[np.ndarray, Space, Tracks]]:
        electrons = self.electrons(unpaired)
        result = []
        for rows, space, small in self._spaces:
            tracks = self._starts(rows, small, unpaired)
            coefficients = self.atoms.coefficients
            if max(electrons) <= small.orbitals.shape[2]:
                if self._shells:
                    tracks = self._with_random(small, tracks, electrons)
                tracks = relax(small, tracks, electrons, SMALL_STEPS, SMALL_REST)
                tracks = tracks.lowest(self._kept, ALIKE, WINDOW)
            densities = coefficients @ tracks.densities @ coefficients.T
            tracks, rough = Tracks.begin(tracks.rows, densities), space.rough()
            if self._shells:
                tracks = self._with_random(space, tracks, electrons)
            tracks = relax(rough, tracks, electrons, FIRST_STEPS, REST)
            tracks = tracks.lowest(self._kept, ALIKE, FAR)
            unfinished = tracks.errors > REST
            tracks.update(unfinished, relax(rough, tracks.select(unfinished), electrons, LAST_STEPS, REST))
            result.append((rows, space, tracks))
        return result

    def electrons(self, unpaired: int) -> tuple[int, int]:
        """Electrons of either spin."""
        count = self.problem.n_electrons
        return (count + unpaired) // 2, (count - unpaired) // 2

    def _starts(self, rows: np.ndarray, small: Space, unpaired: int) -> Tracks:
        """Densities in the space of the atoms' own orbitals."""
        batch, moments = self.problem.batch, self.problem.moments
        owners, densities = [], []
        for place, row in enumerate(rows):
            numbers = batch.numbers[row]
            some = patterns(numbers, batch.positions[row], int(batch.charges[row]), unpaired)
            if moments is not None:
                some = np.concatenate([polarisations(numbers, moments[row])[None], some])
            whole = configurations(self.atoms, some, unpaired)
            even = self.atoms.occupations(np.concatenate([some, np.zeros((1, len(numbers)))]))
            densities.append(np.concatenate([whole, even[..., None] * np.eye(even.shape[-1])]))
            owners.append(np.full(len(densities[-1]), place))
        return Tracks.begin(np.concatenate(owners), np.concatenate(densities))

    def _with_random(self, space: Space, tracks: Tracks, electrons: tuple[int, int]) -> Tracks:
        """Starts and others from random fields added to that of superposed atoms."""
        last = np.flatnonzero(np.diff(tracks.rows, append=-1))  # those without moments
        rows, basis = tracks.rows[last], space.orbitals[tracks.rows[last]][:, None]
        field = basis.transpose(0, 1, 3, 2) @ space.fock(tracks.densities[last], rows) @ basis
        rng, densities, owners = np.random.default_rng(0), [tracks.densities], [tracks.rows]
        for number in range(RANDOM):
            noise = STRAY[number % len(STRAY)] * rng.standard_normal(field.shape[1:])
            vectors = basis @ np.linalg.eigh(field + noise + noise.transpose(0, 2, 1))[1]
            filled = [vectors[:, spin, :, :count] for spin, count in enumerate(electrons)]
            densities.append(np.stack([some @ some.transpose(0, 2, 1) for some in filled], axis=1))
            owners.append(rows)
        order = np.argsort(np.concatenate(owners), kind="stable")
        return Tracks.begin(np.concatenate(owners)[order], np.concatenate(densities)[order])

    def _best(self, space: Space, place: int, row: int, tracks: Tracks, unpaired: int) -> Solution | None:
        rivals = tracks.lowest(RIVALS, ALIKE, CLOSE)
        if self._shells:
            rivals = tracks.lowest(RIVALS_SHELLS, ALIKE, np.inf)
        else:
            rivals = rivals.select((np.arange(len(rivals.rows)) == 0) | (rivals.errors > REST))
        best: Solution | None = None
        for density in rivals.densities:
            known = np.inf if best is None else best.energy
            solution = self._downhill(space, place, row, density, unpaired, known)
            if solution is not None and (best is None or solution.energy < best.energy):
                best = solution
        return best

    def _downhill(
        self, space: Space, place: int, row: int, density: np.ndarray, unpaired: int, known: float
    ) -> Solution | None:
        """The solution that a density leads to; None where that fails, or is a solution of a known energy."""
        electrons = self.electrons(unpaired)
        descent = Descent(space, place, density, electrons)
        if descent.n_rotations > DENSE or not descent.solve(known):
            if descent.repeated:
                return None
            mol = molecule_of(self.problem.batch, row, self.basis, unpaired)
            solution = solve_iteratively(mol, self.integrals, row, density)
            beyond = DENSE < descent.n_rotations <= DENSE_IF_NEEDED
            if solution is not None or not (beyond and descent.solve()):
                return solution
        return Solution(unpaired, descent.energy, descent.coefficients, descent.orbital_energies())
