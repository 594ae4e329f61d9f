from itertools import combinations
from math import comb

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyorder._checks import InputError
from bodyorder.subsets import cliques, complete, connected


@st.composite
def graphs(draw):
    n_bodies = draw(st.integers(1, 8))
    edges = draw(st.lists(st.booleans(), min_size=n_bodies * n_bodies, max_size=n_bodies * n_bodies))
    upper = np.triu(np.array(edges, dtype=bool).reshape(n_bodies, n_bodies), k=1)
    return upper | upper.T


def as_sets(rows):
    return {tuple(row) for row in rows.tolist()}


def colexicographic(rows):
    return [tuple(row) for row in rows.tolist()] == sorted((tuple(row) for row in rows.tolist()), key=lambda r: r[::-1])


@given(st.integers(1, 10), st.data())
def test_complete_holds_every_subset_once(n_bodies, data):
    max_order = data.draw(st.integers(1, n_bodies))
    family = complete(n_bodies, max_order)
    for order, rows in enumerate(family.members, start=1):
        assert rows.shape == (comb(n_bodies, order), order)
        assert as_sets(rows) == set(combinations(range(n_bodies), order))
        assert colexicographic(rows)
        np.testing.assert_array_equal(family.index(rows), np.arange(len(rows)))


def test_complete_of_twenty_bodies():
    family = complete(20)
    assert sum(family.sizes) == 2**20 - 1
    np.testing.assert_array_equal(family.members[-1], [np.arange(20)])


@given(graphs())
def test_connected_agrees_with_networkx(adjacency):
    family = connected(adjacency)
    graph = networkx.from_numpy_array(adjacency)
    for order, rows in enumerate(family.members, start=1):
        expected = {
            subset
            for subset in combinations(range(len(adjacency)), order)
            if networkx.is_connected(graph.subgraph(subset))
        }
        assert as_sets(rows) == expected
        assert len(rows) == len(expected)
        assert colexicographic(rows)


@given(graphs())
def test_cliques_agree_with_networkx(adjacency):
    family = cliques(adjacency)
    graph = networkx.from_numpy_array(adjacency)
    found = {subset for rows in family.members for subset in as_sets(rows)}
    assert found == {tuple(sorted(clique)) for clique in networkx.enumerate_all_cliques(graph)}
    assert all(colexicographic(rows) for rows in family.members)


@given(graphs())
def test_index_of_what_a_family_does_not_hold(adjacency):
    family = connected(adjacency)
    for order, rows in enumerate(family.members, start=1):
        every = complete(len(adjacency)).members[order - 1]
        index = family.index(every)
        held = index >= 0
        assert as_sets(every[held]) == as_sets(rows)
        np.testing.assert_array_equal(rows[index[held]], every[held])


def test_large_labels_do_not_overflow():
    """Codes of five of 10⁵ bodies would need 83 bits."""
    n_bodies = 20_000
    rows = np.array([[0, 1, 2, 3, 4], [1, 5000, 7000, 19_000, 19_999], [2, 5000, 7000, 19_000, 19_999]], dtype=np.int32)
    from bodyorder.subsets.family import Family

    empty = tuple(np.empty((0, order), dtype=np.int32) for order in range(1, 5))
    family = Family(n_bodies, (*empty, rows), "connected")
    queries = np.concatenate([rows[::-1], [[0, 1, 2, 3, 5]]])
    np.testing.assert_array_equal(family.index(queries), [2, 1, 0, -1])


@pytest.mark.parametrize("max_order", [0, 5, -1])
def test_max_order_out_of_range(max_order):
    with pytest.raises(InputError, match=rf"`max_order` must be between 1 and 4, got {max_order}"):
        complete(4, max_order)


@given(graphs(), st.sampled_from([connected, cliques, lambda adjacency: complete(len(adjacency))]))
def test_proper_subsets_by_brute_force(adjacency, grow):
    family = grow(adjacency)
    assert inside(family) == {
        (subset, part)
        for rows in family.members
        for subset in as_sets(rows)
        for below in family.members[: len(subset) - 1]
        for part in as_sets(below) & set(combinations(subset, below.shape[1]))
    }


def inside(family):
    """Every pair of a subset and a proper subset that a family names."""
    pairs = []
    for order, members in enumerate(family.members, start=1):
        for size, rows, index in family.proper_subsets(order):
            held = np.flatnonzero(index >= 0)
            below = family.members[size - 1][index[held]]
            pairs += zip(map(tuple, members[rows][held].tolist()), map(tuple, below.tolist()), strict=True)
    assert len(pairs) == len(set(pairs))
    return set(pairs)


@pytest.mark.parametrize("grow", [connected, cliques])
@pytest.mark.parametrize("chunk", [1, 2, 7, 100])
def test_pieces_do_not_matter(grow, chunk, monkeypatch):
    upper = np.triu(np.random.default_rng(4).random((9, 9)) < 0.5, k=1)
    expected = grow(upper | upper.T)
    pairs = inside(expected)
    monkeypatch.setattr("bodyorder.subsets.family.CHUNK", chunk)
    monkeypatch.setattr("bodyorder.subsets.growth.CHUNK", chunk)
    family = grow(upper | upper.T)
    for found, rows in zip(family.members, expected.members, strict=True):
        np.testing.assert_array_equal(found, rows)
    assert inside(family) == pairs


@pytest.mark.parametrize("grow", [connected, cliques])
def test_distant_groups_end_at_their_size(grow):
    """250 groups of 4 among 1000 bodies: 15 subsets each, and empty orders above."""
    family = grow(np.kron(np.eye(250, dtype=bool), np.ones((4, 4), dtype=bool)))
    assert family.max_order == 1000
    assert family.sizes == (1000, 1500, 1000, 250, *[0] * 996)
    assert [rows.shape[1] for rows in family.members] == list(range(1, 1001))
    for rows in family.members[:4]:
        assert (rows // 4 == rows[:, :1] // 4).all()
        assert colexicographic(rows)


def test_connected_parts_of_a_chain_are_its_intervals():
    family = connected(np.abs(np.subtract.outer(np.arange(30), np.arange(30))) == 1)
    for order, rows in enumerate(family.members, start=1):
        np.testing.assert_array_equal(rows, np.arange(31 - order)[:, None] + np.arange(order))


@pytest.mark.parametrize("n_bodies", [27, 40, 20_000])
def test_a_complete_family_too_large(n_bodies):
    message = (
        rf"a complete family must fit in 4 GiB, that of {n_bodies} bodies to order {n_bodies} does not; "
        "lower max_order or give a cutoff"
    )
    with pytest.raises(InputError, match=message):
        complete(n_bodies)


def test_a_connected_family_too_large_is_refused_before_it_is_grown():
    message = (
        "a connected family must fit in 4 GiB, that of 1500 bodies to order 3 does not; "
        "lower max_order or give a shorter cutoff"
    )
    with pytest.raises(InputError, match=message):
        connected(np.ones((1500, 1500), dtype=bool))


@pytest.mark.parametrize(("grow", "kind"), [(connected, "connected"), (cliques, "clique")])
def test_the_limit_is_that_of_the_members(grow, kind, monkeypatch):
    adjacency = np.ones((10, 10), dtype=bool)
    needed = sum(order * comb(10, order) for order in range(1, 6)) * 4
    monkeypatch.setattr("bodyorder.subsets.graphs.MAX_BYTES", needed)
    assert grow(adjacency, 5).sizes == complete(10, 5).sizes
    monkeypatch.setattr("bodyorder.subsets.graphs.MAX_BYTES", needed - 1)
    with pytest.raises(InputError, match=rf"a {kind} family must fit in .* 10 bodies to order 5 does not"):
        grow(adjacency, 5)


def test_adjacency_must_be_symmetric():
    with pytest.raises(InputError, match="symmetric boolean matrix"):
        connected(np.array([[False, True], [False, False]]))
