"""Files of molecules, proteins and crystals, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ase.cell import Cell
from content import Content, in_a_row, lines_of, vectors


def plain_xyz(c: Content) -> str:
    return lines_of(str(len(c.symbols)), c.said.get("comment", ""), c.rows())


def extended_xyz(c: Content) -> str:
    columns = {name: c.said[name] for name in ("initial_charges", "initial_magmoms", "occupancy") if name in c.said}
    if "molecule" in c.said:
        columns["molecule"] = c.molecules
    pairs = [f"{key}={c.said[key]}" for key in ("charge", "multiplicity") if key in c.said]
    if c.cell is not None:
        pairs.append(f'Lattice="{" ".join(vectors(c))}"')
    names = "".join(f":{name}:{'I' if name == 'molecule' else 'R'}:1" for name in columns)
    rows = [" ".join([row, *map(str, values)]) for row, *values in zip(c.rows(), *columns.values(), strict=True)]
    return lines_of(str(len(c.symbols)), " ".join([f"Properties=species:S:1:pos:R:3{names}", *pairs]), rows)


def ipi_xyz(c: Content) -> str:
    cell = " ".join(f"{value:.8f}" for value in Cell(c.box).cellpar())
    return lines_of(
        str(len(c.symbols)), f"# CELL(abcABC): {cell} Step: 0 Bead: 0 positions{{{c.unit}}} cell{{{c.unit}}}", c.rows()
    )


def residue_of(c: Content, atom: int) -> tuple[int, str]:
    if c.said.get("conect"):
        return 1, "MOL"
    own = [symbol for symbol, number in zip(c.symbols, c.molecules, strict=True) if number == c.molecules[atom]]
    name = "HOH" if sorted(own) == ["H", "H", "O"] else own[0].upper() if own[0] in ("Na", "Cl") else "MOL"
    return c.molecules[atom] + 1, name


def atom_names(c: Content) -> list[str]:
    """Names of atoms that differ within a molecule."""
    counts: dict[tuple[int, str], int] = {}
    names = []
    for atom, symbol in enumerate(c.symbols):
        key = c.molecules[atom], symbol
        counts[key] = counts.get(key, 0) + 1
        alone = c.molecules.count(c.molecules[atom]) == 1
        names.append(symbol.upper() if alone or symbol == "O" else f"{symbol.upper()}{counts[key]}")
    return names


def pdb(c: Content) -> str:
    lines = ["MODEL        1"]
    if c.cell is not None:
        lines.append("CRYST1{:9.3f}{:9.3f}{:9.3f}{:7.2f}{:7.2f}{:7.2f} P 1           1".format(*Cell(c.cell).cellpar()))
    charges, shares = c.of("charges", 0), c.of("occupancy", 1.0)
    for atom, (symbol, name) in enumerate(zip(c.symbols, atom_names(c), strict=True)):
        number, residue = residue_of(c, atom)
        column = f" {name:<3}" if len(symbol) == 1 else f"{name:<4}"
        charge = f"{abs(charges[atom])}{'+' if charges[atom] > 0 else '-'}" if charges[atom] else "  "
        lines.append(
            f"HETATM{atom + 1:5d} {column} {residue:>3} A{number:4d}    {{:8.3f}}{{:8.3f}}{{:8.3f}}".format(
                *c.positions[atom]
            )
            + f"{shares[atom]:6.2f}  0.00          {symbol.upper():>2}{charge}"
        )
    if c.said.get("conect"):
        lines += [f"CONECT{first + 1:5d}{second + 1:5d}" for first, second in c.bonds]
    return lines_of(lines, "ENDMDL")


def mmcif(c: Content, model: int = 1) -> str:
    tags = "id type_symbol auth_atom_id auth_comp_id auth_asym_id auth_seq_id Cartn_x Cartn_y Cartn_z occupancy "
    tags += "pdbx_formal_charge pdbx_PDB_model_num"
    return lines_of("data_x", cif_cell(c, ".") if c.cell is not None else [], "loop_",
                 [f"_atom_site.{tag}" for tag in tags.split()]) + mmcif_rows(c, model)  # fmt: skip


def mmcif_rows(c: Content, model: int) -> str:
    charges, shares = c.of("charges", 0), c.of("occupancy", 1.0)
    return lines_of([
        f"{atom + 1} {symbol.upper()} {name} {residue_of(c, atom)[1]} A {residue_of(c, atom)[0]} "
        f"{' '.join(f'{x:.8f}' for x in c.positions[atom])} {shares[atom]} {charges[atom] or '?'} {model}"
        for atom, (symbol, name) in enumerate(zip(c.symbols, atom_names(c), strict=True))
    ])  # fmt: skip


def cif_cell(c: Content, dot: str) -> list[str]:
    names = ["length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"]
    return [f"_cell{dot}{name} {value:.8f}" for name, value in zip(names, Cell(c.box).cellpar(), strict=True)]


def cif(c: Content) -> str:
    charges, shares = c.of("charges", 0), c.of("occupancy", 1.0)
    signs = [f"{abs(charge)}{'+' if charge > 0 else '-'}" if charge else "" for charge in charges]
    rows = [
        f"{symbol}{atom} {symbol.upper() if not signs[atom] else symbol}{signs[atom]} "
        f"{' '.join(f'{x:.10f}' for x in c.fractions[atom])} {shares[atom]}"
        for atom, symbol in enumerate(c.symbols)
    ]
    tags = "label type_symbol fract_x fract_y fract_z occupancy"
    head = ["data_x", "_symmetry_space_group_name_H-M 'P 1'", *cif_cell(c, "_"), "loop_"]
    return lines_of(head, [f"_atom_site_{tag}" for tag in tags.split()], rows)


def v2000(c: Content) -> str:
    charges = [(atom + 1, charge) for atom, charge in enumerate(c.of("charges", 0)) if charge]
    radicals = [(atom + 1, moment + 1) for atom, moment in enumerate(c.of("moments", 0)) if moment]
    marks = [
        f"M  {key}{len(some):3d}" + "".join(f" {atom:3d} {value:3d}" for atom, value in some)
        for key, some in (("CHG", charges), ("RAD", radicals))
        if some
    ]
    rows = c.rows("{x:10.4f}{y:10.4f}{z:10.4f} {s:<3} 0  0  0  0  0  0  0  0  0  0  0  0")
    counts = f"{len(rows):3d}{len(c.bonds):3d}  0  0  0  0  0  0  0  0999 V2000"
    bonds = [f"{first + 1:3d}{second + 1:3d}  1  0" for first, second in c.bonds]
    return lines_of("x", "  hand", "", counts, rows, bonds, marks, "M  END")


def v3000(c: Content) -> str:
    extra = [
        f" CHG={charge}" * bool(charge) + f" RAD={moment + 1}" * bool(moment)
        for charge, moment in zip(c.of("charges", 0), c.of("moments", 0), strict=True)
    ]
    rows = [f"{atom + 1} {row} 0{extra[atom]}" for atom, row in enumerate(c.rows())]
    bonds = [f"{number + 1} 1 {first + 1} {second + 1}" for number, (first, second) in enumerate(c.bonds)]
    table = ["BEGIN CTAB", f"COUNTS {len(rows)} {len(bonds)} 0 0 0", "BEGIN ATOM", *rows, "END ATOM"]
    table += (["BEGIN BOND", *bonds, "END BOND"] if bonds else []) + ["END CTAB"]
    lines = [f"M  V30 {line}" for line in table]
    return lines_of("x", "  hand", "", "  0  0  0     0  0            999 V3000", lines, "M  END")


def write_mmcif(path: Path, frames: list[Content]) -> None:
    later = [mmcif_rows(content, number + 2) for number, content in enumerate(frames[1:])]
    path.write_text(mmcif(frames[0]) + "".join(later), encoding="utf-8")


def write_records(one: Callable[[Content], str]) -> Callable[[Path, list[Content]], None]:
    return in_a_row(lambda content: one(content) + "$$$$\n")
