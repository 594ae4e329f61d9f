"""Periodic structures: orders per cell against sums over pairs and triples, supercells, and derivatives."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.neighborlist import neighbor_list

from bodyorder._checks import ComputationError, InputError
from bodyorder.engine import Sampling, decompose
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.registry import load_source
from bodyorder.structures import ClusterBatch

PAIR = "analytic:pair?kind=lennard-jones&epsilon=0.3&sigma=2.1&cutoff=4.2"
TRIPLE = "analytic:axilrod-teller?cutoff=3.4"
MANY = "analytic:sutton-chen?cutoff=3.6"


def crystal(seed=0, pbc=True):
    rng = np.random.default_rng(seed)
    grid = np.array([[0, 0, 0], [1.7, 1.6, 0.2], [0.1, 1.5, 1.8], [1.6, 0.2, 1.7]])
    cell = [[3.3, 0.1, 0], [0.2, 3.4, 0.1], [0, 0.3, 3.5]]
    return Atoms("H4", positions=grid + rng.normal(0, 0.1, (4, 3)), cell=cell, pbc=pbc)


def pair_sum(atoms, source):
    """Half the sum over all pairs from the home cell, each as a dimer in vacuum."""
    vectors = neighbor_list("D", atoms, source.cutoff)
    one = source.energies(ClusterBatch.from_atoms([Atoms("H")]))[0]
    dimers = [Atoms("H2", positions=[[0, 0, 0], vector]) for vector in vectors]
    return (source.energies(ClusterBatch.from_atoms(dimers)) - 2 * one).sum() / 2


@pytest.mark.parametrize("pbc", [True, (True, True, False), (False, False, True)])
def test_pairs_end_at_order_two(pbc):
    atoms = crystal(pbc=pbc)
    result = decompose(atoms, PAIR, max_order=3)
    assert float(result.contribution[0, 1]) == pytest.approx(pair_sum(atoms, load_source(PAIR)), abs=1e-10)
    assert abs(float(result.contribution[0, 2])) < 1e-9
    assert result.n_bodies.values.tolist() == [4]
    assert result.attrs["family"] == "connected"


def test_triples_end_at_order_three():
    result = decompose(crystal(), TRIPLE, max_order=4, subsets=True)
    assert np.abs(result.contribution.values[0, [0, 1, 3]]).max() < 1e-9
    assert abs(float(result.contribution[0, 2])) > 1e-3
    # every triple once: from each of its three corners, a third
    atoms, source, total = crystal(), load_source(TRIPLE), 0.0
    i, vectors = neighbor_list("iD", atoms, source.cutoff)
    for home in range(4):
        around = vectors[i == home]
        first, second = np.triu_indices(len(around), 1)
        triples = [Atoms("H3", positions=[[0, 0, 0], around[a], around[b]]) for a, b in zip(first, second, strict=True)]
        energies = source.energies(ClusterBatch.from_atoms(triples))
        # a triple counts from a corner only if all its sides are within the cutoff, where its energy is not zero
        total += energies.sum() / 3
    assert float(result.contribution[0, 2]) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 3, 2)])
def test_supercells_have_the_same_orders_per_cell(repeats):
    small, large = (
        decompose(atoms, MANY, max_order=3, forces=True) for atoms in (crystal(), crystal().repeat(repeats))
    )
    np.testing.assert_allclose(large.contribution[0], small.contribution[0] * np.prod(repeats), atol=1e-9)
    np.testing.assert_allclose(large.cells.stress_contribution[0], small.cells.stress_contribution[0], atol=1e-11)
    np.testing.assert_allclose(
        large.sites.force_contribution,
        np.tile(small.sites.force_contribution, (1, int(np.prod(repeats)), 1)),
        atol=1e-9,
    )


def test_orders_do_not_depend_on_the_choice_of_the_cell():
    atoms = crystal()
    sheared = atoms.copy()
    sheared.set_cell(atoms.cell.array @ np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]).T, scale_atoms=False)
    sheared.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ atoms.cell.array, scale_atoms=False)
    moved = sheared.copy()
    moved.positions += [5.0, -3.0, 0.7]
    moved.wrap()
    expected = decompose(atoms, MANY, max_order=3).contribution
    for other in (sheared, moved):
        np.testing.assert_allclose(decompose(other, MANY, max_order=3).contribution, expected, atol=1e-9)


def test_forces_and_stress_are_derivatives():
    atoms, step = crystal(), 1e-5
    result = decompose(atoms, MANY, max_order=3, forces=True)

    def orders(change):
        return [change(sign * step).contribution.values[0] for sign in (1, -1)]

    def moved(by):
        other = atoms.copy()
        other.positions[1, 2] += by
        return decompose(other, MANY, max_order=3)

    def strained(by):
        other = atoms.copy()
        strain = np.eye(3)
        strain[0, 2] = strain[2, 0] = by / 2
        other.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        return decompose(other, MANY, max_order=3)

    ahead, behind = orders(moved)
    np.testing.assert_allclose(result.sites.force_contribution[:, 1, 2], -(ahead - behind) / (2 * step), atol=1e-6)
    ahead, behind = orders(strained)
    found = result.cells.stress_contribution.sel(voigt="xz")[0] * atoms.get_volume()
    np.testing.assert_allclose(found, (ahead - behind) / (2 * step), atol=1e-6)


def test_molecules_as_bodies_and_where_their_images_are():
    dimers = Atoms("H4", positions=[[0.1, 0, 0], [4.6, 0, 0], [2, 2, 2], [2, 2, 2.7]], cell=[5, 5, 5], pbc=True)
    result = decompose(dimers, MANY, max_order=2, bodies="molecules", subsets=True)
    assert result.n_bodies.values.tolist() == [2]
    assert result.sites.site_body.values.tolist() == [0, 0, 1, 1]
    pairs = result.subsets.to_dataset().isel(subset=(result.subsets.subset_order == 2).values)
    for row in range(pairs.sizes["subset"]):
        cells = pairs.subset_cells.values[row]
        assert (cells[0] == 0).all()
        assert (pairs.subset_members.values[row] == [0, 1]).all() or (cells[1] != 0).any()


def test_free_and_periodic_structures_together():
    free = crystal(pbc=False)
    result = decompose([free, crystal()], MANY, max_order=2, cutoff=3.6, forces=True)
    alone = decompose(free, MANY, max_order=2, cutoff=3.6, forces=True)
    np.testing.assert_allclose(result.contribution[0], alone.contribution[0], atol=1e-12)
    assert np.isnan(result.cells.stress_contribution[0]).all()
    assert np.isfinite(result.cells.stress_contribution[1]).all()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("analytic:sutton-chen", {"max_order": 2}, r"structure 0 is periodic, for which the source must be additive"),
        (
            MANY,
            {"max_order": 2, "cutoff": 2.0},
            r"`cutoff` for structure 0, which is periodic, must be at least that of analytic:sutton-chen.*, 3.6 Å, got 2; leave",
        ),
        (MANY, {}, r"`max_order` must be given for structure 0, which is periodic"),
        (
            "analytic:sutton-chen",
            {"max_order": 2, "sampling": Sampling(10)},
            "structure 0 is periodic, for which the source must",
        ),
    ],
)
def test_what_cannot_work(source, options, message):
    with pytest.raises(InputError, match=message):
        decompose(crystal(), source, **options)


def test_structures_that_cannot_be():
    flat = Atoms("H", pbc=True, cell=[3, 3, 0])
    with pytest.raises(InputError, match="must have a lattice vector along every periodic direction"):
        decompose(flat, MANY, max_order=2)
    twice = Atoms("H2", positions=[[0, 0, 0], [3, 0, 0]], pbc=True, cell=[3, 3, 3])
    with pytest.raises(InputError, match="atoms 0 and 1 are on one spot"):
        decompose(twice, MANY, max_order=2)


def test_the_energy_of_silicon_per_atom_is_that_of_any_cell():
    primitive, cubic = (decompose(bulk("Si", cubic=cubic), MANY, max_order=4) for cubic in (False, True))
    np.testing.assert_allclose(primitive.contribution / 2, cubic.contribution / 8, atol=1e-10)


def test_orders_of_a_pair_potential_add_up_to_the_energy_of_the_cell():
    """Lennard-Jones of ASE, which sums over images by itself: order 2 is all there is, forces and stress included."""
    atoms = bulk("Ar", "fcc", 5.3, cubic=True)
    atoms.rattle(0.1, seed=2)
    spec = "ase:ase.calculators.lj.LennardJones?epsilon=0.0103&sigma=3.4&rc=6.5&smooth=true&additive_cutoff=6.5"
    result = decompose(atoms, spec, max_order=2, forces=True)
    assert abs(float(result.residual[0])) < 1e-10
    atoms.calc = load_source(spec).calculator
    assert float(result.total[0]) == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
    np.testing.assert_allclose(result.sites.force_contribution.sum("order"), atoms.get_forces(), atol=1e-10)
    np.testing.assert_allclose(result.cells.stress_contribution.sum("order")[0], atoms.get_stress(), atol=1e-12)


class Plain:
    """A source that gives no energy of a periodic cell, or fails at it."""

    def __init__(self, message=None):
        self.inner = load_source(PAIR)
        self.name, self.fingerprint, self.precision = "plain", "plain", self.inner.precision
        self.cutoff, self.energies = self.inner.cutoff, self.inner.energies
        if message is not None:

            def cell_energy(atoms):
                raise ComputationError(message)

            self.cell_energy = cell_energy


def test_a_cell_without_an_energy_of_its_own_has_no_residual():
    result = decompose(crystal(), Plain(), max_order=2)
    assert np.isnan(result.total[0])
    assert np.isnan(result.residual[0])
    failing = decompose([crystal(), crystal(1)], Plain("no memory"), max_order=2)
    np.testing.assert_array_equal(failing.contribution[0], result.contribution[0])
    assert np.isnan(failing.total).all()
    assert all("no energy of the cell to hold the orders against: no memory" in text for text in failing.failure.values)


@pytest.mark.parametrize("start", [0.0, 4.0, 8.5])
def test_groups_given_are_the_molecules_that_they_are(start):
    """A chain longer than half the cell, wherever a border cuts it."""
    chain = Atoms("C7", positions=np.arange(7)[:, None] * [1.3, 0, 0] + [start, 1, 1], cell=[10, 10, 10], pbc=True)
    chain.wrap()
    source = "analytic:pair?cutoff=3&sigma=1.2"
    given, found = (decompose(chain, source, max_order=2, bodies=bodies) for bodies in ([0] * 7, "molecules"))
    np.testing.assert_allclose(given.contribution, found.contribution, atol=1e-10)
    whole = Atoms("C7", positions=np.arange(7)[:, None] * [1.3, 0, 0])
    alone = float(load_source(source).energies(ClusterBatch.from_atoms([whole]))[0])
    assert float(given.contribution[0, 0]) == pytest.approx(alone, abs=1e-10)


def test_orders_of_groups_do_not_depend_on_how_atoms_are_wrapped():
    """Groups of two in a skewed cell, every atom in any of its images."""
    atoms = crystal()
    atoms.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ atoms.cell.array, scale_atoms=False)
    expected = decompose(atoms, MANY, max_order=2, bodies=[0, 0, 1, 1]).contribution
    for seed in range(3):
        other = atoms.copy()
        other.positions += np.random.default_rng(seed).integers(-2, 3, (4, 3)) @ atoms.cell.array
        found = decompose(other, MANY, max_order=2, bodies=[0, 0, 1, 1]).contribution
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_cutoff_that_is_claimed_too_short_is_found_out():
    """EMT feels 6 Å; 3 Å would give −74.7 eV for the pairs of copper instead of −96.1 without a word."""
    copper = bulk("Cu", cubic=True)
    right = decompose(copper, CalculatorSource(EMT(), cutoff=6.5), max_order=2)
    assert float(right.contribution[0, 1]) == pytest.approx(-96.10, abs=0.01)
    for atoms, options in (
        (copper, {}),
        (copper, {"sampling": Sampling(10)}),
        (bulk("Cu") * (2, 2, 1), {"cutoff": 3.0}),
    ):
        free = atoms.copy()
        free.pbc = not options.get("cutoff")
        with pytest.raises(
            InputError, match=r"the cutoff of ase:.*EMT must be the distance beyond which parts do not feel"
        ):
            decompose(free, CalculatorSource(EMT(), cutoff=3.0), max_order=2, **options)
