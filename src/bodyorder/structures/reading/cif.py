"""CIF: crystals of small molecules and solids, expanded by their symmetry; mmCIF goes to a reader of its own.

ASE's reader and gemmi's were tried. ASE takes ``CU`` for carbon, drops rows that share a line, and merges images by fractions of
the cell; gemmi gives sites without a word on dummies and disorder. Here sites are checked, then expanded.
"""

from __future__ import annotations

import re
from pathlib import Path

import ase
import numpy as np

from bodyorder._checks import InputError
from bodyorder.structures.reading.blocks import Block, read_blocks
from bodyorder.structures.reading.cells import vectors_of
from bodyorder.structures.reading.elements import atoms_of, element_of_label, symbol_of
from bodyorder.structures.reading.mmcif import read_mmcif_block
from bodyorder.structures.reading.residues import FULL
from bodyorder.structures.reading.symmetry import operators_of, unique_images

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_COORDINATES = {"fract": [f"_atom_site_fract_{x}" for x in "xyz"], "cartn": [f"_atom_site_cartn_{x}" for x in "xyz"]}

_KEEP_ONE = "keep one alternative and set its occupancies to 1"


def read_cif(path: Path) -> list[ase.Atoms]:
    """Read all structures of a CIF or mmCIF, in the order of its data blocks.

    Of a CIF comes the whole cell, in order of the sites, each image where its operator puts it. ``info["name"]`` is the name
    of the block; ``info["oxidation_states"]`` is what its symbols say of charges, which are none of bodies. An mmCIF gives its
    models as :func:`~bodyorder.structures.reading.pdb.read_pdb` does. Blocks without atoms are passed over.

    :return: structures, lengths in Å
    :raises InputError: if there is none; for partial occupancy, disorder groups, dummy atoms, atoms without coordinates or of
        unknown elements, and symmetry that the file does not tell
    """
    frames = []
    for block in read_blocks(path):
        place = f"block {block.name} of {path}"
        if "_atom_site.cartn_x" in block.tags:
            frames += read_mmcif_block(block, place)
        elif coordinates := _coordinates(block):
            frames.append(_crystal(block, coordinates, place))
    if not frames:
        raise InputError(f"a CIF must hold atoms with coordinates, {path} holds none")
    return frames


def _coordinates(block: Block) -> str:
    """Whether coordinates are fractions (``fract``) or in Å (``cartn``); empty if there are none."""
    # the newest dictionary writes _atom_site.fract_x, the same with a dot
    for tag in [tag for tag in block.tags if "." in tag]:
        block.tags.setdefault(tag.replace(".", "_"), block.tags[tag])
    for kind, names in _COORDINATES.items():
        if any(value is not None for name in names for value in block.column(name)):
            return kind
    return ""


def _crystal(block: Block, kind: str, place: str) -> ase.Atoms:
    labels = [label or str(row) for row, label in enumerate(block.column("_atom_site_label"))]
    columns = [block.column(name) for name in _COORDINATES[kind]]
    labels = labels or [str(row) for row in range(len(columns[0]))]
    if {len(column) for column in columns} != {len(labels)}:
        raise InputError(f"atoms must have three coordinates each, {place} lacks some")
    _refuse_disorder(block, labels, place)
    symbols = [_symbol(block, row, label, place) for row, label in enumerate(labels)]
    sites = np.array(
        [
            [_number(column[row], "a coordinate", f"atom {label} of {place}") for column in columns]
            for row, label in enumerate(labels)
        ]
    )
    cell = _cell(block, place)
    if cell is None and kind == "fract":
        raise InputError(
            f"fractional coordinates must come with a cell, {place} has none; add _cell_length_a and the others"
        )
    if cell is None:
        atoms, kinds = atoms_of(symbols, sites), np.arange(len(symbols))
    else:
        fractions = sites if kind == "fract" else np.linalg.solve(cell.T, sites.T).T
        rotations, shifts = operators_of(block, place)
        kinds, images = unique_images(
            fractions, rotations, shifts, cell, [f"atom {label} of {place}" for label in labels]
        )
        atoms = atoms_of([symbols[row] for row in kinds], images @ cell)
        atoms.set_cell(cell)
        atoms.pbc = True
    _set_charges(atoms, block, kinds)
    atoms.info["name"] = block.name
    if charged := sorted(
        {text for text in block.column("_atom_site_type_symbol") if text and re.search(r"[1-9]", text)}
    ):
        atoms.info["oxidation_states"] = ", ".join(charged)
    return atoms


def _set_charges(atoms: ase.Atoms, block: Block, kinds: np.ndarray) -> None:
    """Set the array ``charges``, formal or computed ones, if the block states that of every site.

    :param kinds: site of each atom, shape (n_atoms,)
    """
    texts = block.column("_atom_site_charge")
    try:
        charges = np.array([float(re.sub(r"\(\d*\)$", "", text or "")) for text in texts])
    except ValueError:
        return
    if len(charges) > kinds.max(initial=-1) and charges.any():
        atoms.set_array("charges", charges[kinds])


def _cell(block: Block, place: str) -> np.ndarray | None:
    if all(block.first(f"_cell_{name}") is None for name in _CELL):
        return None
    parameters = [_number(block.first(f"_cell_{name}"), f"_cell_{name}", place) for name in _CELL]
    vectors = vectors_of(parameters)
    if vectors is None:
        raise InputError(
            f"the cell must have a volume, that of {place} is {' '.join(f'{x:g}' for x in parameters)}; correct it"
        )
    return vectors


def _number(text: str | None, what: str, place: str) -> float:
    """A number, without its uncertainty in parentheses."""
    bare = re.sub(r"\(\d*\)$", "", text or "")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", bare):
        raise InputError(f"{what} of {place} must be a number, and is {text or '?'}; give it or remove the line")
    return float(bare)


def _refuse_disorder(block: Block, labels: list[str], place: str) -> None:
    modulation = block.first("_cell_modulation_dimension")
    if modulation not in (None, "0"):
        raise InputError(f"a crystal must be periodic in three directions, {place} is modulated; give one cell of it")
    for label, flag in zip(labels, block.column("_atom_site_calc_flag"), strict=False):
        if (flag or "").lower() == "dum":
            raise InputError(f"sites must be atoms, {label} of {place} is a dummy (calc_flag dum); remove it")
    for label, text in zip(labels, block.column("_atom_site_occupancy"), strict=False):
        if text is not None and _number(text, "the occupancy", f"atom {label} of {place}") < 1 - FULL:
            raise InputError(f"atoms must be there wholly, {label} of {place} has an occupancy of {text}; {_KEEP_ONE}")
    groups = block.column("_atom_site_disorder_group")
    assemblies = block.column("_atom_site_disorder_assembly") or [None] * len(groups)
    first: dict[str | None, str] = {}
    for label, group, assembly in zip(labels, groups, assemblies, strict=False):
        if group is None:
            continue
        if group.startswith("-"):
            raise InputError(
                f"atoms must have one place each, {label} of {place} is disordered about a symmetry element (disorder group "
                f"{group}); expand to P 1, keep one alternative and blank its group"
            )
        if first.setdefault(assembly, group) != group:
            raise InputError(
                f"atoms must have one place each, {label} of {place} is in disorder group {group} and others are in "
                f"{first[assembly]}; {_KEEP_ONE}"
            )


def _symbol(block: Block, row: int, label: str, place: str) -> str:
    types = block.column("_atom_site_type_symbol")
    text = types[row] if row < len(types) else None
    if text is not None:
        match = re.fullmatch(r"([A-Za-z]{1,2})(\d*[+-]?|[+-]\d*)", text)
        symbol = symbol_of(match[1]) if match else None
        states = f"its type symbol is {text}"
    else:
        symbol = element_of_label(label)
        states = "its label does not tell one"
    if symbol is None:
        raise InputError(
            f"atoms must be of known elements, {label} of {place} is not: {states}; correct _atom_site_type_symbol, or "
            "remove it if it is no atom"
        )
    return symbol
