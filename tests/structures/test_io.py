import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from bodyorder._checks import InputError
from bodyorder.structures import read_structures, write_structures
from bodyorder.structures.io import structure_names


def test_round_trip(tmp_path):
    frames = [molecule("H2O"), molecule("CH4")]
    frames[0].info["group"] = "low"
    path = write_structures(tmp_path / "frames.xyz", frames)
    again = read_structures(path)
    assert [len(atoms) for atoms in again] == [3, 5]
    assert again[0].info["group"] == "low"
    np.testing.assert_allclose(again[1].positions, frames[1].positions, atol=1e-8)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["frames.cif", "frames.traj", "frames.json", "POSCAR"])
def test_other_formats(tmp_path, name):
    atoms = molecule("H2O", vacuum=4)
    atoms.pbc = name == "frames.cif" or name == "POSCAR"
    ase.io.write(tmp_path / name, atoms)
    if atoms.pbc.any():
        with pytest.raises(InputError, match="must be a free cluster, and is periodic"):
            read_structures(tmp_path / name)
    else:
        assert read_structures(tmp_path / name)[0].get_chemical_formula() == "H2O"


def test_missing_empty_and_unreadable(tmp_path):
    with pytest.raises(InputError, match=r"structures must be an existing file, .*nothing\.xyz is not"):
        read_structures(tmp_path / "nothing.xyz")
    (tmp_path / "empty.xyz").touch()
    with pytest.raises(InputError, match=r"empty\.xyz is empty"):
        read_structures(tmp_path / "empty.xyz")
    (tmp_path / "prose.xyz").write_text("Call me Ishmael.\n")
    with pytest.raises(InputError, match=r"must be a file that ASE reads, .*prose\.xyz is not: "):
        read_structures(tmp_path / "prose.xyz")
    with pytest.raises(InputError, match="must hold at least one structure"):
        read_structures([])


def test_structures_that_make_no_sense():
    with pytest.raises(InputError, match="structure 1 of structures must have atoms"):
        read_structures([molecule("H2"), Atoms()])
    with pytest.raises(InputError, match="atoms 1 and 2 are on one spot"):
        read_structures(Atoms("H3", positions=[[0, 0, 0], [1, 0, 0], [1, 0, 1e-5]]))
    with pytest.raises(InputError, match="must have finite positions"):
        read_structures(Atoms("H", positions=[[np.nan, 0, 0]]))
    with pytest.raises(InputError, match="must be a free cluster"):
        read_structures(bulk("Cu"))
    with pytest.raises(InputError, match=r"must be an ase\.Atoms, got str"):
        read_structures(["H2"])


def test_output_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="must go to a file that can be written"):
        write_structures(tmp_path / "no" / "frames.xyz", [molecule("H2")])


def test_names():
    frames = [molecule("H2"), molecule("H2")]
    assert structure_names(frames) == ["0", "1"]
    frames[0].info["name"], frames[1].info["name"] = "a", "b"
    assert structure_names(frames) == ["a", "b"]
    frames[1].info["name"] = "a"
    assert structure_names(frames) == ["0", "1"]
