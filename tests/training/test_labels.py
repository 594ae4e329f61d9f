from __future__ import annotations

from itertools import combinations
from pathlib import Path

import ase
import numpy as np
import pytest

from bodyorder._checks import InputError
from bodyorder.sources.registry import load_source
from bodyorder.training import label


def test_every_subset_of_every_parent_is_labelled_once(labelled, morse):
    for size in (1, 2, 3, 4):
        batch = labelled.batches[size]
        found = sorted(
            (int(parent), *members)
            for parent, members in zip(batch.clusters.parents, batch.clusters.members.tolist(), strict=True)
        )
        assert found == [(parent, *subset) for parent in range(12) for subset in combinations(range(4), size)]
    atoms = labelled.to_atoms(3, 17)
    atoms.calc = morse
    np.testing.assert_allclose(atoms.info["energy"], atoms.get_potential_energy(), atol=1e-12)
    np.testing.assert_allclose(atoms.arrays["forces"], atoms.get_forces(), atol=1e-12)


def test_a_labelled_cluster_names_where_it_comes_from(labelled):
    atoms = labelled.to_atoms(3, 40)
    parent = labelled.structures[atoms.info["parent"]]
    members = [int(index) for index in atoms.info["members"].split("-")]
    np.testing.assert_array_equal(atoms.positions, parent.positions[members])
    assert atoms.info["group"] == parent.info["group"]
    assert atoms.calc is None


def test_orders_choose_what_is_labelled_beside_the_parents(hydrogen, morse):
    parents = [hydrogen(5, "high", 0), hydrogen(3, "high", 0)]
    assert {size: len(batch.energies) for size, batch in label(parents, morse, orders=(1, 2)).batches.items()} == {
        1: 8,
        2: 13,
        3: 1,
        5: 1,
    }
    assert set(label(parents, morse, orders=()).batches) == {3, 5}


def test_a_second_labelling_computes_nothing(hydrogen, morse, tmp_path: Path):
    class CountingSource:
        def __init__(self) -> None:
            self.inner = load_source(morse)
            self.name, self.fingerprint = self.inner.name, "morse"
            self.cutoff, self.precision = self.inner.cutoff, self.inner.precision
            self.count = 0

        def energies(self, batch):
            self.count += len(batch)
            return self.inner.energies(batch)

        def energies_and_forces(self, batch):
            self.count += len(batch)
            return self.inner.energies_and_forces(batch)

    source = CountingSource()
    first = label([hydrogen(4, "high", 0)], source, store=tmp_path / "store.sqlite")
    assert source.count > 0
    source.count = 0
    second = label([hydrogen(4, "high", 0)], source, store=tmp_path / "store.sqlite")
    assert source.count == 0
    for size in (1, 2, 3, 4):
        np.testing.assert_array_equal(first.batches[size].energies, second.batches[size].energies)
        np.testing.assert_array_equal(first.batches[size].forces, second.batches[size].forces)


def test_isolated_atoms_give_their_energy(labelled):
    assert labelled.atom_energies() == {1: 0.0}


def test_what_fails_is_left_without_a_label(hydrogen):
    class NoTriples:
        name, fingerprint, cutoff, precision = "no triples", "no triples", None, None

        def energies(self, batch):
            if batch.n_atoms == 3:
                raise RuntimeError("three is a crowd")
            return np.zeros(len(batch))

    labelled = label([hydrogen(3, "low", 0), hydrogen(4, "low", 0)], NoTriples())
    assert np.isnan(labelled.batches[3].energies).all()
    assert labelled.batches[4].forces is None
    assert len(labelled.failures) == 5
    assert labelled.failures[0].endswith("RuntimeError: three is a crowd")


def test_the_same_cluster_twice_is_refused(hydrogen, morse):
    twin = hydrogen(4, "high", 0)[[2, 0, 3, 1]]
    twin.translate([1.0, 2.0, 3.0])
    parents = [hydrogen(3, "high", 0), hydrogen(4, "high", 0), twin]
    with pytest.raises(InputError, match="structures to label must differ, 1 and 2 are the same cluster"):
        label(parents, morse)


def test_orders_beyond_the_largest_parent_are_refused(hydrogen, morse):
    with pytest.raises(InputError, match="`orders` must be between 1 and 3, got 4"):
        label([hydrogen(3, "high", 0)], morse, orders=(4,))
    with pytest.raises(InputError, match="at least one structure"):
        label(list[ase.Atoms](), morse)


def test_charged_parents_are_refused(hydrogen, morse):
    parents = [hydrogen(3, "high", 0), hydrogen(4, "high", 0)]
    parents[1].set_initial_charges([1, 0, -1, 0])
    with pytest.raises(
        InputError, match="must be neutral, structure 1 has initial charges, which models do not see; set"
    ):
        label(parents, morse)
