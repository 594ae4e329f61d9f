import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list

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
        InputError, match=r"a molecule must be finite, atom \d is bonded to its own images; use bodies='atoms'"
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
