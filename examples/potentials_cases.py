"""What ``potentials.py`` runs: potentials that others made, structures, and which of them go together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import ase
import numpy as np
from ase.build import bulk
from ase.calculators.calculator import Calculator

from bodyorder.structures.hydrogen import high_density, low_density


@dataclass(frozen=True)
class Potential:
    """A calculator of ASE, and what bodyorder is told of it.

    :param package: what ``pip`` has to install
    :param target: class, or function that returns a calculator
    :param options: of the class
    :param claims: options of ``ase:`` sources, see docs/potentials.md
    :param float32: whether it computes in single precision
    """

    package: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    float32: bool = False

    @property
    def spec(self) -> dict[str, Any]:
        """As bodyorder takes it; what the table names is trusted, functions that make calculators among it."""
        return {"source": f"ase:{self.target}", "trust": True, **self.options, **self.claims}


class Structure(NamedTuple):
    """Structures of one kind.

    :param make: gives them
    :param bodies: as bodyorder takes it
    :param atoms_per_body: atoms of a body stand together
    """

    make: Callable[[], list[ase.Atoms]]
    bodies: str = "atoms"
    atoms_per_body: int = 1


class Case(NamedTuple):
    """A potential, structures, and the largest order; all orders if None."""

    potential: Potential
    structure: Structure
    max_order: int | None = None


def stillinger_weber() -> Calculator:
    """Silicon after Stillinger and Weber, Phys. Rev. B 31, 5262 (1985). matscipy makes calculators of functions."""
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms import StillingerWeber
    from matscipy.calculators.manybody.explicit_forms.stillinger_weber import Stillinger_Weber_PRB_31_5262_Si

    return Manybody(**StillingerWeber(Stillinger_Weber_PRB_31_5262_Si))


def hydrogen() -> list[ase.Atoms]:
    """Eight atoms, as molecules and pressed together."""
    return low_density(8, 1, seed=1) + high_density(8, 1, seed=1)


def water_ring() -> list[ase.Atoms]:
    """Six molecules in a ring, each giving one hydrogen bond to the next, the other hydrogens up and down in turn."""
    turn = np.deg2rad(60 * np.arange(6))
    oxygens = 2.75 * np.column_stack([np.cos(turn), np.sin(turn), np.zeros(6)])
    along = np.roll(oxygens, -1, axis=0) - oxygens
    outward = oxygens / 2.75 + [[0, 0, 1.5], [0, 0, -1.5]] * 3
    return [_water(oxygens, along, outward)]


def water_cell() -> list[ase.Atoms]:
    """Eight molecules in a periodic cube, 1 g/cm³: cubic ice by the ice rules, shaken."""
    edge = 6.208
    corners = edge * np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    bonds = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    oxygens = np.concatenate([corners, corners + edge / 4])
    # one half of the molecules gives its hydrogens along two kinds of bonds, the other along the other two, backwards
    first, second = (np.repeat([bonds[kind], -bonds[kind + 2]], 4, axis=0) for kind in (0, 1))
    random = np.random.default_rng(0)
    shaken = [vectors + random.normal(0, 0.06, (8, 3)) for vectors in (oxygens, first, second)]
    atoms = _water(*shaken)
    atoms.set_cell([edge] * 3)
    atoms.pbc = True
    return [atoms]


def gold() -> list[ase.Atoms]:
    """A tetrahedron of ten atoms cut from the crystal, shaken."""
    steps = [step for step in product(range(3), repeat=3) if sum(step) <= 2]
    atoms = ase.Atoms("Au10", steps @ bulk("Au").cell.array)
    atoms.rattle(0.1, seed=0)
    return [atoms]


def silicon() -> list[ase.Atoms]:
    """The periodic crystal of two atoms in a cell, displaced."""
    atoms = bulk("Si", "diamond", 5.431)
    atoms.rattle(0.1, seed=0)
    return [atoms]


def _water(oxygens: np.ndarray, first: np.ndarray, second: np.ndarray) -> ase.Atoms:
    """Molecules as in vacuum, one O–H along ``first``, the other as near to ``second`` as the angle lets it."""
    length, angle = 0.9572, np.deg2rad(104.52)
    along = first / np.linalg.norm(first, axis=1)[:, None]
    across = second - (second * along).sum(axis=1)[:, None] * along
    across /= np.linalg.norm(across, axis=1)[:, None]
    hydrogens = [along, np.cos(angle) * along + np.sin(angle) * across]
    places = np.stack([oxygens, *(oxygens + length * vectors for vectors in hydrogens)], axis=1)
    return ase.Atoms("OH2" * len(oxygens), places.reshape(-1, 3))


#: Both compute in float32. The error claimed is the least that counts; what is measured on replicas counts where it is more.
SEVENNET = Potential(
    "sevenn",
    "sevenn.calculator.SevenNetCalculator",
    {"model": "7net-0", "device": "cpu"},
    {"additive_cutoff": 5.0, "energy_error": 2e-6},
    float32=True,
)
#: Energies of turned replicas of ten gold atoms or six water molecules have a spread of 5e-6 to 7e-6 eV.
CHGNET = Potential(
    "chgnet",
    "chgnet.model.CHGNetCalculator",
    {"return_site_energies": True, "use_device": "cpu", "on_isolated_atoms": "ignore"},
    {"additive_cutoff": 6.0, "energy_error": 5e-6, "boxed": True},
    float32=True,
)
#: With tblite's own damping of 0.4 a few stretched hydrogen clusters do not converge; energies do not depend on it by more than
#: 1e-7 eV. Some clusters of four gold atoms converge with no damping, so gold ends with three.
GFN2 = Potential(
    "tblite",
    "tblite.ase.TBLite",
    {"method": "GFN2-xTB", "verbosity": 0, "mixer_damping": 0.2},
    {"energy_error": 1e-7},
)
EMT = Potential("ase", "ase.calculators.emt.EMT", {}, {"additive_cutoff": 6.0})
#: Gold after Heinz et al., J. Phys. Chem. C 112, 17281 (2008).
LENNARD_JONES = Potential(
    "ase",
    "ase.calculators.lj.LennardJones",
    {"epsilon": 0.2294, "sigma": 2.629, "rc": 9.0, "smooth": True},
    {"additive_cutoff": 9.0},
)
#: matscipy cannot do without a cell, so it is given a box; its own range is 1.8 · 2.0951 Å.
STILLINGER_WEBER = Potential("matscipy", f"{__name__}.stillinger_weber", {}, {"additive_cutoff": 3.78, "boxed": True})

HYDROGEN = Structure(hydrogen)
WATER_RING = Structure(water_ring, "molecules", 3)
WATER_CELL = Structure(water_cell, "molecules", 3)
GOLD = Structure(gold)
SILICON = Structure(silicon)

CASES = {
    "sevennet-h8": Case(SEVENNET, HYDROGEN),
    "chgnet-h8": Case(CHGNET, HYDROGEN),
    "gfn2-h8": Case(GFN2, HYDROGEN),
    "emt-h8": Case(EMT, HYDROGEN),
    "sevennet-water": Case(SEVENNET, WATER_RING),
    "chgnet-water": Case(CHGNET, WATER_RING),
    "gfn2-water": Case(GFN2, WATER_RING),
    "sevennet-gold": Case(SEVENNET, GOLD, 4),
    "chgnet-gold": Case(CHGNET, GOLD, 4),
    "gfn2-gold": Case(GFN2, GOLD, 3),
    "emt-gold": Case(EMT, GOLD),
    "lj-gold": Case(LENNARD_JONES, GOLD),
    "sevennet-silicon": Case(SEVENNET, SILICON, 3),
    "sw-silicon": Case(STILLINGER_WEBER, SILICON, 4),
    "chgnet-silicon": Case(CHGNET, SILICON, 3),
    "sevennet-cell": Case(SEVENNET, WATER_CELL, 3),
    "chgnet-cell": Case(CHGNET, WATER_CELL, 2),
}
