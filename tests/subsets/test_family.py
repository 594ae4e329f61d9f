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


def test_too_many_subsets():
    with pytest.raises(InputError, match="must have at most 268435456 subsets, 40 bodies to order 40"):
        complete(40)


def test_adjacency_must_be_symmetric():
    with pytest.raises(InputError, match="symmetric boolean matrix"):
        connected(np.array([[False, True], [False, False]]))
