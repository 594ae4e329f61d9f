from dataclasses import replace

import numpy as np
import pytest
from geometries import scattered

from bodyorder._checks import ComputationError
from bodyorder.engine import decompose
from bodyorder.engine.computation import Wanted, compute
from bodyorder.sources.protocol import Capabilities, EnergySource, FailedClusters
from bodyorder.sources.registry import load_source
from bodyorder.structures import ClusterBatch

BROKEN = (1, 3)


class Partly(type(load_source("analytic:sutton-chen"))):
    """A many-body potential that fails for one pair of atoms; ``kind`` says what it hands back then."""

    kind = "none"

    def energies_and_forces(self, batch):
        energies, forces = super().energies_and_forces(batch)
        rows = [row for row, atoms in enumerate(batch.members) if sorted(atoms) == list(BROKEN)]
        if rows and self.kind == "none":
            raise FailedClusters(dict.fromkeys(rows, "no luck"), energies, None)
        if rows and self.kind == "zeros":
            forces[rows] = 0.0
            raise FailedClusters(dict.fromkeys(rows, "no luck"), energies, forces)
        if rows and self.kind == "silent":
            forces[rows, 0, 0] = np.inf
        if rows and self.kind == "raises":
            raise ZeroDivisionError
        return energies, forces


def partly(kind, **claims):
    source = Partly()
    source.kind = kind
    source.capabilities = replace(source.capabilities, **claims)
    return source


def batch_of_pairs():
    return ClusterBatch.from_atoms([scattered(2, seed, spread=3) for seed in range(4)])


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("kind", ["zeros", "silent", "raises"])
def test_forces_are_missing_where_a_subcluster_failed_and_right_elsewhere(tmp_path, kind, stored):
    """The failed pair spoils the forces on its two atoms from order two on; all others are those of the whole run."""
    whole = decompose(scattered(5, seed=3, spread=3), "analytic:sutton-chen", forces=True)
    source = partly(kind, batch_size=3)
    store = tmp_path / "s.sqlite" if stored else None
    for _ in range(2 if stored else 1):
        result = decompose(scattered(5, seed=3, spread=3), source, forces=True, store=store)
        forces = result.sites.force_contribution.values
        np.testing.assert_array_equal(np.isnan(forces).any(axis=(0, 2)), [False, True, False, True, False])
        np.testing.assert_array_equal(np.isnan(forces[:, BROKEN]).all(axis=(1, 2)), [False, True, True, True, True])
        found = np.isfinite(forces)
        np.testing.assert_allclose(forces[found], whole.sites.force_contribution.values[found], atol=1e-12)
        assert "1 of 31 sub-clusters failed, the first: atoms 1, 3: " in result.failure.item()
        np.testing.assert_array_equal(np.isnan(result.contribution[0]), [False, True, True, True, True])


@pytest.mark.parametrize("stored", [False, True])
def test_a_failed_batch_without_forces_has_none(tmp_path, stored):
    source = partly("none")
    store = tmp_path / "s.sqlite" if stored else None
    forces = decompose(scattered(5, seed=3, spread=3), source, forces=True, store=store).sites.force_contribution.values
    assert np.isfinite(forces[0]).all()
    assert np.isnan(forces[1:]).all()


def test_known_forces_come_back_in_the_order_of_the_atoms_beside_failures(tmp_path):
    """All pairs but one are known: only the failing one is asked for, and gives no forces."""
    path = tmp_path / "s.sqlite"
    whole = decompose(scattered(5, seed=3, spread=3), "analytic:sutton-chen", forces=True)
    decompose(scattered(5, seed=3, spread=3), partly("silent", batch_size=1), forces=True, store=path)
    forces = decompose(
        scattered(5, seed=3, spread=3), partly("none"), forces=True, store=path
    ).sites.force_contribution.values
    found = np.isfinite(forces)
    np.testing.assert_array_equal(found.all(axis=(0, 2)), [True, False, True, False, True])
    np.testing.assert_allclose(forces[found], whole.sites.force_contribution.values[found], atol=1e-12)


def test_a_row_with_forces_that_are_not_finite_failed():
    source = partly("silent")
    batch = ClusterBatch.cut(
        {0: ClusterBatch.from_atoms([scattered(5, seed=3, spread=3)]).systems[0]},
        np.zeros(2, dtype=int),
        np.array([[0, 1], [1, 3]]),
    )
    computed = compute(source, batch, Wanted(forces=True))
    assert computed.messages == {
        1: "the energy, a force, a second derivative or the energy of an atom or member is not finite"
    }
    np.testing.assert_array_equal(np.isnan(computed.energies), [False, True])
    np.testing.assert_array_equal(np.isnan(computed.forces).all(axis=(1, 2)), [False, True])


class Gives(EnergySource):
    name, fingerprint, cutoff, precision = "odd", "odd", None, None
    capabilities = Capabilities(forces=True)

    def __init__(self, energies, forces=None):
        self.given, self.slopes = energies, forces

    def energies(self, batch):
        return self.given

    def energies_and_forces(self, batch):
        return (self.given, self.slopes) if self.slopes is not None else self.given


@pytest.mark.parametrize("shape", [(4, 1), (5,), (), (3,)])
def test_energies_of_another_shape(shape):
    with pytest.raises(ComputationError, match=r"^odd must give energies of shape \(4,\), gave \(.*\)$"):
        compute(Gives(np.zeros(shape)), batch_of_pairs(), Wanted())


def test_forces_of_another_shape():
    with pytest.raises(ComputationError, match=r"^odd must give forces of shape \(4, 2, 3\), gave \(4, 6\)$"):
        compute(Gives(np.zeros(4), np.zeros((4, 6))), batch_of_pairs(), Wanted(forces=True))
    with pytest.raises(ComputationError, match="odd must give energies and forces, gave ndarray"):
        compute(Gives(np.zeros(4)), batch_of_pairs(), Wanted(forces=True))


def test_energies_that_are_no_numbers():
    with pytest.raises(ComputationError, match="odd must give energies as numbers, gave others: "):
        compute(Gives(["a", "b", "c", "d"]), batch_of_pairs(), Wanted())


def test_the_arrays_of_a_source_stay_as_they_are():
    energies = np.array([1.0, np.inf, 3.0, 4.0])
    energies.flags.writeable = False
    forces = np.zeros((4, 2, 3))
    computed = compute(Gives(energies, forces), batch_of_pairs(), Wanted(forces=True))
    np.testing.assert_array_equal(computed.energies, [1.0, np.nan, 3.0, 4.0])
    assert energies[1] == np.inf
    assert (forces == 0).all()


def test_failures_of_rows_that_are_not_there():
    class Beyond(Gives):
        def energies(self, batch):
            raise FailedClusters({7: "no luck"}, np.zeros(4))

    with pytest.raises(ComputationError, match=r"odd must name failed rows below 4, gave \[7\]"):
        compute(Beyond(None), batch_of_pairs(), Wanted())
