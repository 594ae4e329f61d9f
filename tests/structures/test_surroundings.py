import ase
import numpy as np
import pytest
from ase.build import bulk

from bodyorder._checks import InputError
from bodyorder.structures import read_structures
from bodyorder.structures.surroundings import cut_surroundings


def test_the_first_shell_of_a_crystal():
    copper = bulk("Cu", "fcc", a=3.6)
    (found,) = cut_surroundings([copper], 2.7, 1, seed=0, max_atoms=13)
    assert len(found) == 13
    assert not found.pbc.any()
    np.testing.assert_allclose(found.positions[0], 0)
    np.testing.assert_allclose(np.linalg.norm(found.positions[1:], axis=1), 3.6 / np.sqrt(2))
    assert found.info == {"parent": 0, "centre": 0}
    assert read_structures(found)


def test_all_images_within_the_radius_and_no_other():
    rng = np.random.default_rng(0)
    cell = np.diag([4.0, 5.0, 6.0]) + rng.uniform(-0.5, 0.5, (3, 3))
    atoms = ase.Atoms("HHeLi", scaled_positions=rng.uniform(size=(3, 3)), cell=cell, pbc=[True, True, False])
    shifts = [[a, b, 0] for a in range(-3, 4) for b in range(-3, 4)]
    for found in cut_surroundings([atoms], 4.5, 3, seed=1, max_atoms=20):
        centre = found.info["centre"]
        images = np.concatenate([atoms.positions + np.array(shift) @ cell for shift in shifts])
        distances = np.linalg.norm(images - atoms.positions[centre], axis=1)
        inside = distances < 4.5
        np.testing.assert_allclose(np.linalg.norm(found.positions, axis=1), np.sort(distances[inside]), atol=1e-9)
        assert sorted(found.numbers) == sorted(np.tile(atoms.numbers, len(shifts))[inside])


def test_centres_come_once_before_any_comes_twice():
    frames = [ase.Atoms("H3", [[0, 0, 0], [1, 0, 0], [9, 0, 0]]), ase.Atoms("He2", [[0, 0, 0], [0, 0, 2]])]
    frames[1].info["group"] = "helium"
    found = cut_surroundings(frames, 3.0, 8, seed=2)
    centres = [(atoms.info["parent"], atoms.info["centre"]) for atoms in found]
    assert len(set(centres[:5])) == 5
    assert len(set(centres)) == 5
    assert {len(atoms) for atoms in found} == {1, 2}
    assert all(("group" in atoms.info) == (atoms.info["parent"] == 1) for atoms in found)
    again = cut_surroundings(frames, 3.0, 8, seed=2)
    assert all(first == second for first, second in zip(found, again, strict=True))


def test_wrong_requests_are_refused():
    copper = bulk("Cu", "fcc", a=3.6)
    with pytest.raises(
        InputError,
        match=r"`radius` must leave at most 12 atoms around a centre, atom 0 of structure 0 has 13; "
        r"lower it below 2\.546 Å or raise max_atoms",
    ):
        cut_surroundings(copper, 2.7, 1, seed=0, max_atoms=12)
    with pytest.raises(InputError, match="`radius` must be a positive number, got -1"):
        cut_surroundings([copper], -1, 1, seed=0)
    with pytest.raises(InputError, match="`max_atoms` must be between 1 and 20, got 40"):
        cut_surroundings([copper], 2.7, 1, seed=0, max_atoms=40)
    with pytest.raises(InputError, match="`structures` must hold atoms to be centres, and hold none"):
        cut_surroundings([ase.Atoms()], 2.7, 1, seed=0)


def test_charges_and_moments_go_with_their_atoms():
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    charges = np.where(salt.numbers == 11, 1, -1)
    salt.set_initial_charges(charges)
    salt.set_initial_magnetic_moments(np.arange(8.0))
    for part in cut_surroundings(salt, 3.0, 4, 0):
        np.testing.assert_array_equal(part.get_initial_charges(), np.where(part.numbers == 11, 1, -1))
        assert set(part.get_initial_magnetic_moments()) <= set(np.arange(8.0))
        assert (part.calc, part.pbc.any(), part.cell.rank) == (None, False, 0)
