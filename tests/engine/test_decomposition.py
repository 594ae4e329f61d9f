import json
from itertools import combinations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.lj import LennardJones
from complete_family import noise_amplification
from geometries import clusters
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyorder._checks import InputError
from bodyorder.engine import decompose
from bodyorder.results.variables import VARIABLES
from bodyorder.sources.protocol import Capabilities, EnergySource, FailedClusters, Precision
from bodyorder.sources.registry import load_source
from bodyorder.subsets import connected, order_coefficients


class TabulatedEnergies(EnergySource):
    """Random energies by which atoms are there: nothing is zero, so no error can hide."""

    name, fingerprint, cutoff, precision = "table", "table", None, Precision(absolute=1e-3)

    def __init__(self, seed=0, broken=()):
        self.seed, self.broken = seed, [sorted(atoms) for atoms in broken]

    def one(self, parent, members):
        return np.random.default_rng([self.seed, int(parent), *sorted(int(m) for m in members)]).normal()

    def energies(self, batch):
        energies = np.array([self.one(*row) for row in zip(batch.parents, batch.members, strict=True)])
        broken = {row: "out of luck" for row, atoms in enumerate(batch.members) if sorted(atoms) in self.broken}
        if broken:
            energies[list(broken)] = np.nan
            raise FailedClusters(broken, energies)
        return energies


class Raising(TabulatedEnergies):
    """Fails for some sub-clusters, and does not say which."""

    def energies(self, batch):
        if any(sorted(atoms) in self.broken for atoms in batch.members):
            raise ZeroDivisionError("no way\nsecond line")
        return super().energies(batch)


def order_totals_by_hand(source, parent, bodies):
    n_bodies = len(bodies)
    epsilon = {}
    for order in range(1, n_bodies + 1):
        for subset in combinations(range(n_bodies), order):
            members = np.concatenate([bodies[body] for body in subset])
            below = sum(epsilon[part] for k in range(1, order) for part in combinations(subset, k))
            epsilon[subset] = source.one(parent, members) - below
    return [sum(e for s, e in epsilon.items() if len(s) == order) for order in range(1, n_bodies + 1)]


def test_random_energies_by_hand():
    source = TabulatedEnergies()
    frames = clusters()
    result = decompose(frames, source)
    for index in range(len(frames)):
        expected = order_totals_by_hand(source, index, [[atom] for atom in range(6)])
        np.testing.assert_allclose(result.contribution[index], expected, atol=1e-11)
    np.testing.assert_allclose(result.residual, 0, atol=1e-11)
    np.testing.assert_allclose(result.n_evaluations, 63)


def test_molecules_of_different_sizes_as_bodies():
    source = TabulatedEnergies()
    parts = [molecule("H2O"), molecule("H2"), molecule("CH4"), molecule("H2O")]
    whole = Atoms()
    for index, part in enumerate(parts):
        part.translate([6.0 * index, 0.5 * index, 0])
        whole += part
    result = decompose(whole, source, bodies="molecules")
    bodies = [[0, 1, 2], [3, 4], [5, 6, 7, 8, 9], [10, 11, 12]]
    np.testing.assert_allclose(result.contribution[0], order_totals_by_hand(source, 0, bodies), atol=1e-11)
    np.testing.assert_array_equal(result.sites.site_body, np.repeat([0, 1, 2, 3], [3, 2, 5, 3]))


def test_truncated_expansion_keeps_its_orders_and_gains_a_residual():
    frames = clusters()
    source = TabulatedEnergies()
    full, cut = decompose(frames, source), decompose(frames, source, max_order=3)
    np.testing.assert_allclose(cut.contribution, full.contribution[:, :3], atol=1e-11)
    np.testing.assert_allclose(cut.residual, full.contribution[:, 3:].sum("order"), atol=1e-10)
    np.testing.assert_array_equal(cut.total, full.total)
    np.testing.assert_array_equal(cut.n_evaluations, 6 + 15 + 20 + 1)


def test_structures_of_different_sizes():
    source = TabulatedEnergies()
    frames = [*clusters(1, 3), *clusters(1, 5)]
    result = decompose(frames, source)
    np.testing.assert_array_equal(result.n_bodies, [3, 5])
    np.testing.assert_array_equal(result.contribution[0, 3:], 0)
    np.testing.assert_allclose(result.residual, 0, atol=1e-11)
    with pytest.raises(InputError, match="`max_order` must be between 1 and 5, got 6"):
        decompose(frames, source, max_order=6)


def test_subsets():
    source = TabulatedEnergies()
    result = decompose(clusters(2, 4), source, subsets=True)
    assert result.subsets.sizes["subset"] == 2 * 15
    for row in range(result.subsets.sizes["subset"]):
        members = result.subsets.subset_members.values[row]
        assert result.subsets.subset_order[row] == (members >= 0).sum()
        expected = source.one(int(result.subsets.subset_structure[row]), members[members >= 0])
        assert result.subsets.subset_energy[row] == expected
    by_order = [
        result.subsets.subset_contribution[result.subsets.subset_order == order].sum() for order in result.order
    ]
    np.testing.assert_allclose(by_order, result.contribution.sum("structure"), atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches_do_not_matter(batch_size):
    source = TabulatedEnergies()
    expected = decompose(clusters(), source)
    source.capabilities = Capabilities(batch_size=batch_size)
    np.testing.assert_array_equal(decompose(clusters(), source).contribution, expected.contribution)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_pair_potential_ends_at_order_two(seed):
    rng = np.random.default_rng(seed)
    grid = np.array(np.meshgrid(*[np.arange(3)] * 3)).reshape(3, -1).T * 1.3
    atoms = Atoms("Ar6", positions=grid[rng.choice(27, 6, replace=False)] + rng.uniform(-0.2, 0.2, (6, 3)))
    calculator = LennardJones(epsilon=0.01, sigma=1.2, rc=20.0)
    result = decompose(atoms, calculator, forces=True)
    np.testing.assert_allclose(result.contribution[0, 2:], 0, atol=1e-10)
    np.testing.assert_allclose(result.sites.force_contribution[2:], 0, atol=1e-10)
    atoms.calc = calculator
    assert result.contribution[0, 1].item() == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
    np.testing.assert_allclose(result.sites.force_contribution[1], atoms.get_forces(), atol=1e-10)


def test_an_additive_source_needs_only_connected_subclusters():
    """The same numbers from fewer evaluations, to all orders, residual zero."""
    calculator = LennardJones(epsilon=0.01, sigma=1.2, rc=2.2)
    frames = clusters(2, 8, spread=5.5)
    complete = decompose(frames, calculator, forces=True)
    from bodyorder.sources.ase.calculator import CalculatorSource

    source = CalculatorSource(calculator, cutoff=2.2)
    connected = decompose(frames, source, cutoff=2.2, forces=True)
    assert connected.attrs["family"] == "connected"
    assert (connected.n_evaluations < complete.n_evaluations).all()
    np.testing.assert_allclose(connected.contribution, complete.contribution, atol=1e-9)
    np.testing.assert_allclose(connected.sites.force_contribution, complete.sites.force_contribution, atol=1e-9)
    np.testing.assert_allclose(connected.residual, 0, atol=1e-9)


def test_cliques_leave_their_rest_in_the_residual():
    frames = clusters(1, 6)
    source = TabulatedEnergies()
    result = decompose(frames, source, cutoff=2.5, subsets=True)
    assert result.attrs["family"] == "cliques"
    distances = frames[0].get_all_distances()
    for members in result.subsets.subset_members.values:
        held = members[members >= 0]
        assert distances[np.ix_(held, held)].max() < 2.5
    np.testing.assert_allclose(result.residual, result.total - result.contribution.sum("order"))


def test_noise_of_independent_errors():
    result = decompose(clusters(1, 8), TabulatedEnergies())
    np.testing.assert_allclose(result.noise[0], 1e-3 * noise_amplification(8), rtol=1e-12)


@pytest.mark.parametrize("kind", [TabulatedEnergies, Raising])
def test_a_failed_subcluster_spoils_only_what_needs_it(kind):
    frames = clusters()
    whole = decompose(frames, TabulatedEnergies())
    source = kind(broken=[(0, 2, 5)])
    result = decompose(frames, source, subsets=True)
    np.testing.assert_array_equal(np.isnan(result.contribution), [[False, False, True, True, True, True]] * 3)
    np.testing.assert_allclose(result.contribution[:, :2], whole.contribution[:, :2])
    assert np.isnan(result.residual).all()
    assert np.isnan(result.subsets.subset_energy).sum() == 3
    reason = "out of luck" if kind is TabulatedEnergies else "ZeroDivisionError: no way"
    assert result.failure[0].item() == f"1 of 63 sub-clusters failed, the first: atoms 0, 2, 5: {reason}"


def test_failures_keep_the_forces_of_lower_orders():
    class Forces(TabulatedEnergies):
        capabilities = Capabilities(forces=True)

        def energies_and_forces(self, batch):
            forces = np.ones((*batch.members.shape, 3))
            try:
                return self.energies(batch), forces
            except FailedClusters as failed:
                forces[list(failed.messages)] = np.nan
                raise FailedClusters(failed.messages, failed.energies, forces) from None

    result = decompose(clusters(1), Forces(broken=[(1, 2)]), forces=True)
    finite = np.isfinite(result.sites.force_contribution.values).all(axis=2)
    np.testing.assert_array_equal(finite[0], True)
    np.testing.assert_array_equal(finite[1], [True, False, False, True, True, True])


def test_a_failure_leaves_the_orders_alone_that_do_not_count_it():
    """Connected sub-clusters: there are orders that a pair does not count in, and its failure does not matter to them."""
    calculator = load_source("analytic:sutton-chen?cutoff=2.0")
    positions = [[0, 0, 0], [1, 0, 0], [2.2, 0, 0], [9, 0, 0], [10, 0, 0], [10.5, 0.9, 0], [9.5, 0.9, 0]]
    frame = Atoms("H7", positions=positions)
    whole = decompose(frame, calculator, cutoff=2.0, forces=True)
    weights = order_coefficients(connected(frame.get_all_distances() < 2.0, 7))[1]
    broken = tuple(
        connected(frame.get_all_distances() < 2.0, 7).members[1][np.flatnonzero((weights == 0).any(axis=0))[0]]
    )

    class Broken(type(calculator)):
        def energies_and_forces(self, batch):
            energies, forces = super().energies_and_forces(batch)
            for row, atoms in enumerate(batch.members):
                if tuple(sorted(atoms)) == tuple(sorted(broken)):
                    energies[row] = np.nan
            return energies, forces

    source = Broken(cutoff=2.0)
    result = decompose(frame, source, cutoff=2.0, forces=True)
    pair = [tuple(sorted(row)) for row in connected(frame.get_all_distances() < 2.0, 7).members[1]].index(
        tuple(sorted(broken))
    )
    counted = weights[:, pair] != 0
    assert counted[1]
    assert not counted.all()
    orders = result.sizes["order"]
    np.testing.assert_array_equal(np.isnan(result.noise[0]), counted[:orders])
    forces = result.sites.force_contribution.values
    np.testing.assert_array_equal(np.isnan(forces).any(axis=(1, 2)), counted[:orders])
    kept = ~counted[:orders]
    np.testing.assert_allclose(result.noise[0, kept], whole.noise[0, kept])
    np.testing.assert_allclose(forces[kept], whole.sites.force_contribution.values[kept], atol=1e-12)


def test_a_result_says_with_which_options_and_programs_it_was_made():
    result = decompose(clusters(1, 2), "ase:ase.calculators.lj.LennardJones?sigma=1.2&epsilon=1e+1&additive_cutoff=9")
    assert result.attrs["source"] == "ase:ase.calculators.lj.LennardJones?additive_cutoff=9&epsilon=10.0&sigma=1.2"
    source = TabulatedEnergies()
    source.capabilities = Capabilities(versions={"table": "1.2"})
    versions = json.loads(decompose(clusters(1, 2), source).attrs["versions"])
    assert versions.keys() >= {"table", "bodyorder", "numpy", "ase"}
    assert versions["table"] == "1.2"


def test_what_is_no_structure_and_what_is_a_number():
    with pytest.raises(InputError, match=r"^structures must be an ase\.Atoms, several, or a file, got int$"):
        decompose(5, TabulatedEnergies())
    result = decompose(clusters(1), TabulatedEnergies(), cutoff=np.float32(3))
    np.testing.assert_array_equal(
        result.contribution, decompose(clusters(1), TabulatedEnergies(), cutoff=3).contribution
    )


def test_every_variable_has_a_unit_and_a_meaning():
    result = decompose(clusters(1), TabulatedEnergies(), subsets=True)
    for name, variable in result.data_vars.items():
        assert name in VARIABLES
        assert variable.dims == VARIABLES[name].dims
        assert variable.attrs["units"] == VARIABLES[name].unit
    assert set(result.attrs) >= {"source", "fingerprint", "bodies", "spin", "versions", "created"}


def test_forces_from_a_source_that_has_none():
    with pytest.raises(InputError, match="`forces` need a source that gives them, table gives energies only"):
        decompose(clusters(), TabulatedEnergies(), forces=True)


def test_groups_become_a_coordinate():
    frames = clusters(2)
    frames[0].info["group"], frames[1].info["group"] = "low", "high"
    assert decompose(frames, TabulatedEnergies()).group.values.tolist() == ["low", "high"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": 100}, r"`sampling` must be a Sampling, such as Sampling\(1000\), got 100"),
        ({"measure_noise": "yes"}, "`measure_noise` must be true or false, got 'yes'"),
        ({"forces": "yes"}, "`forces` must be true or false, got 'yes'"),
        ({"executor": 4}, "`executor` must have the interface of concurrent.futures, got 4"),
    ],
)
def test_options_of_another_kind_are_told(options, message):
    with pytest.raises(InputError, match=message):
        decompose(Atoms("H2", positions=[[0, 0, 0], [0, 0, 1]]), "analytic:pair", max_order=2, **options)
