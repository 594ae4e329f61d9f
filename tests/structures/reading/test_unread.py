import numpy as np
import pytest

from bodyorder._checks import InputError

BOX = 'Lattice="5 0 0 0 5 0 0 0 5"'


@pytest.mark.parametrize("comment", [
    'cell="10 10 10"', "cell=10 10 10", 'Box="10 0 0 0 10 0 0 0 10" charge=0', "unitcell=[10, 10, 10, 90, 90, 90]",
    "unit_cell={10 10 10}", 'abc="10 10 10"', 'lattice_vectors="_JSON [[10, 0, 0], [0, 10, 0], [0, 0, 10]]"',
    'Properties=species:S:1:pos:R:3 cell="10 10 10"', "CELL: 10 10 10", "# CELL(ABC): 10 10 10 90 90 90",
    "# CELL(xyz): a b c", "box 10.0 10.0 10.0", "Unit cell: 10.0, 10.0, 10.0", "box size: 10 x 10 x 10",
    "# CELL(ABC): 10 10 10 90 90 90 positions{angstrom} cell{angstrom}", "water box(10, 10, 10)",
])  # fmt: skip
def test_a_cell_by_another_name_is_refused(read, comment):
    with pytest.raises(
        InputError, match=r"line 2 must give its cell as Lattice, its comment has .*; write Lattice=…, or "
    ):
        read(comment)


@pytest.mark.parametrize("comment", [
    "cell=primitive", "box=T", "a water box", "cell 3 of the run", "a unit cell of ice, 3 waters", "supercell 2 2 2",
])  # fmt: skip
def test_words_that_are_no_cell(read, comment):
    assert not read(comment).cell.any()


def test_a_cell_said_twice_is_that_of_lattice(read):
    """ASE writes ``unit_cell=conventional`` beside Lattice."""
    atoms = read(f'{BOX} unit_cell=conventional cell="5 5 5"')
    np.testing.assert_array_equal(atoms.cell, np.eye(3) * 5)


@pytest.mark.parametrize("said", ["periodic=F", 'periodic="T T F"', "boundary=p"])
def test_periodic_directions_by_another_name_are_refused(read, said):
    key = said.split("=")[0]
    with pytest.raises(
        InputError, match=rf"must name its periodic directions by pbc, its comment has {key}=.*; write pbc="
    ):
        read(f"{BOX} {said}")
    assert read(said).pbc.tolist() == [False] * 3
    assert read(f"{BOX} pbc=F {said}").pbc.tolist() == [False] * 3


@pytest.mark.parametrize("comment", [
    f"{BOX} coordinates=fractional", f"{BOX} fractional", f"{BOX} fractional=T", "fractional coordinates", "pos=frac",
    "units=crystal", f"{BOX} comment='scaled coordinates'",
])  # fmt: skip
def test_fractions_are_refused(read, comment):
    with pytest.raises(InputError, match=r"must have positions in Å, its comment has .*; multiply them by the cell"):
        read(comment)


@pytest.mark.parametrize("comment", ["fractional occupations of d", "fractional=F", "coordinates=cartesian"])
def test_words_that_are_no_fractions(read, comment):
    assert read(comment).positions[1, 0] == 1.27


@pytest.mark.parametrize(("comment", "unit"), [
    ("coordinates in Bohr", "bohr"), ("geometry (bohr), MP2", "bohr"), ("Units: bohr", "bohr"), ("charge=0 in Bohr", "bohr"),
    ("comment='lengths in bohr'", "bohr"), ("# positions in atomic_units of water", "atomic_units"),
    ("coordinates in nm", "nm"), ("# positions[bohr]", "bohr"), (f"{BOX} bohr", "bohr"),
])  # fmt: skip
def test_lengths_that_are_not_in_angstrom_are_refused(read, comment, unit):
    message = rf"must have lengths in Å, its comment speaks of {unit}; convert them, or remove the word"
    with pytest.raises(InputError, match=message):
        read(comment)


@pytest.mark.parametrize("comment", [
    "forces in hartree/bohr", "max force 1e-4 Eh/bohr", "E = -76.4 a.u.", "energy -76.4 a.u., coordinates in Å",
    "gradient in Hartree per Bohr", "E_h bohr^-1", "dipole_unit=e*bohr", "coordinates of NaCl in nature",
])  # fmt: skip
def test_units_of_other_quantities(read, comment):
    assert read(comment).positions[1, 0] == 1.27
