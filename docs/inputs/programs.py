"""Files of programs, written by hand; ASE's own, which have no other definition than its writer, by that."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from ase.data import atomic_masses, atomic_numbers
from content import Content, lines_of, vectors
from molecules import atom_names, residue_of


def sides(c: Content) -> list[str]:
    lengths = [f"0 {c.box[axis, axis]:.8f} {name}lo {name}hi" for axis, name in enumerate("xyz")]
    return [*lengths, f"{c.box[1, 0]:.8f} {c.box[2, 0]:.8f} {c.box[2, 1]:.8f} xy xz yz"]


def lammps_data(c: Content) -> str:
    masses = [f"{kind + 1} {atomic_masses[atomic_numbers[symbol]]:.4f}" for kind, symbol in enumerate(c.kinds)]
    charges = c.of("charges", 0)
    rows = [
        f"{atom + 1} {c.molecules[atom] + 1} {row.split(' ', 1)[0]} {charges[atom]} {row.split(' ', 1)[1]}"
        for atom, row in enumerate(c.rows("{k} {x:.8f} {y:.8f} {z:.8f}"))
    ]
    head = [
        f"LAMMPS data file, units = {c.unit}",
        "",
        f"{len(rows)} atoms",
        f"{len(c.kinds)} atom types",
        "",
        *sides(c),
    ]
    return lines_of(head, "", "Masses", "", masses, "", "Atoms # full", "", rows)


def lammps_dump(c: Content) -> str:
    charges = c.of("charges", 0)
    rows = [
        f"{atom + 1} {c.molecules[atom] + 1} {charges[atom]} {row}"
        for atom, row in enumerate(c.rows("{k} {s} {x:.8f} {y:.8f} {z:.8f}"))
    ]
    a, b, d = (c.box[1, 0], c.box[2, 0], c.box[2, 1])
    low = [min(0, a, b, a + b), min(0, d), 0.0]
    high = [c.box[0, 0] + max(0, a, b, a + b), c.box[1, 1] + max(0, d), c.box[2, 2]]
    bounds = [f"{lo:.8f} {hi:.8f} {tilt:.8f}" for lo, hi, tilt in zip(low, high, (a, b, d), strict=True)]
    units = ["ITEM: UNITS", c.unit]
    return lines_of(units, "ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", str(len(rows)),
                 "ITEM: BOX BOUNDS xy xz yz pp pp pp", bounds, "ITEM: ATOMS id mol q type element x y z", rows)  # fmt: skip


def gro(c: Content) -> str:
    rows = []
    for atom, name in enumerate(atom_names(c)):
        number, residue = residue_of(c, atom)
        water = residue == "HOH"
        name = {"O": "OW", "H1": "HW1", "H2": "HW2"}[name] if water else c.symbols[atom] if residue == "MOL" else name
        rows.append(
            f"{number:5d}{'SOL' if water else residue:<5}{name:>5}{atom + 1:5d}{{:8.3f}}{{:8.3f}}{{:8.3f}}".format(
                *c.positions[atom]
            )
        )
    box = c.box if c.cell is not None else np.zeros((3, 3))
    order = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    return lines_of("x", str(len(rows)), rows, " ".join(f"{box[place]:.7f}" for place in order))


def poscar(c: Content) -> str:
    runs = [(symbol, len(list(some))) for symbol, some in groupby(c.symbols)]
    counts = " ".join(str(count) for _, count in runs)
    return lines_of(
        "x",
        "1.0",
        vectors(c),
        " ".join(symbol for symbol, _ in runs),
        counts,
        "Cartesian",
        c.rows("{x:.8f} {y:.8f} {z:.8f}"),
    )


def vasprun(c: Content) -> str:
    def array(name: str, rows: Any) -> str:
        return (
            f'<varray name="{name}">'
            + "".join(f"<v>{' '.join(f'{x:.10f}' for x in row)}</v>" for row in rows)
            + "</varray>"
        )

    def table(name: str, fields: str, rows: list[list[Any]]) -> str:
        heads = "".join(f'<field type="string">{one}</field>' for one in fields.split())
        cells = "".join("<rc>" + "".join(f"<c>{x} </c>" for x in row) + "</rc>" for row in rows)
        return f'<array name="{name}"><dimension dim="1">x</dimension>{heads}<set>{cells}</set></array>'

    crystal = f'<crystal>{array("basis", c.box)}<i name="volume">{np.linalg.det(c.box):.6f}</i></crystal>'
    structure = f"<structure>{crystal}{array('positions', c.fractions)}</structure>"
    energy = (
        "<energy>"
        + "".join(f'<i name="{name}">-1.0</i>' for name in ("e_fr_energy", "e_wo_entrp", "e_0_energy"))
        + "</energy>"
    )
    valence = {"H": 1, "He": 2, "O": 6, "Na": 1, "Cl": 7}
    electrons = sum(valence[symbol] for symbol in c.symbols) - c.said.get("charge", 0)
    moments = f'<v name="MAGMOM">{" ".join(map(str, c.said["moments"]))}</v>' if "moments" in c.said else ""
    kinds = [[c.symbols.count(s), s, atomic_masses[atomic_numbers[s]], valence[s], "PAW"] for s in c.kinds]
    return lines_of(
        '<?xml version="1.0" encoding="ISO-8859-1"?>',
        '<modeling><generator><i name="program" type="string">vasp </i></generator>',
        f"<incar>{moments}</incar>",
        f"<kpoints>{array('kpointlist', [[0, 0, 0]])}{array('weights', [[1]])}</kpoints>",
        f'<parameters><separator name="electronic"><i name="NELECT">{electrons:.8f}</i></separator></parameters>',
        f"<atominfo><atoms>{len(c.symbols)}</atoms><types>{len(kinds)}</types>",
        table("atoms", "element atomtype", [[s, c.kinds.index(s) + 1] for s in c.symbols]),
        table("atomtypes", "atomspertype element mass valence pseudopotential", kinds), "</atominfo>",
        structure.replace("<structure>", '<structure name="initialpos">'),
        f"<calculation><scstep>{energy}</scstep>{structure}{array('forces', 0 * c.positions)}{energy}</calculation>",
        "</modeling>",
    )  # fmt: skip


def espresso(c: Content) -> str:
    system = [f"ibrav=0, nat={len(c.symbols)}, ntyp={len(c.kinds)}, ecutwfc=30"]
    names = {
        "charge": "tot_charge",
        "unpaired": "nspin=2, tot_magnetization",
        "fractions": "nspin=2, starting_magnetization(2)",
    }
    system += [f"{names[key]}={value}" for key, value in c.said.items() if key in names]
    species = [f"{symbol} {atomic_masses[atomic_numbers[symbol]]:.4f} {symbol}.upf" for symbol in c.kinds]
    return lines_of("&control", "/", "&system", system, "/", "&electrons", "/", "ATOMIC_SPECIES", species,
                 f"CELL_PARAMETERS {c.unit}", vectors(c), f"ATOMIC_POSITIONS {c.unit}", c.rows(), "K_POINTS gamma")  # fmt: skip


def aims(c: Content) -> str:
    rows = []
    for row, charge, moment in zip(
        c.rows("atom {x:.8f} {y:.8f} {z:.8f} {s}"), c.of("charges", 0), c.of("moments", 0), strict=True
    ):
        rows += [row, *[f"initial_charge {charge}"] * bool(charge), *[f"initial_moment {moment}"] * bool(moment)]
    return lines_of([] if c.cell is None else vectors(c, start="lattice_vector "), rows)


def castep(c: Content) -> str:
    moments = [f" SPIN={moment}" * bool(moment) for moment in c.of("moments", 0)]
    rows = [row + moment for row, moment in zip(c.rows(), moments, strict=True)]
    return lines_of("%BLOCK LATTICE_CART", c.unit, vectors(c), "%ENDBLOCK LATTICE_CART",
                 "%BLOCK POSITIONS_ABS", c.unit, rows, "%ENDBLOCK POSITIONS_ABS")  # fmt: skip


def cp2k(c: Content) -> str:
    whole = [f"{key.upper()} {c.said[key]}" for key in ("charge", "multiplicity") if key in c.said]
    cell = [f"{name} {row}" for name, row in zip("ABC", vectors(c), strict=True)]
    kinds = [line for symbol in c.kinds for line in (f"&KIND {symbol}", f"ELEMENT {symbol}", "&END KIND")]
    return lines_of("&FORCE_EVAL", "&DFT", whole, "&END DFT", "&SUBSYS", "&CELL", cell, "&END CELL", "&COORD", c.rows(),
                 "&END COORD", kinds, "&END SUBSYS", "&END FORCE_EVAL")  # fmt: skip


def gaussian(c: Content) -> str:
    cell = [f"Tv {row}" for row in vectors(c)] if c.cell is not None else []
    return lines_of(
        "#p hf/sto-3g", "", "x", "", f"{c.said.get('charge', 0)} {c.said.get('multiplicity', 1)}", c.rows(), cell, ""
    )


def gaussian_log(c: Content) -> str:
    rows = [f"{atom + 1:7d}{row}" for atom, row in enumerate(c.rows("{Z:11d}{k:12d}{x:16.6f}{y:12.6f}{z:12.6f}"))]
    if c.cell is not None:  # as atoms of number −2
        rows += [
            f"{len(rows) + axis + 1:7d}         -2           0" + row
            for axis, row in enumerate(vectors(c, "{:16.6f}{:12.6f}{:12.6f}"))
        ]
    line = " " + "-" * 69
    heads = [line, " Center     Atomic      Atomic             Coordinates (Angstroms)",
             " Number     Number       Type             X           Y           Z", line]  # fmt: skip
    return lines_of(" Entering Gaussian System, Link 0=g16", " # hf/sto-3g", "",
                 f" Charge = {c.said.get('charge', 0):2d} Multiplicity = {c.said.get('multiplicity', 1)}",
                 " " * 25 + "Standard orientation:", heads, rows, line, " SCF Done:  E(RHF) =  -1.0     A.U. after    1 cycles",
                 " Normal termination of Gaussian 16")  # fmt: skip


def turbomole(c: Content) -> str:
    whole = " ".join(f"{key}={c.said[key]}" for key in ("charge", "unpaired") if key in c.said)
    cell = [] if c.cell is None else ["$periodic 3", "$lattice", *vectors(c)]
    return lines_of("$coord", c.rows("{x:.8f} {y:.8f} {z:.8f} {s}"), cell, f"$eht {whole}" if whole else [], "$end")


def gen(c: Content) -> str:
    rows = [f"{atom + 1} {row}" for atom, row in enumerate(c.rows("{k} {x:.8f} {y:.8f} {z:.8f}"))]
    cell = [] if c.cell is None else ["0 0 0", *vectors(c)]
    return lines_of(f"{len(rows)} {'C' if c.cell is None else 'S'}", " ".join(c.kinds), rows, cell)


def cube(c: Content) -> str:
    grid = [f"2 {row}" for row in ("{:.8f} {:.8f} {:.8f}".format(*vector / 2) for vector in c.box)]
    return lines_of("x", "y", f"{len(c.symbols)} 0 0 0", grid, c.rows("{Z} {Z}.0 {x:.8f} {y:.8f} {z:.8f}"), "0 " * 8)


def xsf(c: Content) -> str:
    if c.cell is None:
        return lines_of("ATOMS", c.rows())
    return lines_of("CRYSTAL", "PRIMVEC", vectors(c), "PRIMCOORD", f"{len(c.symbols)} 1", c.rows())


def qcschema(c: Content) -> str:
    molecule = {"schema_name": "qcschema_molecule", "schema_version": 2, "symbols": c.symbols,
                "geometry": c.positions.ravel().tolist(), "molecular_charge": c.said.get("charge", 0)}  # fmt: skip
    if "bonds" in c.said:
        numbers = sorted(set(c.molecules))
        molecule["fragments"] = [[a for a, own in enumerate(c.molecules) if own == number] for number in numbers]
    if "charges" in c.said:
        molecule["fragments"] = [[atom] for atom in range(len(c.symbols))]
        molecule |= {"fragment_charges": c.said["charges"], "molecular_charge": sum(c.said["charges"])}
    return json.dumps(molecule)


def write_vasprun(path: Path, frames: list[Content]) -> None:
    first, *others = map(vasprun, frames)
    steps = [text[text.index("<calculation>") : text.index("</modeling>")] for text in others]
    path.write_text(first.replace("</modeling>", "".join(steps) + "</modeling>"), encoding="utf-8")


def write_xsf(path: Path, frames: list[Content]) -> None:
    text = xsf(frames[0])
    if len(frames) > 1:
        text = f"ANIMSTEPS {len(frames)}\n" + "".join(
            xsf(c).replace("ATOMS", f"ATOMS {at + 1}") for at, c in enumerate(frames)
        )
    path.write_text(text, encoding="utf-8")


def write_by_ase(path: Path, frames: list[Content]) -> None:
    """ASE's own formats, which have no other definition than its writer."""
    made = []
    for c in frames:
        atoms = ase.Atoms(c.symbols, c.positions, cell=c.cell, pbc=c.cell is not None)
        atoms.set_initial_charges(c.of("charges", 0))
        atoms.set_initial_magnetic_moments(c.of("moments", 0))
        if "charge" in c.said:
            atoms.info["charge"] = c.said["charge"]
        if "occupancy" in c.said:
            atoms.info["occupancy"] = {0: {c.symbols[0]: c.said["occupancy"][0]}}
        made.append(atoms)
    ase.io.write(path, made)
