import ase.io
import gemmi
import numpy as np
import pytest
from ase.build import molecule

from bodyorder._checks import InputError
from bodyorder.structures.reading.pdb import read_pdb

WATER = np.array([[0.0, 0.0, 0.0], [0.757, 0.586, 0.0], [-0.757, 0.586, 0.0]])


def atom(
    name,
    residue,
    position,
    *,
    element="",
    charge="",
    number="1",
    chain="A",
    serial="1",
    alternate="",
    occupancy="1.00",
    segment="",
):
    """An ATOM record by the columns of the format; a name of four columns, or one that is put where its element says."""
    columns = name if len(name) == 4 else f"{name:<4}" if len(element) == 2 else f" {name:<3}"
    xyz = "".join(f"{x:8.3f}" for x in position)
    line = (
        f"ATOM  {serial:>5} {columns}{alternate:1}{residue:>3} {chain:1}{number:>4}    {xyz}{occupancy:>6}  0.00"
        f"      {segment:<4}{element:>2}{charge:>2}"
    )
    assert len(line) == 80
    return line


def water(at, number="1", names=("O", "H1", "H2"), serials=("", "", ""), chain="A", residue="HOH"):
    positions = WATER + at
    return [
        atom(name, residue, positions[row], element=name[0], number=number, serial=serials[row], chain=chain)
        for row, name in enumerate(names)
    ]


def write(path, *lines):
    path = path / "some.pdb"
    path.write_text("\n".join([*lines, "END", ""]))
    return path


def read_one(path, *lines):
    (atoms,) = read_pdb(write(path, *lines))
    return atoms


def test_positions_and_elements_are_those_of_other_readers(tmp_path):
    path = tmp_path / "ethanol.pdb"
    ase.io.write(path, molecule("CH3CH2OH"))
    (atoms,) = read_pdb(path)
    np.testing.assert_array_equal(atoms.numbers, molecule("CH3CH2OH").numbers)
    np.testing.assert_allclose(atoms.positions, molecule("CH3CH2OH").positions, atol=5.1e-4)
    structure = gemmi.read_pdb(str(path))
    np.testing.assert_allclose(atoms.positions, [site.atom.pos.tolist() for site in structure[0].all()], atol=1e-9)
    assert not atoms.pbc.any()
    assert atoms.info == {}


def test_charges_of_columns_79_and_80(tmp_path):
    charges = ["1+", "-2", "+", "0", "", "3-"]
    atoms = read_one(
        tmp_path, *(atom("FE", "FE", [3 * i, 0, 0], element="FE", charge=q, number=i) for i, q in enumerate(charges))
    )
    assert atoms.get_initial_charges().tolist() == [1, -2, 1, 0, 0, -3]
    neutral = read_one(tmp_path, *water([0, 0, 0]))
    assert not neutral.has("initial_charges")
    assert not neutral.has("initial_magmoms")
    with pytest.raises(
        InputError, match=r"charge of atom FE of residue FE 7 of chain A \(line 1 of .*\) .* reads 'X1'"
    ):
        read_one(tmp_path, atom("FE", "FE", [0, 0, 0], element="FE", charge="X1", number="7"))
    with pytest.raises(InputError, match="must read like 1\\+ or 2- in columns 79–80, and reads '2'"):
        read_one(tmp_path, atom("FE", "FE", [0, 0, 0], element="FE", charge="2"))


def test_line_numbers_of_old_files_are_no_elements_and_no_charges(tmp_path):
    atoms = read_one(
        tmp_path, atom("CA", "ALA", [0, 0, 0], element=" 1", charge="12", segment="1ABC").replace("CA  ", " CA ")
    )
    assert atoms.get_chemical_symbols() == ["C"]
    assert not atoms.has("initial_charges")


def test_numbers_that_begin_anew_make_new_residues(tmp_path):
    lines = [line for i, n in enumerate(["9998", "9999", "0", "1", "9998"]) for line in water([5 * i, 0, 0], n)]
    atoms = read_one(tmp_path, *lines)
    expected = np.repeat(np.arange(5), 3)
    np.testing.assert_array_equal(atoms.arrays["residue"], expected)
    np.testing.assert_array_equal(atoms.arrays["molecule"], expected)


def test_hydrogens_that_follow_later_belong_to_their_residues(tmp_path):
    first, second = water([0, 0, 0], "1"), water([9, 0, 0], "2")
    atoms = read_one(tmp_path, first[0], second[0], *first[1:], *second[1:])
    assert atoms.arrays["residue"].tolist() == [0, 1, 0, 0, 1, 1]
    assert atoms.arrays["molecule"].tolist() == [0, 1, 0, 0, 1, 1]


def test_segments_tell_residues_apart(tmp_path):
    lines = [atom("SOD", "SOD", [5 * i, 0, 0], element="NA", segment=f"S{i}") for i in range(2)]
    assert read_one(tmp_path, *lines).arrays["residue"].tolist() == [0, 1]


def test_waters_and_ions_stay_alone_however_near(tmp_path):
    lines = [*water([0, 0, 0], "1"), atom("NA", "NA", [0, -1.6, 0], element="NA", charge="1+", number="2")]
    lines += water([1.6, 0.6, 0], "3")
    atoms = read_one(tmp_path, *lines)
    assert atoms.arrays["molecule"].tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert atoms.get_initial_charges().tolist() == [0, 0, 0, 1, 0, 0, 0]


GLYCINES = [
    ("N", "N", (0.0, 0.0, 0.0)), ("CA", "C", (1.45, 0.0, 0.0)), ("C", "C", (2.0, 1.4, 0.0)), ("O", "O", (1.25, 2.37, 0.0)),
    ("N", "N", (3.33, 1.5, 0.0)), ("CA", "C", (4.0, 2.8, 0.0)), ("C", "C", (5.5, 2.6, 0.0)), ("O", "O", (6.05, 1.5, 0.0)),
]  # fmt: skip


def glycines(gap=0.0):
    return [
        atom(name, "GLY", [x + (gap if row > 3 else 0), y, z], element=element, number=1 + row // 4)
        for row, (name, element, (x, y, z)) in enumerate(GLYCINES)
    ]


def test_peptide_bonds_join_residues_and_gaps_do_not(tmp_path):
    joined = read_one(tmp_path, *glycines(), *water([-3, 0, 0], "3"))
    assert joined.arrays["residue"].tolist() == [0] * 4 + [1] * 4 + [2] * 3
    assert joined.arrays["molecule"].tolist() == [0] * 8 + [1] * 3
    apart = read_one(tmp_path, *glycines(gap=4))
    assert apart.arrays["molecule"].tolist() == [0] * 4 + [1] * 4


def test_peptide_bonds_across_a_border(tmp_path):
    cell = "CRYST1   30.000   30.000   30.000  90.00  90.00  90.00 P 1           1"
    lines = glycines(gap=30)
    assert read_one(tmp_path, *lines).arrays["molecule"].max() == 1
    assert read_one(tmp_path, cell, *lines).arrays["molecule"].max() == 0


def test_links_join_and_coordination_does_not(tmp_path):
    lines = [
        atom("C1", "LIG", [0, 0, 0], element="C", number="1", serial="1"),
        atom("O1", "LIG", [1.4, 0, 0], element="O", number="1", serial="2"),
        atom("C1", "SUG", [2.0, 1.3, 0], element="C", number="2", serial="3"),
        atom("ZN", "ZN", [-2, 0, 0], element="ZN", number="3", serial="4"),
        *water([20, 0, 0], "4"),
    ]
    assert read_one(tmp_path, *lines).arrays["molecule"].tolist() == [0, 0, 1, 2, 3, 3, 3]

    def link(one, two):
        ends = [f"{name}{' '}{residue:>3} A{number:>4} " for name, residue, number in (one, two)]
        return f"LINK        {ends[0]}{'':15}{ends[1]}  1555   1555  1.43"

    sugar = link((" O1 ", "LIG", 1), (" C1 ", "SUG", 2))
    metal = link((" C1 ", "LIG", 1), ("ZN  ", "ZN", 3))
    assert read_one(tmp_path, sugar, metal, *lines).arrays["molecule"].tolist() == [0, 0, 0, 1, 2, 2, 2]
    other_unit = sugar.replace("  1555   1555", "  1555   2555")
    assert read_one(tmp_path, other_unit, *lines).arrays["molecule"].tolist() == [0, 0, 1, 2, 3, 3, 3]
    bonds = ["CONECT    2    3", "CONECT    1    4"]
    assert read_one(tmp_path, *lines, *bonds).arrays["molecule"].tolist() == [0, 0, 0, 0, 1, 1, 1]
    # the same coordination as CONECT and as LINK, as the data bank writes it
    assert read_one(tmp_path, metal, *lines, *bonds).arrays["molecule"].tolist() == [0, 0, 0, 1, 2, 2, 2]


def test_disulfide_bonds_join(tmp_path):
    lines = [
        atom(name, "CYS", [x, y, 0], element=name[0], number=number)
        for number, y in (("6", 0), ("127", 2.9))
        for name, x in (("CB", 0), ("SG", 1.8))
    ]
    assert read_one(tmp_path, *lines).arrays["molecule"].tolist() == [0, 0, 1, 1]
    bond = "SSBOND   1 CYS A    6    CYS A  127                          1555   1555  2.90"
    assert read_one(tmp_path, bond, *lines).arrays["molecule"].tolist() == [0, 0, 0, 0]


def test_one_residue_around_all_atoms_says_nothing(tmp_path):
    lines = [*water([0, 0, 0], serials="123", residue="UNL"), *water([3, 0, 0], serials="456", residue="UNL")]
    atoms = read_one(tmp_path, *lines)
    assert "molecule" not in atoms.arrays
    assert "molecules_unclear" not in atoms.info
    bonds = ["CONECT    1    2    3", "CONECT    4    5    6"]
    assert read_one(tmp_path, *lines, *bonds).arrays["molecule"].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("second", ["CONECT    4    5", ""])
@pytest.mark.parametrize("others", [0, 1])
def test_bonds_that_leave_out_a_hydrogen_are_unclear(tmp_path, second, others):
    lines = [*water([0, 0, 0], serials="123", residue="UNL"), *water([3, 0, 0], serials="456", residue="UNL")]
    lines += water([20, 0, 0], "2") * others
    atoms = read_one(tmp_path, *lines, "CONECT    1    2    3", second)
    assert "molecule" not in atoms.arrays
    assert atoms.info["molecules_unclear"] == f"CONECT leaves hydrogen {'H2' if second else 'H1'} without a bond"


def test_an_ion_of_hydrogen_needs_no_bond(tmp_path):
    lines = [*water([0, 0, 0], serials="123"), atom("H", "HOH", [9, 0, 0], element="H", charge="1+", serial="4")]
    assert read_one(tmp_path, *lines, "CONECT    1    2    3").arrays["molecule"].tolist() == [0, 0, 0, 1]


def methanes(gap, number="1"):
    """Two molecules in one residue, each atom with a name of its own."""
    names = [f"{element}{row}" for row, element in enumerate("CHHHHCHHHH", 1)]
    methane = molecule("CH4").positions
    return [
        atom(name, "LIG", place, element=name[0], number=number, serial=str(row + 1))
        for row, (name, place) in enumerate(zip(names, [*methane, *methane + [gap, 0, 0]], strict=True))
    ]


def test_a_residue_of_own_names_that_holds_two_molecules_is_unclear(tmp_path):
    others = water([20, 0, 0], "2")
    atoms = read_one(tmp_path, *methanes(6), *others)
    assert "molecule" not in atoms.arrays
    assert atoms.info["molecules_unclear"] == "residue LIG 1 of chain A holds several molecules"
    bonds = ["CONECT    1    2    3    4    5", "CONECT    6    7    8    9   10"]
    assert read_one(tmp_path, *methanes(6), *others, *bonds).arrays["molecule"].tolist() == [0] * 5 + [1] * 5 + [2] * 3
    # CONECT may join what is far
    bonds += ["CONECT    1    6"]
    assert read_one(tmp_path, *methanes(6), *others, *bonds).arrays["molecule"].tolist() == [0] * 10 + [1] * 3
    # C–C of ethane stretched by half
    assert read_one(tmp_path, *methanes(2.3), *others).arrays["molecule"].tolist() == [0] * 10 + [1] * 3
    # one molecule across a border
    cell = "CRYST1    8.000   30.000   30.000  90.00  90.00  90.00 P 1           1"
    assert read_one(tmp_path, cell, *methanes(6), *others).arrays["molecule"].tolist() == [0] * 10 + [1] * 3


def test_residues_of_hydrogen_alone(tmp_path):
    # the second is nearly two atoms
    lines = [
        atom(name, "H2", [4 * i + x, 0, 0], element="H", number=str(i))
        for i, length in enumerate([0.74, 2.5])
        for name, x in (("H1", 0), ("H2", length))
    ]
    assert read_one(tmp_path, *lines, *water([20, 0, 0], "9")).arrays["molecule"].tolist() == [0, 0, 1, 1, 2, 2, 2]
    two = [atom(f"H{i}", "H4", [x, 0, 0], element="H", number="1") for i, x in enumerate([0, 0.74, 2.5, 3.24])]
    assert "holds several molecules" in read_one(tmp_path, *two, *water([20, 0, 0], "9")).info["molecules_unclear"]


def test_a_residue_of_several_molecules_is_unclear(tmp_path):
    lines = [*water([0, 0, 0], "3", serials="123"), *water([3, 0, 0], "3", serials="456")]
    lines += water([9, 0, 0], "4", serials="789")
    atoms = read_one(tmp_path, *lines)
    assert "molecule" not in atoms.arrays
    assert atoms.info["molecules_unclear"] == "residue HOH 3 of chain A holds several molecules"
    # read as one residue, since only "several names" tells them apart
    assert atoms.arrays["residue"].tolist() == [0] * 6 + [1] * 3
    bonds = ["CONECT    1    2    3", "CONECT    4    5    6"]
    assert read_one(tmp_path, *lines, *bonds).arrays["molecule"].tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_a_stretched_residue_is_one_molecule(tmp_path):
    far = [
        atom(name, "HOH", p, element=name[0], number=n)
        for n, at in (("1", 0), ("2", 9))
        for name, p in (("O", [at, 0, 0]), ("H1", [at + 1.9, 0, 0]), ("H2", [at, 2.5, 0]))
    ]
    assert read_one(tmp_path, *far).arrays["molecule"].tolist() == [0, 0, 0, 1, 1, 1]
    # nor does a name that comes twice make two molecules of one
    same = [line.replace(" H1 ", " H  ").replace(" H2 ", " H  ") for line in far]
    assert read_one(tmp_path, *same).arrays["molecule"].tolist() == [0, 0, 0, 1, 1, 1]


def test_a_residue_cut_by_a_border_is_one_molecule(tmp_path):
    names = ("O", "H", "H")
    lines = [line for n, at in (("1", 0), ("2", 5)) for line in water([at, 0, 0], n, names)]
    lines[2] = atom("H", "HOH", [9.243, 0.586, 0], element="H", number="1")
    cell = "CRYST1   10.000   10.000   10.000  90.00  90.00  90.00 P 1           1"
    assert read_one(tmp_path, cell, *lines).arrays["molecule"].tolist() == [0, 0, 0, 1, 1, 1]
    assert "holds several molecules" in read_one(tmp_path, *lines).info["molecules_unclear"]


def test_serial_numbers_that_come_twice_tell_no_bonds(tmp_path):
    lines = [*water([0, 0, 0], "1", serials="112"), *water([9, 0, 0], "2", serials="345")]
    atoms = read_one(tmp_path, *lines, "CONECT    1    2")
    assert atoms.info["molecules_unclear"] == "CONECT names atom 1, and several atoms have this number"
    assert read_one(tmp_path, *lines, "CONECT    3    4").arrays["molecule"].tolist() == [0, 0, 0, 1, 1, 1]


def test_cells(tmp_path):
    cell = "CRYST1   10.000   11.000   12.000  80.00  95.00 100.00 {}           1"
    atoms = read_one(tmp_path, cell.format("P 1"), *water([0, 0, 0]))
    np.testing.assert_allclose(atoms.cell.cellpar(), [10, 11, 12, 80, 95, 100])
    assert atoms.pbc.all()
    np.testing.assert_allclose(atoms.cell.array, ase.io.read(tmp_path / "some.pdb").cell.array)
    assert "asymmetric_unit" not in atoms.info
    assert read_one(tmp_path, cell.format("P 21 21 21"), *water([0, 0, 0])).info["asymmetric_unit"] == "P 21 21 21"
    none = "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1"
    assert not read_one(tmp_path, none, *water([0, 0, 0])).pbc.any()
    with pytest.raises(InputError, match=r"the cell must have a volume, line 1 of .*some\.pdb is 'CRYST1"):
        read_one(tmp_path, none.replace("   1.000  90", "   0.000  90"), *water([0, 0, 0]))
    with pytest.raises(InputError, match="CRYST1 must hold three lengths and three angles"):
        read_one(tmp_path, "CRYST1   10.000   *********", *water([0, 0, 0]))


def test_another_orientation_of_the_cell_is_refused(tmp_path):
    cell = "CRYST1   10.000   20.000   40.000  90.00  90.00  90.00 P 1           1"
    rows = [[0.1, 0, 0], [0, 0.05, 0], [0, 0, 0.025]]
    scale = [f"SCALE{i + 1}    " + "".join(f"{x:10.6f}" for x in row) + "        0.00000" for i, row in enumerate(rows)]
    assert read_one(tmp_path, cell, *scale, *water([0, 0, 0])).pbc.all()
    turned = [scale[0], scale[2].replace("SCALE3", "SCALE2"), scale[1].replace("SCALE2", "SCALE3")]
    with pytest.raises(InputError, match=r"SCALE records \(line 2\) of .* say otherwise"):
        read_one(tmp_path, cell, *turned, *water([0, 0, 0]))


def test_models_and_frames(tmp_path):
    one, two = water([0, 0, 0]), [*water([0, 0, 0.5]), *water([5, 0, 0], "2")]
    frames = read_pdb(write(tmp_path, "MODEL        1", *one, "TER", "ENDMDL", "MODEL        2", *two, "ENDMDL"))
    assert [len(atoms) for atoms in frames] == [3, 6]
    assert frames[1].positions[0, 2] == 0.5
    cells = [f"CRYST1   {a}.000   10.000   10.000  90.00  90.00  90.00 P 1           1" for a in (10, 12)]
    frames = read_pdb(write(tmp_path, cells[0], *one, "END", cells[1], *two))
    assert [atoms.cell[0, 0] for atoms in frames] == [10, 12]
    with pytest.raises(InputError, match=r"must have ATOM or HETATM records, .*some\.pdb has none"):
        read_pdb(write(tmp_path, "HEADER    NOTHING"))


def test_bonds_behind_the_models_are_those_of_all(tmp_path):
    one = [*water([0, 0, 0], serials="123", residue="UNL"), *water([3, 0, 0], serials="456", residue="UNL")]
    bonds = ["CONECT    1    2    3", "CONECT    4    5    6"]
    lines = ["MODEL        1", *one, "ENDMDL", "MODEL        2", *one, "ENDMDL"]
    for last in (bonds, ["END", *bonds]):
        frames = read_pdb(write(tmp_path, *lines, *last))
        assert [atoms.arrays["molecule"].tolist() for atoms in frames] == [[0, 0, 0, 1, 1, 1]] * 2


def test_alternatives_are_refused(tmp_path):
    def place(alternate, residue="SER", name="OG", occupancy="1.00"):
        return atom(name, residue, [0, 0, 0], element="O", alternate=alternate, number="5", occupancy=occupancy)

    message = r"atom OG of residue SER 5 of chain A in model 1 of .* has the alternatives A and B; keep one alternative"
    lines = ["MODEL        1", *water([9, 0, 0]), "ENDMDL", "MODEL        2"]
    with pytest.raises(InputError, match=message):
        read_one(tmp_path, *lines, place("A"), place("B"), "ENDMDL")
    with pytest.raises(InputError, match="alternatives A and B"):
        read_one(tmp_path, place("A", "SER"), place("B", "THR", "OG1"))
    with pytest.raises(InputError, match="alternatives blank and B"):
        read_one(tmp_path, place(""), place("B"))
    assert len(read_one(tmp_path, place("A"), place("A", name="O"))) == 2
    with pytest.raises(InputError, match=r"has an occupancy of 0\.6; keep one alternative, for instance A, and set"):
        read_one(tmp_path, place("A", occupancy="0.60"))


def test_occupancies_that_mean_nothing(tmp_path):
    def waters(*occupancies):
        return [atom("O", "HOH", [4 * i, 0, 0], element="O", number=i, occupancy=o) for i, o in enumerate(occupancies)]

    for fine in (("0.00", "0.00"), ("", ""), ("1.00", ""), ("0.00", "")):
        assert len(read_one(tmp_path, *waters(*fine))) == 2
    with pytest.raises(InputError, match=r"residue HOH 0 of chain A in model 0 .* has an occupancy of 0;"):
        read_one(tmp_path, *waters("0.00", "1.00"))
    with pytest.raises(InputError, match=r"must be a number in columns 55–60, and is '1.x'"):
        read_one(tmp_path, *waters("1.x"))


@pytest.mark.parametrize(
    ("name", "residue", "symbol"),
    [
        (" CA ", "ALA", "C"), ("CA  ", "ALA", "C"), ("CA  ", " CA", "Ca"),
        (" CA ", " CA", "Ca"), (" CA ", "LIG", "C"), ("CA  ", "LIG", "Ca"),
        ("1HB ", "ALA", "H"), ("HG11", "VAL", "H"), ("HG  ", "SER", "H"),
        (" HG ", "SER", "H"), ("HG  ", " HG", "Hg"), (" HG ", " HG", "Hg"),
        ("HO5'", " DA", "H"), (" P  ", " DA", "P"), (" SD ", "MET", "S"),
        ("HE21", "GLN", "H"), ("HG11", "LIG", "H"), (" OXT", "ALA", "O"),
        ("NA  ", " NA", "Na"), ("NA+ ", "NA+", "Na"), ("CL- ", "CL-", "Cl"),
        ("Na+ ", "Na+", "Na"), (" K  ", "  K", "K"), ("SOD ", "SOD", "Na"),
        ("CLA ", "CLA", "Cl"), ("ZN  ", " ZN", "Zn"), ("ZN2 ", "ZN2", "Zn"),
        ("FE  ", "HEM", "Fe"), ("CL1 ", "LIG", "Cl"), (" NA ", "HEM", "N"),
        (" C1A", "LIG", "C"), (" D1 ", "DOD", "D"), (" C  ", "  C", "C"),
        (" CB ", "LIG", "C"), (" O5'", "LIG", "O"), ("Cl1 ", "LIG", "Cl"),
    ],
)  # fmt: skip
def test_elements_by_the_columns_of_names(tmp_path, name, residue, symbol):
    aligned = atom(" O  ", "HOH", [9, 9, 9], number="9", element="O")
    atoms = read_one(tmp_path, atom(name, residue, [0, 0, 0]), aligned)
    assert atoms.numbers[0] == {"D": 1}.get(symbol) or atoms.get_chemical_symbols()[0] == symbol
    assert (atoms.get_masses()[0] == 2.01410178) == (symbol == "D")


@pytest.mark.parametrize(
    ("name", "residue"),
    [
        (" MW ", "SOL"), ("EPW ", "WAT"), (" LP1", "LIG"), (" M  ", "HOH"),
        (" CL1", "LIG"), ("HG  ", "LIG"), ("CO12", "LIG"), ("VS1 ", "LIG"),
        (" X1 ", "LIG"), (" T1 ", "LIG"), (" QA ", "GLY"),
    ],
)  # fmt: skip
def test_names_that_tell_no_element_are_refused(tmp_path, name, residue):
    aligned = atom(" O  ", "HOH", [9, 9, 9], number="9", element="O")
    with pytest.raises(
        InputError, match=rf"atom {name.strip()} of residue {residue} 1 .* its name does not tell it; write it into"
    ):
        read_one(tmp_path, aligned, atom(name, residue, [0, 0, 0]))


def test_names_shifted_to_the_left(tmp_path):
    def of(name):
        return read_one(tmp_path, atom(name, "LIG", [0, 0, 0]))

    assert [of(name).get_chemical_formula() for name in ("C1  ", "O   ", "CL1 ", "ZN  ")] == ["C", "O", "Cl", "Zn"]
    with pytest.raises(InputError, match=r"atom CA of residue LIG 1 .* its name does not tell it"):
        of("CA  ")


def test_stated_elements(tmp_path):
    atoms = read_one(
        tmp_path, *(atom(s, "LIG", [3 * i, 0, 0], element=s) for i, s in enumerate(["D", "T", "H", "CL", "Cl"]))
    )
    assert atoms.numbers.tolist() == [1, 1, 1, 17, 17]
    np.testing.assert_allclose(atoms.get_masses()[:3], [2.01410178, 3.01604928, 1.008])
    with pytest.raises(
        InputError, match=r"atom LP of residue LIG 1 of chain A .* states 'LP'; write it into .* remove the atom"
    ):
        read_one(tmp_path, atom("LP", "LIG", [0, 0, 0], element="LP"))
    with pytest.raises(InputError, match="must be of an element of its residue, and states 'CA'"):
        read_one(tmp_path, atom("CA", "ALA", [0, 0, 0], element="CA"))


@pytest.mark.parametrize(("serial", "shift"), [("100000", 1), ("1000000", 2)])
def test_columns_shifted_by_a_long_number_are_refused(tmp_path, serial, shift):
    good = atom("O", "HOH", [1, 2, 3], element="O", serial="99999")
    message = (
        rf"line 2 of .*some\.pdb are shifted by {shift}, behind a number of {5 + shift} digits; number atoms with at"
    )
    with pytest.raises(InputError, match=message):
        read_one(tmp_path, good, good.replace("99999", serial))
    # six digits that take the blank behind them shift nothing
    assert len(read_one(tmp_path, good, good.replace("99999 ", "100000"))) == 2


def test_coordinates_that_overflow_are_refused(tmp_path):
    broken = atom("O", "HOH", [0, 0, 0], element="O").replace("   0.000   0.000", "   0.000********")
    with pytest.raises(
        InputError, match=r"atom O of residue HOH 1 .*\(line 1 of .*\) must have three numbers in columns 31–54"
    ):
        read_one(tmp_path, broken)
    with pytest.raises(InputError, match="must have three numbers"):
        read_one(tmp_path, atom("O", "HOH", [np.nan, 0, 0], element="O"))
    with pytest.raises(InputError, match="must have three numbers"):
        read_one(tmp_path, broken[:40])


def test_ions_hold_no_residue_together(tmp_path):
    """Na⁺ between two waters, all in one residue with names that repeat."""
    symbols = ["NA", "O", "H", "H", "O", "H", "H"]
    positions = [
        (0, 0, 0),
        (2.3, 0, 0),
        (2.88, 0.76, 0),
        (2.88, -0.76, 0),
        (-2.3, 0, 0),
        (-2.88, 0.76, 0),
        (-2.88, -0.76, 0),
    ]
    lines = [
        f"HETATM{n:5d} {symbol:>2s}   UNL A   1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {symbol:>2s}"
        for n, (symbol, (x, y, z)) in enumerate(zip(symbols, positions, strict=True), 1)
    ]
    lines.append("HETATM    8 HE   HE  A   2       9.000   9.000   9.000  1.00  0.00          HE")
    assert "holds several molecules" in read_one(tmp_path, *lines).info["molecules_unclear"]


def test_bonds_by_serial_numbers_are_those_of_the_first_model(tmp_path):
    """Zinc and two waters, which change places in the second model."""

    def model(number, order):
        places = {"ZN": (0, 0, 0), "A": (2.1, 0, 0), "B": (12, 0, 0)}
        yield f"MODEL {number:8d}"
        for serial, key in enumerate(["ZN", *order], 1):
            x, y, z = places[key]
            name, residue, count = ("ZN", " ZN", 1) if key == "ZN" else ("O ", "HOH", 2 + (key == "B"))
            yield (
                f"HETATM{serial:5d} {name:>2s}   {residue} A{count:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          "
                f"{name.strip():>2s}"
            )
        yield "ENDMDL"

    path = tmp_path / "models.pdb"
    path.write_text("\n".join([*model(1, "AB"), *model(2, "BA"), "CONECT    1    2", "END", ""]))
    first, second = read_pdb(path)
    assert first.arrays["molecule"].tolist() == [0, 0, 1]
    assert len(set(second.arrays["molecule"].tolist())) == 3
