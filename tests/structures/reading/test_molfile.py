import numpy as np
import pytest
from rdkit import Chem

from bodyorder._checks import InputError
from bodyorder.structures import find_bodies, read_structures
from bodyorder.structures.reading.molfile import read_molfile


def table(atoms, bonds=(), properties=(), title="", program="  anyone  0101010000", dimensions="3D"):
    """A V2000 record; atoms are (symbol, position) or (symbol, position, charge code, mass difference)."""
    lines = [title, f"{program}{dimensions}", "", f"{len(atoms):3d}{len(bonds):3d}  0  0  0  0  0  0  0  0999 V2000"]
    for symbol, position, *codes in atoms:
        code, mass = [*codes, 0, 0][:2]
        lines.append("".join(f"{x:10.4f}" for x in position) + f" {symbol:<3}{mass:2d}{code:3d}" + "  0" * 10)
    lines += ["".join(f"{number:3d}" for number in (*bond, 0)) for bond in bonds]
    return "\n".join([*lines, *properties, "M  END"]) + "\n"


def modern(atoms, bonds=(), more=()):
    lines = ["", "  anyone  01010100003D", "", "  0  0  0     0  0            999 V3000"]
    body = [
        "BEGIN CTAB",
        f"COUNTS {len(atoms)} {len(bonds)} 0 0 0",
        "BEGIN ATOM",
        *atoms,
        "END ATOM",
        "BEGIN BOND",
        *bonds,
        "END BOND",
    ]
    return "\n".join([*lines, *(f"M  V30 {line}" for line in (*body, *more, "END CTAB")), "M  END"]) + "\n"


def write(path, *records, end="$$$$\n"):
    path = path / "some.sdf"
    path.write_text(end.join(records))
    return path


def read_one(path, record):
    (atoms,) = read_molfile(write(path, record))
    return atoms


HYDROXYL = [("O", (0, 0, 0.1)), ("H", (0.97, 0, 0))]
IONS = [("Na", (0, 0, 0)), ("Cl", (2.4, 0, 1)), ("O", (5, 0, 0)), ("H", (5.9, 0, 0))]


def test_a_record_as_rdkit_writes_and_reads_it(tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("CC[NH2+]CC(=O)[O-].[K+]"))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    places = np.round(np.random.default_rng(1).normal(size=(mol.GetNumAtoms(), 3)) * 5, 4)
    for row, place in enumerate(places):
        conformer.SetAtomPosition(row, place.tolist())
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    for force in (False, True):
        atoms = read_one(tmp_path, Chem.MolToMolBlock(mol, forceV3000=force))
        assert atoms.numbers.tolist() == [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        assert atoms.get_initial_charges().tolist() == [atom.GetFormalCharge() for atom in mol.GetAtoms()]
        np.testing.assert_allclose(atoms.positions, places, atol=1e-9)
        fragments = {frozenset(fragment) for fragment in Chem.GetMolFrags(mol)}
        labels = atoms.arrays["molecule"]
        assert {frozenset(np.flatnonzero(labels == label).tolist()) for label in range(labels.max() + 1)} == fragments


def test_charges_of_properties(tmp_path):
    atoms = read_one(tmp_path, table(IONS, [(3, 4, 1)], ["M  CHG  3   1   1   2  -1   3  -1"]))
    assert atoms.get_initial_charges().tolist() == [1, -1, -1, 0]
    assert atoms.arrays["molecule"].tolist() == [0, 1, 2, 2]
    assert not read_one(tmp_path, table(HYDROXYL, [(1, 2, 1)])).has("initial_charges")


def test_charge_codes_of_atom_lines(tmp_path):
    coded = [("Fe", (3 * code, 0, 1), code) for code in range(8)]
    atoms = read_one(tmp_path, table(coded))
    assert atoms.get_initial_charges().tolist() == [0, 3, 2, 1, 0, -1, -2, -3]
    assert atoms.get_initial_magnetic_moments().tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    # a property line replaces all of them
    atoms = read_one(tmp_path, table(coded, properties=["M  CHG  1   2   1"]))
    assert atoms.get_initial_charges().tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert not atoms.has("initial_magmoms")
    with pytest.raises(
        InputError, match=r"charge code of atom 0 of record 0 of .*some\.sdf must be between 0 and 7, and is 9"
    ):
        read_one(tmp_path, table([("Fe", (0, 0, 1), 9)]))


def test_radicals(tmp_path):
    atoms = [("C", (3 * row, 0, 1)) for row in range(4)]
    read = read_one(tmp_path, table(atoms, properties=["M  RAD  3   1   1   2   2   3   3"]))
    assert read.get_initial_magnetic_moments().tolist() == [0, 1, 2, 0]
    singlet = read_one(tmp_path, table(atoms, properties=["M  RAD  1   1   1"]))
    assert not singlet.has("initial_magmoms")
    with pytest.raises(InputError, match=r"RAD of atom 1 of record 0 .* must be 0, 1 \(singlet\), .* and is 4"):
        read_one(tmp_path, table(atoms, properties=["M  RAD  1   2   4"]))
    with pytest.raises(InputError, match="must have pairs of atoms and values behind M  RAD"):
        read_one(tmp_path, table(atoms, properties=["M  RAD  2   2   4"]))


def test_v3000(tmp_path):
    atoms = [
        "7 O 0.5 0 0.1 0 CHG=-1",
        "3 C 1.123456789 -",
        "0 0 0 RAD=3",
        "1 N 5 0 0 0 CHG=1 RAD=2",
        "9 H 6 0 0 0 MASS=2",
    ]
    read = read_one(tmp_path, modern(atoms, ["1 1 7 3", "2 10 3 1", "3 1 1 9"]).replace("COUNTS 5", "COUNTS 4"))
    assert read.get_chemical_symbols() == ["O", "C", "N", "H"]
    assert read.get_initial_charges().tolist() == [-1, 0, 1, 0]
    assert read.get_initial_magnetic_moments().tolist() == [0, 2, 1, 0]
    assert read.positions[1, 0] == 1.123456789
    assert read.get_masses()[3] == 2.01410178
    # a hydrogen bond (type 10) joins nothing
    assert read.arrays["molecule"].tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match="must have as many atoms as its COUNTS say, and has 1"):
        read_one(tmp_path, modern(["1 O 0 0 0 0"]).replace("COUNTS 1", "COUNTS 2"))
    with pytest.raises(InputError, match=r"bonds of record 0 .* must be between its atoms"):
        read_one(tmp_path, modern(["1 O 0 0 0 0"], ["1 1 1 2"]))


def test_molecules_without_any_bond(tmp_path):
    """Ions are alone; of neutral atoms the file says nothing."""
    salt = read_one(tmp_path, table(IONS[:2], properties=["M  CHG  2   1   1   2  -1"]))
    assert salt.arrays["molecule"].tolist() == [0, 1]
    assert "molecule" not in read_one(tmp_path, table(HYDROXYL)).arrays


def test_bonds_that_leave_out_a_hydrogen_are_unclear(tmp_path):
    atoms = read_one(tmp_path, table([*HYDROXYL, ("H", (0, 0.97, 0)), *HYDROXYL], [(1, 2, 1), (4, 5, 1)]))
    assert "molecule" not in atoms.arrays
    assert atoms.info["molecules_unclear"] == "the bonds of its file leave hydrogen 2 without one"
    proton = ("H", (9, 0, 0), 3)
    assert read_one(tmp_path, table([*HYDROXYL, proton], [(1, 2, 1)])).arrays["molecule"].tolist() == [0, 0, 1]


def test_all_records_with_titles_and_data(tmp_path):
    data = "> <charge>\n-1\n\n>  <energy>  (3)\n-1.5e-3\n\n> <code>\n0012\n\n> <lines>\na\nb\n\n"
    path = write(
        tmp_path, table(HYDROXYL, [(1, 2, 1)], title="first") + data, table(HYDROXYL, [(1, 2, 1)]), table(IONS)
    )
    frames = read_molfile(path)
    assert [len(atoms) for atoms in frames] == [2, 2, 4]
    assert frames[0].info == {"name": "first", "charge": -1, "energy": -1.5e-3, "code": "0012", "lines": "a\nb"}
    assert frames[1].info == {}
    path.write_text(path.read_text() + "$$$$\n\n")
    assert len(read_molfile(path)) == 3


def test_heavy_hydrogen(tmp_path):
    atoms = [("D", (0, 0, 0)), ("T", (2, 0, 1)), ("H", (4, 0, 0)), ("H", (6, 0, 0), 0, 1), ("H", (8, 0, 0))]
    read = read_one(tmp_path, table(atoms, properties=["M  ISO  1   5   3"]))
    assert read.numbers.tolist() == [1] * 5
    np.testing.assert_allclose(read.get_masses(), [2.01410178, 3.01604928, 1.008, 2.01410178, 3.01604928])


@pytest.mark.parametrize("symbol", ["*", "R#", "A", "Q", "LP", "X", ""])
def test_what_is_no_element_is_refused(tmp_path, symbol):
    message = rf"atom 1 of record 1 of .*some\.sdf is '{symbol.replace('*', '[*]')}'; replace it"
    with pytest.raises(InputError, match=message):
        read_molfile(write(tmp_path, table(IONS), table([("C", (0, 0, 1)), (symbol, (2, 0, 0))])))


def test_drawings_are_refused_and_planar_molecules_are_not(tmp_path):
    flat = [(symbol, (x, y, 0)) for symbol, (x, y, _) in HYDROXYL]
    with pytest.raises(InputError, match=r"record 0 of .* must have coordinates in space, and holds a drawing \(2D\)"):
        read_one(tmp_path, table(flat, dimensions="2D"))
    assert len(read_one(tmp_path, table(flat))) == 2
    assert len(read_one(tmp_path, table(flat, dimensions=""))) == 2
    assert len(read_one(tmp_path, table(HYDROXYL, dimensions="2D"))) == 2
    assert len(read_one(tmp_path, table(flat[:1], dimensions="2D"))) == 1


def test_broken_records_are_named(tmp_path):
    good = table(HYDROXYL)
    overflow = good.replace("    0.9700", "  ********")
    with pytest.raises(InputError, match=r"a coordinate of atom 1 of record 1 of .* must be a number .* and is '\*+'"):
        read_molfile(write(tmp_path, good, overflow))
    with pytest.raises(InputError, match=r"a coordinate of atom 1 of record 0 .* must be finite"):
        read_one(tmp_path, good.replace("    0.9700", "       nan"))
    with pytest.raises(InputError, match=r"record 0 .* must have 2 atoms and 0 bonds, and ends before"):
        read_one(tmp_path, "\n".join(good.split("\n")[:5]))
    with pytest.raises(InputError, match=r"the counts \(line 4\) of record 0 .* must be a number"):
        read_one(tmp_path, good.replace("  2  0", "  x  0"))
    with pytest.raises(InputError, match=r"bond 0 of record 0 .* must be between two of its 2 atoms, it names 1, 3"):
        read_one(tmp_path, table(HYDROXYL, [(1, 3, 1)]))
    with pytest.raises(InputError, match=r"record 0 .* must have atoms, and has none"):
        read_one(tmp_path, table([]))
    with pytest.raises(InputError, match=r"record 0 .* must have four lines before its atoms"):
        read_one(tmp_path, "a\nb\n")
    with pytest.raises(InputError, match=r"must have records, .*some\.sdf has none"):
        read_one(tmp_path, "\n\n")


def test_one_molecule_is_one_however_far_its_atoms(tmp_path):
    """HCl of 2.2 Å, as the bond of its file has it."""
    lines = ["", "", "", "  2  1  0  0  0  0            999 V2000"]
    lines += [
        "    0.0000    0.0000    0.0000 H   0  0",
        "    2.2000    0.0000    0.0000 Cl  0  0",
        "  1  2  1  0",
        "M  END",
        "",
    ]
    path = tmp_path / "hcl.mol"
    path.write_text("\n".join(lines))
    (atoms,) = read_structures(path)
    assert find_bodies(atoms, "molecules").labels.tolist() == [0, 0]
