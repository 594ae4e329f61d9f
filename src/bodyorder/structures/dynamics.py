"""Thermal clusters from Langevin dynamics in a soft sphere. The same seed gives the same clusters."""

from __future__ import annotations

from dataclasses import dataclass, fields

import ase
import numpy as np
from ase import units
from ase.calculators.abc import GetPropertiesMixin
from ase.constraints import FixConstraint
from ase.md.langevin import Langevin

from bodyorder._checks import ComputationError, InputError, check_between, check_positive
from bodyorder.structures.clusters import FloatArray


@dataclass(frozen=True)
class LangevinSettings:
    """How to run the dynamics. The defaults suit hydrogen, whose bonds vibrate with a period of 8 fs.

    :param wall_radius: radius in Å of the sphere around the mean of the starting positions. An atom d beyond it has the
        extra energy ½ K d².
    :param temperature: in K
    :param wall_stiffness: K in eV/Å²
    :param time_step: in fs
    :param friction: in 1/fs; momenta are forgotten in about 1/friction
    :param interval: steps between samples
    :param equilibration: steps before the first interval
    :raises InputError: for a number that is not positive, or an interval or equilibration that is not an integer
    """

    wall_radius: float
    temperature: float = 300.0
    wall_stiffness: float = 1.0
    time_step: float = 0.5
    friction: float = 0.02
    interval: int = 100
    equilibration: int = 1000

    def __post_init__(self) -> None:
        counts = {"interval": 1, "equilibration": 0}
        for parameter in fields(self):
            value = getattr(self, parameter.name)
            if parameter.name in counts:
                check_between(parameter.name, value, counts[parameter.name], 2**31)
            else:
                check_positive(parameter.name, value)


class SphericalWall(FixConstraint):
    """A soft wall in ASE's terms: ½ K (r − R)² for every atom farther than R from the centre.

    ASE's ``Hookean`` does the same for one atom at a time, at a cost per step above that of a fast energy.

    :param centre: in Å, shape (3,)
    :param radius: R in Å
    :param stiffness: K in eV/Å²
    """

    def __init__(self, centre: FloatArray, radius: float, stiffness: float):
        self.centre, self.radius, self.stiffness = centre, radius, stiffness

    def _beyond(self, atoms: ase.Atoms) -> tuple[FloatArray, FloatArray]:
        outward = atoms.positions - self.centre
        distances = np.linalg.norm(outward, axis=1, keepdims=True)
        return np.maximum(distances - self.radius, 0.0), outward / np.maximum(distances, self.radius)

    def adjust_forces(self, atoms: ase.Atoms, forces: FloatArray) -> None:
        """Add the wall's forces (eV/Å) in place."""
        depth, outward = self._beyond(atoms)
        forces -= self.stiffness * depth * outward

    def adjust_potential_energy(self, atoms: ase.Atoms) -> float:
        """The wall's energy in eV."""
        return float(self.stiffness * (self._beyond(atoms)[0] ** 2).sum() / 2)

    def adjust_positions(self, atoms: ase.Atoms, newpositions: FloatArray) -> None:
        """Leave positions free."""

    def adjust_momenta(self, atoms: ase.Atoms, momenta: FloatArray) -> None:
        """Leave momenta free."""

    def get_removed_dof(self, atoms: ase.Atoms) -> int:
        """A wall takes no degree of freedom."""
        return 0


def langevin(
    atoms: ase.Atoms, calculator: GetPropertiesMixin, n_samples: int, seed: int, settings: LangevinSettings
) -> list[ase.Atoms]:
    """Draw clusters from the canonical ensemble of an energy, classically, by Langevin dynamics.

    The integrator is ASE's, of E. Vanden-Eijnden and G. Ciccotti, Chem. Phys. Lett. 429, 310 (2006),
    doi:10.1016/j.cplett.2006.07.086. The centre of mass moves freely, as the ensemble wants it. Velocities start with
    the Maxwell–Boltzmann distribution.

    :param atoms: where to start, in vacuum; left as it is
    :param calculator: any ASE calculator with forces; ``bodyorder.sources.ase.source_calculator.SourceCalculator`` makes one of
        an energy source
    :param n_samples: how many clusters to draw
    :param seed: not negative
    :param settings: temperature, wall, time step and times
    :return: clusters without calculator, with ``group``, ``seed``, ``index`` and the momentary kinetic ``temperature``
        (K) in their ``info``
    :raises InputError: for a periodic structure, one that does not fit inside the wall, or a number out of range
    :raises ComputationError: if an atom is lost (a time step too long, or an energy without a bottom)
    """
    check_between("n_samples", n_samples, 1, 2**31)
    check_between("seed", seed, 0, 2**63)
    if atoms.pbc.any():
        raise InputError("a structure for `langevin` must stand in vacuum, got one with periodic boundaries")
    rng = np.random.default_rng(seed)
    thermal = units.kB * settings.temperature
    moving = ase.Atoms(numbers=atoms.numbers, positions=atoms.positions, calculator=calculator)
    centre = moving.positions.mean(axis=0)
    reach = np.linalg.norm(moving.positions - centre, axis=1).max()
    if reach > settings.wall_radius:
        raise InputError(
            f"`wall_radius` must be at least {reach:.3f} Å to hold the starting structure, got {settings.wall_radius:g}"
        )
    moving.set_momenta(rng.standard_normal((len(moving), 3)) * np.sqrt(moving.get_masses() * thermal)[:, None])
    moving.set_constraint(SphericalWall(centre, settings.wall_radius, settings.wall_stiffness))
    integrator = Langevin(
        moving,
        settings.time_step * units.fs,
        temperature_K=settings.temperature,
        friction=settings.friction / units.fs,
        fixcm=False,
        rng=rng,
    )
    integrator.run(settings.equilibration)
    samples = []
    for index in range(n_samples):
        integrator.run(settings.interval)
        out = np.linalg.norm(moving.positions - centre, axis=1).max() - settings.wall_radius
        # A wall that costs a thousand kT is passed only by what the dynamics has thrown out.
        if not settings.wall_stiffness * out * abs(out) / 2 < 1000 * thermal:
            raise ComputationError(
                f"an atom is {out:.3g} Å beyond the wall at sample {index}; "
                f"lower time_step (now {settings.time_step:g} fs) or check the energy at short distances"
            )
        info = {"group": "langevin", "seed": int(seed), "index": index, "temperature": float(moving.get_temperature())}
        samples.append(ase.Atoms(numbers=moving.numbers, positions=moving.positions, info=info))
    return samples
