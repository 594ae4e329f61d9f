import numpy as np
import pytest
from ase.data import atomic_masses

from bodyorder._checks import InputError
from bodyorder.structures.reading import read_file
from bodyorder.structures.reading.labels import find_elements


@pytest.fixture
def read(tmp_path):
    def read_labels(*labels):
        lines = "".join(f"{label} {index} 0 0\n" for index, label in enumerate(labels))
        (tmp_path / "a.xyz").write_text(f"1\n\nH 0 0 0\n{len(labels)}\n\n{lines}")
        return read_file(tmp_path / "a.xyz")[1]

    return read_labels


def test_symbols_in_any_case(read):
    assert read("cl", "CL", "Cl", "c", "C", "Ca", "BR", "fe").get_chemical_symbols() == [
        "Cl",
        "Cl",
        "Cl",
        "C",
        "C",
        "Ca",
        "Br",
        "Fe",
    ]


def test_isotopes_of_hydrogen_keep_their_mass(read):
    atoms = read("O", "D", "d", "T", "H")
    assert atoms.get_chemical_symbols() == ["O", "H", "H", "H", "H"]
    np.testing.assert_allclose(atoms.get_masses(), [atomic_masses[8], 2.014, 2.014, 3.016, atomic_masses[1]], atol=5e-4)
    assert "masses" not in read("O", "H").arrays


def test_masses_of_the_file_win(tmp_path):
    (tmp_path / "a.xyz").write_text("1\nProperties=species:S:1:pos:R:3:masses:R:1\nD 0 0 0 2.5\n")
    assert read_file(tmp_path / "a.xyz")[0].get_masses().tolist() == [2.5]


def test_ghosts_stay(read):
    assert read("X", "O").numbers.tolist() == [0, 8]


def test_atomic_numbers(read):
    assert read("8", "1", "17").get_chemical_symbols() == ["O", "H", "Cl"]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["H", "C1"], r"'C1' is no element \(atom 1\)"),
        (["OW", "H"], r"'OW' is no element \(atom 0\)"),
        (["N", "CA"], r"'CA' may be Ca or the name of an atom of another element \(atom 1\)"),
        (["ca"], r"'ca' may be Ca"),
        (["8", "H"], r"'8' is no element \(atom 0\)"),
        (["8", "0"], r"'0' is no atomic number \(atom 1\)"),
        (["119"], r"'119' is no atomic number"),
        (["x"], r"'x' is no element"),
        (["Xq"], r"'Xq' is no element"),
        (["Na+"], r"'Na\+' is no element"),
    ],
)
def test_what_is_no_element(read, labels, reason):
    line = 6 + int(reason[-3]) if reason.endswith(r"\)") else 6
    with pytest.raises(InputError, match=rf"frame 1 of .*, line {line} must have an element for every atom, {reason}"):
        read(*labels)


def test_shared_arrays_are_not_handed_out(read):
    first = read("H", "O")
    first.numbers[:] = 5
    assert read("H", "O").get_chemical_symbols() == ["H", "O"]
    assert find_elements(("H", "O"))[0].tolist() == [1, 8]
