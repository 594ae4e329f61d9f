import errno
import os
import stat
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from bodyorder._checks import ComputationError, InputError
from bodyorder._files import replacing
from bodyorder.structures import ClusterBatch, System, read_structures, write_structures
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
    with pytest.raises(
        InputError,
        match=r"frame 0 of .*prose\.xyz, line 1 must begin with its number of atoms, found 'Call me Ishmael\.'",
    ):
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


@pytest.mark.parametrize("charge", [1, -1.0, "+1"])
def test_a_charge_that_no_body_has(charge):
    atoms = molecule("OH")
    atoms.info["charge"] = charge
    message = (
        r"^structure 0 of structures must name the charge of each body by initial charges [^\n]*has charge=[^\n]* 0$"
    )
    with pytest.raises(InputError, match=message):
        read_structures(atoms)
    atoms.set_initial_charges([-1, 0])
    if charge == -1:
        assert read_structures(atoms) == [atoms]
    else:
        with pytest.raises(InputError, match=r"its initial charges add up to -1$"):
            read_structures(atoms)


@pytest.mark.parametrize("charge", ["anion", np.array([1, 2]), np.array([1, 2, 3]), np.arange(100.0), np.inf, {}])
def test_a_charge_that_is_no_number(charge):
    atoms = molecule("OH")
    atoms.info["charge"] = charge
    with pytest.raises(
        InputError, match=r"^the charge of structure 0 of structures must be a number, its info has [^\n]*$"
    ):
        read_structures(atoms)


@pytest.mark.parametrize("name", ["ions.traj", "ions.xyz"])
def test_initial_charges_and_moments_come_from_files(tmp_path, name):
    atoms = molecule("H2O")
    atoms.set_initial_charges([-1, 0, 0])
    atoms.set_initial_magnetic_moments([0, 1, -1])
    ase.io.write(tmp_path / name, atoms)
    (again,) = read_structures(tmp_path / name)
    system = System.from_atoms(again)
    assert system.charges.tolist() == [-1, 0, 0]
    assert system.moments.tolist() == [0, 1, -1]
    again.set_initial_charges([np.nan, 0, 0])
    with pytest.raises(InputError, match="must have finite initial charges"):
        read_structures(again)
    again.set_initial_charges([0, 0, 0])
    again.set_initial_magnetic_moments([0, np.nan, 0])
    with pytest.raises(InputError, match="must have finite initial magnetic moments"):
        read_structures(again)


def test_neutral_structures_with_partial_charges():
    atoms = molecule("H2O")
    atoms.set_initial_charges([-0.834, 0.417, 0.416])
    for charge in (0, 0.0, "0", None, " "):
        atoms.info["charge"] = charge
        assert len(read_structures(atoms)) == 1
    assert len(read_structures(ClusterBatch.from_atoms([atoms]).to_atoms(0))) == 1


def test_what_is_no_structure():
    with pytest.raises(InputError, match=r"structures must be an ase\.Atoms, several, or a file, got int"):
        read_structures(5)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "deep").mkdir()
    link, place = tmp_path / "link.xyz", tmp_path / "deep" / "frames.xyz"
    link.symlink_to(place)
    for frames in ([molecule("H2")], [molecule("H2O")]):
        write_structures(link, frames)
        assert link.is_symlink()
        assert len(read_structures(place)[0]) == len(frames[0])


def test_what_is_no_file_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    for name in ("pipe", "null"):
        with pytest.raises(
            InputError, match=r"structures must go to a file, .* is a folder, a device, a pipe or a socket"
        ):
            write_structures(tmp_path / name, [molecule("H2")])
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "null").is_symlink()
    assert Path(os.devnull).is_char_device()
    with pytest.raises(InputError, match="is a folder, a device, a pipe or a socket"):
        write_structures(os.devnull, [molecule("H2")])


def test_permissions(tmp_path):
    """Those of the old file, else those that the process gives to its files."""
    path = tmp_path / "frames.xyz"
    mask = os.umask(0o027)
    try:
        write_structures(path, [molecule("H2")])
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o606)
        write_structures(path, [molecule("H2")])
        assert stat.S_IMODE(path.stat().st_mode) == 0o606
    finally:
        os.umask(mask)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ComputationError, "No space left on device"),
        (OSError(errno.EIO, "Input/output error"), ComputationError, "Input/output error"),
        (OSError(errno.EFBIG, "File too large"), InputError, "File too large"),
        (OSError("first\nsecond"), InputError, "first"),
    ],
)
def test_writing_that_fails(tmp_path, error, kind, reason):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(kind, match=rf"^words must go to a file that can be written, {path} cannot: {reason}$"):  # noqa: SIM117
        with replacing(path, "words"):
            raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


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


def test_cells_that_are_none():
    atoms = Atoms("H2", [[0, 0, 0], [1, 0, 0]], cell=[[2.6, 0, 0], [5.2, 0, 0], [0, 0, 3]], pbc=True)
    with pytest.raises(
        InputError, match="must have lattice vectors that span its periodic directions, and they lie in one plane"
    ):
        read_structures(atoms, periodic=True)
    atoms.pbc = (True, False, True)
    assert len(read_structures(atoms, periodic=True)) == 1, "two of the vectors span a plane"
    assert len(read_structures(atoms, boundaries="free")) == 1
    for value in (np.nan, np.inf):
        atoms.cell[1, 1] = value
        with pytest.raises(InputError, match="must have a finite cell"):
            read_structures(atoms, periodic=True)
    with pytest.raises(InputError, match=r"atom 1 is a ghost or dummy \(X\); leave it out"):
        read_structures(Atoms("HX", [[0, 0, 0], [1, 0, 0]]))


def test_one_bound_for_one_spot():
    with pytest.raises(InputError, match=r"structure 1 of .* atoms 0 and 1 are on one spot \(closer than 0.05 Å\)"):
        read_structures([molecule("H2"), Atoms("Cu2", [[0, 0, 0], [0.049, 0, 0]])])
    assert len(read_structures(Atoms("Cu2", [[0, 0, 0], [0.051, 0, 0]]))) == 1
    crystal = Atoms("Cu2", [[0, 0, 0], [2.57, 0, 0]], cell=[2.6, 3, 3], pbc=True)
    with pytest.raises(InputError, match="are on one spot"):
        read_structures(crystal, periodic=True)


def test_boundaries_that_are_wanted():
    atoms = molecule("H2O")
    atoms.set_cell([4.0, 4.0, 4.0])
    atoms.wrap(pbc=True)
    given = atoms.copy()
    (periodic,) = read_structures(atoms, periodic=True, boundaries="periodic")
    assert periodic.pbc.all()
    (free,) = read_structures(periodic, boundaries="free")
    assert (free.pbc.any(), free.cell.rank) == (False, 0)
    np.testing.assert_allclose(free.get_all_distances(), molecule("H2O").get_all_distances(), atol=1e-12)
    assert atoms == given
    with pytest.raises(InputError, match="must have three lattice vectors to be periodic, and has 0"):
        read_structures(molecule("H2"), periodic=True, boundaries="periodic")


def test_an_asymmetric_unit_is_no_crystal():
    atoms = bulk("Cu")
    atoms.info["asymmetric_unit"] = "P 21 21 21"
    with pytest.raises(InputError, match="its file has those of the asymmetric unit of P 21 21 21 alone"):
        read_structures(atoms, periodic=True)
    assert len(read_structures(atoms, boundaries="free")) == 1


@pytest.mark.parametrize("name", ["a.traj", "a.extxyz", ""])
def test_disorder_that_ase_keeps(tmp_path, name):
    """ASE's reader of CIF makes whole atoms of sites, and its files keep their occupancies in ``info``."""
    atoms = Atoms("Cu", info={"occupancy": {0: {"Cu": 0.75, "Au": 0.25}}})
    given = tmp_path / name if name else atoms
    if name:
        ase.io.write(given, atoms)
    with pytest.raises(InputError, match=r"wholly, its info has a site of 0\.75 Cu, 0\.25 Au; keep one alternative"):
        read_structures(given)
    full = Atoms("Cu", info={"occupancy": {0: {"Cu": 1.0}}})
    assert read_structures(full) == [full]


def test_occupancies_of_atoms():
    atoms = Atoms("He2", [[0, 0, 0], [0, 0, 4]])
    atoms.set_array("occupancy", np.array([1.0, 0.5]))
    with pytest.raises(InputError, match=r"structure 0 .* wholly, atom 1 has 0\.5 in column 'occupancy'; keep"):
        read_structures(atoms)
    for values in (np.ones(2), np.zeros(2)):  # programs without occupancies write zeros
        atoms.arrays["occupancy"] = values
        assert read_structures(atoms) == [atoms]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ([[1e-9, 0, 0], [0, 10, 0], [0, 0, 10]], "some are 1e-09 Å apart"),
        ([[10, 0, 0], [9.99999, 1e-4, 0], [0, 0, 10]], "some are 0.0001 Å apart"),
        ([[1e200, 0, 0], [0, 10, 0], [0, 0, 10]], "longer than 1e"),
    ],
)
def test_cells_that_no_library_must_see(cell, reason):
    atoms = Atoms("Ar", cell=cell, pbc=True)
    with pytest.raises(InputError, match=reason):
        read_structures(atoms, periodic=True)


def test_free_frees_what_has_no_cell():
    atoms = Atoms("H2", [[0, 0, 0], [0.74, 0, 0]], pbc=True)
    (free,) = read_structures(atoms, boundaries="free")
    assert not free.pbc.any()


def test_boundaries_that_there_are_not():
    with pytest.raises(
        InputError, match="`boundaries` must be one of free, given, periodic, got 'fre'; did you mean 'free'"
    ):
        read_structures(molecule("H2"), boundaries="fre")
    boxed = molecule("H2O", vacuum=4.0)
    (free,) = read_structures(boxed, boundaries="free")
    assert free.cell.rank == 0
