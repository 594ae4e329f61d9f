"""Which element an atom of a file is: from its symbol, from the columns of its name, or from its label."""

from __future__ import annotations

import re
from collections.abc import Sequence

import ase
import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from bodyorder.structures import bonds

#: Isotopes of hydrogen that have a symbol of their own, and their masses in u (AME2020).
ISOTOPES = {"D": 2.01410178, "T": 3.01604928}

#: Symbols of nonmetals.
NONMETALS = frozenset((*(chemical_symbols[number] for number in bonds.NONMETALS), *ISOTOPES))

AMINO_ACIDS = frozenset((
    "ALA", "ARG", "ASN", "ASP", "ASH", "CYS", "CYX", "CYM", "GLN", "GLU", "GLH", "GLY", "HIS", "HID", "HIE",
    "HIP", "HSD", "HSE", "HSP", "ILE", "LEU", "LYS", "LYN", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR",
    "VAL", "ACE", "NME", "NMA", "NH2", "NHE",
))  # fmt: skip
NUCLEOTIDES = frozenset((
    "A", "C", "G", "U", "I", "DA", "DC", "DG", "DT", "DU", "DI", "RA", "RC", "RG", "RU", "ADE", "CYT", "GUA",
    "THY", "URA",
))  # fmt: skip
WATERS = frozenset((
    "HOH", "WAT", "H2O", "SOL", "DOD", "D2O", "TIP", "TIP2", "TIP3", "TIP4", "TIP5", "TP3", "TP4", "TP5",
    "T3P", "T4P", "T5P", "SPC", "SPCE",
))  # fmt: skip

#: Names by which CHARMM calls ions, in residues of the same name.
_IONS = {
    "SOD": "Na", "CLA": "Cl", "POT": "K", "CAL": "Ca", "CES": "Cs", "LIT": "Li", "RUB": "Rb", "BAR": "Ba", "CAD": "Cd",
    "ZN2": "Zn",
}  # fmt: skip


def symbol_of(text: str) -> str | None:
    """The symbol of an element, D and T among them, that a text in any case is; None if it is none."""
    symbol = text.strip().capitalize()
    return symbol if symbol in ISOTOPES or atomic_numbers.get(symbol, 0) > 0 else None


def atoms_of(
    symbols: Sequence[str], positions: np.ndarray, charges: Sequence[int] = (), moments: Sequence[int] = ()
) -> ase.Atoms:
    """A structure of what a file states.

    :param symbols: elements, D and T among them, which become hydrogen with its mass
    :param positions: in Å, shape (n_atoms, 3)
    :param charges: formal charges; none are set if all are zero
    :param moments: unpaired electrons; none are set if all are zero
    """
    atoms = ase.Atoms(["H" if symbol in ISOTOPES else symbol for symbol in symbols], positions=positions)
    if not ISOTOPES.keys().isdisjoint(symbols):
        own = zip(symbols, atoms.get_masses(), strict=True)
        atoms.set_masses([ISOTOPES.get(symbol, mass) for symbol, mass in own])
    if any(charges):
        atoms.set_initial_charges(charges)
    if any(moments):
        atoms.set_initial_magnetic_moments(moments)
    return atoms


def element_of_name(name: str, residue: str, aligned: bool) -> str | None:
    """The element of an atom of a PDB file that states none, by the name of the atom; None if the name does not tell.

    :param name: four columns, in which symbols of one letter stand in the second and those of two begin in the first
    :param residue: name of the residue
    :param aligned: whether the names of the file keep to these columns
    """
    bare = name.strip().lstrip("0123456789")
    if ion := _ion(bare, residue):
        return ion
    if residue in AMINO_ACIDS or residue in NUCLEOTIDES or residue in WATERS:
        return symbol_of(bare[:1]) if bare[:1] in tuple("HDO" if residue in WATERS else "HDCNOPS") else None
    if re.match("[A-Z][a-z]", bare) and (symbol := symbol_of(bare[:2])):
        return symbol
    return _element_by_columns(name, bare, aligned)


def element_of_label(label: str) -> str | None:
    """The element that a label of a CIF begins with; None if it could be two, or is none."""
    letters = re.sub("[^A-Za-z].*", "", label)
    one = _one_letter(letters)
    two = symbol_of(letters[:2]) if len(letters) > 1 else None
    if re.match("[A-Z][a-z]", letters):
        # Ow and Hw are of water; Cg is the middle of a ring, Du a dummy
        return two or (one if letters[1] == "w" else None)
    return None if one and two else one or two


def _ion(bare: str, residue: str) -> str | None:
    """The element of an ion that is a residue of its own, such as ``CA`` in ``CA``, ``Na+`` in ``NA`` or ``SOD`` in ``SOD``."""
    kind = re.sub(r"\d*[+-]*\d*$", "", bare).upper()
    if bare.upper() == residue and residue in _IONS:
        return _IONS[residue]
    same = kind == re.sub(r"\d*[+-]*\d*$", "", residue).upper()
    # C, O, N and other letters are nucleotides too, whose atoms have longer names
    return symbol_of(kind) if same and (len(kind) == 2 or kind in "KFI") else None


def _element_by_columns(name: str, bare: str, aligned: bool) -> str | None:
    one = _one_letter(bare)
    two = symbol_of(bare[:2]) if bare[:2].isalpha() and len(bare) > 1 else None
    if one is None or two is None:
        return one or two
    if two in ("Cl", "Br"):
        return two if name[0] != " " else None
    if name[0] == " " or name[0].isdigit():
        return one
    if len(name.strip()) == 4:
        return "H" if one == "H" else None
    return two if aligned and one != "H" else None


def _one_letter(bare: str) -> str | None:
    """The element of the first letter; V, W, U, Y and K are none before another letter, as in VS, and T is not tritium."""
    one = symbol_of(bare[:1])
    return None if one == "T" or (one not in NONMETALS and bare[1:2].isalpha()) else one
