import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants
from scipy.stats import kstest

from bodyorder._checks import ComputationError, InputError
from bodyorder.structures.hydrogen import H2_BOND_LENGTH, bond_length_spread, high_density, low_density

BOHR = 0.529177210903


def gaps(atoms):
    return atoms.get_all_distances()[np.triu_indices(len(atoms), 1)]


@pytest.mark.parametrize("temperature", [0, 300, 1500.0, 5000.0])
def test_spread_is_the_thermal_average_over_levels_of_the_oscillator(temperature):
    omega = 2 * np.pi * constants.c * 440121.3
    mass = 1.00783 * constants.atomic_mass / 2
    levels = np.arange(400)
    if temperature:
        weights = np.exp(-constants.hbar * omega * levels / (constants.k * temperature))
    else:
        weights = (levels == 0).astype(float)
    variance = (constants.hbar / (mass * omega) * (levels + 0.5)) @ weights / weights.sum()
    assert bond_length_spread(temperature) == pytest.approx(1e10 * np.sqrt(variance), rel=1e-6)


def test_bond_lengths_are_normal_around_equilibrium():
    bonds = np.concatenate([gaps(atoms) for atoms in low_density(2, 3000, 7)])
    assert kstest(bonds, "norm", args=(H2_BOND_LENGTH, bond_length_spread(300.0))).pvalue > 0.01


def test_bonds_point_everywhere_alike():
    bonds = np.array([np.diff(atoms.positions, axis=0)[0] for atoms in low_density(2, 3000, 11)])
    bonds /= np.linalg.norm(bonds, axis=1, keepdims=True)
    for axis in range(3):  # each component of a uniform direction is uniform between -1 and 1
        assert kstest(bonds[:, axis], "uniform", args=(-1, 2)).pvalue > 0.01


def test_molecules_stand_apart_and_close_together():
    for atoms in low_density(8, 50, 0):
        centres = atoms.positions.reshape(4, 2, 3).mean(axis=1)
        apart = np.linalg.norm(centres[:, None] - centres, axis=2)[np.triu_indices(4, 1)]
        assert apart.min() >= 3.0
        assert apart.max() < 8.0
        assert set(atoms.symbols) == {"H"}
        assert not atoms.pbc.any()


def test_an_odd_number_leaves_one_lone_atom():
    for atoms in low_density(7, 20, 1):
        distances = atoms.get_all_distances()
        np.fill_diagonal(distances, np.inf)
        assert np.sum(distances.min(axis=1) > 1.5) == 1


def test_one_atom_is_uniform_in_its_wigner_seitz_sphere():
    radii = np.array(
        [np.linalg.norm(atoms.positions) for atoms in high_density(1, 3000, 3, wigner_seitz_radius_bohr=2.0)]
    )
    assert kstest((radii / (2.0 * BOHR)) ** 3, "uniform").pvalue > 0.01


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 12), seed=st.integers(0, 2**63), r_s=st.floats(1.3, 3.0), distance=st.floats(0.5, 0.8))
def test_high_density_fills_its_sphere_and_keeps_its_distances(n, seed, r_s, distance):
    (atoms,) = high_density(n, 1, seed, wigner_seitz_radius_bohr=r_s, min_distance=distance)
    assert gaps(atoms).min() >= distance
    assert np.linalg.norm(atoms.positions, axis=1).max() <= r_s * BOHR * n ** (1 / 3) * (1 + 1e-9)


@pytest.mark.parametrize("draw", [low_density, high_density])
def test_a_cluster_depends_on_its_seed_and_index_alone(draw):
    few, many, other = draw(8, 3, 5), draw(8, 6, 5), draw(8, 3, 6)
    for one, two, three in zip(few, many, other, strict=False):
        np.testing.assert_array_equal(one.positions, two.positions)
        assert not np.allclose(one.positions, three.positions)
        assert one.info == two.info == {"group": draw.__name__.replace("_", "-"), "seed": 5, "index": one.info["index"]}
    assert [atoms.info["index"] for atoms in many] == list(range(6))
    assert len({atoms.positions.tobytes() for atoms in many}) == 6


def test_a_density_that_no_packing_reaches_is_refused_at_once():
    with pytest.raises(
        InputError, match=r"64 atoms with `min_distance` 2 Å cannot fit into a sphere of radius 3\.175 Å"
    ):
        high_density(64, 1, 0, min_distance=2.0)
    with pytest.raises(InputError, match="2 atoms with `min_distance` 3 Å cannot fit"):
        high_density(2, 1, 0, min_distance=3.0)


def test_a_density_that_chance_does_not_reach_says_so():
    with pytest.raises(
        ComputationError, match=r"could not place 13 points at least 1.69 Å apart .* lower the distance"
    ):
        high_density(13, 1, 0, min_distance=1.69)


@pytest.mark.parametrize(
    ("draw", "arguments", "options", "message"),
    [
        (low_density, (0, 1, 0), {}, "`n_atoms` must be between 1 and 100000, got 0"),
        (low_density, (8, 0, 0), {}, "`n_clusters` must be between 1 and"),
        (high_density, (8, 1, -1), {}, "`seed` must be between 0 and"),
        (high_density, (8.0, 1, 0), {}, "`n_atoms` must be an integer"),
        (low_density, (8, 1, 0), {"temperature": -1.0}, "`temperature` must be between 0 and 5000 K, got -1.0"),
        (
            low_density,
            (8, 1, 0),
            {"separation": 1.0},
            r"`separation` must be at least two bond lengths \(1.48 Å\), got 1",
        ),
        (
            high_density,
            (8, 1, 0),
            {"wigner_seitz_radius_bohr": 0},
            "`wigner_seitz_radius_bohr` must be a positive number",
        ),
        (high_density, (8, 1, 0), {"min_distance": "1"}, "`min_distance` must be a positive number, got '1'"),
    ],
)
def test_wrong_numbers_are_named(draw, arguments, options, message):
    with pytest.raises(InputError, match=message):
        draw(*arguments, **options)
