from itertools import permutations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bodyorder.structures import ClusterBatch, System
from bodyorder.structures.symmetry import SHAPE_RESOLUTION, shapes

SQUARE = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
RING = np.array([[np.cos(angle), np.sin(angle), 0.0] for angle in np.arange(8) * np.pi / 4])
CUBE = np.array([[x, y, z] for x in (0, 1.3) for y in (0, 1.3) for z in (0, 1.3)])
TETRAHEDRON = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) * 1.0


def shape(positions, numbers=None):
    return shapes(ClusterBatch.from_atoms([Atoms(numbers or [1] * len(positions), positions=positions)]))[0]


def moved(positions, rng):
    turned = positions @ Rotation.random(rng=rng).as_matrix().T * [1, 1, rng.choice([-1, 1])]
    return turned + rng.uniform(-5, 5, 3)


@pytest.mark.parametrize("positions", [SQUARE, RING, CUBE, TETRAHEDRON, np.arange(6)[:, None] * [0.9, 0.0, 0.0]])
def test_copies_of_symmetric_clusters_have_one_shape(positions):
    """Rotated, reflected, shifted, and in another order of atoms; sites that look alike are related by symmetry."""
    rng = np.random.default_rng(0)
    copies = {shape(moved(positions, rng)[rng.permutation(len(positions))]) for _ in range(20)}
    # one distance in some ten thousand lies where copies round to either side
    assert len(copies) <= 2


def test_random_clusters_differ_and_their_copies_do_not():
    rng = np.random.default_rng(1)
    clusters = [rng.uniform(0, 3, (8, 3)) for _ in range(200)]
    batch = ClusterBatch.from_atoms([Atoms("H8", positions=positions) for positions in clusters])
    turned = [moved(positions, rng)[rng.permutation(8)] for positions in clusters]
    copies = ClusterBatch.from_atoms([Atoms("H8", positions=positions) for positions in turned])
    first, second = shapes(batch), shapes(copies)
    assert len(set(first)) == 200
    assert sum(a == b for a, b in zip(first, second, strict=True)) >= 195


def test_homometric_clusters_differ():
    """All distances of one are those of the other, between other atoms: points on a line and on a ring (Patterson, Phys. Rev. 65,
    195 (1944), doi:10.1103/PhysRev.65.195)."""
    for one, other in (
        (np.array([0, 1, 4, 10, 12, 17]), np.array([0, 1, 8, 11, 13, 17])),
        (np.array([0, 1, 3, 4]), np.array([0, 1, 2, 5])),
    ):
        if len(one) == 6:
            first, second = (points[:, None] * [0.7, 0.0, 0.0] for points in (one, other))
        else:
            first, second = (
                np.stack([np.cos(points * np.pi / 4), np.sin(points * np.pi / 4), 0 * points], axis=1)
                for points in (one, other)
            )
        lengths = [np.sort(np.linalg.norm(a[:, None] - a[None], axis=2).ravel()) for a in (first, second)]
        np.testing.assert_allclose(*lengths, atol=1e-12)
        assert shape(first) != shape(second)


def test_elements_and_charges_count():
    pair = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1.5, 0]])
    assert shape(pair, [1, 1, 2]) != shape(pair, [1, 2, 1])
    assert shape(pair, [1, 1, 2]) == shape(pair[[2, 0, 1]], [2, 1, 1])
    atoms = Atoms("H3", positions=pair)
    charged = atoms.copy()
    charged.set_initial_charges([0, 0, 1])
    assert len(set(shapes(ClusterBatch.from_atoms([atoms, charged])))) == 2


def test_places_of_functions_count():
    system = {0: System(np.full(4, 2), SQUARE)}

    def of(members, ghosts):
        return shapes(ClusterBatch.cut(system, [0], np.array([members]), np.array([ghosts])))[0]

    assert of([0, 1], [2]) == of([0, 1], [3]) == of([1, 2], [0])
    assert len({of([0, 1], [2]), of([0, 2], [1]), of([0], [1, 2]), of([1], [0, 2]), of([0, 1, 2], [])}) == 5


def test_a_shift_beyond_the_resolution_makes_another_shape():
    rng = np.random.default_rng(2)
    positions = rng.uniform(0, 2, (5, 3))
    other = positions.copy()
    other[3, 0] += 20 * SHAPE_RESOLUTION
    assert shape(positions) != shape(other)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=2, max_size=5, unique=True), st.randoms())
def test_one_shape_means_one_matrix_of_distances(points, random):
    """On a small lattice many clusters are copies, and many nearly are; brute force over permutations decides."""
    other = [tuple(random.choice([0, 1, 2]) for _ in range(3)) for _ in points]
    first, second = np.array(points, dtype=float), np.array(other, dtype=float)
    squares = [((a[:, None] - a[None]) ** 2).sum(axis=2) for a in (first, second)]
    same = any((squares[0][np.ix_(p, p)] == squares[1]).all() for p in map(list, permutations(range(len(points)))))
    assert (shape(first) == shape(second)) == same
    order = random.sample(range(len(points)), len(points))
    assert shape(first) == shape(first[order])
