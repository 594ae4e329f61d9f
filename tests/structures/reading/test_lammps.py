import numpy as np
import pytest

from bodyorder._checks import InputError
from bodyorder.structures import find_bodies, read_structures
from bodyorder.structures.reading import read_file

MASSES = "Masses\n\n1 15.9994\n2 1.008 # HW\n"
FULL = "Atoms # full\n\n1 1 1 -0.8 0 0 0\n2 1 2 0.4 0.96 0 0\n3 2 2 0.4 -0.24 0.93 0\n"
ATOMIC = "Atoms # atomic\n\n1 1 0 0 0\n2 2 1 0 0\n"


@pytest.fixture
def read(tmp_path):
    def read_data(*sections, title="LAMMPS data file", atoms=3, name="water.data"):
        box = "".join(f"0 {length} {axis}lo {axis}hi\n" for length, axis in ((10, "x"), (11, "y"), (12, "z")))
        header = f"{title}\n\n{atoms} atoms\n2 atom types\n\n{box}\n"
        (tmp_path / name).write_text(header + "\n".join(sections))
        return read_file(tmp_path / name)[0]

    return read_data


@pytest.mark.parametrize("name", ["water.data", "data.water", "water.lmp", "water"])
def test_elements_by_masses(read, name):
    atoms = read(MASSES, FULL, name=name)
    assert atoms.get_chemical_symbols() == ["O", "H", "H"]
    assert atoms.positions.tolist() == [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]
    assert atoms.cell.lengths().tolist() == [10, 11, 12]
    assert atoms.get_initial_charges().tolist() == [-0.8, 0.4, 0.4]
    assert atoms.arrays["molecule"].tolist() == [1, 1, 2]
    assert "mol-id" not in atoms.arrays


def test_a_dump_of_what_is_no_element(tmp_path):
    text = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n" + "0 9\n" * 3
    (tmp_path / "a.lammpstrj").write_text(text + "ITEM: ATOMS id element x y z\n1 OW 0 0 0\n")
    with pytest.raises(
        InputError, match=r"a\.lammpstrj names one that there is not: 'OW' \(read as lammps-dump-text\)"
    ):
        read_file(tmp_path / "a.lammpstrj")


def test_elements_behind_masses_and_by_labels(read):
    assert read("Masses\n\n1 14.5 # C\n2 1 # D\n", ATOMIC, atoms=2).get_chemical_symbols() == ["C", "H"]
    labels = "Atom Type Labels\n\n1 N\n2 H\n"
    assert read(labels, ATOMIC, atoms=2).get_chemical_symbols() == ["N", "H"]
    assert read("Masses\n\n1 2.014\n2 35.45\n", ATOMIC, atoms=2).get_chemical_symbols() == ["H", "Cl"]


def test_molecules_that_tell_nothing(read):
    nothing = FULL.replace("1 1 1", "1 0 1").replace("2 1 2", "2 0 2").replace("3 2 2", "3 0 2")
    assert "molecule" not in read(MASSES, nothing).arrays
    assert "molecule" not in read(MASSES, ATOMIC, atoms=2).arrays


@pytest.mark.parametrize(
    ("masses", "message"),
    [
        (
            "",
            r"water\.data must tell the element of each type, type 1 has no mass that says it; name it behind its mass",
        ),
        ("Masses\n\n1 1.0\n2 1.0\n", r"type 1 has no mass that says it"),
        ("Masses\n\n1 40.0\n2 1.0\n", r"type 1 has a mass of 40;"),
        ("Masses\n\n1 12.011\n2 14.3\n", r"type 2 has a mass of 14\.3;"),
        ("Masses\n\n1 12.011 # N\n2 1.008\n", r"type 1 has a mass of 12\.011;"),
        ("Masses\n\n1 12.011\n", r"type 2 has no mass that says it"),
    ],
)
def test_elements_that_are_not_told(read, masses, message):
    with pytest.raises(InputError, match=message):
        read(masses, ATOMIC, atoms=2)


def test_units_that_are_told(read):
    title = "LAMMPS data file via write_data, version 2 Aug 2023, timestep = 0, units = {}"
    with pytest.raises(
        InputError, match=r"water\.data must have lengths in Å \(units metal or real\), it has units lj"
    ):
        read(MASSES, FULL, title=title.format("lj"))
    assert len(read(MASSES, FULL, title=title.format("real"))) == 3


DUMP = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS xy xz yz pp pp ff
-1 11 2
0 10 0
0 8 0
ITEM: ATOMS id type {columns}
"""


def test_dump_with_elements(tmp_path):
    """Box and scaled places as the manual of LAMMPS has them: the bounds of x are −1 and 11, those of the box −1 and 9."""
    rows = "2 1 C 0.5 0.5 0.5\n1 2 O 0.25 0 0\n"
    text = "".join(DUMP.format(step=step, columns="element xs ys zs") + rows for step in (0, 10))
    (tmp_path / "a.dump").write_text(text)
    first, second = read_file(tmp_path / "a.dump")
    assert second.info == {"timestep": 10}
    assert first.get_chemical_symbols() == ["O", "C"]
    np.testing.assert_allclose(first.cell.array, [[10, 0, 0], [2, 10, 0], [0, 0, 8]])
    np.testing.assert_allclose(first.positions, [[2.5, 0, 0], [6, 5, 4]])
    assert first.pbc.tolist() == [True, True, False]


def test_dump_without_elements(tmp_path):
    path = tmp_path / "a.lammpstrj"
    good = DUMP.format(step=0, columns="element x y z") + "1 1 C 0 0 0\n2 1 C 1 1 1\n"
    bad = DUMP.format(step=1, columns="x y z") + "1 1 0 0 0\n2 1 1 1 1\n"
    path.write_text(good + bad)
    with pytest.raises(
        InputError, match=r"frame 1 of .*a\.lammpstrj must have a column element, it has id type x y z; dump"
    ):
        read_file(path)
    path.write_text("ITEM: UNITS\nlj\n" + good)
    with pytest.raises(InputError, match=r"must have lengths in Å \(units metal or real\), it has units lj"):
        read_file(path)


def test_molecules_of_a_dump(tmp_path):
    """Atoms come by their ids, and so do the numbers of their molecules, frame by frame."""
    path = tmp_path / "a.dump"
    head = DUMP.format(step=0, columns="mol element x y z")
    path.write_text(head + "2 1 7 H 0 0 3\n1 1 5 H 0 0 0\n" + head + "1 1 5 H 0 0 0\n2 1 5 H 0 0 3\n")
    first, second = read_file(path)
    assert first.positions[:, 2].tolist() == [0, 3]
    assert first.arrays["molecule"].tolist() == [5, 7]
    assert second.arrays["molecule"].tolist() == [5, 5]
    path.write_text(head + "1 1 x H 0 0 0\n2 1 5 H 0 0 3\n")
    with pytest.raises(InputError, match=r"a\.dump"):
        read_file(path)


def test_numbers_of_molecules(tmp_path):
    """All atoms in one are one; atoms of molecule 0 are in none."""
    head = (
        "x\n\n3 atoms\n1 atom types\n0 40 xlo xhi\n0 40 ylo yhi\n0 40 zlo zhi\n\nMasses\n\n1 39.948\n\nAtoms # full\n\n"
    )
    for numbers, wanted in (((1, 1, 1), [0, 0, 0]), ((0, 7, 0), [1, 0, 2]), ((0, 0, 0), [0, 1, 2])):
        rows = [f"{n} {number} 1 0.0 {4 * n - 3}.0 0.0 0.0" for n, number in enumerate(numbers, 1)]
        path = tmp_path / "argon.data"
        path.write_text(head + "\n".join(rows) + "\n")
        (atoms,) = read_structures(path, boundaries="free")
        assert find_bodies(atoms, "molecules").labels.tolist() == wanted
