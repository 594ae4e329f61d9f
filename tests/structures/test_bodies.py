import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from bodyorder._checks import InputError
from bodyorder.structures import find_bodies
from bodyorder.structures.bodies import body_charges


@pytest.fixture
def water_dimer():
    """Two water molecules at the distance of a hydrogen bond (O–O 2.9 Å)."""
    first, second = molecule("H2O"), molecule("H2O")
    second.translate([0.0, 2.9, 0.3])
    return first + second


def test_atoms_are_the_default():
    bodies = find_bodies(molecule("CH4"))
    np.testing.assert_array_equal(bodies.labels, np.arange(5))
    np.testing.assert_array_equal(bodies.atoms, np.arange(5)[:, None])


def test_hydrogen_bonds_do_not_join_molecules(water_dimer):
    bodies = find_bodies(water_dimer, "molecules")
    assert len(bodies) == 2
    np.testing.assert_array_equal(bodies.atoms, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("bond", [0.55, 0.74, 1.0])
def test_stretched_hydrogen_is_one_molecule(bond):
    positions = [[0, 0, 0], [bond, 0, 0], [0, 3, 0], [bond, 3, 0]]
    np.testing.assert_array_equal(find_bodies(Atoms("H4", positions=positions), "molecules").labels, [0, 0, 1, 1])


def test_groups_given_by_the_user_and_by_file(tmp_path):
    atoms = Atoms("H4", positions=np.arange(12).reshape(4, 3))
    given = find_bodies(atoms, [7, 3, 7, 3])
    np.testing.assert_array_equal(given.atoms, [[1, 3], [0, 2]])
    path = tmp_path / "bodies.txt"
    path.write_text("7 3 7 3\n")
    np.testing.assert_array_equal(find_bodies(atoms, path).labels, given.labels)
    path.write_text("7 3 7 3\n", encoding="utf-8-sig")
    np.testing.assert_array_equal(find_bodies(atoms, path).labels, given.labels)


def test_bodies_of_different_sizes_are_padded():
    atoms = molecule("H2O")
    np.testing.assert_array_equal(find_bodies(atoms, [0, 1, 1]).atoms, [[0, -1], [1, 2]])


def test_distances_are_the_shortest_between_bodies(water_dimer):
    bodies = find_bodies(water_dimer, "molecules")
    distances = bodies.distances(water_dimer.positions)
    every = water_dimer.get_all_distances()
    assert distances[0, 1] == pytest.approx(every[:3, 3:].min())
    assert distances[0, 0] == 0
    np.testing.assert_array_equal(distances, distances.T)


def test_bodies_that_do_not_fit(tmp_path):
    atoms = molecule("H2O")
    with pytest.raises(
        InputError, match="must name the body of each of the 3 atoms of a structure by an integer, got 2 values"
    ):
        find_bodies(atoms, [0, 1])
    with pytest.raises(InputError, match="of type float64"):
        find_bodies(atoms, [0.0, 1.0, 2.0])
    with pytest.raises(
        InputError,
        match="must be 'atoms', 'molecules', 'residues', 'column:NAME' or a file with the body of each atom, got 'molecule'; did",
    ):
        find_bodies(atoms, "molecule")
    path = tmp_path / "bodies.txt"
    path.write_text("0 1 x")
    with pytest.raises(InputError, match="must hold one integer per atom"):
        find_bodies(atoms, path)
    path.write_text("0 1 99999999999999999999")
    with pytest.raises(
        InputError, match=r"bodies\.txt must hold one integer per atom of at most 18 digits, and holds a longer"
    ):
        find_bodies(atoms, path)


def test_charges_of_bodies(water_dimer):
    water_dimer.set_initial_charges([-0.8, 0.4, 0.4005, 0.2, 0.4, 0.4])
    molecules = find_bodies(water_dimer, "molecules")
    assert body_charges(water_dimer, molecules, "it").tolist() == [0, 1]
    with pytest.raises(
        InputError, match=r"initial charges of atoms \[0\] of it add up to -0.8; set formal charges, or 0"
    ):
        body_charges(water_dimer, find_bodies(water_dimer), "it")
    water_dimer.set_initial_charges(None)
    assert body_charges(water_dimer, molecules, "it").tolist() == [0, 0]
    water_dimer.set_initial_charges([10, 0, 0, 0, 0, 11])
    with pytest.raises(
        InputError,
        match=r"leave no fewer than 0 electrons, atoms \[3, 4, 5\] of it have 10 electrons and a charge of \+11",
    ):
        body_charges(water_dimer, molecules, "it")


def test_middles_of_bodies_and_how_far_they_are(water_dimer):
    bodies = find_bodies(water_dimer, "molecules")
    middles = bodies.middles(water_dimer.positions)
    np.testing.assert_allclose(
        middles, [water_dimer.positions[:3].mean(axis=0), water_dimer.positions[3:].mean(axis=0)]
    )
    water_dimer.set_cell(np.diag([5.0, 6.0, 7.0]))
    pairs = np.array([0, 1]), np.array([1, 1]), np.array([[0, 0, 0], [0, 1, -1]])
    apart = bodies.middle_distances(water_dimer, *pairs)
    np.testing.assert_allclose(apart, [np.hypot(2.9, 0.3), np.hypot(6, 7)])
