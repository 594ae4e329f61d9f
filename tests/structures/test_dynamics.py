import ase
import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones

from bodyorder._checks import ComputationError, InputError
from bodyorder.structures.dynamics import LangevinSettings, langevin
from bodyorder.structures.hydrogen import low_density

STIFFNESS = 2.0  # eV/Å²
TEMPERATURE = 400.0


class Trap(Calculator):
    """Atoms that do not feel each other, each bound to the origin: E = ½ K Σ r²."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = STIFFNESS / 2 * (self.atoms.positions**2).sum()
        self.results["forces"] = -STIFFNESS * self.atoms.positions


class Nothing(Trap):
    """An ideal gas."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


class Hill(Trap):
    """An energy without a bottom."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results = {key: -20 * value for key, value in self.results.items()}


def spread(n_atoms, scale=0.1):
    return ase.Atoms(f"H{n_atoms}", positions=np.random.default_rng(0).normal(scale=scale, size=(n_atoms, 3)))


def mean_and_error(values):
    """Mean and its standard error from the means of 20 blocks, which samples close in time do not bias."""
    blocks = np.array([block.mean() for block in np.array_split(np.asarray(values), 20)])
    return blocks.mean(), blocks.std(ddof=1) / np.sqrt(len(blocks))


def test_equipartition_in_a_harmonic_trap():
    settings = LangevinSettings(
        wall_radius=10.0, temperature=TEMPERATURE, time_step=0.25, friction=0.1, interval=80, equilibration=800
    )
    samples = langevin(spread(160), Trap(), 60, 1, settings)
    kinetic = [atoms.info["temperature"] for atoms in samples]
    potential = [STIFFNESS * (atoms.positions**2).mean() / units.kB for atoms in samples]
    for temperatures in (kinetic, potential):
        mean, error = mean_and_error(temperatures)
        assert error < 0.02 * TEMPERATURE
        assert abs(mean - TEMPERATURE) < 3 * error


def test_an_ideal_gas_leans_on_the_wall_as_boltzmann_says():
    settings = LangevinSettings(wall_radius=1.0, temperature=600.0, friction=0.1, interval=60, equilibration=600)
    samples = langevin(spread(120), Nothing(), 60, 2, settings)
    centre = spread(120).positions.mean(axis=0)
    radii = np.array([np.linalg.norm(atoms.positions - centre, axis=1) for atoms in samples])
    grid = np.linspace(0, 4, 20001)
    density = grid**2 * np.exp(-0.5 * np.clip(grid - 1.0, 0, None) ** 2 / (units.kB * 600.0))
    inside = density[grid <= 1.0].sum() / density.sum()
    mean, error = mean_and_error((radii <= 1.0).mean(axis=1))
    assert abs(mean - inside) < 3 * error
    assert radii.max() < 1.0 + 6 * np.sqrt(units.kB * 600.0)


def test_the_same_seed_gives_the_same_clusters_and_leaves_the_start_alone():
    (start,) = low_density(4, 1, 0)
    before = start.copy()
    settings = LangevinSettings(wall_radius=6.0, equilibration=20, interval=10)
    calculator = LennardJones(epsilon=0.01, sigma=0.65, rc=20.0)
    one, two, other = (langevin(start, calculator, 3, seed, settings) for seed in (4, 4, 5))
    assert start == before
    for index, (first, second, third) in enumerate(zip(one, two, other, strict=True)):
        np.testing.assert_array_equal(first.positions, second.positions)
        assert np.abs(first.positions - third.positions).max() > 1e-3
        assert first.info == {"group": "langevin", "seed": 4, "index": index, "temperature": first.info["temperature"]}
        assert first.calc is None
        assert not first.constraints


def test_lost_atoms_stop_the_run():
    settings = LangevinSettings(wall_radius=2.0, time_step=0.5, equilibration=0, interval=50)
    with pytest.raises(
        ComputationError, match=r"an atom is .* Å beyond the wall at sample .*; lower time_step \(now 0.5 fs\)"
    ):
        langevin(spread(3), Hill(), 20, 0, settings)


def test_wrong_input_is_named():
    settings = LangevinSettings(wall_radius=1.0)
    with pytest.raises(
        InputError, match=r"`wall_radius` must be at least 5.000 Å to hold the starting structure, got 1"
    ):
        langevin(ase.Atoms("H2", [[0, 0, 0], [0, 0, 10]]), Nothing(), 1, 0, settings)
    with pytest.raises(InputError, match="must stand in vacuum"):
        langevin(ase.Atoms("H", pbc=True, cell=[5, 5, 5]), Nothing(), 1, 0, settings)
    with pytest.raises(InputError, match="`n_samples` must be between 1"):
        langevin(spread(2), Nothing(), 0, 0, settings)
    with pytest.raises(InputError, match="`time_step` must be a positive number, got 0"):
        LangevinSettings(wall_radius=1.0, time_step=0)
    with pytest.raises(InputError, match="`interval` must be between 1"):
        LangevinSettings(wall_radius=1.0, interval=0)
