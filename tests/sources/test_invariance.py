"""Models whose energies do not see how a sub-cluster is turned are found, and one of its copies is evaluated."""

from dataclasses import replace

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from mace_models import pieces, save_model, source_of
from scipy.spatial.transform import Rotation

from bodyorder import decompose
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.networks.network import Clusters
from bodyorder.sources.networks.traits import measure_traits
from bodyorder.sources.registry import load_source

SQUARE = ase.Atoms("H4", [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])


def copies(batch):
    """Turned and reflected, with atoms in another order."""
    rng = np.random.default_rng(0)
    order = rng.permutation(batch.n_atoms)
    turns = -Rotation.random(len(batch), random_state=1).as_matrix()
    return Clusters(batch.numbers[:, order], (batch.positions @ turns)[:, order])


@pytest.mark.parametrize(("name", "invariant"), [("soap-bpnn", True), ("mace", True), ("pet", False)])
def test_metatomic_models_that_are_built_on_symmetry_are_invariant_and_others_are_not(networks, name, invariant):
    source, batch = load_source(f"metatomic:{networks[name]}"), pieces(12, 5)
    assert source.capabilities.invariant is invariant
    turned = source._network.evaluate(copies(batch), packed=True).energies
    assert (np.abs(turned - source.energies(batch)).max() < 1e-9) == invariant


def test_rounding_in_single_precision_is_no_invariance(single_precision, tmp_path):
    assert not load_source(f"metatomic:{single_precision['mace']}").capabilities.invariant
    assert not source_of(save_model(tmp_path / "a.model", dtype="float32")).capabilities.invariant


def test_one_of_all_copies_is_evaluated(networks):
    for store in (None, ":memory:"):
        result = decompose(SQUARE, load_source(f"metatomic:{networks['mace']}"), store=store)
        assert int(result.n_evaluations[0]) == 1 + 2 + 1 + 1
    asked = decompose(SQUARE, CalculatorSource(LennardJones(rc=9.0), invariant=True))
    assert int(asked.n_evaluations[0]) == 1 + 2 + 1 + 1
    apart = decompose(SQUARE, CalculatorSource(LennardJones(rc=9.0)))
    assert int(apart.n_evaluations[0]) > 5
    np.testing.assert_allclose(asked.contribution, apart.contribution, rtol=0, atol=1e-9)


def test_a_model_that_tells_left_from_right_is_not_invariant(tmp_path):
    """Rotations alone would not show it."""
    source = source_of(save_model(tmp_path / "a.model"))
    network = source._network
    plain = type(network).evaluate

    def handed(self, clusters, **wanted):
        """A little more for one hand than for the other, by three of the atoms in the order of their distance to the middle."""
        found = plain(self, clusters, **wanted)
        centred = clusters.positions - clusters.positions.mean(axis=1, keepdims=True)
        sites = np.argsort(np.linalg.norm(centred, axis=2), axis=1)
        one, two, three = (centred[np.arange(len(sites)), sites[:, place]] for place in (0, 3, 6))
        found.energies = found.energies + 1e-6 * np.einsum("nx,nx->n", one, np.cross(two, three))
        return found

    network.evaluate = handed.__get__(network)
    try:
        assert not measure_traits(network).invariant
    finally:
        del network.evaluate


def test_noise_of_single_precision_is_measured_unasked(single_precision, networks):
    atoms = ase.Atoms("H3", [[0, 0, 0], [1.1, 0, 0], [0.3, 1.3, 0.2]])
    result = decompose(atoms, load_source(f"metatomic:{single_precision['mace']}"))
    assert result.attrs["noise"].startswith("measured on replicas: ")
    exact = decompose(atoms, load_source(f"metatomic:{networks['mace']}"))
    assert exact.attrs["noise"] == "claimed by the source"
    assert (result.noise > 10 * exact.noise).all()


def test_a_crystal_is_mostly_copies_and_a_displaced_one_is_not(tmp_path):
    """Networks look for copies in runs that keep nothing as far as that finds any; numbers are the same."""
    source = source_of(save_model(tmp_path / "a.model"))
    crystal = bulk("O", "diamond", 5.0, cubic=True)
    displaced = crystal.copy()
    displaced.rattle(0.05, seed=0)
    for atoms, least, most in ((crystal, 0, 0.1), (displaced, 0.9, 1)):
        result = decompose(atoms, source, max_order=3)
        source.capabilities = replace(source.capabilities, costly=False)
        plain = decompose(atoms, source, max_order=3)
        source.capabilities = replace(source.capabilities, costly=True)
        np.testing.assert_allclose(result.contribution, plain.contribution, rtol=0, atol=1e-9)
        assert least <= float(result.n_evaluations[0] / plain.n_evaluations[0]) <= most
