"""mmCIF: https://mmcif.wwpdb.org, read as PDB files are."""

from __future__ import annotations

from collections.abc import Iterable

import ase
import numpy as np

from bodyorder._checks import InputError
from bodyorder.structures.keys import ASYMMETRIC_UNIT
from bodyorder.structures.reading.blocks import Block
from bodyorder.structures.reading.cells import asymmetric_group, is_dummy, vectors_of
from bodyorder.structures.reading.elements import symbol_of
from bodyorder.structures.reading.residues import Link, Residue, Site, refuse_disorder, set_molecules, structure_of

#: Kinds of struct_conn that join molecules. Others are hydrogen bonds, salt bridges and coordination of metals.
_COVALENT = ("covale", "disulf", "modres")

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_GROUPS = ("_symmetry.space_group_name_h-m", "_space_group.name_h-m_alt", "_space_group.name_h-m_full")


def read_mmcif_block(block: Block, place: str) -> list[ase.Atoms]:
    """All models of a block of an mmCIF, as :func:`~bodyorder.structures.reading.pdb.read_pdb` gives them.

    :raises InputError: for alternative places, elements, charges or coordinates that cannot be read
    """
    models = _models(block, place)
    refuse_disorder(models, place)
    links = _links(block)
    cell, group = _cell(block, place)
    frames = []
    for sites in models:
        atoms = structure_of(sites)
        if cell is not None:
            atoms.set_cell(cell)
            atoms.pbc = True
            if group:
                atoms.info[ASYMMETRIC_UNIT] = group
        set_molecules(atoms, sites, [], links)
        atoms.info["name"] = block.name
        frames.append(atoms)
    return frames


def _models(block: Block, place: str) -> list[list[Site]]:
    n_atoms = len(block.column("_atom_site.cartn_x"))

    def column(*names: str) -> Iterable[str | None]:
        return block.column(*(f"_atom_site.{name}" for name in names)) or [None] * n_atoms

    rows = zip(
        column("pdbx_pdb_model_num"),
        column("id"),
        column("auth_atom_id", "label_atom_id"),
        column("label_alt_id"),
        column("auth_asym_id", "label_asym_id"),
        column("auth_seq_id", "label_seq_id"),
        column("pdbx_pdb_ins_code"),
        column("auth_comp_id", "label_comp_id"),
        column("label_asym_id"),
        column("type_symbol"),
        column("cartn_x"),
        column("cartn_y"),
        column("cartn_z"),
        column("occupancy"),
        column("pdbx_formal_charge"),
        strict=True,
    )
    models: list[list[Site]] = []
    previous: str | None = ""
    for row in rows:
        model, serial, name, alternate, chain, number, insertion, kind, segment, symbol, x, y, z, occupancy, charge = (
            row
        )
        if model != previous:
            models.append([])
            previous = model
        residue = Residue(chain or "", number or "", insertion or "", kind or "", segment or "")
        where = f"atom {name} of {residue} in {place}"
        element = symbol_of(symbol or "")
        if element is None:
            raise InputError(
                f"{where} must be of a known element, its type_symbol is {symbol or '?'}; correct it, or "
                "remove the atom if it is none"
            )
        position = tuple(_number(text, "a coordinate", where) for text in (x, y, z))
        models[-1].append(
            Site(
                serial or "",
                name or "",
                alternate or "",
                residue,
                element,
                (position[0], position[1], position[2]),
                None if occupancy is None else _number(occupancy, "the occupancy", where),
                _charge(charge, where),
            )
        )
    return models


def _number(text: str | None, what: str, where: str) -> float:
    try:
        number = float(text or "?")
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise InputError(f"{what} of {where} must be a number, and is {text or '?'}; give it or remove the atom")
    return number


def _charge(text: str | None, where: str) -> int:
    number = 0.0 if text is None else _number(text, "the formal charge", where)
    if number != round(number):
        raise InputError(f"the formal charge of {where} must be a whole number, and is {text}; correct it")
    return int(number)


def _cell(block: Block, place: str) -> tuple[np.ndarray | None, str]:
    """Cell vectors in Å and the space group if it is not P 1; none for a dummy."""
    if all(block.first(f"_cell.{name}") is None for name in _CELL):
        return None, ""
    parameters = [_number(block.first(f"_cell.{name}"), f"_cell.{name}", place) for name in _CELL]
    if is_dummy(parameters[:3]):
        return None, ""
    vectors = vectors_of(parameters)
    if vectors is None:
        raise InputError(
            f"the cell must have a volume, that of {place} is {' '.join(f'{x:g}' for x in parameters)}; correct it"
        )
    return vectors, asymmetric_group(block.first(*_GROUPS) or "")


def _links(block: Block) -> list[Link]:
    def end(which: int) -> list[tuple[Residue, str, str]]:
        partner = f"_struct_conn.ptnr{which}"

        def column(*names: str) -> list[str | None]:
            return block.column(*names) or [None] * n_links

        rows = zip(
            column(f"{partner}_auth_asym_id", f"{partner}_label_asym_id"),
            column(f"{partner}_auth_seq_id", f"{partner}_label_seq_id"),
            column(f"_struct_conn.pdbx_ptnr{which}_pdb_ins_code"),
            column(f"{partner}_auth_comp_id", f"{partner}_label_comp_id"),
            column(f"{partner}_label_atom_id"),
            column(f"{partner}_symmetry"),
            strict=True,
        )
        return [
            (Residue(chain or "", number or "", insertion or "", name or ""), atom or "", symmetry or "")
            for chain, number, insertion, name, atom, symmetry in rows
        ]

    kinds = block.column("_struct_conn.conn_type_id")
    n_links = len(kinds)
    return [
        Link(first[:2], second[:2])
        for kind, first, second in zip(kinds, end(1), end(2), strict=True)
        if (kind or "").lower().startswith(_COVALENT) and first[2] == second[2]
    ]
