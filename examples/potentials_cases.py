"""What ``potentials.py`` runs: potentials that others made, and which of them meet which structures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from shutil import which
from typing import Any, NamedTuple

from ase.calculators.calculator import Calculator
from potentials_structures import STRUCTURES, Structure

MADE = "potentials_made"


@dataclass(frozen=True)
class Potential:
    """A calculator of ASE, and what bodyorder is told of it.

    :param name: for tables
    :param package: module that it needs
    :param target: class, or function that returns a calculator
    :param options: of the class
    :param claims: options of ``ase:`` sources, see docs/potentials.md
    :param float32: whether it computes in single precision
    :param batches: class of ``potentials_batches`` that evaluates many at once
    :param program: that must be installed beside, by the name of its command
    """

    name: str
    package: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    float32: bool = False
    batches: str = ""
    program: str = ""

    @property
    def missing(self) -> str:
        """What it needs and is not here; empty if all is."""
        if not find_spec(self.package):
            return self.package
        return self.program if self.program and not which(self.program) else ""

    @property
    def spec(self) -> dict[str, Any]:
        """As bodyorder takes it; what the table names is trusted, functions that make calculators among it."""
        return {"source": f"ase:{self.target}", "trust": True, **self.options, **self.claims}

    @property
    def source(self) -> Any:
        """What decompose() is given: its own batches where it has any, else the calculator."""
        if not self.batches:
            return self.spec
        return getattr(import_module("potentials_batches"), self.batches)()

    def calculator(self) -> Calculator:
        """As plain ASE has it."""
        module, _, name = self.target.rpartition(".")
        return getattr(import_module(module), name)(**self.options)


class Case(NamedTuple):
    """A potential, structures, and the largest order; all orders if None."""

    potential: Potential
    structure: Structure
    max_order: int | None = None


def _sevennet(name: str, model: str, **options: Any) -> Potential:
    """In float32. The error claimed is the least that counts; what is measured on replicas counts where it is more."""
    options |= {"model": model, "device": "cpu"}
    claims = {"additive_cutoff": 5.0, "energy_error": 2e-6}
    return Potential(name, "sevenn", "sevenn.calculator.SevenNetCalculator", options, claims, float32=True)


def _chgnet(version: str) -> Potential:
    """In float32. Turned replicas of ten gold atoms or six water molecules have a spread of 5e-6 to 7e-6 eV."""
    claims = {"additive_cutoff": 6.0, "energy_error": 5e-6, "boxed": True}
    return Potential(f"CHGNet {version}", "chgnet", f"{MADE}.chgnet", {"name": version}, claims, float32=True)


def _tblite(method: str) -> Potential:
    """With tblite's own damping of 0.4 a few stretched hydrogen clusters do not converge; energies do not depend on it by more
    than 1e-7 eV."""
    options = {"method": method, "verbosity": 0, "mixer_damping": 0.2}
    return Potential(method, "tblite", "tblite.ase.TBLite", options, {"energy_error": 1e-7, "charged": True})


def _lammps(name: str, style: str, coefficients: str, elements: str, cutoff: float | None = None) -> Potential:
    options = {"style": style, "coefficients": coefficients, "elements": elements}
    claims = {} if cutoff is None else {"additive_cutoff": cutoff}
    return Potential(f"{name} (LAMMPS)", "lammps", f"{MADE}.lammps", options, claims)


def _matscipy(name: str, maker: str, cutoff: float) -> Potential:
    """matscipy cannot do without a cell, so it is given a box."""
    return Potential(name, "matscipy", f"{MADE}.{maker}", {}, {"additive_cutoff": cutoff, "boxed": True})


_CHARGED = {"charged": True}
#: By the part of a case's name that stands for them.
POTENTIALS = {
    "sevennet": _sevennet("SevenNet-0", "7net-0"),
    "sevennet22": _sevennet("SevenNet-0, May 2024", "7net-0_22May2024"),
    "sevennetl3i5": _sevennet("SevenNet-l3i5", "7net-l3i5"),
    "sevennetmf": _sevennet("SevenNet-MF-0, PBE", "7net-mf-0", modal="PBE"),
    "chgnet": _chgnet("0.3.0"),
    "chgnet02": _chgnet("0.2.0"),
    "chgnetr2scan": _chgnet("r2scan"),
    "diep": Potential("DIEP", "diep", f"{MADE}.diep", {}, {"energy_error": 5e-6}, float32=True, batches="Diep"),
    "so3lr": Potential("SO3LR", "so3krates_torch", f"{MADE}.so3lr", {}, _CHARGED, batches="So3lr"),
    "ani1x": Potential("ANI-1x", "torchani", f"{MADE}.ani", {}, {"energy_error": 1e-9}, batches="Ani"),
    # messages pass three times 4 Å, over atoms that are there: parts 4 Å apart have none between them
    "nequip": Potential("NequIP, random weights", "nequip", f"{MADE}.nequip", {}, {"additive_cutoff": 4.0}),
    "allegro": Potential("Allegro, random weights", "allegro", f"{MADE}.allegro", {}, {"additive_cutoff": 4.0}),
    "gfn2": _tblite("GFN2-xTB"),
    "gfn1": _tblite("GFN1-xTB"),
    "ipea1": _tblite("IPEA1-xTB"),
    "xtbloom": Potential(
        "GFN2-xTB (xTBloom)",
        "xtbloom",
        "xtbloom.ase.XTBloom",
        {"backend": "cpu", "warm_start": False},
        {"energy_error": 1e-7, "charged": True},
    ),
    "pm7": Potential("PM7 (MOPAC)", "ase", f"{MADE}.pm7", {}, {"energy_error": 1e-5, "charged": True}, program="mopac"),
    "d3": Potential("D3(BJ), PBE", "dftd3", "dftd3.ase.DFTD3", {"method": "PBE", "damping": "d3bj"}),
    "d4": Potential("D4, PBE", "dftd4", "dftd4.ase.DFTD4", {"method": "PBE"}, _CHARGED),
    "emt": Potential("EMT", "ase", "ase.calculators.emt.EMT", {}, {"additive_cutoff": 6.0}),
    # gold after Heinz et al., J. Phys. Chem. C 112, 17281 (2008)
    "lj": Potential(
        "Lennard-Jones",
        "ase",
        "ase.calculators.lj.LennardJones",
        {"epsilon": 0.2294, "sigma": 2.629, "rc": 9.0, "smooth": True},
        {"additive_cutoff": 9.0},
    ),
    "morse": Potential(
        "Morse",
        "ase",
        "ase.calculators.morse.MorsePotential",
        {"epsilon": 0.4826, "r0": 2.99, "rho0": 4.73, "rcut1": 1.9, "rcut2": 2.7},
        {"additive_cutoff": 8.08},
    ),
    "tip3p": Potential("TIP3P", "ase", "ase.calculators.tip3p.TIP3P", {"rc": 20.0}),
    "tip4p": Potential("TIP4P", "ase", "ase.calculators.tip4p.TIP4P", {"rc": 20.0}),
    "sw": _matscipy("Stillinger–Weber", "stillinger_weber", 3.78),
    "kumagai": _matscipy("Kumagai", "kumagai", 3.3),
    "erhart": _matscipy("Erhart–Albe", "erhart_albe", 2.96),
    "erhartlmp": _lammps("Erhart–Albe", "tersoff", "* * SiC_Erhart-Albe.tersoff Si C", "Si C", 2.96),
    "edip": _lammps("EDIP", "edip", "* * Si.edip Si", "Si", 3.13),
    "snap": _lammps("SNAP", "snap", "* * Si_Zuo_JPCA2020.snapcoeff Si_Zuo_JPCA2020.snapparam Si", "Si", 4.9),
    "meam": _lammps("MEAM", "meam", "* * library.meam Au NULL Au", "Au", 4.0),
    "vashishta": _lammps("Vashishta", "vashishta", "* * SiC.vashishta C Si", "C Si", 7.35),
    "eam": _lammps("EAM", "eam", "1 1 Au_u3.eam", "Au", 5.55),
    "airebo": _lammps("AIREBO", "airebo 3.0", "* * CH.airebo C H", "C H"),
    "reaxff": _lammps("ReaxFF", "reaxff NULL", "* * ffield.reax.cho H O", "H O"),
}

#: Largest order of each case, which is named by its potential and its structures; None for all. Some clusters of four gold atoms
#: converge in GFN2-xTB with no damping, so gold ends there with three.
ORDERS = {
    **dict.fromkeys(("sevennet-h8", "sevennet22-h8", "chgnet-h8", "chgnetr2scan-h8", "diep-h8", "so3lr-h8")),
    **dict.fromkeys(("ani1x-h8", "nequip-h8", "allegro-h8", "gfn2-h8", "emt-h8", "airebo-h8")),
    **dict.fromkeys(("sevennet-water", "sevennetl3i5-water", "chgnet-water", "chgnet02-water", "diep-water")),
    **dict.fromkeys(("so3lr-water", "ani1x-water", "nequip-water", "gfn2-water", "gfn1-water", "ipea1-water")),
    **dict.fromkeys(("xtbloom-water", "pm7-water", "d3-water", "d4-water", "tip3p-water", "tip4p-water")),
    **dict.fromkeys(("reaxff-water", "so3lr-ion", "gfn2-ion", "gfn1-ion", "ipea1-ion", "xtbloom-ion", "pm7-ion")),
    **dict.fromkeys(
        ("d4-ion", "d3-argon", "d4-argon", "so3lr-argon", "lj-gold", "morse-gold", "emt-gold", "eam-gold", "meam-gold")
    ),
    **dict.fromkeys(("sevennet-gold", "chgnet-gold"), 4),
    "gfn2-gold": 3,
    **dict.fromkeys(("sevennet-silicon", "sevennetmf-silicon", "chgnet-silicon", "snap-silicon"), 3),
    **dict.fromkeys(("sw-silicon", "kumagai-silicon", "edip-silicon", "erhart-sic", "erhartlmp-sic"), 4),
    "vashishta-sic": 2,
    "sevennet-cell": 3,
    **dict.fromkeys(("chgnet-cell", "allegro-cell", "nequip-cell"), 2),
}

CASES = {
    name: Case(POTENTIALS[name.split("-")[0]], STRUCTURES[name.split("-")[1]], order) for name, order in ORDERS.items()
}
