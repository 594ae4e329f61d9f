import numpy as np
import pytest
from ase import units

from bodyorder._checks import InputError
from bodyorder.structures.reading import read_file

WATER = [("SOL", "OW", 0.0), ("SOL", "HW1", 0.1), ("SOL", "HW2", 0.2), ("NA", "NA", 1.0), ("CL-", "CL", 1.5)]


@pytest.fixture
def read(tmp_path):
    def read_frames(*frames):
        text = ""
        for rows in frames:
            lines = [
                f"{1:5d}{residue:<5s}{name:>5s}{i:5d}{x:8.3f}{0:8.3f}{0:8.3f}"
                for i, (residue, name, x) in enumerate(rows)
            ]
            text += "\n".join(["title", str(len(rows)), *lines, "1.8 1.9 2.0"]) + "\n"
        (tmp_path / "a.gro").write_text(text)
        return read_file(tmp_path / "a.gro")

    return read_frames


def test_water_and_ions_of_every_frame(read):
    frames = read(WATER, WATER[:3])
    assert [atoms.get_chemical_symbols() for atoms in frames] == [["O", "H", "H", "Na", "Cl"], ["O", "H", "H"]]
    assert frames[0].positions[:, 0].tolist() == [0, 1, 2, 10, 15]
    assert frames[0].cell.lengths().tolist() == [18, 19, 20]
    assert frames[0].pbc.all()


def test_elements_as_they_are_spelled(read):
    (atoms,) = read([("LIG", "C", 0), ("LIG", "Cl", 0.2), ("CA", "CA", 1)])
    assert atoms.get_chemical_symbols() == ["C", "Cl", "Ca"]


@pytest.mark.parametrize(("residue", "name"), [("ALA", "CA"), ("LIG", "C1"), ("W", "W"), ("SOL", "MW"), ("LIG", "CL")])
def test_names_that_leave_it_open(read, residue, name):
    message = rf"frame 1 of .*, line 12 must name atoms .* plain, atom 1 is {name} of {residue}, which leaves it open"
    with pytest.raises(InputError, match=message):
        read(WATER, [("LIG", "N", 0), (residue, name, 1)])


def test_a_frame_that_is_cut_short(read, tmp_path):
    read(WATER)
    path = tmp_path / "a.gro"
    path.write_text("\n".join(path.read_text().splitlines()[:5]))
    with pytest.raises(InputError, match=r"frame 0 of .*, line 2 must have a title, its number of atoms, .* found '5'"):
        read_file(path)


@pytest.mark.parametrize("decimals", [1, 2, 4, 6])
def test_any_number_of_decimals(tmp_path, decimals):
    """The manual of GROMACS: the precision follows from the distance of the decimal points; velocities have one more."""
    places, speeds = [[1.5, -10.25, 0.123456], [100.5, 0.25, 1]], [[0.1, 0.2, -0.3], [0, 1, 2]]
    text = "title\n2\n"
    for row, name in enumerate(("OW", "HW1")):
        text += f"{1:5d}{'SOL':<5s}{name:>5s}{row + 1:5d}"
        text += "".join(f"{x:{decimals + 5}.{decimals}f}" for x in places[row])
        text += "".join(f"{x:{decimals + 5}.{decimals + 1}f}" for x in speeds[row]) + "\n"
    (tmp_path / "a.gro").write_text(text + "20 20 20\n")
    (atoms,) = read_file(tmp_path / "a.gro")
    np.testing.assert_allclose(atoms.positions, np.round(places, decimals) * 10, rtol=1e-14)
    np.testing.assert_allclose(atoms.get_velocities() * 1000 * units.fs, np.array(speeds) * 10, rtol=1e-12)
    assert atoms.cell.lengths().tolist() == [200] * 3


def test_columns_of_several_widths_are_refused(tmp_path):
    rows = [
        f"{1:5d}{'SOL':<5s}{'OW':>5s}{row:5d}" + "".join(f"{0.5:{w}.{w - 5}f}" for _ in range(3))
        for row, w in ((1, 9), (2, 8))
    ]
    (tmp_path / "a.gro").write_text("\n".join(["title", "2", *rows, "20 20 20", ""]))
    message = (
        r"frame 0 of .*a\.gro, line 4 must have coordinates in columns of 9, as .* 4 decimals, atom 1 has '0.500 0.500"
    )
    with pytest.raises(InputError, match=message):
        read_file(tmp_path / "a.gro")


def test_a_box_of_zeros_is_none(read, tmp_path):
    read(WATER)
    text = (tmp_path / "a.gro").read_text().replace("1.8 1.9 2.0", "   0.00000   0.00000   0.00000")
    (tmp_path / "a.gro").write_text(text)
    (atoms,) = read_file(tmp_path / "a.gro")
    assert not atoms.pbc.any()
    assert not atoms.cell.array.any()
