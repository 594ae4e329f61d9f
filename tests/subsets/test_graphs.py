"""Connected classes of periodic arrangements: against brute force on large rings and tori, exact inversion, and streams."""

from dataclasses import replace
from itertools import combinations, product

import networkx
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from bodyorder._checks import InputError
from bodyorder.subsets import Joints, connected, connected_classes, contributions, order_coefficients
from bodyorder.subsets.arrangement import Arrangement
from bodyorder.subsets.moebius import with_nothing


def joints_of(atoms, cutoff):
    return Joints(len(atoms), *neighbor_list("ijS", atoms, cutoff))


def random_cell(seed, n_atoms=3, length=3.0, pbc=True):
    rng = np.random.default_rng(seed)
    return Atoms(f"H{n_atoms}", positions=rng.uniform(0, length, (n_atoms, 3)), cell=length * np.eye(3) + 0.3, pbc=pbc)


def brute_force(atoms, cutoff, order):
    """Connected subsets that hold a home body, as sets of (body, cell), one of each class."""
    pairs = {}
    for i, j, shift in zip(*neighbor_list("ijS", atoms, cutoff), strict=True):
        pairs.setdefault(int(i), []).append((int(j), tuple(int(n) for n in shift)))

    def neighbours(node):
        body, cell = node
        return [(j, tuple(np.add(cell, shift).tolist())) for j, shift in pairs.get(body, [])]

    found = {frozenset([(body, (0, 0, 0))]) for body in range(len(atoms))}
    for _ in range(order - 1):
        found = {subset | {new} for subset in found for node in subset for new in neighbours(node) if new not in subset}
    classes = set()
    for subset in found:
        anchor = min(subset)[1]
        classes.add(frozenset((body, tuple(np.subtract(cell, anchor).tolist())) for body, cell in subset))
    return classes


def as_sets(family, order):
    bodies, cells = family.arrangement.bodies.tolist(), [tuple(cell) for cell in family.arrangement.cells.tolist()]
    return [frozenset((bodies[node], cells[node]) for node in row) for row in family.members[order - 1].tolist()]


@pytest.mark.parametrize("pbc", [True, (True, True, False), (True, False, False), False])
@pytest.mark.parametrize("seed", range(3))
def test_classes_are_those_of_brute_force(pbc, seed):
    atoms = random_cell(seed, pbc=pbc)
    family = connected_classes(joints_of(atoms, 2.2), 4)
    for order in range(1, 5):
        rows = as_sets(family, order)
        assert len(rows) == len(set(rows))
        assert set(rows) == brute_force(atoms, 2.2, order)


def test_silicon():
    """Diamond: 2 bonds and 6 angles for each atom."""
    family = connected_classes(joints_of(bulk("Si"), 2.5), 3)
    assert family.sizes == (2, 4, 12)
    large = connected_classes(joints_of(bulk("Si", cubic=True), 2.5), 4)
    assert np.array(large.sizes) / 8 == pytest.approx([1, 2, 6, 22])


def test_without_periods_it_is_the_connected_family():
    atoms = random_cell(1, n_atoms=9, length=4.0, pbc=False)
    found = connected_classes(joints_of(atoms, 2.0), 5)
    near = atoms.get_all_distances() < 2.0
    for rows, expected in zip(found.members, connected(near, 5).members, strict=True):
        np.testing.assert_array_equal(found.arrangement.bodies[rows], expected)


@pytest.mark.parametrize("seed", range(3))
def test_inversion_is_exact(seed):
    """Energies made of given contributions of every class give those contributions back."""
    family = connected_classes(joints_of(random_cell(seed), 2.0), 4)
    rng = np.random.default_rng(seed)
    given = [rng.normal(size=size) for size in family.sizes]
    place = [{subset: row for row, subset in enumerate(as_sets(family, order))} for order in range(1, 5)]
    energies = []
    for order in range(1, 5):
        values = []
        for subset in as_sets(family, order):
            energy = 0.0
            for size in range(1, order + 1):
                for part in combinations(sorted(subset), size):
                    anchor = part[0][1]
                    moved = frozenset((body, tuple(np.subtract(cell, anchor).tolist())) for body, cell in part)
                    if moved in place[size - 1]:
                        energy += given[size - 1][place[size - 1][moved]]
            values.append(energy)
        energies.append(np.array(values))
    for found, expected in zip(contributions(family, energies), given, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_chain_of_one_atom():
    """In a chain with neighbours joined there is one class of each order, and one of its own copies at every distance."""
    chain = Joints(1, np.array([0, 0]), np.array([0, 0]), np.array([[0, 0, 1], [0, 0, -1]]))
    family = connected_classes(chain, 6)
    assert family.sizes == (1,) * 6
    assert sorted(family.arrangement.cells[family.members[5][0], 2].tolist()) == list(range(6))
    held = dict.fromkeys(range(1, 6), 0)
    for size, _, index in family.proper_subsets(6):
        held[size] += int((index >= 0).sum())
    assert held == {size: 7 - size for size in range(1, 6)}


def test_supercells_hold_as_many_classes_per_cell():
    small = connected_classes(joints_of(random_cell(2), 1.9), 4)
    for repeats in product((1, 2), (2, 3)):
        large = connected_classes(joints_of(random_cell(2).repeat((*repeats, 1)), 1.9), 4)
        assert np.array(large.sizes).tolist() == [size * repeats[0] * repeats[1] for size in small.sizes]


def test_rings_that_close_are_counted_once():
    graph = networkx.grid_graph((4, 4), periodic=True)
    near = networkx.to_numpy_array(graph) > 0
    first, second = np.nonzero(near)
    family = connected_classes(Joints(16, first, second, np.zeros((len(first), 3), dtype=int)), 4)
    assert family.sizes == connected(near, 4).sizes


def test_too_large(monkeypatch):
    monkeypatch.setattr("bodyorder.subsets.graphs.MAX_BYTES", 2**20)
    with pytest.raises(
        InputError, match=r"a connected family must fit in .* of 8 bodies in a cell to order 5 does not"
    ):
        connected_classes(joints_of(bulk("Si", cubic=True), 5.0), 5)


def test_a_neighbourhood_that_is_far_too_large_is_refused_before_it_is_grown():
    """Joined to all bodies within 23 cells: 52,000 pairs, more than 10⁹ triples; no time or memory goes into trying."""
    shells = np.stack(np.meshgrid(*[np.arange(-23, 24)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    shells = shells[shells.any(axis=1)]
    first = np.zeros(len(shells), dtype=int)
    with pytest.raises(InputError, match=r"that of 1 bodies in a cell to order 3 does not"):
        connected_classes(Joints(1, first, first, shells), 4)


@pytest.mark.parametrize("pbc", [True, False])
def test_an_order_that_is_streamed_holds_what_it_would_hold(pbc, monkeypatch):
    """Classes, their parts and the inversion are those of the family that keeps them, whatever the pieces."""
    joints = joints_of(random_cell(5, n_atoms=7, length=4.0, pbc=pbc), 2.2)
    kept = connected_classes(joints, 4)
    monkeypatch.setattr("bodyorder.subsets.graphs.HELD", 3)
    monkeypatch.setattr("bodyorder.subsets.growth.CHUNK", 50)
    family = connected_classes(joints, 4, streamed=True)
    assert family.streams
    assert not kept.streams
    assert family.sizes == kept.sizes
    chunks = list(family.chunks(4))
    assert len(chunks) > 3
    assert [chunk.first for chunk in chunks] == np.cumsum([0] + [len(chunk.members) for chunk in chunks[:-1]]).tolist()
    rows = np.concatenate([chunk.members for chunk in chunks])
    where = kept.index(rows)
    assert sorted(where.tolist()) == list(range(kept.sizes[3]))

    rng = np.random.default_rng(0)
    energies = [rng.normal(size=size) for size in kept.sizes]
    expected = contributions(kept, energies)
    below = [with_nothing(values) for values in contributions(family, energies[:3])]
    found = energies[3][where]
    for chunk in chunks:
        for size, index in family.inside(chunk.parts):
            found[chunk.rows] -= below[size - 1][index]
    np.testing.assert_allclose(found, expected[3][where], atol=1e-12)
    *weights, top = order_coefficients(family)
    assert top.tolist() == [[0], [0], [0], [1]]
    for mine, theirs in zip(weights, order_coefficients(kept), strict=False):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_sums_of_words_that_agree_do_not_confuse_subsets(monkeypatch):
    """Subsets are told apart by their nodes where the random numbers cannot."""
    joints = joints_of(random_cell(1), 2.2)
    expected = connected_classes(joints, 3)
    around = Arrangement.around

    def alike(joints, steps):
        found = around(joints, steps)
        return replace(found, words=found.words % np.uint64(3))

    monkeypatch.setattr(Arrangement, "around", alike)
    family = connected_classes(joints, 3)
    for order, rows in enumerate(expected.members, start=1):
        np.testing.assert_array_equal(family.members[order - 1], rows)
        np.testing.assert_array_equal(family.table(order), expected.table(order))


def test_too_many_cells_apart():
    far = Joints(1, np.array([0, 0]), np.array([0, 0]), np.array([[0, 0, 60], [0, 0, -60]]))
    with pytest.raises(
        InputError, match="subsets must stay within 255 cells, 5 steps between joined bodies go farther"
    ):
        connected_classes(far, 6)
    assert connected_classes(far, 4).sizes == (1, 1, 1, 1)
