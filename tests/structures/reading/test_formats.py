import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.db import connect
from ase.units import Bohr

from bodyorder._checks import InputError
from bodyorder.structures import read_structures
from bodyorder.structures.reading import read_file

POSCAR = "x\n1.0\n5 0 0\n0 5 0\n0 0 5\nH O\n2 1\n{kind}0 0 0 {flags}\n.1 0 0 {flags}\n.2 0 0 {flags}\n"
PLAIN = POSCAR.format(kind="Direct\n", flags="")
GEN = "2 C\nO H\n1 1 0 0 0\n2 2 1 0 0\n"
COORD = "$coord\n0 0 0 o\n1.8 0 0 h\n$end\n"
COM = "#p hf{}\n\ntitle\n\n0 1\nO 0.0 0.0 0.0\nH 0.0 0.0 1.0\n\n"
CUBE = "c\nd\n 1 0 0 0\n {n} 1 0 0\n 2 0 1 0\n {n} 0 0 1\n 1 1 0 0 0.5\n" + "0 " * 8 + "\n"
QE = (
    "&system\n nat=1, ntyp=1, ibrav=0, {}\n/\nATOMIC_SPECIES\nHe 4.0 He.upf\nCELL_PARAMETERS bohr\n9 0 0\n0 9 0\n0 0 9\n"
    "ATOMIC_POSITIONS bohr\nHe 0 0 0\n"
)
CP2K = (
    "&FORCE_EVAL\n&SUBSYS\n&CELL\nA 9 0 0\nB 0 9 0\nC 0 0 9\n&END CELL\n&COORD\nHe 0 0 0\n&END COORD\n"
    "&KIND He\nELEMENT He\n{}\n&END KIND\n&END SUBSYS\n&END FORCE_EVAL\n"
)
CONFIG = "t\n 0 0 2\n{} 1\n 0 0 0\n{} 2\n1 0 0\n"


@pytest.fixture
def read(tmp_path):
    def read_text(name, text):
        (tmp_path / name).write_text(text)
        return read_file(tmp_path / name)

    return read_text


@pytest.mark.parametrize("name", ["a.traj", "a.json", "POSCAR", "a.gen", "coord", "a.traj@1", "POSCAR@2", "mysql.gen"])
def test_what_ase_reads(tmp_path, name):
    atoms = bulk("NaCl", "rocksalt", 5.6) if "POSCAR" in name else molecule("H2O")
    plain = name.split("@")[0].replace("mysql", "a")
    ase.io.write(tmp_path / plain, atoms)
    (tmp_path / plain).rename(tmp_path / name)
    if "@" in name:
        ase.io.write(tmp_path / plain, Atoms("He", cell=[1, 1, 1]))
    (again,) = read_file(tmp_path / name)
    assert again.get_chemical_formula() == atoms.get_chemical_formula()
    np.testing.assert_allclose(again.get_all_distances(), atoms.get_all_distances(), atol=1e-6)


def test_every_frame(tmp_path):
    ase.io.write(tmp_path / "a.traj", [molecule("H2O"), molecule("CH4")])
    assert [len(atoms) for atoms in read_file(tmp_path / "a.traj")] == [3, 5]


@pytest.mark.parametrize(
    ("name", "text", "formula"),
    [
        ("POSCAR", PLAIN, "H2O"),
        ("POSCAR", PLAIN + "\n0 0 0\n0 0 0\n0 0 0\n", "H2O"),
        ("POSCAR", POSCAR.format(kind="Selective dynamics\nDirect\n", flags="T T F"), "H2O"),
        ("a.pwi", QE.format("starting_magnetization(1)=0.0"), "He"),
        ("a.restart", CP2K.format("MAGNETIZATION 0.0"), "He"),
        ("a.gen", GEN, "HO"),
        ("coord", COORD, "HO"),
        ("a.com", COM.format("/6-31g"), "HO"),
        ("a.in", "atom 0 0 0 O\natom 0 0 1 H\n", "HO"),
        ("a.cube", CUBE.format(n=2), "H"),
        ("CONFIG", CONFIG.format("Na+", "O2-"), "NaO"),
    ],
)
def test_what_is_told(read, name, text, formula):
    (atoms,) = read(name, text)
    assert atoms.get_chemical_formula() == formula
    if name == "coord":
        assert atoms.positions[1, 0] == 1.8 * Bohr


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("POSCAR", PLAIN.replace("H O\n", ""), r"reads of a vasp file, .*POSCAR has no line of elements \(as of VASP 4\)"),
        ("POSCAR", PLAIN * 2, r"POSCAR holds several structures; write it as extended XYZ"),
        ("POSCAR", PLAIN.replace("H O", "H Xq"), r"must be made of elements, .*POSCAR names one that there is not: 'Xq'"),
        ("a.gen", GEN * 2, r"a\.gen holds several structures"),
        ("coord", COORD.replace("$coord", "$coord angs"), r"coord gives coordinates that are not in bohr"),
        ("coord", COORD.replace("$end", "$periodic 3\n$end"), r"coord is periodic"),
        ("coord", COORD.replace("$end", "") + COORD, r"coord holds several structures"),
        ("coord", COORD.replace(" h", " q"), r"frame 0 of .*coord must have an element for every atom, atom 1 has none"),
        ("a.com", COM.format(" units=au"), r"a\.com gives coordinates in bohr"),
        ("a.com", COM.format("") + "--Link1--\n" + COM.format(""), r"a\.com holds several structures"),
        ("a.pwi", QE.format("starting_magnetization(1)=0.5"), r"a\.pwi gives moments in fractions of the valence electrons"),
        ("a.restart", CP2K.format("MAGNETIZATION 2"), r"a\.restart gives moments of its kinds of atoms"),
        ("a.nwi", "geometry units au\n h 0 0 0\nend\n", r"read by ASE as nwchem-in, which passes over units, and over atoms"),
        ("a.cube", CUBE.format(n=-2), r"a\.cube gives coordinates that are not in bohr"),
        ("CONFIG", CONFIG.format("OW", "H"), r"frame 0 of .*CONFIG must name atoms by their elements, atom 0 is OW; write"),
        ("CONFIG", CONFIG.format("O", "CA"), r"atom 1 is CA"),
        ("a.g96", "POSITION\n", r"must say their elements and frames, .* ASE as gromos, which takes the first letters"),
        ("xyz.in", "1 1 1 0 0 0\n", r"read by ASE as gpumd, which guesses elements"),
        ("a.nc", "CDF", r"read by ASE as netcdftrajectory, which takes numbers of types for atomic numbers"),
        ("notes.txt", "hello\n", r"structures must be a file whose format is known, .*notes\.txt is not \(\.txt\); write it as"),
        ("notes", "hello\n", r"notes is not \(no suffix\); write it as extended XYZ"),
        ("a.in", "atom 0 0 0 Xq\n", r"must be made of elements, .*a\.in names one that there is not: 'Xq' \(read as aims\)"),
        ("a.xsf", "CRYSTAL\n", r"that ASE reads, .*a\.xsf is not: .* \(RuntimeError of ASE's reader of xsf\)"),
        ("a.res", "TITL x\n", r"that ASE reads, .*a\.res is not: .* \(\w+ of ASE's reader of res\)"),
        ("a.traj", "nothing", r"a\.traj is not: .* \(\w+ of ASE's reader of traj\)"),
    ],
)  # fmt: skip
def test_what_ase_would_guess_or_pass_over(read, name, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(name, text)
    assert "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path):
    with pytest.raises(InputError, match=r"structures must be an existing file, .* is not"):
        read_file(tmp_path)
    (tmp_path / "md.xyz").write_text("1\n\nH 0 0 0\n")
    with pytest.raises(InputError, match=r"structures must be an existing file, .*md\.xyz@1 is not"):
        read_file(tmp_path / "md.xyz@1")


@pytest.mark.parametrize("name", ["ions.db", "ions.json"])
def test_what_rows_of_a_database_say_beside_their_structures(tmp_path, name):
    with connect(tmp_path / name) as database:
        database.write(molecule("OH"), total_charge=-1)
        database.write(molecule("H2O"), total_charge=0, source="water")
    with pytest.raises(InputError, match=r"structure 0 of .*total_charge=-1 and its initial charges add up to 0"):
        read_structures(tmp_path / name)
    assert read_file(tmp_path / name)[1].info["source"] == "water"


def test_a_reader_that_fails_without_a_word_on_the_file(tmp_path):
    path = tmp_path / "a.dat"
    path.write_text("3\n\nO 0 0 0\nH 0 0 1\nH 0 1 0\n")
    with pytest.raises(InputError, match=r"a.dat is not: by its name or beginning it is .*; rename it, or write it as"):
        read_file(path)
