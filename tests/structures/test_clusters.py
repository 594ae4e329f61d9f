import tracemalloc

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

from bodyorder.structures import ClusterBatch, System


def random_batch(rng, n=5, k=4):
    clusters = [Atoms(numbers=rng.choice([1, 8], k), positions=rng.uniform(-3, 3, (k, 3))) for _ in range(n)]
    return ClusterBatch.from_atoms(clusters)


def with_positions(batch, positions, numbers=None):
    return ClusterBatch(
        batch.numbers if numbers is None else numbers,
        positions,
        batch.parents,
        batch.members,
        batch.systems,
        batch.charges,
    )


@given(st.integers(0, 2**32 - 1))
def test_keys_ignore_order_and_place(seed):
    rng = np.random.default_rng(seed)
    batch = random_batch(rng)
    keys, permutation = batch.canonical()
    shuffle = rng.permutation(batch.n_atoms)
    moved = with_positions(
        batch, batch.positions[:, shuffle] + rng.integers(-4, 5, (len(batch), 1, 3)) * 0.5, batch.numbers[:, shuffle]
    )
    other_keys, other_permutation = moved.canonical()
    assert keys == other_keys
    # Both permutations lead to the same order of atoms, so forces kept in that order fit both.
    first = np.take_along_axis(batch.numbers, permutation, axis=1)
    second = np.take_along_axis(moved.numbers, other_permutation, axis=1)
    np.testing.assert_array_equal(first, second)


@given(st.integers(0, 2**32 - 1), st.floats(1e-9, 1.0))
def test_keys_tell_structures_apart(seed, shift):
    rng = np.random.default_rng(seed)
    batch = random_batch(rng, n=1)
    moved = batch.positions.copy()
    moved[0, 1] += shift * np.array([0.6, 0.0, 0.8])
    assert batch.canonical()[0] != with_positions(batch, moved).canonical()[0]


def test_keys_tell_elements_and_charges_apart():
    batch = random_batch(np.random.default_rng(0), n=1, k=2)
    heavier = with_positions(batch, batch.positions, batch.numbers + 1)
    charged = ClusterBatch(
        batch.numbers, batch.positions, batch.parents, batch.members, batch.systems, batch.charges + 1
    )
    keys = {batch.canonical()[0][0], heavier.canonical()[0][0], charged.canonical()[0][0]}
    assert len(keys) == 3


def test_cut_takes_the_right_atoms():
    rng = np.random.default_rng(1)
    systems = {3: System(np.array([1, 2, 3]), rng.random((3, 3))), 7: System(np.array([4, 5]), rng.random((2, 3)))}
    batch = ClusterBatch.cut(systems | {9: systems[3]}, np.array([7, 3, 3]), np.array([[1, 0], [0, 2], [2, 1]]))
    np.testing.assert_array_equal(batch.numbers, [[5, 4], [1, 3], [3, 2]])
    np.testing.assert_array_equal(batch.positions[1], systems[3].positions[[0, 2]])
    assert sorted(batch.systems) == [3, 7]
    assert sorted(batch.select(np.array([0])).systems) == [7]
    assert batch.to_atoms(2).get_chemical_formula() == "HeLi"


def test_charges_of_a_cluster_are_those_of_its_atoms():
    atoms = Atoms("LiHHe", positions=np.eye(3), charges=[1, -1, 2])
    batch = ClusterBatch.cut({0: System.from_atoms(atoms)}, np.zeros(3, dtype=int), np.array([[0, 1], [1, 2], [0, 2]]))
    assert batch.charges.tolist() == [0, 1, 3]
    assert batch.of_members("charges").tolist() == [[1, -1], [-1, 2], [1, 2]]


def test_keys_tell_what_a_source_sees_of_the_structure():
    """Charges, moments and bodies of the atoms count where a source says so, moments up to turning all of them over."""

    def key(context=("charges", "moments", "bodies"), bodies=None, **arrays):
        atoms = Atoms("H3", positions=np.eye(3), **arrays)
        system = System.from_atoms(atoms, bodies)
        return ClusterBatch.cut({0: system}, np.zeros(1, dtype=int), np.arange(3)[None]).canonical(context)[0][0]

    different = [
        key(),
        key(charges=[1, -1, 0]),
        key(charges=[-1, 1, 0]),
        key(magmoms=[1, -1, 1]),
        key(magmoms=[1, 1, -1]),
        key(bodies=np.array([0, 0, 1])),
        key(bodies=np.array([0, 1, 1])),
    ]
    assert len(set(different)) == len(different)
    assert key(magmoms=[-1, 1, -1]) == key(magmoms=[1, -1, 1])
    assert key(bodies=np.array([4, 4, 2])) == key(bodies=np.array([0, 0, 1]))
    assert len({key((), charges=[1, -1, 0]), key((), magmoms=[1, -1, 1]), key(())}) == 1


@pytest.mark.parametrize("sizes", [(5,), (5, 7, 3), (5, 3000, 7, 2000), (4000,), (2500, 3000)])
def test_batches_of_structures_of_any_size(sizes):
    """What is taken from them is what the structures hold, however many there are and however large."""
    rng = np.random.default_rng(4)
    systems = {
        3 * place + 1: System(
            rng.integers(1, 9, size), rng.random((size, 3)), rng.integers(-1, 2, size) * 1.0, rng.random(size)
        )
        for place, size in enumerate(sizes)
    }
    parents = rng.choice(list(systems), 40)
    members, ghosts = (np.array([rng.choice(len(systems[p]), k, replace=False) for p in parents]) for k in (3, 2))
    batch = ClusterBatch.cut(systems, parents, members, ghosts)
    ghost_numbers, ghost_positions = batch.of_ghosts()
    for row, (parent, atoms, others) in enumerate(zip(parents, members, ghosts, strict=True)):
        system = systems[parent]
        np.testing.assert_array_equal(batch.numbers[row], system.numbers[atoms])
        np.testing.assert_array_equal(batch.positions[row], system.positions[atoms])
        assert batch.charges[row] == system.charges[atoms].sum()
        np.testing.assert_array_equal(batch.of_members("moments")[row], system.moments[atoms])
        np.testing.assert_array_equal(ghost_numbers[row], system.numbers[others])
        np.testing.assert_array_equal(ghost_positions[row], system.positions[others])
    assert sorted(batch.systems) == sorted(set(parents.tolist()))


def test_an_empty_batch_holds_nothing():
    batch = ClusterBatch.from_atoms([Atoms("H2", positions=np.eye(3)[:2])]).select(np.arange(0))
    assert batch.of_members("charges").shape == (0, 2)
    assert [array.shape for array in batch.of_ghosts()] == [(0, 0), (0, 0, 3)]


def test_cutting_a_few_atoms_from_a_large_structure_touches_only_those():
    """The memory that is asked for is the measure; time depends on the machine."""
    large = System(np.ones(10**6, dtype=np.int64), np.zeros((10**6, 3)))
    for systems, parents in (({0: large}, np.zeros(10, dtype=int)), ({0: large, 1: large}, np.arange(10) % 2)):
        members = np.arange(30).reshape(10, 3)
        tracemalloc.start()
        batch = ClusterBatch.cut(systems, parents, members, members[:, :1])
        batch.select(np.arange(5)).of_members("charges")
        batch.of_ghosts()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10**5
