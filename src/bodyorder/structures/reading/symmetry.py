"""Symmetry of a CIF: its operators, and the images of its sites in one cell."""

from __future__ import annotations

import re

import numpy as np
from ase.spacegroup import Spacegroup
from ase.spacegroup.spacegroup import SpacegroupNotFoundError, parse_sitesym

from bodyorder._checks import InputError
from bodyorder.structures.reading.blocks import Block

#: Images of one site nearer than this (Å) are one atom on a special position, which files round.
SPECIAL = 0.2

#: Images of one site nearer than this (Å) and not one cannot both be there.
APART = 0.5

_OPERATORS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_NAMES = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m",
    "_space_group_name_hall",
)
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
#: Tags of magnetic and modulated crystals, whose operators act on more than places.
_FOREIGN = ("_space_group_symop_magn", "_space_group_symop_ssg", "_space_group_magn", "_space_group_ssg")

#: Groups with hexagonal and rhombohedral axes, which their names do not tell.
_RHOMBOHEDRAL = (146, 148, 155, 160, 161, 166, 167)


def operators_of(block: Block, place: str) -> tuple[np.ndarray, np.ndarray]:
    """Rotations, shape (n, 3, 3), and translations, shape (n, 3), of a block in fractions of its cell.

    Those that it lists; else those of its space group, if that has one setting; else the identity.

    :raises InputError: if operators cannot be read, are fewer than its space group has, or are not told
    """
    if foreign := [tag for tag in block.tags if tag.startswith(_FOREIGN)]:
        raise InputError(f"symmetry must be that of places alone, {place} has {foreign[0]}; give the whole cell in P 1")
    number = _group_number(block, place)
    listed = [text for text in block.column(*_OPERATORS) if text is not None]
    if not listed:
        return _operators_of_group(block, number, place)
    if wrong := [text for text in listed if not re.fullmatch(r"[xyzXYZ\d./+\-\s]+(,[xyzXYZ\d./+\-\s]+){2}", text)]:
        raise InputError(f"symmetry operators must read like -x, y+1/2, z; one of {place} is {wrong[0]!r}")
    rotations, shifts = parse_sitesym([text.lower() for text in listed])
    expected = min((len(group.get_symop()) for group in _settings(block.first(*_NAMES), number)), default=1)
    if len(listed) < expected:
        raise InputError(
            f"{place} must list the {expected} symmetry operators of its space group, and lists {len(listed)}; "
            "add them, or call it P 1 if it holds the whole cell"
        )
    return np.asarray(rotations), np.asarray(shifts)


def unique_images(
    sites: np.ndarray, rotations: np.ndarray, shifts: np.ndarray, cell: np.ndarray, names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """All images of sites in one cell, each once.

    :param sites: in fractions of the cell, shape (n_sites, 3)
    :param cell: its vectors in Å, shape (3, 3)
    :param names: what messages call the sites
    :return: the site that each image is of, shape (n_images,), and its fractions, shape (n_images, 3)
    :raises InputError: if two images are neither one atom nor apart
    """
    kinds, found = [], []
    for row, site in enumerate(sites):
        images = rotations @ site + shifts
        # the identity first, so that what is written stays where it is
        images = images[np.argsort(np.abs(images - site).sum(axis=1) > 0, kind="stable")]
        kept: list[np.ndarray] = []
        for image in images:
            if kept:
                apart = image - np.array(kept)
                nearest = np.linalg.norm((apart - np.rint(apart)) @ cell, axis=1).min()
                if nearest < SPECIAL:
                    continue
                if nearest < APART:
                    raise InputError(
                        f"{names[row]} must stand on a symmetry element or apart from it, and is {nearest:.2f} Å from its own "
                        "image; it is disordered, keep one alternative in P 1"
                    )
            kept.append(image)
        kinds += [row] * len(kept)
        found += kept
    return np.array(kinds), np.array(found)


def _group_number(block: Block, place: str) -> int | None:
    text = block.first(*_NUMBERS)
    if text is None:
        return None
    if not text.isdigit() or not 1 <= int(text) <= 230:
        raise InputError(f"the number of a space group must be between 1 and 230, that of {place} is {text}")
    return int(text)


def _operators_of_group(block: Block, number: int | None, place: str) -> tuple[np.ndarray, np.ndarray]:
    name = block.first(*_NAMES)
    if name is None and number in (None, 1):
        return np.eye(3)[None], np.zeros((1, 3))
    settings = [group for group in _settings(name, number) if number in (None, group.no)]
    if len(settings) != 1 or settings[0].no in _RHOMBOHEDRAL:
        raise InputError(
            f"{place} must list its symmetry operators, its space group {name or number} is not enough to tell them; add "
            "_space_group_symop_operation_xyz"
        )
    rotations, shifts = zip(*settings[0].get_symop(), strict=True)
    return np.array(rotations), np.array(shifts)


def _settings(name: str | None, number: int | None) -> list[Spacegroup]:
    """The settings that a space group of this name has, or of this number if it has no name."""
    if name is None and number is None:
        return []
    # the full name of a monoclinic group with its axis along b
    short = None if name is None else re.sub(r"^([A-Z]) 1 (\S+) 1$", r"\1 \2", " ".join(name.split()))
    found = []
    for setting in (1, 2):
        try:
            found.append(Spacegroup(short or number, setting))
        except SpacegroupNotFoundError:
            continue
    return found
