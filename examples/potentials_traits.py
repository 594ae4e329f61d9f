"""What is to be known of each potential before its orders mean something, found by running it as plain ASE.

    python examples/potentials_traits.py                     # all whose packages are installed
    python examples/potentials_traits.py emt sw -o out       # some, into out/traits.json

Charge and spin: which ways of telling them change the energy. Lone atoms: their energies, and what two of them far apart have
beyond. Additive: from which distance on two fragments add up. Forces: how far from the gradient. Precision: scatter of one energy
over turned, shifted and reordered replicas. Speed: one sub-cluster after the other in plain ASE, and many at once.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import Any

import ase
import numpy as np
from potentials_cases import CASES, POTENTIALS, Potential
from potentials_record import as_found, default_precision, record, versions_of
from potentials_structures import STRUCTURES
from scipy.spatial.transform import Rotation

from bodyorder import load_source
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.structures.clusters import ClusterBatch, System

#: Structures that probes are cut from, the first that a potential has a case of; for speed the first of others, so that as many
#: as can are timed with four hydrogen atoms.
PREFERRED = ("water", "h8", "argon", "gold", "sic", "silicon", "ion")
TIMED = ("h8", "argon", "gold", "sic", "silicon", "water")
#: Ways in which a charge of +2 is told, which leaves no electron alone, and two unpaired electrons.
CHARGES = {
    "initial charges": lambda atoms: atoms.set_initial_charges(2 * np.eye(len(atoms))[0]),
    "info charge": lambda atoms: atoms.info.update(charge=2),
    "info total_charge": lambda atoms: atoms.info.update(total_charge=2),
}
SPINS = {
    "initial moments": lambda atoms: atoms.set_initial_magnetic_moments(2 * np.eye(len(atoms))[0]),
    "info spin": lambda atoms: atoms.info.update(spin=3),
    "info total_spin": lambda atoms: atoms.info.update(total_spin=3),
    "info multiplicity": lambda atoms: atoms.info.update(multiplicity=3, mult=3),
}
#: Å between fragments.
DISTANCES = np.concatenate([np.arange(1.5, 20, 0.25), [20, 25, 30, 40, 60, 100]])
#: Those that need a box are asked up to here: wide boxes cost float32 what is looked for.
FARTHEST_BOXED = 20.0
#: Energies (eV) closer than this add up, or more where they scatter more.
SAME = 1e-9
N_REPLICAS, N_TOGETHER, N_LOOP = 32, 256, 24


class Probe:
    """A potential, and a small cluster of a kind that it was made for."""

    def __init__(self, key: str):
        self.potential: Potential = POTENTIALS[key]
        self.calculator = self.potential.calculator()
        self.boxed = bool(self.potential.claims.get("boxed"))
        self.atoms, self.half = _cluster(key, PREFERRED)
        self.timed, _ = _cluster(key, TIMED)

    def ask(self, atoms: ase.Atoms, vacuum: float = 10.0) -> tuple[float, np.ndarray | None]:
        """Energy in eV and forces in eV/Å, None where there are none."""
        atoms = atoms.copy()
        if self.boxed:
            atoms.center(vacuum=vacuum)
            atoms.pbc = True
        self.calculator.reset()
        atoms.calc = self.calculator
        forces = atoms.get_forces() if "forces" in self.calculator.implemented_properties else None
        return float(atoms.get_potential_energy()), forces

    def energy(self, atoms: ase.Atoms) -> float:
        return self.ask(atoms)[0]

    def told(self, ways: dict[str, Callable[[ase.Atoms], None]]) -> list[str]:
        """Which ways of telling something change the energy; those that end in an error are named so."""
        plain, found = self.energy(self.atoms), []
        for name, tell in ways.items():
            atoms = self.atoms.copy()
            tell(atoms)
            energy = as_found(lambda atoms=atoms: self.energy(atoms))
            if isinstance(energy, str):
                found.append(f"{name} (fails)")
            elif abs(energy - plain) > 100 * self.tolerance:
                found.append(name)
        return found

    @cached_property
    def scatter(self) -> float:
        """Standard deviation in eV of the energy of turned, shifted and reordered replicas, whole molecules together."""
        rng, energies = np.random.default_rng(0), []
        for turn in Rotation.random(N_REPLICAS, rng=rng).as_matrix():
            order = np.arange(len(self.atoms))
            if self.half == len(self.atoms) - self.half:  # the halves are alike, and each may come first
                order = np.roll(order, rng.integers(2) * self.half)
            replica = self.atoms[order]
            replica.positions = replica.positions @ turn + rng.normal(size=3)
            energies.append(self.energy(replica))
        return float(np.std(energies))

    @property
    def tolerance(self) -> float:
        """Difference in eV that counts; large boxes cost float32 more than turning does."""
        claimed = self.potential.claims["energy_error"] if self.potential.float32 else 0.0
        return max(SAME, 6 * self.scatter, 6 * claimed)

    def lone(self) -> dict[str, list[float] | str]:
        """Energy of each element's lone atom, and of two of them far apart beyond twice that; or the error."""

        def values(symbol: str) -> list[float]:
            far = FARTHEST_BOXED if self.boxed else 50.0
            one = self.energy(ase.Atoms(symbol))
            two = self.ask(ase.Atoms(f"{symbol}2", [[0, 0, 0], [0, 0, far]]), far)[0]
            return [one, two - 2 * one]

        return {symbol: as_found(values, symbol) for symbol in dict.fromkeys(self.atoms.get_chemical_symbols())}

    def additive(self) -> dict[str, float | None]:
        """From which distance (Å) on the two halves add up, None if they never do, and what is left at the largest (eV)."""
        one, other = self.atoms[: self.half], self.atoms[self.half :]
        alone = self.energy(one) + self.energy(other)
        above = one.positions[:, 2].max() - other.positions[:, 2].min()
        distances = DISTANCES[DISTANCES <= FARTHEST_BOXED] if self.boxed else DISTANCES
        left = []
        for distance in distances:
            moved = other.copy()
            moved.positions[:, 2] += above + distance
            left.append(abs(self.ask(one + moved, distance + 5)[0] - alone))
        beyond = np.flatnonzero(np.array(left) > self.tolerance)
        first = 0 if not len(beyond) else beyond[-1] + 1
        return {"from": float(distances[first]) if first < len(distances) else None, "left": float(left[-1])}

    def forces(self) -> float | None:
        """Largest distance from the gradient in eV/Å, by central differences extrapolated from two steps."""
        _, forces = self.ask(self.atoms)
        if forces is None:
            return None
        step = 5e-3 if self.potential.float32 else 5e-4
        slopes = {h: np.array([self._slope(place, h) for place in range(forces.size)]) for h in (step, 2 * step)}
        return float(np.abs(forces.ravel() + (4 * slopes[step] - slopes[2 * step]) / 3).max())

    def _slope(self, place: int, step: float) -> float:
        ends = []
        for sign in (1, -1):
            atoms = self.atoms.copy()
            atoms.positions.ravel()[place] += sign * step
            ends.append(self.energy(atoms))
        return (ends[0] - ends[1]) / (2 * step)

    def speed(self) -> dict[str, float]:
        """Sub-clusters by second of processor time, with forces where there are any: plain ASE, and all at once."""
        rng = np.random.default_rng(0)
        rows, n_atoms = np.arange(N_TOGETHER), len(self.timed)
        places = self.timed.positions + rng.normal(0, 0.02, (N_TOGETHER, n_atoms, 3))
        systems = {row: System.from_atoms(ase.Atoms(self.timed.numbers, one)) for row, one in enumerate(places)}
        batch = ClusterBatch.cut(systems, rows, np.tile(np.arange(n_atoms), (N_TOGETHER, 1)))
        together = load_source(self.potential.source)
        loop = CalculatorSource(
            self.potential.calculator(), cutoff=together.cutoff if self.boxed else None, boxed=self.boxed
        )
        loop._apart = None
        found = {}
        for name, source, count in (("loop", loop, N_LOOP), ("together", together, N_TOGETHER)):
            some = batch.select(rows[:count])
            ask = source.energies_and_forces if source.capabilities.forces else source.energies
            ask(some)  # loads what is found ready below
            times = []
            for _ in range(3):
                start = time.process_time()
                ask(some)
                times.append(time.process_time() - start)
            found[name] = count / max(min(times), 1e-9)
        return found


def _cluster(key: str, preferred: tuple[str, ...]) -> tuple[ase.Atoms, int]:
    """Four atoms or two molecules, neutral and in vacuum, and how many atoms are in the first half."""
    own = {name.split("-")[1] for name in CASES if name.split("-")[0] == key}
    structure = STRUCTURES[next(name for name in preferred if name in own)]
    atoms = structure.make()[0]
    if structure.sizes is not None:
        half = structure.sizes[0]
        return ase.Atoms(atoms.numbers[: 2 * half], atoms.positions[: 2 * half]), half
    if atoms.pbc.any():
        atoms = atoms.repeat(2)
        atoms = atoms[np.argsort(atoms.get_distances(0, range(len(atoms))), kind="stable")]
    return ase.Atoms(atoms.numbers[:4], atoms.positions[:4]), 2


def traits(key: str) -> dict[str, Any]:
    """All that is measured of one potential; what fails is given as its error."""
    probe = Probe(key)
    return {
        "name": probe.potential.name,
        "versions": versions_of(probe.potential),
        "probe": probe.atoms.get_chemical_formula(),
        "precision": as_found(lambda: probe.scatter),
        "charge": as_found(probe.told, CHARGES),
        "spin": as_found(probe.told, SPINS),
        "lone": probe.lone(),
        "additive": as_found(probe.additive),
        "claimed": probe.potential.claims.get("additive_cutoff"),
        "forces": as_found(probe.forces),
        "speed": as_found(probe.speed),
        "timed": probe.timed.get_chemical_formula(),
        "batches": probe.potential.batches,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potentials", nargs="*", metavar="POTENTIAL", help=f"some of {', '.join(POTENTIALS)}")
    parser.add_argument("-o", "--output", type=Path, help="folder for traits.json, where others that are there stay")
    given = parser.parse_args(arguments)
    if unknown := set(given.potentials) - set(POTENTIALS):
        parser.error(f"no potential {min(unknown)!r}; potentials: {', '.join(POTENTIALS)}")
    for key in given.potentials or [key for key, one in POTENTIALS.items() if not one.missing]:
        if POTENTIALS[key].missing:
            parser.error(f"{key} needs {POTENTIALS[key].missing}; install it, or run all by `make potentials`")
        with warnings.catch_warnings(action="ignore"), redirect_stdout(sys.stderr), default_precision():
            found = traits(key)
        print(f"{key}: {found}", flush=True)
        if given.output is not None:
            record(given.output / "traits.json", {key: found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
