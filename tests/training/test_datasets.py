from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bodyorder._checks import InputError
from bodyorder.structures import ClusterBatch
from bodyorder.training import (
    COMPOSITIONS,
    Composition,
    contents,
    draw_set,
    label,
    split_structures,
    weighted,
    write_set,
)

compositions = st.builds(
    Composition,
    name=st.just("any"),
    orders=st.none() | st.sets(st.integers(1, 3), min_size=1).map(tuple),
    whole_clusters=st.booleans(),
    fraction=st.floats(0.01, 1.0),
    per_cluster=st.none() | st.integers(1, 5),
    groups=st.none() | st.just(("low",)) | st.just(("high", "low")),
    n_clusters=st.none() | st.integers(1, 4),
    weights=st.dictionaries(st.integers(1, 4), st.integers(1, 3)),
)


def keys_of(clusters: Sequence[ase.Atoms]) -> set[bytes]:
    """Canonical keys of clusters of two atoms or more: they name a cluster whatever the order of its atoms and its place.

    Single atoms of an element are one and the same cluster, which all parents share, and are excepted.
    """
    keys: set[bytes] = set()
    for size in {len(atoms) for atoms in clusters} - {1}:
        keys.update(ClusterBatch.from_atoms([atoms for atoms in clusters if len(atoms) == size]).canonical()[0])
    return keys


@pytest.fixture(scope="module")
def keys_of_parents(labelled) -> dict[int, set[bytes]]:
    """Of every parent the keys of all its sub-clusters of two atoms or more, itself among them."""
    found: dict[int, set[bytes]] = defaultdict(set)
    for size, batch in labelled.batches.items():
        if size > 1:
            for parent, key in zip(batch.clusters.parents, batch.clusters.canonical()[0], strict=True):
                found[int(parent)].add(key)
    assert {len(keys) for keys in found.values()} == {6 + 4 + 1}
    return found


@settings(max_examples=100)
@given(composition=compositions, seed=st.integers(0, 2**32), training=st.floats(0.2, 0.8))
@example(composition=Composition("some", orders=None, n_clusters=2, weights={2: 3}), seed=0, training=0.7)
@example(composition=COMPOSITIONS["whole"], seed=0, training=0.7)
@example(composition=COMPOSITIONS["all"], seed=0, training=0.7)
def test_nothing_of_a_test_parent_is_trained_on_or_validated_with(
    labelled, keys_of_parents, composition, seed, training
):
    held_out = (1 - training) / 2
    split = split_structures(labelled.groups, (training, held_out, held_out), seed)
    # The sets that a study makes, and whatever else the parts give.
    whole = replace(composition, n_clusters=None)
    used = [
        *weighted(draw_set(labelled, split.training, composition, seed), composition),
        *draw_set(labelled, split.validation, whole, seed),
        *draw_set(labelled, split.validation, composition, seed),
    ]
    tested = set().union(*(keys_of_parents[parent] for parent in split.test))
    assert not keys_of(used) & tested
    assert not {atoms.info["parent"] for atoms in used} & set(split.test)
    # Keys would tell: sets of the test parents themselves are found, and so are copies with atoms shuffled and moved.
    leaked = [atoms[::-1] for atoms in draw_set(labelled, split.test, composition, seed)]
    for atoms in leaked:
        atoms.translate([3.0, -1.0, 0.5])
    assert keys_of(leaked) <= tested
    assert bool(keys_of(leaked)) == any(len(atoms) > 1 for atoms in leaked)


@given(
    sizes=st.lists(st.integers(3, 40), min_size=1, max_size=4),
    shares=st.tuples(*[st.integers(1, 20)] * 3),
    seed=st.integers(0, 2**32),
)
def test_a_split_is_a_partition_that_keeps_the_share_of_each_group(sizes, shares, seed):
    groups = np.repeat([f"group {index}" for index in range(len(sizes))], sizes)
    fractions = tuple(np.array(shares) / sum(shares))
    split = split_structures(list(groups), fractions, seed)
    parts = [split.training, split.validation, split.test]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(groups)))
    for group, size in zip(np.unique(groups), sizes, strict=True):
        counts = [int((groups[part] == group).sum()) for part in parts]
        assert min(counts) >= 1
        if all(fraction * size >= 1 for fraction in fractions):
            np.testing.assert_allclose(counts, np.array(fractions) * size, atol=1.0 + 1e-9)


def test_equal_seeds_split_equally_and_others_do_not():
    first, second, other = (split_structures(40, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.test, second.test)
    assert not np.array_equal(first.test, other.test)
    assert (len(first.training), len(first.validation), len(first.test)) == (28, 6, 6)


def test_parents_holds_the_parents_alone(labelled):
    drawn = draw_set(labelled, np.array([0, 3, 7]), COMPOSITIONS["whole"])
    assert [atoms.info["parent"] for atoms in drawn] == [0, 3, 7]
    assert {len(atoms) for atoms in drawn} == {4}


def test_all_holds_every_sub_cluster_once(labelled):
    drawn = draw_set(labelled, np.array([0, 7]), COMPOSITIONS["all"])
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
    without = draw_set(labelled, every, Composition("pairs", orders=(2,), whole_clusters=False, per_cluster=2))
    assert contents(without)["groups"]["low"] == {"parents": 6, "sizes": {2: 12}}
    half = draw_set(labelled, every, Composition("half", orders=(2, 3), fraction=0.5))
    assert contents(half)["groups"]["high"] == {"parents": 6, "sizes": {2: 18, 3: 12, 4: 6}}
    low = draw_set(labelled, every, Composition("low", groups=("low",)))
    assert list(contents(low)["groups"]) == ["low"]


def test_what_is_drawn_from_a_parent_does_not_depend_on_the_others(labelled):
    composition = Composition("some", orders=None, per_cluster=1)
    alone = draw_set(labelled, np.array([5]), composition, seed=2)
    among = [atoms for atoms in draw_set(labelled, np.arange(12), composition, seed=2) if atoms.info["parent"] == 5]
    assert [atoms.info["members"] for atoms in alone] == [atoms.info["members"] for atoms in among]
    other = draw_set(labelled, np.array([5]), composition, seed=3)
    assert [atoms.info["members"] for atoms in alone] != [atoms.info["members"] for atoms in other]


def test_a_written_set_comes_back_and_says_what_it_contains(labelled, tmp_path: Path):
    drawn = draw_set(labelled, np.array([1, 8]), COMPOSITIONS["all"])
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
        ({"whole_clusters": False}, "training set 'any' must hold whole clusters or sub-clusters, and holds neither"),
        ({"fraction": 1.5}, r"`fraction` must be between 0 and 1, got 1\.5"),
        ({"fraction": 0.0}, "`fraction` must be a positive number"),
        ({"per_cluster": 0}, "`per_cluster` must be between 1 and"),
        ({"n_clusters": 0}, "`n_clusters` must be between 1 and"),
        ({"weights": {2: 0}}, "`weights of 2 atoms` must be between 1 and"),
        ({"orders": (0,)}, "`orders` must be between 1 and"),
    ],
)
def test_bad_make_ups_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Composition("any", **fields)


def test_bad_splits_are_refused():
    with pytest.raises(InputError, match=r"structures must be at least 3 \(training, validation, test\), got 2"):
        split_structures(2)
    with pytest.raises(InputError, match="structures of group high must be at least 3"):
        split_structures(["low"] * 5 + ["high"] * 2)
    with pytest.raises(InputError, match="got 0"):
        split_structures(0)
    with pytest.raises(InputError, match="`fractions` must be three numbers that add up to 1"):
        split_structures(10, (0.5, 0.2, 0.2))


def test_a_make_up_that_yields_nothing_is_refused(labelled, hydrogen, morse):
    with pytest.raises(
        InputError,
        match="training set 'whole' must yield structures, and yields none from 0 parents; give it other parents, groups",
    ):
        draw_set(labelled, np.array([], dtype=int), COMPOSITIONS["whole"])
    with pytest.raises(InputError, match=r"`groups` must be one of high, .*did you mean 'high'"):
        draw_set(labelled, np.arange(3), Composition("other", groups=("hihg",)))
    with pytest.raises(InputError, match="training set 'high' must yield structures, and yields none from 6 parents"):
        draw_set(labelled, np.arange(6), Composition("high", groups=("high",), n_clusters=2))
    bare = label([hydrogen(4, "high", 0)], morse, orders=())
    with pytest.raises(InputError, match="training set 'pairs' needs sub-clusters of 2 atoms, and none are labelled"):
        draw_set(bare, np.array([0]), Composition("pairs", orders=(2,)))


@given(
    composition=compositions,
    seed=st.integers(0, 2**32),
    numbers=st.tuples(st.integers(1, 5), st.integers(1, 5)).map(sorted),
)
def test_fewer_parents_are_part_of_more(labelled, composition, seed, numbers):
    fewer, more, every = (
        draw_set(labelled, np.arange(12), replace(composition, n_clusters=number), seed) for number in (*numbers, None)
    )
    labels = [{(atoms.info["parent"], atoms.info["members"]) for atoms in drawn} for drawn in (fewer, more, every)]
    assert labels[0] <= labels[1] <= labels[2]
    for drawn, number in ((fewer, numbers[0]), (more, numbers[1]), (every, 6)):
        # of each group of six
        assert {group["parents"] for group in contents(drawn)["groups"].values()} == {number}
        assert set(contents(drawn)["groups"]) == set(composition.groups or ("high", "low"))


def test_which_parents_are_drawn_depends_on_the_seed_alone(labelled):
    def used(seed: int, parents: np.ndarray) -> dict[str, set[int]]:
        drawn = draw_set(labelled, parents, Composition("some", n_clusters=2), seed)
        return {group: {a.info["parent"] for a in drawn if a.info["group"] == group} for group in ("low", "high")}

    every = np.arange(12)
    assert used(3, every) == used(3, every)
    drawn = [used(seed, every) for seed in range(10)]
    # each group by itself: where one is in, the other is drawn as it was
    for seed, sets in enumerate(drawn):
        alone = draw_set(labelled, every, Composition("low", n_clusters=2, groups=("low",)), seed)
        assert {atoms.info["parent"] for atoms in alone} == sets["low"]
    assert len({frozenset(sets["low"]) for sets in drawn}) > 3
    # not the same places in both groups (0-5 and 6-11)
    assert any({parent + 6 for parent in sets["low"]} != sets["high"] for sets in drawn)


def test_more_parents_than_there_are_is_all_of_them(labelled):
    few = draw_set(labelled, np.array([0, 1, 7]), Composition("many", n_clusters=100))
    assert [atoms.info["parent"] for atoms in few] == [0, 1, 7]


def test_weights_repeat_clusters_of_a_size(labelled):
    composition = Composition("heavy", orders=None, weights={1: 5, 4: 2})
    plain = draw_set(labelled, np.arange(2), composition)
    heavy = weighted(plain, composition)
    for size, times in ((1, 5), (2, 1), (3, 1), (4, 2)):
        assert sum(len(atoms) == size for atoms in heavy) == times * sum(len(atoms) == size for atoms in plain)
    assert contents(heavy)["groups"]["low"]["sizes"] == {1: 10, 2: 12, 3: 8, 4: 4}
    assert weighted(plain, COMPOSITIONS["all"]) == plain
    # what is drawn does not depend on them
    assert plain == draw_set(labelled, np.arange(2), COMPOSITIONS["all"])
