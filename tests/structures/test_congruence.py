from itertools import combinations, permutations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bodyorder.structures import ClusterBatch, System
from bodyorder.structures.congruence import SHAPE_RESOLUTION, Shapes

SQUARE = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
RING = np.array([[np.cos(angle), np.sin(angle), 0.0] for angle in np.arange(8) * np.pi / 4])
CUBE = np.array([[x, y, z] for x in (0, 1.3) for y in (0, 1.3) for z in (0, 1.3)])
TETRAHEDRON = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) * 1.0


#: All shapes that single clusters of these tests have had so far.
KNOWN = Shapes()


def shape(positions, numbers=None):
    return KNOWN.of(ClusterBatch.from_atoms([Atoms(numbers or [1] * len(positions), positions=positions)]))[0]


def shapes(batch, tolerance=SHAPE_RESOLUTION):
    return Shapes(tolerance).of(batch).tolist()


def of_positions(clusters):
    return ClusterBatch.from_atoms([Atoms(f"H{len(positions)}", positions=positions) for positions in clusters])


def moved(positions, rng):
    turned = positions @ Rotation.random(rng=rng).as_matrix().T * [1, 1, rng.choice([-1, 1])]
    return turned + rng.uniform(-5, 5, 3)


@pytest.mark.parametrize("positions", [SQUARE, RING, CUBE, TETRAHEDRON, np.arange(6)[:, None] * [0.9, 0.0, 0.0]])
def test_copies_of_symmetric_clusters_have_one_shape(positions):
    """Rotated, reflected, shifted, and in another order of atoms; sites that look alike are related by symmetry."""
    rng = np.random.default_rng(0)
    copies = [moved(positions, rng)[rng.permutation(len(positions))] for _ in range(20)]
    assert len({shape(copy) for copy in copies}) == 1
    assert len(set(shapes(of_positions(copies)))) == 1


def test_random_clusters_differ_and_their_copies_do_not():
    rng = np.random.default_rng(1)
    clusters = [rng.uniform(0, 3, (8, 3)) for _ in range(200)]
    batch = ClusterBatch.from_atoms([Atoms("H8", positions=positions) for positions in clusters])
    turned = [moved(positions, rng)[rng.permutation(8)] for positions in clusters]
    copies = ClusterBatch.from_atoms([Atoms("H8", positions=positions) for positions in turned])
    known = Shapes()
    assert known.of(batch).tolist() == list(range(200))
    assert known.of(copies).tolist() == list(range(200))


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
        return KNOWN.of(ClusterBatch.cut(system, [0], np.array([members]), np.array([ghosts])))[0]

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


def clusters_of_titanium(decimals=None):
    """All sub-clusters of 2 and of 3 atoms within 4.5 Å of each other, of an atom of the crystal and those around."""
    atoms = bulk("Ti") * (5, 5, 5)
    positions = atoms.positions if decimals is None else np.round(atoms.positions, decimals)
    centre = np.argmin(np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1))
    around = np.flatnonzero(np.linalg.norm(atoms.positions - atoms.positions[centre], axis=1) < 4.5)
    system = {0: System(atoms.numbers, positions)}
    for order in (2, 3):
        members = np.array(list(combinations(around, order)))
        yield ClusterBatch.cut(system, np.zeros(len(members), dtype=int), members)


def test_rounded_positions_are_as_good_as_exact_ones():
    counts = {
        decimals: [len(set(shapes(batch, tolerance))) for batch in clusters_of_titanium(decimals)]
        for decimals, tolerance in ((None, 1e-11), (8, 1e-6), (6, 1e-4))
    }
    assert counts[8] == counts[6] == counts[None]
    assert len(set(shapes(list(clusters_of_titanium(8))[1]))) > 2 * counts[None][1]


def test_copies_are_found_in_batches_of_any_length():
    """One at a time, and none is split at the edge of a bin."""
    exact, rounded = (list(clusters_of_titanium(decimals))[1] for decimals in (None, 8))
    some = Shapes(1e-6)
    numbers = [some.of(rounded.select(np.array([row])))[0] for row in range(len(rounded))]
    assert len(set(numbers)) == len(set(shapes(exact)))
    np.testing.assert_array_equal(numbers, Shapes(1e-6).of(rounded))
    # numbers go on for sub-clusters of other sizes, and what was known stays so
    assert some.of(next(clusters_of_titanium(8))).min() > max(numbers)
    np.testing.assert_array_equal(some.of(exact), numbers)


@pytest.mark.parametrize("seed", range(10))
def test_copies_at_the_edge_of_a_bin_are_merged(seed):
    """Lengths that any grid rounds to either side, with errors a hundred times below the tolerance."""
    rng = np.random.default_rng(seed)
    edges = 1 + (np.arange(8) + 0.5) / 8 * 1e-6
    for edge in edges:
        positions = CUBE * edge / 1.3
        copies = [moved(positions, rng)[rng.permutation(8)] + rng.normal(0, 2e-9, (8, 3)) for _ in range(5)]
        assert len(set(shapes(of_positions(copies), 1e-6))) == 1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_sub_clusters_of_one_shape_differ_by_the_tolerance_at_most(seed, k):
    """On a lattice with errors up to some tolerances; brute force over permutations decides, in one batch and over several."""
    rng = np.random.default_rng(seed)
    tolerance = 1e-3
    errors = rng.uniform(-1, 1, (12, k, 3)) * tolerance * rng.choice([0.01, 0.3, 1], (12, 1, 1))
    clusters = [rng.permutation(27)[:k, None] // [9, 3, 1] % 3 + some for some in errors]
    lengths = [np.linalg.norm(points[:, None] - points, axis=2) for points in clusters]
    known, halves = Shapes(tolerance), Shapes(tolerance)
    named = [
        shapes(of_positions(clusters), tolerance),
        [int(known.of(of_positions([points]))[0]) for points in clusters],
        [number for part in (clusters[:5], clusters[5:]) for number in halves.of(of_positions(part)).tolist()],
    ]
    orders = list(map(list, permutations(range(k))))
    for i, j in combinations(range(12), 2):
        least = min(np.abs(lengths[i][np.ix_(order, order)] - lengths[j]).max() for order in orders)
        for keys in named:
            assert keys[i] != keys[j] or least <= tolerance


def test_a_difference_beyond_the_tolerance_makes_another_shape():
    one, other = (Atoms("H3", positions=[[0, 0, 0], [x, 0, 0], [0.4, 1.1, 0]]) for x in (1.3, 1.3 + 3e-6))
    other.set_distance(0, 1, 1.3 + 3e-6, fix=0)
    batch = ClusterBatch.from_atoms([one, other])
    assert len(set(shapes(batch, 1e-6))) == 2
    assert len(set(shapes(batch, 2e-5))) == 1


def test_mirror_images_are_copies_at_any_tolerance():
    rng = np.random.default_rng(5)
    positions = rng.uniform(0, 3, (6, 3))
    images = [positions, positions[::-1] * [1, 1, -1] + rng.uniform(-1e-8, 1e-8, (6, 3))]
    assert len(set(shapes(of_positions(images), 1e-6))) == 1
    assert len(set(shapes(of_positions(images)))) == 2


def test_charges_elements_and_functions_count_among_known_shapes():
    known = Shapes(1e-6)
    pair = Atoms("HHe", positions=[[0, 0, 0], [1, 0, 0]])
    charged = Atoms("HHe", positions=[[0, 0, 0], [1, 0, 0]], charges=[0, 1])
    turned = Atoms("HeH", positions=[[0, 0, 0], [0, 1, 0]])
    assert known.of(
        ClusterBatch.from_atoms([pair, charged, Atoms("H2", positions=pair.positions), turned])
    ).tolist() == [0, 1, 2, 0]
    lent = ClusterBatch.cut({0: System.from_atoms(pair)}, np.zeros(2, dtype=int), [[0], [1]], np.array([[1], [0]]))
    assert known.of(lent).tolist() == [3, 4]
    assert known.of(ClusterBatch.from_atoms([Atoms("H"), Atoms("H")])).tolist() == [5, 5]
