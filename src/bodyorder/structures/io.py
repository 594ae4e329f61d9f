"""Reading and writing structures through ASE, with the checks that every structure must pass."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import ase
import ase.io
import numpy as np

from bodyorder._checks import InputError, check_choice
from bodyorder._files import replacing
from bodyorder.structures.keys import ASYMMETRIC_UNIT
from bodyorder.structures.links import SAME_SPOT, find_links, place_of
from bodyorder.structures.periodic import put_together
from bodyorder.structures.reading import read_file
from bodyorder.structures.reading.cells import is_flat
from bodyorder.structures.reading.residues import FULL
from bodyorder.structures.stated import settled

#: Longer lattice vectors (Å) are a mistake.
_LONGEST = 1e6
_KEEP = "keep one alternative, and drop the occupancies"

Boundaries: TypeAlias = Literal["given", "free", "periodic"]
StructuresLike: TypeAlias = ase.Atoms | Iterable[ase.Atoms] | str | os.PathLike[str]


def read_structures(
    structures: StructuresLike, periodic: bool = False, boundaries: Boundaries = "given"
) -> list[ase.Atoms]:
    """Get structures from a file, or take those given, and check them.

    :param structures: a structure, several, or a path
    :param periodic: whether structures may be periodic
    :param boundaries: ``"given"``; ``"free"`` to drop all cells, each molecule put together that a border cuts; or
        ``"periodic"`` along all three lattice vectors
    :return: the structures, each with the charges and moments that it states where ASE keeps them
        (:func:`~bodyorder.structures.stated.settled`)
    :raises InputError: if the file is missing, empty or unreadable; if a structure has no atoms, positions or a cell that are not
        finite, lattice vectors that do not span its periodic directions, two atoms on one spot, periodic boundaries, or charges
        and multiplicities that are ambiguous or contradict each other
    """
    check_choice("boundaries", boundaries, get_args(Boundaries))
    if isinstance(structures, ase.Atoms):
        frames, origin = [structures], "structures"
    elif isinstance(structures, str | os.PathLike):
        frames, origin = read_file(Path(structures)), str(structures)
    elif isinstance(structures, Iterable):
        frames, origin = list(structures), "structures"
    else:
        raise InputError(f"structures must be an ase.Atoms, several, or a file, got {type(structures).__name__}")
    if not frames:
        raise InputError(f"{origin} must hold at least one structure, and holds none")
    names = [f"structure {index} of {origin}" for index in range(len(frames))]
    _check_atoms(frames, names)
    checked = []
    for atoms, name in zip(frames, names, strict=True):
        atoms = _bounded(atoms, boundaries, name)
        _check_cell(atoms, name)
        if atoms.pbc.any() and not periodic:
            raise InputError(f"{name} must be a free cluster, and is periodic; set pbc to False if it stands in a box")
        _check_wholly_there(atoms, name)
        checked.append(settled(atoms, name))
    _check_apart(checked, names)
    return checked


def write_structures(path: str | os.PathLike[str], structures: Sequence[ase.Atoms]) -> Path:
    """Write structures as extended XYZ, whole or not at all.

    :raises InputError: if the file cannot be written
    """
    with replacing(path, "structures") as partial:
        ase.io.write(partial, list(structures), format="extxyz")
    return Path(path)


def structure_names(structures: Sequence[ase.Atoms]) -> list[str]:
    """A name for each structure: ``info["name"]`` where all have one and no two agree, else its number."""
    names = [str(atoms.info.get("name", index)) for index, atoms in enumerate(structures)]
    return names if len(set(names)) == len(names) else [str(index) for index in range(len(names))]


def _bounded(atoms: ase.Atoms, boundaries: Boundaries, name: str) -> ase.Atoms:
    """The structure with the boundaries that are wanted."""
    if boundaries == "given" or (boundaries == "free" and not atoms.cell.array.any() and not atoms.pbc.any()):
        return atoms
    if boundaries == "free":
        has_lattice = atoms.pbc.any() and not _why_no_lattice(atoms.cell.array[atoms.pbc])
        bounded = put_together(atoms, name) if has_lattice else atoms.copy()
        bounded.set_cell(None)
        bounded.pbc = False
    else:
        if not atoms.cell.array.any(axis=1).all():
            raise InputError(f"{name} must have three lattice vectors to be periodic, and has {atoms.cell.rank}")
        bounded = atoms.copy()
        bounded.pbc = True
    bounded.calc = atoms.calc
    return bounded


def _why_no_lattice(vectors: np.ndarray) -> str:
    """What is wrong with some lattice vectors, shape (n, 3), as the end of a sentence; empty if they span n dimensions."""
    if not np.isfinite(vectors).all() or (np.abs(vectors) > _LONGEST).any():
        return f"a finite cell, and has lattice vectors that are not, or longer than {_LONGEST:g} Å; correct it"
    lengths = np.sqrt((vectors**2).sum(axis=1))
    if not lengths.all():
        return "a lattice vector along every periodic direction, and lacks one; set its cell"
    if is_flat(vectors):
        return (
            "lattice vectors that span its periodic directions, and they lie in one plane or on one line; correct its cell, or "
            "set pbc to False"
        )
    units = vectors / lengths[:, None]
    heights = lengths / np.sqrt(np.diag(np.linalg.inv(units @ units.T)))
    if heights.min() < SAME_SPOT:
        return f"planes of its lattice apart from each other, some are {heights.min():.2g} Å apart; correct or reduce its cell"
    return ""


def _check_atoms(structures: Sequence[ase.Atoms], names: Sequence[str]) -> None:
    for atoms, name in zip(structures, names, strict=True):
        if not isinstance(atoms, ase.Atoms):
            raise InputError(f"{name} must be an ase.Atoms, got {type(atoms).__name__}")
        if not len(atoms):
            raise InputError(f"{name} must have atoms, and has none")
    # all at once: there can be many structures
    owner = np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])
    finite = np.isfinite(np.concatenate([atoms.positions for atoms in structures])).all(axis=1)
    numbers = np.concatenate([atoms.numbers for atoms in structures])
    for row in np.flatnonzero(~finite):
        raise InputError(f"{names[owner[row]]} must have finite positions, and has some that are not")
    for row in np.flatnonzero(numbers == 0):
        atom = row - np.searchsorted(owner, owner[row])
        raise InputError(f"{names[owner[row]]} must have elements, atom {atom} is a ghost or dummy (X); leave it out")


def _check_cell(atoms: ase.Atoms, name: str) -> None:
    if not np.isfinite(atoms.cell.array).all():
        raise InputError(f"{name} must have a finite cell, and has lattice vectors that are not; correct it")
    if not atoms.pbc.any():
        return
    if reason := _why_no_lattice(atoms.cell.array[atoms.pbc]):
        raise InputError(f"{name} must have {reason}")
    if ASYMMETRIC_UNIT in atoms.info:
        raise InputError(
            f"{name} must hold all atoms of its cell, its file has those of the asymmetric unit of {atoms.info[ASYMMETRIC_UNIT]} "
            "alone; expand it, or drop the cell (--free)"
        )


def _check_wholly_there(atoms: ase.Atoms, name: str) -> None:
    """Refuse disorder where ASE keeps it: occupancies of sites in ``info`` (CIF), or of atoms in a column (PDB)."""
    sites = atoms.info.get("occupancy")
    if isinstance(sites, dict):
        for shares in sites.values():
            if isinstance(shares, dict) and (len(shares) > 1 or any(share < 1 - FULL for share in shares.values())):
                said = ", ".join(f"{share:g} {symbol}" for symbol, share in shares.items())
                raise InputError(
                    f"{name} must have atoms that are there wholly, its info has a site of {said}; {_KEEP}"
                )
    for column in ("occupancy", "occupancies"):
        values = atoms.arrays.get(column)
        # occupancies of 0 throughout mean that there are none
        if values is not None and values.dtype.kind in "if" and values.any() and (values < 1 - FULL).any():
            atom = int(np.argmax(values < 1 - FULL))
            raise InputError(
                f"{name} must have atoms that are there wholly, atom {atom} has {values[atom]:g} in column {column!r}; {_KEEP}"
            )


def _check_apart(structures: Sequence[ase.Atoms], names: Sequence[str]) -> None:
    links = find_links(structures, SAME_SPOT)
    if len(links.first):
        (place, first), (_, second) = (place_of(atom, structures) for atom in (links.first[0], links.second[0]))
        raise InputError(
            f"{names[place]} must have atoms apart from each other, atoms {first} and {second} "
            f"are on one spot (closer than {SAME_SPOT} Å)"
        )
