"""Pairs against brute force over all atoms and, in periodic structures, all cells near enough."""

from itertools import product

import ase
import numpy as np
import pytest

from bodyorder.sources.pairs import DENSE, pairs_inside, pairs_of_cell


def brute_force(positions, cutoff):
    """Pairs as a set of atoms by index, over all sub-clusters."""
    n, k = positions.shape[:2]
    return {
        (row * k + first, row * k + second)
        for row, first, second in product(range(n), range(k), range(k))
        if first < second and np.linalg.norm(positions[row, second] - positions[row, first]) < cutoff
    }


def as_set(pairs):
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


@pytest.mark.parametrize(("n", "k"), [(5, 1), (40, 2), (7, 5), (2, DENSE), (2, DENSE + 1), (1, 150)])
@pytest.mark.parametrize("cutoff", [0.1, 1.5, 50.0])
def test_pairs_inside_sub_clusters_are_those_of_brute_force(n, k, cutoff):
    positions = np.random.default_rng(k).uniform(0, 4, (n, k, 3))
    pairs = pairs_inside(positions, cutoff)
    assert as_set(pairs) == brute_force(positions, cutoff)
    assert len(pairs) == len(as_set(pairs))
    flat = positions.reshape(-1, 3)
    np.testing.assert_array_equal(pairs.vectors, flat[pairs.second] - flat[pairs.first])
    assert not pairs.shifts.any()
    assert pairs.shifts.shape == pairs.vectors.shape


@pytest.mark.parametrize("k", [4, DENSE + 1])
def test_an_atom_at_the_cutoff_is_beyond_it_whatever_the_size(k):
    line = np.zeros((1, k, 3))
    line[0, :, 0] = 1.7 * np.arange(k)
    gap = line[0, 1, 0] - line[0, 0, 0]
    inside = pairs_inside(line[:, :2], np.nextafter(gap, 2))
    assert len(inside) == 1
    assert len(pairs_inside(line[:, :2], gap)) == 0
    exact = np.zeros((1, k, 3))
    exact[0, :, 0] = np.arange(k)  # whole numbers, without rounding
    assert len(pairs_inside(exact, 1.0)) == 0
    assert len(pairs_inside(exact, 1.0 + 1e-12)) == k - 1
    assert len(pairs_inside(exact, 2.0)) == k - 1


def test_both_ways_show_every_pair_from_each_end():
    pairs = pairs_inside(np.random.default_rng(0).uniform(0, 3, (6, 5, 3)), 2.0)
    both = pairs.both_ways()
    assert as_set(both) == as_set(pairs) | {(second, first) for first, second in as_set(pairs)}
    np.testing.assert_array_equal(both.vectors[len(pairs) :], -pairs.vectors)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, True)])
@pytest.mark.parametrize("cutoff", [1.0, 3.2, 7.5])
def test_pairs_of_a_cell_are_those_of_brute_force(pbc, cutoff):
    cell = np.array([[3.0, 0.2, 0.1], [0.5, 3.4, 0.0], [-0.3, 0.4, 2.9]])
    positions = np.random.default_rng(1).uniform(-1, 4, (4, 3))  # some outside the cell
    pairs = pairs_of_cell(ase.Atoms("H4", positions, cell=cell, pbc=pbc), cutoff)
    found = list(zip(pairs.first.tolist(), pairs.second.tolist(), map(tuple, pairs.shifts.tolist()), strict=True))
    reach = [range(-6, 7) if periodic else range(1) for periodic in pbc]
    wanted = set()
    for first, second, shift in product(range(4), range(4), product(*reach)):
        distance = np.linalg.norm(positions[second] - positions[first] + shift @ cell)
        if distance < cutoff and (first < second or (first == second and shift > (0, 0, 0))):
            wanted.add((first, second, shift))
    assert set(found) == wanted
    assert len(found) == len(wanted)
    np.testing.assert_allclose(
        pairs.vectors, positions[pairs.second] - positions[pairs.first] + pairs.shifts @ cell, atol=1e-12
    )


def test_a_large_structure_takes_little_memory():
    """Eight thousand atoms at once: all pairs would be 32 million."""
    rng = np.random.default_rng(2)
    lattice = np.indices((20, 20, 20)).reshape(3, -1).T + rng.uniform(-0.1, 0.1, (8000, 3))
    pairs = pairs_inside(lattice[None], 1.3)
    few = np.flatnonzero((lattice < 5).all(axis=1))
    kept = {pair for pair in as_set(pairs) if pair[0] in set(few.tolist()) and pair[1] in set(few.tolist())}
    assert kept == {(few[a], few[b]) for a, b in brute_force(lattice[few][None], 1.3)}
    assert len(pairs) < 100_000
