from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyorder._checks import InputError
from bodyorder.training import MAKE_UPS, MakeUp, contents, label, split_parents, training_set, weighted, write_set

make_ups = st.builds(
    MakeUp,
    name=st.just("any"),
    orders=st.none() | st.sets(st.integers(1, 3), min_size=1).map(tuple),
    parents=st.booleans(),
    fraction=st.floats(0.01, 1.0),
    per_parent=st.none() | st.integers(1, 5),
    groups=st.none() | st.just(("low",)) | st.just(("high", "low")),
    n_parents=st.none() | st.integers(1, 4),
)


@settings(max_examples=60)
@given(makeup=make_ups, seed=st.integers(0, 2**32), training=st.floats(0.2, 0.8))
def test_nothing_of_a_test_parent_is_trained_on(labelled, makeup, seed, training):
    held_out = (1 - training) / 2
    split = split_parents(labelled.groups, (training, held_out, held_out), seed)
    trained = training_set(labelled, split.training, makeup, seed) + training_set(
        labelled, split.validation, makeup, seed
    )
    everything = training_set(labelled, split.test, MAKE_UPS["all"], seed)
    assert not {atoms.info["parent"] for atoms in trained} & {atoms.info["parent"] for atoms in everything}
    # The same by content: apart from the atom, which is everywhere, no test cluster stands in the training set.
    shapes = {atoms.positions.tobytes() for atoms in trained if len(atoms) > 1}
    assert not shapes & {atoms.positions.tobytes() for atoms in everything}


@given(
    sizes=st.lists(st.integers(3, 40), min_size=1, max_size=4),
    shares=st.tuples(*[st.integers(1, 20)] * 3),
    seed=st.integers(0, 2**32),
)
def test_a_split_is_a_partition_that_keeps_the_share_of_each_group(sizes, shares, seed):
    groups = np.repeat([f"group {index}" for index in range(len(sizes))], sizes)
    fractions = tuple(np.array(shares) / sum(shares))
    split = split_parents(list(groups), fractions, seed)
    parts = [split.training, split.validation, split.test]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(groups)))
    for group, size in zip(np.unique(groups), sizes, strict=True):
        counts = [int((groups[part] == group).sum()) for part in parts]
        assert min(counts) >= 1
        if all(fraction * size >= 1 for fraction in fractions):
            np.testing.assert_allclose(counts, np.array(fractions) * size, atol=1.0 + 1e-9)


def test_equal_seeds_split_equally_and_others_do_not():
    first, second, other = (split_parents(40, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.test, second.test)
    assert not np.array_equal(first.test, other.test)
    assert (len(first.training), len(first.validation), len(first.test)) == (28, 6, 6)


def test_parents_holds_the_parents_alone(labelled):
    drawn = training_set(labelled, np.array([0, 3, 7]), MAKE_UPS["parents"])
    assert [atoms.info["parent"] for atoms in drawn] == [0, 3, 7]
    assert {len(atoms) for atoms in drawn} == {4}


def test_all_holds_every_sub_cluster_once(labelled):
    drawn = training_set(labelled, np.array([0, 7]), MAKE_UPS["all"])
    # The four single atoms of a parent are the same cluster.
    assert contents(drawn) == {
        "clusters": 24,
        "forces": True,
        "groups": {
            "high": {"parents": 1, "sizes": {1: 1, 2: 6, 3: 4, 4: 1}},
            "low": {"parents": 1, "sizes": {1: 1, 2: 6, 3: 4, 4: 1}},
        },
    }


def test_make_ups_choose_orders_numbers_and_groups(labelled):
    every = np.arange(12)
    without = training_set(labelled, every, MakeUp("pairs", orders=(2,), parents=False, per_parent=2))
    assert contents(without)["groups"]["low"] == {"parents": 6, "sizes": {2: 12}}
    half = training_set(labelled, every, MakeUp("half", orders=(2, 3), fraction=0.5))
    assert contents(half)["groups"]["high"] == {"parents": 6, "sizes": {2: 18, 3: 12, 4: 6}}
    low = training_set(labelled, every, MakeUp("low", groups=("low",)))
    assert list(contents(low)["groups"]) == ["low"]


def test_what_is_drawn_from_a_parent_does_not_depend_on_the_others(labelled):
    makeup = MakeUp("some", orders=None, per_parent=1)
    alone = training_set(labelled, np.array([5]), makeup, seed=2)
    among = [atoms for atoms in training_set(labelled, np.arange(12), makeup, seed=2) if atoms.info["parent"] == 5]
    assert [atoms.info["members"] for atoms in alone] == [atoms.info["members"] for atoms in among]
    other = training_set(labelled, np.array([5]), makeup, seed=3)
    assert [atoms.info["members"] for atoms in alone] != [atoms.info["members"] for atoms in other]


def test_a_written_set_comes_back_and_says_what_it_contains(labelled, tmp_path: Path):
    drawn = training_set(labelled, np.array([1, 8]), MAKE_UPS["all"])
    write_set(tmp_path / "training.xyz", drawn)
    back = ase.io.read(tmp_path / "training.xyz", ":")
    assert len(back) == len(drawn)
    for atoms, original in zip(back, drawn, strict=True):
        assert abs(atoms.get_potential_energy() - original.info["energy"]) < 1e-12
        np.testing.assert_allclose(atoms.get_forces(), original.arrays["forces"], atol=1e-8)
        np.testing.assert_allclose(atoms.positions, original.positions, atol=1e-8)
    summary = json.loads((tmp_path / "training.json").read_text())
    assert summary["clusters"] == 24
    assert summary["groups"]["low"] == {"parents": 1, "sizes": {"1": 1, "2": 6, "3": 4, "4": 1}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parents": False}, "make-up 'any' must hold parents or sub-clusters, and holds neither"),
        ({"fraction": 1.5}, r"`fraction` must be between 0 and 1, got 1\.5"),
        ({"fraction": 0.0}, "`fraction` must be a positive number"),
        ({"per_parent": 0}, "`per_parent` must be between 1 and"),
        ({"orders": (0,)}, "`orders` must be between 1 and"),
    ],
)
def test_bad_make_ups_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        MakeUp("any", **fields)


def test_bad_splits_are_refused():
    with pytest.raises(InputError, match=r"parents must be at least 3 \(training, validation, test\), got 2"):
        split_parents(2)
    with pytest.raises(InputError, match="parents of group high must be at least 3"):
        split_parents(["low"] * 5 + ["high"] * 2)
    with pytest.raises(InputError, match="got 0"):
        split_parents(0)
    with pytest.raises(InputError, match="`fractions` must be three numbers that add up to 1"):
        split_parents(10, (0.5, 0.2, 0.2))


def test_a_make_up_that_yields_nothing_is_refused(labelled, hydrogen, morse):
    with pytest.raises(InputError, match="make-up 'parents' must yield structures, and yields none from 0 parents"):
        training_set(labelled, np.array([], dtype=int), MAKE_UPS["parents"])
    with pytest.raises(InputError, match=r"`groups` must be one of high, .*did you mean 'high'"):
        training_set(labelled, np.arange(3), MakeUp("other", groups=("hihg",)))
    bare = label([hydrogen(4, "high", 0)], morse, orders=())
    with pytest.raises(InputError, match="make-up 'pairs' needs sub-clusters of 2 atoms, and none are labelled"):
        training_set(bare, np.array([0]), MakeUp("pairs", orders=(2,)))


def test_fewer_parents_are_part_of_more(labelled):
    parents = np.arange(len(labelled.structures))

    def used(number: int, seed: int = 0) -> set[int]:
        drawn = training_set(labelled, parents, MakeUp("some", n_parents=number), seed)
        return {atoms.info["parent"] for atoms in drawn}

    assert used(2) < used(4) < used(6)
    assert contents(training_set(labelled, parents, MakeUp("some", n_parents=2)))["groups"]["low"]["parents"] == 2
    assert len({frozenset(used(2, seed)) for seed in range(10)}) > 1


def test_weights_repeat_clusters_of_a_size(labelled):
    makeup = MakeUp("heavy", orders=None, weights={1: 5, 4: 2})
    plain = training_set(labelled, np.arange(2), makeup)
    heavy = weighted(plain, makeup)
    for size, times in ((1, 5), (2, 1), (3, 1), (4, 2)):
        assert sum(len(atoms) == size for atoms in heavy) == times * sum(len(atoms) == size for atoms in plain)
    with pytest.raises(InputError, match="`weights of 2 atoms` must be between 1 and"):
        MakeUp("none", weights={2: 0})
