import gzip
import re

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyorder._checks import InputError
from bodyorder.structures.reading import read_file

H3 = "H 0 0 0\nH .74 0 0\nH 3 0 0\n"
H2 = "H 0 0 0\nH 0.74 0 0\n"


@pytest.fixture
def read(tmp_path):
    def read_text(text, name="a.xyz"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_file(tmp_path / name)

    return read_text


@pytest.mark.parametrize("between", ["", "\n", "\n\n\n", "  \n\t\n", "\r\n"])
@pytest.mark.parametrize("comment", ["", "   ", "a comment"])
def test_frames_are_told_apart_by_their_number_of_atoms(read, between, comment):
    frame = f"3\n{comment}\n{H3}"
    frames = read(frame + between + frame.replace("H 3", "H 4") + between)
    assert [len(atoms) for atoms in frames] == [3, 3]
    assert [atoms.positions[2, 0] for atoms in frames] == [3, 4]
    assert all(atoms.info == ({"comment": comment} if comment.strip() else {}) for atoms in frames)


@pytest.mark.parametrize("encode", [
    lambda text: text.replace("\n", "\r\n").encode(),
    lambda text: text.replace("\n", "\r").encode(),
    lambda text: text.replace(" ", "\t").encode(),
    lambda text: "".join(f"  {line}   \n" for line in text.splitlines()).encode(),
    lambda text: text.encode("utf-8-sig"),
    lambda text: text.encode("utf-16"),
    lambda text: text.rstrip().encode(),
    lambda text: text.replace("x", "Å").encode("latin-1"),
])  # fmt: skip
def test_line_ends_and_spaces(read, encode):
    (atoms,) = read(encode(f"3\nx\n{H3}"))
    assert atoms == Atoms("H3", positions=[[0, 0, 0], [0.74, 0, 0], [3, 0, 0]])


@pytest.mark.parametrize(
    "name", ["a.xyz", "A.XYZ", "a.extxyz", "a.xyz.gz", "md.xyz@1", "run@300K.xyz", "GAMESS.xyz", "frames"]
)
def test_names(tmp_path, name):
    """What a file is called decides; what it is called after an @ does not, nor a neighbour."""
    (tmp_path / "md.xyz").write_text(f"3\n\n{H3}")
    text = f"2\n{'from GAMESS' if '.' in name else ''}\n{H2}".encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    (atoms,) = read_file(tmp_path / name)
    assert len(atoms) == 2


def test_a_broken_archive(tmp_path):
    (tmp_path / "a.xyz.gz").write_bytes(gzip.compress(b"2\n\n" + H2.encode() * 9)[:20])
    with pytest.raises(
        InputError, match=r"must be a file that can be read, .*a\.xyz\.gz cannot: Compressed file ended"
    ):
        read_file(tmp_path / "a.xyz.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4\n\n" + H3, r"frame 0 of .*, line 1 must have 4 atoms, and the file ends after 3, it is cut short"),
        ("2\n\n" + H2 + "\n3\n\n" + H2, r"frame 1 of .*, line 6 must have 3 atoms, and the file ends after 2"),
        ("3", r"line 1 must have 3 atoms, and the file ends after 0"),
        ("two\n\n" + H2, r"frame 0 of .*, line 1 must begin with its number of atoms, found 'two'"),
        ("-1\n\n", r"line 1 must begin with its number of atoms, found '-1'"),
        ("2.0\n\n" + H2, r"must begin with its number of atoms, found '2\.0'"),
        ("1\n\n" + H2, r"frame 1 of .*, line 4 must begin with its number of atoms, found 'H 0\.74 0 0'"),
        ("3\n\nH 0 0 0\n\nH 1 0 0\nH 2 0 0\n", r"line 4 must have 4 columns for each atom, atom 1 has ''"),
        ("2\n\nH 0 0 0\nH 1 0\n", r"frame 0 of .*, line 4 must have 4 columns for each atom, atom 1 has 'H 1 0'"),
        ("2\n\nH 0 0 0\nH 1 o 0\n", r"line 4 must have a number for every value of positions, atom 1 has 'o'"),
        ("1\nProperties=species:S:1:pos:R:3\nH 0 0 0 7\n", r"line 3 must have 4 columns for each atom, atom 0 has"),
        ("1\nProperties=species:S:1:pos:R:3:tags:I:1\nH 0 0 0 1.5\n", r"an integer for every value of tags, .* '1\.5'"),
        ("1\nProperties=species:S:1:pos:R:3:on:L:1\nH 0 0 0 yes\n", r"T or F for every value of on, atom 0 has 'yes'"),
        ("1\nProperties=species:S:1:pos:R:3:masses:S:1\nH 0 0 0 1\n", r"line 2 must have numbers as masses, 1 for each"),
        ("1\nProperties=species:S:1:pos:R:3:momenta:R:2\nH 0 0 0 1 1\n", r"must have numbers as momenta, 3 for each"),
        ("1\nProperties=species:S:1:pos:R\nH 0 0 0\n", r"line 2 must have Properties such as .* are no row of name:type"),
        ("1\nProperties=species:Q:1:pos:R:3\nH 0 0 0\n", r"have species:Q, and types are R, I, S and L"),
        ("1\nProperties=species:S:x:pos:R:3\nH 0 0 0\n", r"have a width of 'x'"),
        ("1\nProperties=species:S:1:f:R:3\nH 0 0 0\n", r"lack pos:R:3"),
        ("1\nProperties=pos:R:3\n0 0 0\n", r"lack species:S:1"),
        ("1\nProperties=pos:R:3:species:S:1:a:I:1:a:I:1\n0 0 0 H 1 1\n", r"name a column twice"),
        ("1\nProperties=species:S:1:Z:I:1:pos:R:3\nH 2 0 0 0\n", r"line 3 must have one element .* atom 0 is H and 2"),
        ("1\n\nH 0 0 0\nVEC2 1 0 0\n", r"line 4 must have vectors VEC1, VEC2, … of three numbers, found 'VEC2 1 0 0'"),
        ("1\nLattice='1 1 1'\nH 0 0 0\nVEC1 1 0 0\n", r"line 4 must have one cell, it has a Lattice and lines VEC"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(read, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_numbers_of_fortran(read):
    (atoms,) = read("1\n\nH 1.0D+00 -2.5d-1 1.D0\n")
    assert atoms.positions.tolist() == [[1, -0.25, 1]]


def test_no_frames(read):
    assert read("\n  \n\n") == []
    assert [len(atoms) for atoms in read("0\n\n")] == [0]


def test_columns_in_any_order_and_case(read):
    (atoms,) = read("2\nPROPERTIES=Pos:R:3:kind:S:1:Species:s:1:on:L:1:n:I:2\n0 0 0 a Cl T 1 2\n1 0 0 b H F 3 4\n")
    assert atoms.get_chemical_formula() == "HCl"
    assert atoms.positions.tolist() == [[0, 0, 0], [1, 0, 0]]
    assert atoms.arrays["kind"].tolist() == ["a", "b"]
    assert atoms.arrays["on"].tolist() == [True, False]
    assert atoms.arrays["n"].tolist() == [[1, 2], [3, 4]]


def test_more_columns_than_a_plain_file_needs(read):
    (atoms,) = read("1\n\nO 0 0 0 -0.8 x\n")
    assert set(atoms.arrays) == {"numbers", "positions"}
    assert atoms.info == {"unnamed_columns": 2}
    assert read("1\n\nO 0 0 0\n")[0].info == {}


def test_lattice_vectors_after_the_atoms(read):
    frames = read("1\nADF\nH 0 0 0\nVEC1 3 0 0\nVEC2 1 3 0\n1\n\nH 0 0 0\n")
    assert frames[0].cell.array.tolist() == [[3, 0, 0], [1, 3, 0], [0, 0, 0]]
    assert frames[0].pbc.tolist() == [True, True, False]
    assert not frames[1].pbc.any()


def results(atoms):
    return {} if atoms.calc is None else atoms.calc.results


def assert_same(ours, theirs):
    assert ours == theirs
    for mine, other in ((ours.info, theirs.info), (ours.arrays, theirs.arrays), (results(ours), results(theirs))):
        assert mine.keys() == other.keys()
        for key, value in other.items():
            np.testing.assert_array_equal(mine[key], value, err_msg=key)
    assert str(ours.constraints) == str(theirs.constraints)


def rich_frames():
    atoms = molecule("CH3CH2OH")
    atoms.set_initial_charges(np.linspace(-1, 1, 9))
    atoms.set_initial_magnetic_moments(np.arange(9.0))
    atoms.set_tags(range(9))
    atoms.set_momenta(atoms.positions)
    atoms.set_constraint(FixAtoms([1, 2]))
    atoms.info = {
        "name": 'an "alcohol"',
        "group": "low",
        "n": 3,
        "x": 1e-7,
        "v": np.arange(4.0),
        "on": True,
        "off": False,
    }
    atoms.info |= {
        "tree": {"a": [1, 2]},
        "flags": [True, False],
        "uid": "0012",
        "date": "2024-01-02",
        "virial": np.eye(3) * 2,
    }
    atoms.arrays["label"] = np.array(["a"] * 9)
    stress = np.array([1, 2, 3, 4, 5, 6.0])
    forces = np.ones((9, 3))
    atoms.calc = SinglePointCalculator(
        atoms, energy=-1.5, forces=forces, stress=stress, dipole=[0, 0, 1], charges=np.zeros(9)
    )
    crystal = bulk("NaCl", "rocksalt", 5.6)
    slab = crystal.copy()
    slab.pbc = [True, True, False]
    return [atoms, crystal, slab, Atoms("H")]


def test_as_ase_has_it(tmp_path):
    """What ASE writes as extended XYZ is read as ASE's own reader reads it."""
    ase.io.write(tmp_path / "a.xyz", rich_frames(), format="extxyz")
    ours, theirs = read_file(tmp_path / "a.xyz"), ase.io.read(tmp_path / "a.xyz", ":")
    assert len(ours) == len(theirs) == 4
    assert {"energy", "forces", "stress", "dipole", "charges"} <= results(ours[0]).keys()
    for mine, other in zip(ours, theirs, strict=True):
        assert_same(mine, other)


VALUES = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text("abcXYZ 019_-+.,;:()/'", min_size=1, max_size=15).filter(
        # for Python, and so for ASE, 1_0 is a number
        lambda text: text.strip() == text == text.rstrip(",;") and not re.search(r"\d_\d", text)
    ),
    st.lists(st.integers(-99, 99), min_size=2, max_size=5).map(np.array),
)


@settings(max_examples=150, deadline=None)
@given(info=st.dictionaries(st.from_regex(r"k_[a-z]{1,6}", fullmatch=True), VALUES, max_size=4))
def test_any_pairs_that_ase_writes(info, tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "a.xyz"
    ase.io.write(path, Atoms("H", info=info), format="extxyz")
    (mine,), other = read_file(path), ase.io.read(path)
    assert_same(mine, other)


def test_types_of_lammps_are_no_atomic_numbers(tmp_path):
    path = tmp_path / "dump.xyz"
    path.write_text("2\nAtoms. Timestep: 0\n1 0 0 0\n2 0 0 1\n")
    with pytest.raises(InputError, match=r"must name elements, its first column has types of LAMMPS"):
        read_file(path)
    path.write_text("2\nAtoms. Timestep: 0\nO 0 0 0\nH 0 0 1\n")
    assert read_file(path)[0].get_chemical_symbols() == ["O", "H"]
