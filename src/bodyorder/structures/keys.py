"""The one table of keys: how files and programs call charge, spin and molecules, and what readers add.

Keys are compared in lower case and without ``_``, ``-`` and spaces (:func:`plain`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

#: What a key of the whole can state: its charge, its charge if it is a whole number, 2S + 1, 2S; or it sounds like that.
KeyKind = Literal["charge", "charge if whole", "multiplicity", "unpaired", "alike", ""]
#: What a column can state: charges or moments, always or if all in it are whole numbers; or it sounds like that.
ColumnKind = Literal["charges", "charges if whole", "moments", "moments if whole", "alike", ""]

#: Charge of the whole: ASE and UMA (charge), MACE and Orb (total_charge), QCSchema (molecular_charge), xtb (chrg), tmQM (q).
_CHARGE = frozenset((
    "charge", "totalcharge", "netcharge", "molecularcharge", "totcharge", "systemcharge", "charges", "chrg", "q",
    "comment(charge)",
))  # fmt: skip
#: Multiplicity: UMA (spin), MACE and Orb (total_spin), AIMNet2 (mult), QCSchema (molecular_multiplicity).
_MULTIPLICITY = frozenset((
    "multiplicity", "mult", "spinmultiplicity", "molecularmultiplicity", "totalspinmultiplicity", "spinmult", "totalspin", "spin",
    "comment(multiplicity)",
))  # fmt: skip
#: Unpaired electrons: xtb (uhf), data sets.
_UNPAIRED = frozenset((
    "uhf", "unpaired", "nunpaired", "numunpaired", "unpairedelectrons", "nunpairedelectrons", "numunpairedelectrons", "nopen",
))  # fmt: skip
#: How names of other charges end, such as ref_charge, cluster_charge or charge_state.
_CHARGE_ENDS = ("charge", "charges", "chg", "chgs", "chrg", "chargestate", "chargestates")
#: What charges are not formal ones, by a part of their name, and what ends like a charge and counts something.
_OTHER_CHARGES = ("nuclear", "core", "valence", "effective", "pseudo", "partial", "screened")
_NO_CHARGES = frozenset((
    "zcharge", "zcharges", "ncharge", "ncharges", "numcharge", "numcharges", "ischarge", "maxcharge", "mincharge", "recharge",
))  # fmt: skip
_MAYBE_CHARGE = frozenset(("qtot", "qtotal", "netq", "totchg"))
_CHARGES = frozenset(("initialcharges", "initialcharge", "formalcharges", "formalcharge"))
_MAYBE_CHARGES = frozenset(("q", "qs"))
_MOMENTS = frozenset(("initialmagmoms", "initialmagmom", "initialmagneticmoments"))
_MAYBE_MOMENTS = frozenset((
    "magmoms", "magmom", "magneticmoments", "magneticmoment", "moments", "moment", "spins", "spin", "mag", "mz",
))  # fmt: skip
#: What names have in common that are about charge or spin in another way, and whole names that are.
_SOUNDS = (
    "charge",
    "chg",
    "chrg",
    "spin",
    "magmom",
    "magneticmoment",
    "multiplicity",
    "unpaired",
    "nelec",
    "oxidation",
)
_ALIKE = frozenset(("s", "2s", "ms", "ms2", "nupdown", "totalmagnetization", "qs"))

#: Columns that say which molecule each atom is in.
MOLECULE_COLUMNS = frozenset((
    "molecule", "molecules", "moleculeid", "moleculeindex", "mol", "molid", "molindex", "fragment", "fragments", "fragmentid",
    "body", "bodies",
))  # fmt: skip

#: Columns that readers set, numbers of molecules and of residues through the whole structure, and those that ASE
#: sets for PDB files.
MOLECULE, RESIDUE, RESIDUE_COLUMNS = "molecule", "residue", ("residuenumbers", "residuenames", "chainids")
#: Keys of ``info`` by which readers say why molecules are not clear, of which space group a file holds the asymmetric unit only,
#: and how many columns it has that have no name and are not read.
MOLECULES_UNCLEAR, ASYMMETRIC_UNIT, UNNAMED_COLUMNS = "molecules_unclear", "asymmetric_unit", "unnamed_columns"


@lru_cache(maxsize=4096)
def plain(key: str) -> str:
    """A key in lower case without ``_``, ``-`` and spaces: how files write one word differs."""
    return key.lower().replace("_", "").replace("-", "").replace(" ", "")


@lru_cache(maxsize=4096)
def kind_of_key(key: str) -> KeyKind:
    """What a key of ``info`` states of the whole structure."""
    short = plain(key)
    if short in _CHARGE:
        return "charge"
    if short in _MULTIPLICITY:
        return "multiplicity"
    if short in _UNPAIRED:
        return "unpaired"
    if _may_be_charge(short) or short in _MAYBE_CHARGE:
        return "charge if whole"
    return "alike" if short in _ALIKE or any(part in short for part in _SOUNDS) else ""


@lru_cache(maxsize=4096)
def kind_of_column(column: str) -> ColumnKind:
    """What a column of a structure, or a result of a calculator, states of its atoms."""
    short = plain(column)
    if short in _CHARGES:
        return "charges"
    if short in _MOMENTS:
        return "moments"
    if _may_be_charge(short) or short in _MAYBE_CHARGES:
        return "charges if whole"
    if short in _MAYBE_MOMENTS:
        return "moments if whole"
    return "alike" if any(part in short for part in _SOUNDS) else ""


def _may_be_charge(short: str) -> bool:
    return (
        short.endswith(_CHARGE_ENDS) and short not in _NO_CHARGES and not any(part in short for part in _OTHER_CHARGES)
    )
