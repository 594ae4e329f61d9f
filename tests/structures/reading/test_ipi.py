import numpy as np
import pytest
from ase.units import Bohr

from bodyorder._checks import InputError
from bodyorder.structures.reading import read_file

ATOMS = "O 0 0 0\nH 0.5 0.25 1\n"


@pytest.fixture
def read(tmp_path):
    def read_comment(comment, atoms=ATOMS):
        (tmp_path / "a.xyz").write_text(f"2\n{comment}\n{atoms}")
        return read_file(tmp_path / "a.xyz")[0]

    return read_comment


# Cell and place of the second atom in Å as ipi.utils.parsing.read_trajectory of i-PI 3.3.1 gives them; its 1 Å is 1 − 1.4e-8 Å.
BY_IPI = {
    "# CELL(abcABC): 10 11 12 80 95 110 Step: 7 Bead: 3 positions{angstrom} cell{angstrom}": (
        [
            [9.999999863276864, 0, 0],
            [-3.7622215251440827, 10.336618687319499, 0],
            [-1.045868898672451, 1.8368451924691007, 11.812372921985936],
        ],
        [0.4999999931638432, 0.2499999965819216, 0.9999999863276864],
    ),
    "# CELL(abcABC): 10 11 12 90 90 90": (
        [[5.291772105638412, 0, 0], [0, 5.8209493162022525, 0], [0, 0, 6.350126526766093]],
        [0.2645886052819206, 0.1322943026409603, 0.5291772105638411],
    ),
    "# CELL(abcABC): 10 11 12 90 90 90 Step: 1 Bead: 0 x_centroid{atomic_unit} cell{angstrom}": (
        [[9.999999863276864, 0, 0], [0, 10.999999849604551, 0], [0, 0, 11.999999835932236]],
        [0.2645886052819206, 0.1322943026409603, 0.5291772105638411],
    ),
    "# CELL{H}: 10 1 2 0 11 3 0 0 12 positions{angstrom} cell{angstrom}": (
        [
            [9.999999863276864, 0, 0],
            [0.9999999863276864, 10.999999849604551, 0],
            [1.9999999726553728, 2.999999958983059, 11.999999835932236],
        ],
        [0.4999999931638432, 0.2499999965819216, 0.9999999863276864],
    ),
    "# CELL[GENH]: 10 1 2 0.5 11 3 -1 0 12 positions{angstrom} cell{angstrom}": (
        [
            [10.246950625860073, 0, 0],
            [2.1469801311325876, 11.208946103665777, 0],
            [1.36626008344801, 2.905417286777095, 11.605683082399867],
        ],
        [0.7075275432141479, 0.3997657065151698, 0.8075222099719339],
    ),
}


@pytest.mark.parametrize("comment", BY_IPI)
def test_as_ipi_reads_it(read, comment):
    cell, second = BY_IPI[comment]
    atoms = read(comment)
    np.testing.assert_allclose(atoms.cell.array, cell, atol=3e-7)
    np.testing.assert_allclose(atoms.positions, [[0, 0, 0], second], atol=3e-7)
    assert atoms.pbc.all()


def test_step_and_bead(read):
    info = read("# CELL(abcABC): 9 9 9 90 90 90 Step:  12 Bead: 3 positions{angstrom} cell{angstrom}").info
    assert info == {"step": 12, "bead": 3}
    assert read("# water (liquid) CELL(abcABC): 9 9 9 90 90 90").info == {"comment": "water (liquid)"}
    assert read("# a note positions{angstrom} CELL{abcABC}: 9 9 9 90 90 90").info == {"comment": "a note"}


@pytest.mark.parametrize(
    ("comment", "length", "cell"),
    [
        ("# CELL(abcABC): 9 9 9 90 90 90 cell{atomic_unit} Traj: positions{angstrom} Step: 0 Bead: 0", 1, 9 * Bohr),
        ("# CELL(abcABC): 9 9 9 90 90 90 Traj: positions{angstrom} Step: 0 Bead: 0 cell{angstrom}", 1, 9),
        ("# CELL(abcABC): 9 9 9 90 90 90 cell{angstrom}", Bohr, 9),
        ("# CELL(abcABC): 9 9 9 90 90 90 cell{} Traj: positions", Bohr, 9 * Bohr),
        ("# CELL(abcABC): 9 9 9 90 90 90 {atomic_unit} cell{angstrom}", Bohr, 9),
        ("# CELL(abcABC): 9 9 9 90 90 90 positions{nanometer} cell{picometer}", 10, 0.09),
        ("# CELL(abcABC): 9 9 9 90 90 90 positions{ase} cell{ase}", 1, 9),
    ],
)
def test_units(read, comment, length, cell):
    atoms = read(comment)
    np.testing.assert_allclose(atoms.positions[1], np.array([0.5, 0.25, 1]) * length, rtol=1e-14)
    np.testing.assert_allclose(atoms.cell.array, np.eye(3) * cell, rtol=1e-14)


def test_a_right_angle_is_exact(read):
    assert np.count_nonzero(read("# CELL(abcABC): 9 9 9 90 90 90").cell.array) == 3


def test_without_a_cell_atoms_are_free(read):
    atoms = read("# positions{atomic_unit} Step: 1")
    assert not atoms.pbc.any()
    assert not atoms.cell.any()
    assert atoms.positions[1, 2] == Bohr


def test_isotopes(read):
    atoms = read("# CELL(abcABC): 9 9 9 90 90 90 positions{angstrom}", "O 0 0 0\nD 0 0 1\n")
    assert atoms.get_chemical_formula() == "HO"


CELL = "# CELL(abcABC): 9 9 9 90 90 90 "


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        (CELL + "velocities{atomic_unit}", r"frame 0 of .*, line 2 must hold positions of i-PI, it holds velocities"),
        (CELL + "forces{ev/ang} cell{angstrom}", r"must hold positions of i-PI, it holds forces"),
        ("# momenta{atomic_unit}", r"it holds momenta"),
        (CELL + "r_gyration{angstrom}", r"it holds r_gyration"),
        (
            CELL + "dipoles{angstrom}",
            r"must name units as positions\{angstrom\} .*, its comment has 'dipoles\{angstrom\}'",
        ),
        (CELL + "positions{angstrom} cell_units{angstrom}", r"its comment has 'cell_units\{angstrom\}'"),
        (CELL + "positions(angstrom)", r"its comment has 'positions\(angstrom\)'"),
        (CELL + "positions{ angstrom }", r"it has ' angstrom '"),
        (CELL + "Traj: forces Step: 0", r"must hold positions of i-PI, it holds forces"),
        (CELL + "{angstrom}", r"its comment has '\{angstrom\}'"),
        (CELL + "positions{furlong}", r"must have a unit of length for its positions, .*, it has 'furlong'"),
        (CELL + "positions{degree}", r"it has 'degree'"),
        (CELL + "cell{electronvolt}", r"must have a unit of length for its cell, .*, it has 'electronvolt'"),
        (CELL + "cell{nano}", r"it has 'nano'"),
        (CELL + "positions{angstrom} x_centroid{angstrom}", r"must name the unit of its positions once"),
        (CELL + CELL, r"must name its cell once"),
        ("# CELL(abcABC): 9 9 9 90 90", r"must have a cell of 6 numbers"),
        ("# CELL(abcABC): 9 9 9 90 90 x", r"must have a cell of 6 numbers"),
        ("# CELL(H): 9 0 0 0 9 0", r"must have a cell of 9 numbers"),
        ("# CELL(H): 9 0 0 1 9 0 0 0 9", r"must have an upper triangular cell H, lattice vectors in columns"),
        ("# CELL(GENH): 1 0 0 2 0 0 0 0 1", r"must have a cell that is not singular"),
        ("# CELL(abcABC): 9 9 9 10 90 170", r"must have a cell of positive lengths and possible angles"),
        ("# CELL(abcABC): -1 9 9 90 90 90", r"must have a cell of positive lengths and possible angles"),
    ],
)
def test_what_cannot_be_read(read, comment, message):
    with pytest.raises(InputError, match=message):
        read(comment)


BOX = 'Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3'


def test_extended_xyz_that_ipi_writes(read):
    """i-PI 3.3 keeps its own comment as ``ipi_comment`` beside Lattice and Properties, in Å."""
    said = 'ipi_comment="Step: 7 Bead: 0 positions{ase} cell{ase}"'
    atoms = read(f'{BOX}:forces:R:3 {said} pbc="T T F" charge=1', "O 0 0 0 1 2 3\nH 0.5 0.25 1 4 5 6\n")
    assert atoms.positions.tolist() == [[0, 0, 0], [0.5, 0.25, 1]]
    assert atoms.get_forces().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert atoms.cell.lengths().tolist() == [9, 9, 9]
    assert atoms.pbc.tolist() == [True, True, False]
    assert atoms.info["charge"] == 1
    forces_first = read(f"Properties=species:S:1:forces:R:3:pos:R:3 {said}", "O 1 2 3 0 0 0\nH 4 5 6 0.5 0.25 1\n")
    assert forces_first.positions.tolist() == atoms.positions.tolist()
    assert not forces_first.pbc.any()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "positions{atomic_unit} cell{ase}",
            r"line 2 must have lengths in Å .*, its comment has 'positions\{atomic_unit\}'",
        ),
        ("positions{ase} cell{}", r"its comment has 'cell\{\}'"),
        ("positions{nanometer}", r"its comment has 'positions\{nanometer\}'; convert them"),
        ("velocities{ase} cell{ase}", r"must hold positions of i-PI, it holds velocities"),
        ("CELL(abcABC): 9 9 9 90 90 90", r"must have one cell, its Lattice, its comment has 'CELL\(abcABC\): 9 9 9"),
    ],
)
def test_units_beside_a_lattice(read, said, message):
    with pytest.raises(InputError, match=message):
        read(f'{BOX} ipi_comment="{said}"')


KEPT = f'{BOX} #=T CELL(abcABC):=T 9.00000=T 90.00000=T Step:=T 5000=T cellangstrom=T pbc="T T T" '


def test_extended_xyz_that_ase_made_of_it(read):
    """As in demos/ensemble-deltamu of i-PI 3.3: ASE kept each word of the comment as a key."""
    assert read(KEPT + "positionsangstrom=T").cell.lengths().tolist() == [9, 9, 9]
    with pytest.raises(InputError, match=r"must have lengths in Å .*, its comment has 'positions\{atomic_unit\}'"):
        read(KEPT + "positionsatomic_unit=T")


@pytest.mark.parametrize(
    "comment",
    [
        CELL + "Units: angstrom",
        CELL + "bohr",
        CELL + "cell{angstrom} positions in Angstrom",
        CELL + "positions[angstrom]",
        CELL + "positions{angstrom} cell in Å",
        "# positions[angstrom] cell{angstrom}",
    ],
)
def test_units_in_words_are_refused(read, comment):
    with pytest.raises(
        InputError, match=r"must name units as positions\{angstrom\} and cell\{angstrom\}, its comment has"
    ):
        read(comment)


def test_words_beside_units(read):
    assert read(CELL + "positions{angstrom} cell{angstrom} once in bohr").info == {"comment": "once in bohr"}


def test_pairs_beside_a_cell(read):
    atoms = read(
        '# CELL(abcABC): 9 9 9 90 90 90 charge=1 Step: 3 name="an ion" positions{angstrom} cell{angstrom} pbc=F'
    )
    assert atoms.info == {"charge": 1, "name": "an ion", "step": 3}
    assert atoms.cell.lengths().tolist() == [9, 9, 9]
    assert not atoms.pbc.any()
