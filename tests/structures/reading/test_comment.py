import numpy as np
import pytest

from bodyorder._checks import InputError
from bodyorder.structures.reading.comment import parse_comment

BOX = 'Lattice="5 0 0 0 5 0 0 0 5"'


@pytest.mark.parametrize(
    ("comment", "info"),
    [
        ("HCl ion pair, charge 0, multiplicity 1", {"comment": "HCl ion pair, charge 0, multiplicity 1"}),
        ("charge", {"comment": "charge"}),
        ("T", {"comment": "T"}),
        ('Bob\'s "best" [water]', {"comment": 'Bob\'s "best" [water]'}),
        ("water dimer charge=1 note", {"charge": 1, "comment": "water dimer note"}),
        ("charge=1, mult=2", {"charge": 1, "mult": 2}),
        ("charge=1; mult=2;", {"charge": 1, "mult": 2}),
        ("charge=-1,mult=2", {"charge": -1, "mult": 2}),
        ("(charge=1)", {"charge": 1}),
        ("# charge=+1", {"charge": 1, "comment": "#"}),
        ("charge = 1 mult = 2", {"charge": 1, "mult": 2}),
        ("E = -76.4 a.u.", {"E": -76.4, "comment": "a.u."}),
        ("d(O-H) = 0.96 Å, RHF", {"d(O-H)": 0.96, "comment": "Å, RHF"}),
        ("name='a b' other=\"c d\" third={e f}", {"name": "a b", "other": "c d", "third": "e f"}),
        ("config=a=b", {"config": "a=b"}),
        ("charge=", {"charge": ""}),
        ("comment='a b' c", {"comment": "a b c"}),
        ("on=T off=False word=t", {"on": True, "off": False, "word": "t"}),
        ("name=1_000", {"name": "1_000"}),
    ],
)
def test_pairs_and_words(read, comment, info):
    atoms = read(comment)
    assert atoms.info == info
    assert atoms.get_chemical_symbols() == ["H", "Cl"]
    assert not atoms.pbc.any()


def test_results_beside_words(read):
    atoms = read("energy=-1.5 eV")
    assert atoms.get_potential_energy() == -1.5
    assert atoms.info == {"comment": "eV"}
    assert read("energy=low").info == {"energy": "low"}


@pytest.mark.parametrize("comment", [
    BOX, BOX.lower(), BOX.upper(), BOX.replace('"', "'"), "Lattice='5 5 5'", 'lattice="[5, 0, 0, 0, 5, 0, 0, 0, 5]"',
    "Lattice=[[5, 0, 0], [0, 5, 0], [0, 0, 5]]", "Lattice={5 0 0 0 5 0 0 0 5}", 'Lattice="5.0D+00 5d0 5"',
])  # fmt: skip
def test_keys_of_the_format_in_any_case(read, comment):
    atoms = read(comment)
    np.testing.assert_array_equal(atoms.cell, np.eye(3) * 5)
    assert atoms.pbc.all()
    assert atoms.info == {}


def test_lattice_vectors_are_rows(read):
    assert read('Lattice="5 0 0 1 6 0 2 3 7"').cell.array.tolist() == [[5, 0, 0], [1, 6, 0], [2, 3, 7]]


@pytest.mark.parametrize("key", ["pbc", "PBC", "Pbc"])
@pytest.mark.parametrize(
    ("value", "directions"),
    [
        ('"T T F"', [True, True, False]),
        ("'1 1 0'", [True, True, False]),
        ('"True True False"', [True, True, False]),
        ('"TRUE true F"', [True, True, False]),
        ('"[True, True, False]"', [True, True, False]),
        ("[T, T, F]", [True, True, False]),
        ("{T T F}", [True, True, False]),
        ('"T,T,F"', [True, True, False]),
        ("true", [True, True, True]),
        ("F", [False, False, False]),
        ("0", [False, False, False]),
    ],
)
def test_periodic_directions(read, key, value, directions):
    assert read(f"{BOX} {key}={value}").pbc.tolist() == directions


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        (BOX + ' pbc="T T"', r'frame 0 of .*, line 2 must have a pbc such as "T T F", its comment has pbc=\'T T\''),
        (BOX + " pbc=maybe", r"its comment has pbc='maybe'"),
        (BOX + ' pbc="2 1 0"', r"its comment has pbc='2 1 0'"),
        (BOX + " pbc=", r"its comment has pbc=''"),
        (BOX + " pbc=T T F", r"must have quotation marks around its pbc"),
        (BOX + " pbc=[T, T", r"must close its quotation marks and brackets, its comment has '\[T, T'"),
        ('Lattice="5 5"', r"must have a Lattice of 9 or 3 numbers in quotation marks, its comment has '5 5'"),
        ("Lattice=5 0 0 0 5 0 0 0 5", r"must have a Lattice of 9 or 3 numbers in quotation marks, its comment has '5'"),
        ('Lattice="5 0 0 0 b 0 0 0 5"', r"must have a Lattice of 9 or 3 numbers"),
        ('Lattice="5 0 0', r"must close its quotation marks and brackets"),
        ("charge=1 charge=2", r"must name charge once, its comment has '1' and '2'"),
        (BOX + ' lattice="6 6 6"', r"must name Lattice once"),
        ("stress=high", r"must have a stress of 9 or 6 numbers, its comment has stress='high'"),
        ("units=bohr", r"must have lengths in Å, its comment has units='bohr'; convert its positions and cell"),
    ],
)
def test_what_cannot_be_read(read, comment, message):
    with pytest.raises(InputError, match=message):
        read(comment)


def test_long_comments_are_quick():
    assert parse_comment("a" * 100_000 + " x=1").pairs == {"x": 1}
    assert parse_comment("[" * 2000 + " x=1").pairs == {"x": 1}
