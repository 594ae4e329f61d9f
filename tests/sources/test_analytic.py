from itertools import combinations
from operator import attrgetter

import ase.build
import numpy as np
import pytest
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.calculators.morse import MorsePotential
from complete_family import order_totals
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bodyorder import decompose
from bodyorder._checks import ComputationError, InputError
from bodyorder.sources.analytic import AxilrodTeller, LennardJones, Morse, SuttonChen
from bodyorder.sources.analytic import source as analytic_source
from bodyorder.sources.protocol import FailedClusters
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.subsets.family import complete

PAIRS = [LennardJones(epsilon=0.1, sigma=0.9), Morse(), LennardJones(epsilon=0.1, sigma=0.9, cutoff=2.0)]
TRIPLES = [AxilrodTeller(nu=0.3), AxilrodTeller(nu=0.3, epsilon=0.1, sigma=0.9), AxilrodTeller(nu=0.3, cutoff=2.5)]
# Sutton and Chen's exponents at the size of hydrogen
METALS = [SuttonChen(epsilon=0.1, a=1.0, c=8.0, n=7, m=6), SuttonChen(epsilon=0.1, a=1.0, c=8.0, n=7, m=6, cutoff=2.5)]


def clusters(n_atoms):
    """Clusters without two atoms closer than 0.7 Å: different sites of a grid of 1.1 Å, each moved by up to 0.2 Å."""
    sites = st.lists(st.integers(0, 26), min_size=n_atoms, max_size=n_atoms, unique=True)
    moves = arrays(float, (n_atoms, 3), elements=st.floats(-0.2, 0.2))
    grid = np.stack(np.unravel_index(np.arange(27), (3, 3, 3)), axis=1) * 1.1
    return st.builds(lambda rows, move: grid[rows] + move, sites, moves)


def random_cluster(n_atoms, seed):
    rng = np.random.default_rng(seed)
    while True:
        positions = rng.uniform(-1.6, 1.6, (n_atoms, 3))
        if np.linalg.norm(positions[:, None] - positions, axis=2)[np.triu_indices(n_atoms, 1)].min() >= 0.8:
            return positions


def batch_of(*positions):
    return ClusterBatch.from_atoms([ase.Atoms(f"H{len(rows)}", rows) for rows in positions])


def totals(source, positions):
    system = System(np.ones(len(positions), dtype=np.int64), positions)
    family = complete(len(positions))
    sums = [
        source.energies(ClusterBatch.cut({0: system}, np.zeros(len(rows), dtype=int), rows)).sum()
        for rows in family.members
    ]
    return order_totals(np.array(sums), len(positions))


def term_by_term(source, positions, order):
    """Sum over all subsets of one size of the energy of its highest term, from the textbook formula."""
    energy = 0.0
    for rows in combinations(range(len(positions)), order):
        p = positions[list(rows)]
        if order == 2:
            r = np.linalg.norm(p[1] - p[0])
            if isinstance(source, Morse):
                energy += source.epsilon * ((1 - np.exp(-source.alpha * (r - source.r0))) ** 2 - 1)
            else:
                energy += 4 * source.epsilon * ((source.sigma / r) ** 12 - (source.sigma / r) ** 6)
        else:
            sides = [p[1] - p[0], p[2] - p[1], p[0] - p[2]]
            lengths = [np.linalg.norm(side) for side in sides]
            cosines = [-sides[i] @ sides[i - 1] / (lengths[i] * lengths[i - 1]) for i in range(3)]
            energy += source.nu * (1 + 3 * np.prod(cosines)) / np.prod(lengths) ** 3
    return energy


@pytest.mark.parametrize("source", PAIRS, ids=attrgetter("name"))
def test_pair_potentials_end_at_order_two(source):
    orders = totals(source, random_cluster(8, 1))
    assert orders[0] == 0
    assert abs(orders[1]) > 1e-3
    assert np.abs(orders[2:]).max() < 1e-10


@pytest.mark.parametrize("source", TRIPLES, ids=attrgetter("name"))
def test_axilrod_teller_ends_at_order_three(source):
    orders = totals(source, random_cluster(8, 2))
    assert (abs(orders[1]) > 1e-3) == (source.epsilon is not None)
    assert abs(orders[2]) > 1e-3
    assert np.abs(orders[3:]).max() < 1e-10


@pytest.mark.parametrize("source", METALS, ids=attrgetter("name"))
def test_sutton_chen_has_every_order_and_they_add_up(source):
    positions = random_cluster(7, 3)
    orders = totals(source, positions)
    assert np.abs(orders[1:]).min() > 1e-4
    assert orders.sum() == pytest.approx(source.energies(batch_of(positions))[0], abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(positions=clusters(5))
def test_orders_are_sums_of_the_textbook_terms(positions):
    for source in PAIRS[:2]:
        assert totals(source, positions)[1] == pytest.approx(term_by_term(source, positions, 2), rel=1e-11, abs=1e-11)
    triple = AxilrodTeller(nu=0.3)
    assert totals(triple, positions)[2] == pytest.approx(term_by_term(triple, positions, 3), rel=1e-10, abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(positions=clusters(5))
def test_sutton_chen_is_its_formula(positions):
    source = METALS[0]
    energy = 0.0
    for i in range(5):
        ratios = [source.a / np.linalg.norm(positions[i] - positions[j]) for j in range(5) if j != i]
        energy += sum(ratio**7 for ratio in ratios) / 2 - source.c * sum(ratio**6 for ratio in ratios) ** 0.5
    assert source.energies(batch_of(positions))[0] == pytest.approx(source.epsilon * energy, rel=1e-12, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(positions=clusters(4), cutoff=st.sampled_from([None, 2.0371]), index=st.integers(0, 3))
def test_forces_are_the_negative_gradient(positions, cutoff, index):
    source = [LennardJones, Morse, AxilrodTeller, SuttonChen][index](cutoff=cutoff)
    energies, forces = source.energies_and_forces(batch_of(positions))
    np.testing.assert_array_equal(energies, source.energies(batch_of(positions)))
    step = 2e-4
    moves = np.eye(12).reshape(12, 4, 3) * step
    slopes = np.zeros(12)
    for width, weight in ((1, 8), (2, -1)):
        ahead = source.energies(batch_of(*(positions + width * moves)))
        slopes += weight * (ahead - source.energies(batch_of(*(positions - width * moves)))) / (12 * step)
    np.testing.assert_allclose(forces[0].ravel(), -slopes, atol=1e-7 * (1 + np.abs(forces).max()))


def test_forces_of_a_batch_belong_to_their_clusters():
    positions = [random_cluster(6, seed) for seed in range(5)]
    for source in [*PAIRS, *TRIPLES, *METALS]:
        _, forces = source.energies_and_forces(batch_of(*positions))
        for rows, expected in zip(positions, forces, strict=True):
            np.testing.assert_allclose(source.energies_and_forces(batch_of(rows))[1][0], expected, rtol=1e-12)
        np.testing.assert_allclose(forces.sum(axis=1), 0, atol=1e-11 * np.abs(forces).max())


def test_geometries_with_a_known_answer():
    triangle = np.array([[0, 0, 0], [1.5, 0, 0], [0.75, 0.75 * np.sqrt(3), 0]])
    assert AxilrodTeller(nu=2.0).energies(batch_of(triangle))[0] == pytest.approx(2.0 * 11 / 8 / 1.5**9, rel=1e-13)
    line = np.array([[0, 0, 0], [1.5, 0, 0], [3.0, 0, 0]])
    assert AxilrodTeller(nu=2.0).energies(batch_of(line))[0] == pytest.approx(
        2.0 * -2 / (1.5 * 1.5 * 3) ** 3, rel=1e-13
    )
    minimum = np.array([[0, 0, 0], [0, 0, 2 ** (1 / 6) * 2.0]])
    energies, forces = LennardJones(epsilon=0.3).energies_and_forces(batch_of(minimum))
    assert energies[0] == pytest.approx(-0.3, rel=1e-14)
    np.testing.assert_allclose(forces, 0, atol=1e-14)
    copper = SuttonChen()
    dimer = copper.epsilon * ((3.61 / 2.2) ** 9 - 2 * 39.432 * (3.61 / 2.2) ** 3)
    assert copper.energies(batch_of([[0, 0, 0], [2.2, 0, 0]]))[0] == pytest.approx(dimer, rel=1e-14)


def test_copper_crystal_has_the_cohesive_energy_it_was_fitted_to():
    # Copper was fitted to its lattice constant, 3.61 Å, and its cohesive energy, 3.50 eV. Per atom of an infinite crystal,
    # from the lattice sums over a sphere of 14 lattice constants.
    copper = SuttonChen()
    grid = np.arange(-14, 15)
    cells = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = (cells[:, None] + np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])).reshape(-1, 3)
    distances = np.linalg.norm(sites, axis=1)
    distances = distances[(distances > 0) & (distances < 14)]
    energy = copper.epsilon * ((distances**-9).sum() / 2 - copper.c * np.sqrt((distances**-6).sum()))
    assert energy == pytest.approx(-3.50, abs=0.005)


def test_ase_agrees():
    positions = random_cluster(6, 4)
    atoms = ase.Atoms("H6", positions)
    for ours, theirs in (
        (LennardJones(epsilon=0.1, sigma=0.9), AseLennardJones(epsilon=0.1, sigma=0.9, rc=1e4)),
        (Morse(), MorsePotential(epsilon=4.75, r0=0.741, rho0=1.94 * 0.741, rcut1=1e4, rcut2=2e4)),
    ):
        atoms.calc = theirs
        energies, forces = ours.energies_and_forces(batch_of(positions))
        assert energies[0] == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
        np.testing.assert_allclose(forces[0], atoms.get_forces(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("source", [PAIRS[2], TRIPLES[2], METALS[1]], ids=attrgetter("name"))
def test_beyond_the_cutoff_parts_add_up_exactly(source):
    one, other = random_cluster(4, 5), random_cluster(3, 6)
    apart = other + np.array([3.2 + source.cutoff, 0, 0])
    assert source.energies(batch_of(np.vstack([one, apart])))[0] == pytest.approx(
        source.energies(batch_of(one))[0] + source.energies(batch_of(apart))[0], abs=1e-14
    )


@pytest.mark.parametrize(
    "source", [LennardJones(cutoff=3.0), AxilrodTeller(cutoff=3.0), SuttonChen(cutoff=3.0)], ids=attrgetter("name")
)
def test_energy_and_forces_go_to_zero_at_the_cutoff_without_a_step(source):
    def pulled(length):
        return batch_of([[0, 0, 0], [1.5, 0, 0], [0, length, 0]])

    (inside,), inside_forces = source.energies_and_forces(pulled(3.0 - 1e-10))
    (outside,), outside_forces = source.energies_and_forces(pulled(3.0 + 1e-10))
    assert inside == pytest.approx(outside, abs=1e-6)
    np.testing.assert_allclose(inside_forces, outside_forces, atol=1e-4)


def test_splitting_into_chunks_changes_nothing(monkeypatch):
    batch = batch_of(*[random_cluster(5, seed) for seed in range(20)])
    for source in [*PAIRS, *TRIPLES, *METALS]:
        energies, forces = source.energies_and_forces(batch)
        with monkeypatch.context() as patch:
            patch.setattr(analytic_source, "CHUNK", 60)
            again = source.energies_and_forces(batch)
        np.testing.assert_allclose(again[0], energies, rtol=1e-14)
        np.testing.assert_allclose(again[1], forces, rtol=1e-12, atol=1e-14)


def test_rounding_stays_within_the_claimed_precision():
    positions = np.stack([random_cluster(6, seed) for seed in range(40)])
    rotations = np.linalg.qr(np.random.default_rng(0).normal(size=(30, 3, 3)))[0]
    for source in [*PAIRS, TRIPLES[0], *METALS]:
        turned = np.array([source.energies(batch_of(*(positions @ rotation))) for rotation in rotations])
        claimed = source.precision.sigma(turned[0])
        assert np.median(turned.std(axis=0) / claimed) < 1


CUTOFF = 4.1
PERIODIC = [
    LennardJones(epsilon=0.3, sigma=2.1, cutoff=CUTOFF),
    Morse(epsilon=0.5, alpha=1.2, r0=2.0, cutoff=CUTOFF),
    AxilrodTeller(nu=50.0, cutoff=CUTOFF),
    AxilrodTeller(nu=50.0, epsilon=0.3, sigma=2.1, cutoff=CUTOFF),
    SuttonChen(cutoff=CUTOFF),
]


def crystal(n, pbc=True):
    """Some atoms in a skewed cell that is smaller than the cutoff, so that atoms make pairs and triples with their own images."""
    rng = np.random.default_rng(n)
    cell = 2.9 * np.array([[1, 0.1, 0], [0.2, 1.1, 0.1], [-0.1, 0.1, 1.2]])
    places = np.indices((2, 2, 2)).reshape(3, -1).T[:n] / 2 + rng.uniform(-0.05, 0.05, (n, 3))
    return ase.Atoms(f"H{n}", scaled_positions=places, cell=cell, pbc=pbc)


def cell_by_images(source, atoms):
    """The energies that the atoms of one cell have in a piece of the crystal that holds all that they feel."""
    reach = [np.arange(-4, 5) if periodic else [0] for periodic in atoms.pbc]
    cells = np.stack(np.meshgrid(*reach, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = cells[np.argsort(np.abs(cells).sum(axis=1), kind="stable")]  # that of the atoms first
    positions = (atoms.positions + (cells @ atoms.cell.array)[:, None]).reshape(-1, 3)
    gaps = np.linalg.norm(positions[:, None] - atoms.positions, axis=2).min(axis=1)
    piece = positions[gaps < CUTOFF]
    np.testing.assert_array_equal(piece[: len(atoms)], atoms.positions)
    return source.evaluate_atoms(batch_of(piece), False).atom_energies[0, : len(atoms)].sum()


@pytest.mark.parametrize("pbc", [True, (True, False, True), (False, False, True), False])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("source", PERIODIC, ids=attrgetter("name"))
def test_a_cell_has_the_energies_of_its_atoms(source, n, pbc):
    atoms = crystal(n, pbc)
    wanted = cell_by_images(source, atoms)
    assert abs(wanted) > 1e-3 or n == 1
    assert source.cell_energy(atoms) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("source", PERIODIC, ids=attrgetter("name"))
def test_a_supercell_has_as_many_times_the_energy_and_its_atoms_may_be_anywhere(source):
    atoms = crystal(2)
    moved = atoms.repeat((2, 1, 3))
    moved.positions += [1.0, -7.0, 20.0]
    moved.wrap()
    assert source.cell_energy(moved) == pytest.approx(6 * source.cell_energy(atoms), rel=1e-12)


@pytest.mark.parametrize("source", PERIODIC[:4], ids=attrgetter("name"))
def test_orders_of_a_crystal_add_up_to_the_energy_of_the_cell(source):
    atoms, order = crystal(2), 3 if isinstance(source, AxilrodTeller) else 2
    orders = decompose(atoms, source, max_order=order).contribution.values[0]
    assert abs(orders[-1]) > 1e-3
    assert orders.sum() == pytest.approx(source.cell_energy(atoms), rel=1e-11)


def test_a_cell_is_that_of_ase_where_only_nearest_neighbours_are_felt():
    """What smooths the cutoff is another function there; both are 1 up to some distance and 0 from the cutoff on."""
    atoms = ase.build.bulk("Ar", "fcc", a=5.3) * (2, 1, 1)
    nearest = 5.3 / np.sqrt(2)
    cutoff = 1.4 * nearest
    atoms.calc = AseLennardJones(epsilon=0.0103, sigma=3.4, rc=cutoff, ro=1.1 * nearest, smooth=True)
    ours = LennardJones(epsilon=0.0103, sigma=3.4, cutoff=cutoff)
    assert ours.cell_energy(atoms) == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    assert ours.cell_energy(atoms) == pytest.approx(2 * 6 * ours.radial(np.array(nearest))[0], rel=1e-12)


def test_a_cell_of_copper_has_its_cohesive_energy():
    copper = SuttonChen(cutoff=14.0)
    energies = [copper.cell_energy(ase.build.bulk("Cu", cubic=cubic)) / (4 if cubic else 1) for cubic in (True, False)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-12)
    assert energies[0] == pytest.approx(-3.50, abs=0.03)


def test_without_a_cutoff_there_is_no_energy_of_a_cell():
    for source in (LennardJones(), Morse(), AxilrodTeller(), SuttonChen()):
        assert not source.capabilities.cell_energy
    with pytest.raises(
        InputError, match=r"analytic:axilrod-teller.* must give cell_energy, and does not; without a cutoff"
    ):
        AxilrodTeller().cell_energy(ase.Atoms("H"))


def test_atoms_on_one_spot_have_no_energy_in_a_cell():
    atoms = ase.Atoms("H2", np.zeros((2, 3)), cell=[3, 3, 3], pbc=True)
    for source in PERIODIC:
        if not isinstance(source, Morse):
            with pytest.raises(ComputationError, match="energy of the periodic structure, and failed: atoms too close"):
                source.cell_energy(atoms)


def test_one_atom_alone_has_no_energy():
    for source in [*PAIRS, *TRIPLES, *METALS]:
        energies, forces = source.energies_and_forces(batch_of([[1.0, 2, 3]], [[0, 0, 0]]))
        np.testing.assert_array_equal(energies, [0, 0])
        np.testing.assert_array_equal(forces, np.zeros((2, 1, 3)))


def test_atoms_on_one_spot_fail_alone():
    good = [[0, 0, 0], [1.0, 0, 0]]
    for source in (LennardJones(), SuttonChen()):
        with pytest.raises(FailedClusters, match="atoms too close") as failure:
            source.energies_and_forces(batch_of(good, [[1, 1, 1], [1, 1, 1]], good))
        assert list(failure.value.messages) == [1]
        np.testing.assert_array_equal(np.isnan(failure.value.energies), [False, True, False])
        assert np.isfinite(failure.value.forces[[0, 2]]).all()


def test_specs_name_sources_and_names_are_specs():
    assert load_source("analytic:pair") == LennardJones()
    assert load_source("analytic:pair?kind=morse&epsilon=3&cutoff=5") == Morse(epsilon=3.0, cutoff=5.0)
    assert load_source({"source": "analytic:axilrod-teller", "nu": 2}) == AxilrodTeller(nu=2.0)
    for source in [*PAIRS, *TRIPLES, *METALS]:
        assert load_source(source.name) == source
        assert load_source(source.name).fingerprint == source.fingerprint
    prints = {source.fingerprint for source in [*PAIRS, *TRIPLES, *METALS, LennardJones(), SuttonChen()]}
    assert len(prints) == 10


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "analytic:pairs",
            "`analytic source` must be one of axilrod-teller, pair, sutton-chen, got 'pairs'; did you mean 'pair'",
        ),
        ("analytic:pair?kind=morce", "`kind` must be one of lennard-jones, morse, got 'morce'; did you mean 'morse'"),
        ("analytic:pair?sigmaa=1", "analytic:pair has no option 'sigmaa'; options: .*; did you mean 'sigma'"),
        (
            "analytic:pair?kind=morse&sigma=1",
            "analytic:pair has no option 'sigma'; options: cutoff, epsilon, alpha, r0, kind",
        ),
        ("analytic:sutton-chen?kind=x", "analytic:sutton-chen has no option 'kind'"),
        ("analytic:pair?epsilon=deep", "`epsilon` must be a positive number, got 'deep'"),
        ("analytic:pair?cutoff=-1", "`cutoff` must be a positive number, got -1"),
        ("analytic:sutton-chen?n=2&m=6", "`n` must be above m/2 = 3, got 2"),
    ],
)
def test_wrong_specs_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        load_source(spec)
