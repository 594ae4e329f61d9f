"""The formats of the table: how their files are written, and where they say what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import molecules as of
import programs as by
from ase.units import Bohr
from content import Content, in_a_row


@dataclass(frozen=True)
class Format:
    """A format: how its files are called and written, and where they say what.

    :param units: Å in each unit of length that its files can have, by name, the usual one first
    :param charges: where charges stand, by what ``Content.said`` calls them; likewise moments, and what makes molecules
    """

    name: str
    file: str
    write: Callable[[Path, list[Content]], None]
    units: dict[str, float] = field(default_factory=lambda: {"Å": 1.0})
    elements: str = "symbols"
    charges: dict[str, str] = field(default_factory=dict)
    spins: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    cell: bool = True
    occupancy: bool = False
    frames: bool = True


FORMATS = [
    Format("XYZ", "a.xyz", in_a_row(of.plain_xyz), cell=False, charges={"comment": "comment `1 1`"}),
    Format(
        "extended XYZ", "a.extxyz", in_a_row(of.extended_xyz),
        charges={"initial_charges": "`initial_charges`", "charge": "`charge=`"},
        spins={"initial_magmoms": "`initial_magmoms`", "multiplicity": "`multiplicity=`"},
        bodies={"molecule": "column `molecule`"}, occupancy=True,
    ),
    Format("XYZ of i-PI", "a.xyz", in_a_row(of.ipi_xyz), {"atomic_unit": Bohr, "angstrom": 1.0, "nanometer": 10.0}),
    Format(
        "PDB", "a.pdb", in_a_row(of.pdb), elements="columns 77–78", charges={"charges": "columns 79–80"},
        bodies={"residues": "residues", "conect": "`CONECT`"}, occupancy=True,
    ),
    Format(
        "mmCIF", "a.cif", of.write_mmcif, elements="`type_symbol`", charges={"charges": "`pdbx_formal_charge`"},
        bodies={"residues": "residues"}, occupancy=True,
    ),
    Format(
        "CIF", "a.cif", in_a_row(of.cif), elements="`type_symbol`", charges={"charges": "oxidation states"}, occupancy=True
    ),
    Format(
        "SDF (V2000)", "a.sdf", of.write_records(of.v2000), charges={"charges": "`M  CHG`"}, spins={"moments": "`M  RAD`"},
        bodies={"bonds": "bonds"}, cell=False,
    ),
    Format(
        "SDF (V3000)", "a.sdf", of.write_records(of.v3000), charges={"charges": "`CHG=`"}, spins={"moments": "`RAD=`"},
        bodies={"bonds": "bonds"}, cell=False,
    ),
    Format(
        "MOL", "a.mol", in_a_row(of.v2000), charges={"charges": "`M  CHG`"}, spins={"moments": "`M  RAD`"},
        bodies={"bonds": "bonds"}, cell=False, frames=False,
    ),
    Format(
        "LAMMPS data", "a.data", in_a_row(by.lammps_data), {"metal": 1.0, "electron": Bohr}, "masses",
        charges={"charges": "column"}, bodies={"bonds": "numbers of molecules"}, frames=False,
    ),
    Format(
        "LAMMPS dump", "a.lammpstrj", in_a_row(by.lammps_dump), {"metal": 1.0, "electron": Bohr}, "column `element`",
        charges={"charges": "`q`"}, bodies={"bonds": "`mol`"},
    ),
    Format("GROMACS gro", "a.gro", in_a_row(by.gro), {"nm": 10.0}, "names of water, ions and symbols"),
    Format("POSCAR", "POSCAR", in_a_row(by.poscar)),
    Format(
        "vasprun.xml", "vasprun.xml", by.write_vasprun, charges={"charge": "number of electrons"},
        spins={"moments": "`MAGMOM`"},
    ),
    Format(
        "Quantum ESPRESSO input", "a.pwi", in_a_row(by.espresso), {"angstrom": 1.0, "bohr": Bohr},
        charges={"charge": "`tot_charge`"}, frames=False,
        spins={"unpaired": "`tot_magnetization`", "fractions": "`starting_magnetization`"},
    ),
    Format(
        "FHI-aims", "geometry.in", in_a_row(by.aims), charges={"charges": "`initial_charge`"},
        spins={"moments": "`initial_moment`"}, frames=False,
    ),
    Format(
        "CASTEP cell", "a.cell", in_a_row(by.castep), {"ang": 1.0, "bohr": Bohr}, spins={"moments": "`SPIN`"}, frames=False
    ),
    Format(
        "CP2K restart", "a.restart", in_a_row(by.cp2k), charges={"charge": "`CHARGE`"},
        spins={"multiplicity": "`MULTIPLICITY`"}, frames=False,
    ),
    Format(
        "Gaussian input", "a.com", in_a_row(by.gaussian, "--Link1--\n"), charges={"charge": "of the whole"},
        spins={"multiplicity": "multiplicity"},
    ),
    Format(
        "Gaussian output", "a.log", in_a_row(by.gaussian_log), charges={"charge": "of the whole"},
        spins={"multiplicity": "multiplicity"},
    ),
    Format(
        "Turbomole coord", "coord", in_a_row(by.turbomole), {"bohr": Bohr}, charges={"charge": "`$eht charge=`"},
        spins={"unpaired": "`$eht unpaired=`"},
    ),
    Format("DFTB+ gen", "a.gen", in_a_row(by.gen)),
    Format("cube", "a.cube", in_a_row(by.cube), {"bohr": Bohr}, frames=False),
    Format("XSF", "a.xsf", by.write_xsf),
    Format(
        "ASE traj", "a.traj", by.write_by_ase, charges={"charges": "initial charges", "charge": '`info["charge"]`'},
        spins={"moments": "initial moments"}, occupancy=True,
    ),
    Format(
        "ASE JSON", "a.json", by.write_by_ase, charges={"charges": "initial charges"}, spins={"moments": "initial moments"}
    ),
    Format("ASE db", "a.db", by.write_by_ase, charges={"charges": "initial charges"}, spins={"moments": "initial moments"}),
    Format("QCSchema JSON", "a.json", in_a_row(by.qcschema), {"bohr": Bohr},
           charges={"charges": "`fragment_charges`"}, bodies={"bonds": "`fragments`"}, cell=False, frames=False),
]  # fmt: skip
