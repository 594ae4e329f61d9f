"""Reading and writing structures through ASE, with the checks that every structure must pass."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import ase
import ase.io
import numpy as np
from scipy.spatial import KDTree

from bodyorder._checks import InputError
from bodyorder._files import replacing
from bodyorder.structures.bodies import WHOLE_CHARGE
from bodyorder.structures.neighbours import neighbours
from bodyorder.structures.reading import read_file

#: Two atoms closer than this (Å) stand on one spot.
SAME_SPOT = 1e-3

StructuresLike: TypeAlias = ase.Atoms | Iterable[ase.Atoms] | str | os.PathLike[str]


def read_structures(structures: StructuresLike, periodic: bool = False) -> list[ase.Atoms]:
    """Get structures from a file in any format that ASE reads, or take those given, and check them.

    :param structures: a structure, several, or a path
    :param periodic: whether structures may be periodic
    :raises InputError: if the file is missing, empty or unreadable; if a structure has no atoms, positions that are not
        finite, two atoms on one spot, periodic boundaries, initial charges or magnetic moments that are not finite, or a
        charge that is not the sum of its initial charges
    """
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
    for index, atoms in enumerate(frames):
        _check_structure(atoms, f"structure {index} of {origin}")
        if atoms.pbc.any() and not periodic:
            raise InputError(
                f"structure {index} of {origin} must be a free cluster, and is periodic; set pbc to False if it stands in a box"
            )
    return frames


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


def _check_structure(atoms: ase.Atoms, name: str) -> None:
    if not isinstance(atoms, ase.Atoms):
        raise InputError(f"{name} must be an ase.Atoms, got {type(atoms).__name__}")
    if not len(atoms):
        raise InputError(f"{name} must have atoms, and has none")
    if not np.isfinite(atoms.positions).all():
        raise InputError(f"{name} must have finite positions, and has some that are not")
    if atoms.pbc.any() and not atoms.cell.array[atoms.pbc].any(axis=1).all():
        raise InputError(
            f"{name} must have a lattice vector along every periodic direction, and lacks one; set its cell"
        )
    if not np.isfinite(atoms.get_initial_magnetic_moments()).all():
        raise InputError(f"{name} must have finite initial magnetic moments, and has some that are not")
    _check_charge(atoms, name)
    # only the neighbour list sees images
    same = neighbours("ij", atoms, SAME_SPOT) if atoms.pbc.any() else _near(atoms)
    for first, second in zip(*same, strict=True):
        raise InputError(f"{name} must have atoms apart from each other, atoms {first} and {second} are on one spot")


def _check_charge(atoms: ase.Atoms, name: str) -> None:
    charges = atoms.get_initial_charges()
    if not np.isfinite(charges).all():
        raise InputError(f"{name} must have finite initial charges, and has some that are not")
    stated = atoms.info.get("charge")
    if stated is None or (isinstance(stated, str) and not stated.strip()):
        return
    try:
        total = float(stated)
    except (TypeError, ValueError):
        raise InputError(
            f"the charge of {name} must be a number, its info has charge={' '.join(repr(stated).split())}"
        ) from None
    if not abs(total - charges.sum()) <= WHOLE_CHARGE:
        raise InputError(
            f"{name} must name the charge of each body by initial charges (column initial_charges of an extended XYZ file), "
            f"its info has charge={total:g} and its initial charges add up to {charges.sum():g}"
        )


def _near(atoms: ase.Atoms) -> np.ndarray:
    return KDTree(atoms.positions).query_pairs(SAME_SPOT, output_type="ndarray").T
