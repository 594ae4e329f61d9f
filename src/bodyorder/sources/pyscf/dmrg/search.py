"""The lowest state among some spins, with an estimate of what a finite bond dimension leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bodyorder.sources.pyscf.dmrg.chain import Chain
from bodyorder.sources.pyscf.dmrg.states import SpinState, workspace

#: Bond dimensions double up to the wanted one, from the first below twice this: with fewer states the energies of dense hydrogen
#: depend on the random start, from 50 on they no longer do.
SMALLEST = 25
#: Noise of the sweeps at the first bond dimension, and of the first sweep at each larger one.
START, LATER = (1e-4, 1e-4, 0.0, 0.0), (1e-4, 1e-5, 1e-6)
#: Sweeps without noise at each bond dimension before the last.
SETTLING = 2
#: The energy left out is five to ten times the discarded weight (hartree; seen in dense H₆ and H₇ at bond dimensions from 25 on).
#: A spin is followed as long as this many times its weight and a margin (hartree) beyond that may bring it below the lowest.
GAIN, MARGIN = 30.0, 2e-3
#: Change of the energy (hartree) between the last two sweeps: at most this share of the weight discarded one bond dimension
#: before, within limits. Such a weight falls tenfold with a doubled bond dimension, so what is left out is many times larger.
SHARE, FINEST, COARSEST = 1e-2, 1e-9, 1e-6
#: Below this a discarded weight is rounding.
EXACT = 1e-12
#: Bond dimensions after the last one, as parts of it, and sweeps at each. Farther down the line is no longer straight.
REVERSE, BACK = (0.8, 0.65), 2


@dataclass(frozen=True)
class Schedule:
    """How far to go.

    :param bond_dimension: number of renormalised states at a bond, multiplets counted once
    :param sweeps: most sweeps without noise at that bond dimension
    """

    bond_dimension: int
    sweeps: int

    @property
    def growth(self) -> list[int]:
        """Bond dimensions before the last one, ascending, at least one."""
        steps = [max(2, self.bond_dimension // 2)]
        while steps[0] >= 2 * SMALLEST:
            steps.insert(0, steps[0] // 2)
        return steps


@dataclass(frozen=True)
class Lowest:
    """The lowest state found.

    :param energy: in hartree, without the repulsion of the nuclei
    :param unpaired: its 2S
    :param discarded_weight: largest in the last sweep at the last bond dimension; 0 for an exact energy
    :param extrapolation: energy at no discarded weight minus ``energy``, in hartree
    :param uncertainty: how far ``energy`` may be above the true one, in hartree
    :param message: why there is none
    """

    energy: float
    unpaired: int
    discarded_weight: float = 0.0
    extrapolation: float = 0.0
    uncertainty: float = 0.0
    message: str = ""


def lowest_state(
    chain: Chain, spins: Sequence[int], schedule: Schedule, memory: float, known: Lowest | None = None
) -> Lowest:
    """Follow every spin to growing bond dimensions as long as it may be the lowest.

    Each spin is a space of its own, in which the energy can only be too high; nothing orders the energies of different spins. The
    lowest is therefore the one that is lowest at the end; the others were left where what they can still gain does not reach it.
    Where the extrapolated energy of another spin is the lowest, that enters the uncertainty.

    :param spins: 2S of the spins to look at
    :param known: exact lowest state of other spins, if there are any
    """
    best = known.energy if known else np.inf
    with workspace(memory) as driver:
        runs = [_Run(driver, chain, unpaired, schedule.growth[0]) for unpaired in spins]
        for place, bond_dimension in enumerate(schedule.growth):
            for run in runs:
                run.grow(
                    bond_dimension, START if place == 0 else (LATER[min(place, len(LATER)) - 1], *[0.0] * SETTLING)
                )
            best = min([best, *(run.energy for run in runs)])
            runs = [run for run in runs if run.floor <= best]
        ended = [known] if known else []
        for run in sorted(runs, key=lambda run: run.energy):
            if run.floor > best:
                continue
            ended.append(run.finish(schedule))
            if ended[-1].message:
                return ended[-1]
            best = min(best, ended[-1].energy)
    lowest = min(ended, key=lambda state: state.energy)
    limit = min(state.energy - state.uncertainty for state in ended)
    return Lowest(lowest.energy, lowest.unpaired, lowest.discarded_weight, lowest.extrapolation, lowest.energy - limit)


class _Run:
    """One spin on its way to larger bond dimensions."""

    def __init__(self, driver: object, chain: Chain, unpaired: int, bond_dimension: int):
        self._state = SpinState(driver, chain, unpaired, bond_dimension)
        self._unpaired = unpaired
        self._weight = np.inf
        self.energy = np.inf

    @property
    def floor(self) -> float:
        """What the energy does not fall below."""
        return self.energy - GAIN * self._weight - MARGIN

    def grow(self, bond_dimension: int, noises: Sequence[float]) -> None:
        """Sweep at a larger bond dimension."""
        sweeps = self._state.sweep(bond_dimension, noises)
        self.energy, self._weight = float(sweeps.energies[-1]), float(sweeps.weights[-1])

    def finish(self, schedule: Schedule) -> Lowest:
        """Converge at the last bond dimension, then go back to smaller ones to see how the energy depends on the weight."""
        tolerance = float(np.clip(SHARE * self._weight, FINEST, COARSEST))
        last = schedule.bond_dimension
        sweeps = self._state.sweep(last, (LATER[-1], *[0.0] * schedule.sweeps), tolerance)
        energy, weight = float(sweeps.energies[-1]), float(sweeps.weights[-1])
        if len(sweeps.energies) < 2 or abs(energy - sweeps.energies[-2]) > tolerance:
            message = (
                f"DMRG of 2S = {self._unpaired} did not converge to {tolerance:.0e} hartree at bond_dimension={last} in "
                f"sweeps={schedule.sweeps}; allow more sweeps"
            )
            return Lowest(np.nan, self._unpaired, message=message)
        self.energy = energy
        if weight < EXACT:
            return Lowest(energy, self._unpaired)
        weights, energies = [], []
        for part in REVERSE:
            back = self._state.sweep(max(1, int(part * last)), [0.0] * BACK, tolerance)
            weights.append(float(back.weights[-1]))
            energies.append(float(back.energies[-1]))
        extrapolation = -slope(np.array(weights) - weight, np.array(energies) - energy) * weight
        return Lowest(energy, self._unpaired, weight, extrapolation, -extrapolation)


def slope(weights: np.ndarray, energies: np.ndarray) -> float:
    """Slope of the least-squares line through the origin; energies that do not rise with the discarded weight give zero.

    The line goes through the last energy, since it is that energy that is extrapolated.
    """
    return max(0.0, float(weights @ energies) / max(float(weights @ weights), EXACT**2))
