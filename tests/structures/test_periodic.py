import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyorder._checks import InputError
from bodyorder.structures.periodic import whole_bodies


def water_box(seed=0):
    """Four water molecules in a box, all atoms wrapped into it."""
    rng = np.random.default_rng(seed)
    box = Atoms(cell=[6.0, 6.5, 7.0], pbc=True)
    for place in ([0, 0, 0], [3, 0, 3], [0, 3, 3], [3, 3, 0]):
        one = molecule("H2O")
        one.rotate(rng.uniform(0, 360), rng.normal(size=3))
        one.positions += np.array(place) + 0.2
        box += one
    box.wrap()
    return box


def test_molecules_are_made_whole():
    crystal = whole_bodies(water_box(), "molecules")
    assert len(crystal.bodies) == 4
    for atoms in crystal.bodies.atoms:
        lengths = np.linalg.norm(crystal.atoms.positions[atoms] - crystal.atoms.positions[atoms[0]], axis=1)
        assert lengths.max() < 1.7
    moved = crystal.atoms.copy()
    moved.wrap()
    np.testing.assert_allclose(moved.positions, water_box().positions, atol=1e-9)


def test_given_bodies_are_made_whole_too():
    labels = np.repeat(np.arange(4), 3)
    given, found = whole_bodies(water_box(), labels), whole_bodies(water_box(), "molecules")
    for body in range(4):
        rows = labels == body
        one, other = (crystal.atoms.positions[rows] - crystal.atoms.positions[rows][0] for crystal in (given, found))
        np.testing.assert_allclose(one, other, atol=1e-9)


@pytest.mark.parametrize("bodies", ["atoms", "molecules"])
def test_pairs_are_those_of_the_distances_between_all_atoms(bodies):
    crystal = whole_bodies(water_box(), bodies)
    found = set(map(tuple, np.column_stack(crystal.pairs(3.1)).tolist()))
    expected = set()
    cells = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for i, one in enumerate(crystal.bodies.atoms):
        for j, other in enumerate(crystal.bodies.atoms):
            for cell in cells:
                if i == j and not cell.any():
                    continue
                moved = crystal.atoms.positions[other] + cell @ crystal.atoms.cell.array
                if np.linalg.norm(crystal.atoms.positions[one][:, None] - moved, axis=2).min() < 3.1:
                    expected.add((i, j, *cell.tolist()))
    assert found == expected


def test_images():
    crystal = whole_bodies(water_box(), "molecules")
    system, bodies, home = crystal.images(np.array([1, 1]), np.array([[0, 0, 0], [1, 0, -1]]))
    assert system.numbers.tolist() == [8, 1, 1] * 2
    assert bodies.labels.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(system.positions[3:] - system.positions[:3], [[6.0, 0, -7.0]] * 3)
    assert home.tolist() == crystal.bodies.atoms[1].tolist() * 2


def test_a_crystal_is_no_molecule():
    with pytest.raises(
        InputError,
        match=r"a molecule must be finite, atom \d of the structure is bonded to its own images; use bodies='atoms'",
    ):
        whole_bodies(bulk("Si"), "molecules")


@pytest.mark.parametrize("seed", range(40))
def test_neighbours_are_those_of_ase(seed):
    """Skewed and flat cells, atoms outside of them, any directions periodic, cutoffs of several cells."""
    rng = np.random.default_rng(seed)
    pbc = rng.random(3) < 0.5
    pbc[seed % 3] = True
    cell = 0.6 * rng.normal(size=(3, 3)) + rng.uniform(1.5, 6) * np.eye(3)
    cell[~pbc] *= seed % 2
    atoms = Atoms("H3", positions=rng.uniform(-8, 8, (3, 3)), cell=cell, pbc=pbc)
    cutoff = rng.uniform(0.5, 7)
    first, second, shifts = whole_bodies(atoms, "atoms").pairs(cutoff)
    i, j, shift = neighbor_list("ijS", atoms, cutoff)
    expected = np.unique(np.column_stack([i, j, shift]), axis=0) if len(i) else np.empty((0, 5))
    np.testing.assert_array_equal(np.column_stack([first, second, shifts]).reshape(-1, 5), expected)


def parts(atoms, bodies):
    """The atoms of each body as seen from its first."""
    crystal = whole_bodies(atoms, bodies)
    positions = crystal.atoms.positions
    return [positions[rows[rows >= 0]] - positions[rows[0]] for rows in crystal.bodies.atoms]


def scattered(atoms, rng):
    """The same structure, every atom in any of its images, all shifted together."""
    other = atoms.copy()
    cells = rng.integers(-3, 4, (len(atoms), 3)) * atoms.pbc
    other.positions += cells @ atoms.cell.array + rng.normal(0, 3, 3)
    return other


def test_a_body_longer_than_half_the_cell():
    chain = Atoms("C7", positions=np.arange(7)[:, None] * [1.3, 0, 0] + [4, 1, 1], cell=[10, 10, 10], pbc=True)
    chain.wrap()
    for bodies in ([0] * 7, "molecules"):
        np.testing.assert_allclose(parts(chain, bodies)[0][:, 0], np.arange(7) * 1.3, atol=1e-12)


def test_the_nearest_image_in_a_skewed_cell():
    cell = [[4, 0, 0], [3.4, 4, 0], [0, 0, 8]]
    atoms = Atoms("H2", positions=[[0, 0, 0], [3.33, 1.8, 0]], cell=cell, pbc=True)
    (body,) = parts(atoms, [0, 0])
    assert (
        np.linalg.norm(body[1]) == pytest.approx(atoms.get_distance(0, 1, mic=True)) == pytest.approx(1.920, abs=1e-3)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["box", "skewed", "slab", "wire"]), st.booleans())
def test_bodies_do_not_depend_on_how_atoms_are_wrapped(seed, kind, as_molecules):
    """Chains of carbon that wind through the cell, longer than half of it."""
    rng = np.random.default_rng(seed)
    cell = np.diag([9.0, 10.0, 11.0])
    if kind != "box":
        cell[1, 0], cell[2, 0], cell[2, 1] = rng.uniform(-9, 9, 3)
    pbc = {"slab": [True, True, False], "wire": [False, True, False]}.get(kind, True)
    steps = rng.normal(0, 0.5, (2, 5, 3)) + [1.3, 0, 0]
    steps *= 1.3 / np.linalg.norm(steps, axis=2, keepdims=True)
    chains = np.cumsum(steps, axis=1) + np.array([[[0.0, 0, 0]], [[0, 4.0, 4.0]]])
    atoms = Atoms("C10", positions=chains.reshape(-1, 3), cell=cell, pbc=pbc)
    bodies = "molecules" if as_molecules else [0] * 5 + [1] * 5
    expected = parts(atoms, bodies) if as_molecules else [chain - chain[0] for chain in chains]
    for one, other in zip(parts(scattered(atoms, rng), bodies), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def by_kruskal(atoms, rng):
    """One body put together link by link, the shortest first; equal ones in any order."""
    first, second, shifts, lengths = neighbor_list("ijSd", atoms, 7.0)
    part, cells = np.arange(len(atoms)), np.zeros((len(atoms), 3), dtype=int)
    for link in np.lexsort((rng.random(len(first)), np.round(lengths, 6))):
        i, j = first[link], second[link]
        if part[i] != part[j]:
            moved = part == part[j]
            cells[moved] += cells[i] + shifts[link] - cells[j]
            part[moved] = part[i]
    return atoms.positions + (cells - cells[0]) @ atoms.cell.array - atoms.positions[0]


@pytest.mark.parametrize("seed", range(24))
def test_one_body_as_kruskal_joins_it(seed):
    """On a lattice there often are several ways, which give other bodies by equal links, and elsewhere one."""
    rng = np.random.default_rng(seed)
    cell = np.diag([4.0, 5.0, 6.0]) + np.tril(rng.integers(-6, 7, (3, 3)), -1)
    places = rng.permutation(120)[:5, None] // [30, 6, 1] % [4, 5, 6] + (
        rng.normal(0, 0.1, (5, 3)) if seed % 3 == 0 else 0
    )
    atoms = scattered(Atoms("H5", positions=places, cell=cell, pbc=[True, True, seed % 2]), rng)
    ways = [by_kruskal(atoms, rng) for _ in range(20)]
    if all(np.allclose(way, ways[0]) for way in ways):
        np.testing.assert_allclose(parts(atoms, [0] * 5)[0], ways[0], atol=1e-9)
    else:
        with pytest.raises(InputError, match="hang together in one way"):
            parts(atoms, [0] * 5)


def test_groups_far_apart_are_joined_by_their_nearest_images():
    """No two atoms of a group are near; each link is the nearest image of all."""
    rng = np.random.default_rng(3)
    cell = [[14, 0, 0], [9, 15, 0], [-5, 6, 13]]
    atoms = Atoms("H8", scaled_positions=rng.random((8, 3)), cell=cell, pbc=True)
    labels = np.arange(8) // 2
    for number, body in enumerate(parts(atoms, labels)):
        nearest = atoms.get_distance(2 * number, 2 * number + 1, mic=True)
        assert np.linalg.norm(body[1]) == pytest.approx(nearest)
        assert nearest > 3


def test_groups_apart_where_nothing_is_periodic():
    slab = Atoms("H3", positions=[[0, 0, 0], [0.5, 0, 60], [3.6, 0, 60.2]], cell=[4, 5, 0], pbc=[True, True, False])
    np.testing.assert_allclose(parts(slab, [0, 0, 0])[0], [[0, 0, 0], [0.5, 0, 60], [-0.4, 0, 60.2]], atol=1e-9)


def test_a_group_near_its_own_images_is_joined_by_shorter_links():
    """A molecule across the cell: its images are 2.3 Å from it, and its own atoms 1.3 Å from each other."""
    chain = Atoms("C5", positions=np.arange(5)[:, None] * [1.3, 0, 0], cell=[7.5, 9, 9], pbc=True)
    np.testing.assert_allclose(parts(chain, [0] * 5)[0][:, 0], np.arange(5) * 1.3, atol=1e-12)
    # an image of the same atom is no other way to join two of them
    pair = Atoms("H2", positions=[[0, 0, 0], [0, 0, 5]], cell=[4, 4, 20], pbc=True)
    np.testing.assert_allclose(parts(pair, [0, 0])[0][1], [0, 0, 5])


@pytest.mark.parametrize("bodies", [[0] * 5, [1, 2, 2, 2, 2]])
def test_groups_that_can_be_joined_in_several_ways(bodies):
    ring = Atoms("C5", positions=np.arange(5)[:, None] * [1.3, 0, 0], cell=[6.5, 9, 9], pbc=True)
    if bodies[0]:
        np.testing.assert_allclose(parts(ring, bodies)[1][:, 0], np.arange(4) * 1.3, atol=1e-12)
        return
    for seed in range(5):
        message = (
            r"`bodies` must be groups that hang together in one way, that of atoms \d and \d does so in several, with "
        )
        with pytest.raises(InputError, match=message + r"links of 1.300 Å across a border; give smaller groups"):
            whole_bodies(scattered(ring, np.random.default_rng(seed)), bodies)


def test_two_atoms_half_a_cell_apart_are_no_group():
    atoms = Atoms("H2", positions=[[0, 0, 0], [2, 0, 0]], cell=[4, 9, 9], pbc=True)
    with pytest.raises(InputError, match="must be groups that hang together in one way, that of atoms 0 and 1"):
        whole_bodies(atoms, [0, 0])
    atoms.pbc = [False, True, True]
    np.testing.assert_allclose(parts(atoms, [0, 0])[0][1], [2, 0, 0])


def test_many_molecules_at_once():
    box = whole_bodies(water_box(), "molecules").atoms.repeat((6, 6, 6))
    box.wrap()
    labels = np.repeat(np.arange(len(box) // 3), 3)
    lengths = np.array([np.linalg.norm(body, axis=1).max() for body in parts(box, labels)])
    assert lengths.max() < 1.0
