"""Systems that quantum chemists bring, as the rows of docs/ab_initio/table.py."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np

#: Å between the oxygen atoms of neighbours in a ring of water, and the length of an O–H bond.
NEIGHBOURS, BOND = 2.76, 0.97
#: Angle between the bonds of water.
ANGLE = np.radians(104.5)


@dataclass(frozen=True)
class Case:
    """One row.

    :param name: what the row is called
    :param atoms: the structure
    :param source: spec of the energies
    :param bodies: what is one body
    """

    name: str
    atoms: ase.Atoms
    source: str
    bodies: str = "molecules"


def ring(count: int) -> ase.Atoms:
    """So many molecules of water, each a donor to the next one; two are a chain."""
    radius = 0.5 * NEIGHBOURS / np.sin(np.pi / count)
    turns = 2 * np.pi * np.arange(count) / count
    oxygens = radius * np.stack([np.cos(turns), np.sin(turns), np.zeros(count)], axis=1)
    atoms = ase.Atoms()
    for place, oxygen in enumerate(oxygens):
        other = oxygens[(place + 1) % count] if count > 2 or not place else oxygen + [-1.0, 1.0, 0.0]
        along = (other - oxygen) / np.linalg.norm(other - oxygen)
        outward = oxygen / np.linalg.norm(oxygen)
        outward -= along * (outward @ along)
        # the free hydrogen points away from the ring and by turns up and down
        away = 0.5 * outward / max(np.linalg.norm(outward), 1e-9) + np.array([0.0, 0.0, (-1.0) ** place])
        away -= along * (away @ along)
        free = np.cos(ANGLE) * along + np.sin(ANGLE) * away / np.linalg.norm(away)
        atoms += ase.Atoms("OH2", positions=[oxygen, oxygen + BOND * along, oxygen + BOND * free])
    return atoms


def charged(atoms: ase.Atoms, **charges: float) -> ase.Atoms:
    """The same with charges of atoms by element."""
    atoms = atoms.copy()
    atoms.set_initial_charges([charges.get(symbol, 0.0) for symbol in atoms.symbols])
    return atoms


def around(symbol: str, distance: float, count: int = 2) -> ase.Atoms:
    """An atom with molecules of water on both sides, whose oxygen looks at it."""
    atoms = ase.Atoms(symbol, positions=[[0.0, 0.0, 0.0]])
    for side in (1.0, -1.0)[:count]:
        half = ANGLE / 2
        across = np.array([0.0, 1.0, 0.0]) if side > 0 else np.array([0.0, 0.0, 1.0])
        oxygen = np.array([side * distance, 0.0, 0.0])
        hydrogens = [
            oxygen + BOND * (np.cos(half) * np.array([side, 0.0, 0.0]) + sign * np.sin(half) * across)
            for sign in (1.0, -1.0)
        ]
        atoms += ase.Atoms("OH2", positions=[oxygen, *hydrogens])
    return atoms


def donated(anion: str, distance: float) -> ase.Atoms:
    """An atom with two molecules of water on opposite sides, each with a hydrogen towards it."""
    atoms = ase.Atoms(anion, positions=[[0.0, 0.0, 0.0]])
    for side in (1.0, -1.0):
        towards = np.array([-side, 0.0, 0.0])
        oxygen = np.array([side * distance, 0.0, 0.0])
        free = np.cos(ANGLE) * towards + np.sin(ANGLE) * np.array([0.0, side, 0.0])
        atoms += ase.Atoms("OH2", positions=[oxygen, oxygen + BOND * towards, oxygen + BOND * free])
    return atoms


def hydroxyl() -> ase.Atoms:
    """OH as donor to water."""
    water = around("H", 1.9, 1)
    return ase.Atoms("O", positions=[[-BOND, 0.0, 0.0]]) + water


def pair(first: str, second: str, distance: float) -> ase.Atoms:
    """Two atoms."""
    return ase.Atoms([first, second], positions=[[0.0, 0.0, 0.0], [0.0, 0.0, distance]])


def rhombus(symbol: str, short: float, long: float) -> ase.Atoms:
    """Four atoms, by their two diagonals."""
    return ase.Atoms(
        [symbol] * 4, positions=[[short / 2, 0, 0], [-short / 2, 0, 0], [0, long / 2, 0], [0, -long / 2, 0]]
    )


def tetrahedron(symbol: str, side: float) -> ase.Atoms:
    """Four atoms."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * side / np.sqrt(8.0)
    return ase.Atoms([symbol] * 4, positions=corners)


CASES = (
    *(
        Case(f"(H₂O){sub}", ring(count), source)
        for count, sub, source in (
            (2, "₂", "pyscf:mp2/aug-cc-pvdz?spin=low"),
            (3, "₃", "pyscf:uks/6-31g*?spin=low&xc=pbe0"),
            (4, "₄", "pyscf:mp2/6-31g*?spin=low"),
            (5, "₅", "pyscf:mp2/6-31g?spin=low"),
            (6, "₆", "pyscf:uhf/6-31g?spin=low"),
        )
    ),
    Case("Na⁺(H₂O)₂", charged(around("Na", 2.3), Na=1.0), "pyscf:mp2/6-31g*?spin=low"),
    Case("Li⁺(H₂O)₂", charged(around("Li", 1.85), Li=1.0), "pyscf:ccsd/6-31g*?spin=low"),
    Case("F⁻(H₂O)₂", charged(donated("F", 2.45), F=-1.0), "pyscf:mp2/6-31+g*?spin=low"),
    Case("OH·H₂O", hydroxyl(), "pyscf:ccsd(t)/6-31g*?spin=ground"),
    Case("O₂ and water", pair("O", "O", 1.21) + around("H", 9.9, 1)[1:], "pyscf:mp2/6-31g*?spin=ground"),
    Case("N₂, by atoms", pair("N", "N", 1.10), "pyscf:fci/sto-3g?spin=ground", "atoms"),
    Case("O₂, by atoms", pair("O", "O", 1.21), "pyscf:ccsd(t)/6-31g*?spin=ground", "atoms"),
    Case("C₂, by atoms", pair("C", "C", 1.24), "pyscf:uhf/6-31g*?spin=ground", "atoms"),
    Case("CN, by atoms", pair("C", "N", 1.17), "pyscf:uks/def2-svp?spin=ground&xc=pbe", "atoms"),
    Case("Li₄, by atoms", rhombus("Li", 2.63, 5.45), "pyscf:uhf/6-31g*?spin=ground", "atoms"),
    Case("Be₂, by atoms", pair("Be", "Be", 2.45), "pyscf:fci/sto-3g?spin=ground", "atoms"),
    Case("Be₄, by atoms", tetrahedron("Be", 2.1), "pyscf:mp2/6-31g*?spin=ground", "atoms"),
    Case("ScH, by atoms", pair("Sc", "H", 1.78), "pyscf:uhf/def2-svp?spin=ground", "atoms"),
    Case("CuO, by atoms", pair("Cu", "O", 1.72), "pyscf:uks/def2-svp?spin=ground&xc=pbe", "atoms"),
    Case("AuH, by atoms", pair("Au", "H", 1.52), "pyscf:uhf/def2-svp?spin=ground", "atoms"),
)
