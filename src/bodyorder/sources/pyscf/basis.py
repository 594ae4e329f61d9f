"""Basis sets: which names are known, and the functions of each element."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any

from ase.data import chemical_symbols
from pyscf.gto import basis as library

from bodyorder._checks import InputError, did_you_mean

#: Names that an unknown one is compared with.
USUAL = (
    "sto-3g",
    "sto-6g",
    "3-21g",
    "6-31g",
    "6-31g*",
    "6-31g**",
    "6-31+g*",
    "6-31++g**",
    "6-311g",
    "6-311g**",
    "6-311++g**",
    "cc-pvdz",
    "cc-pvtz",
    "cc-pvqz",
    "cc-pv5z",
    "aug-cc-pvdz",
    "aug-cc-pvtz",
    "aug-cc-pvqz",
    "def2-svp",
    "def2-svpd",
    "def2-tzvp",
    "def2-tzvpp",
    "def2-qzvp",
    "pc-0",
    "pc-1",
    "pc-2",
    "pc-3",
    "aug-pc-1",
    "aug-pc-2",
    "pcseg-1",
    "pcseg-2",
    "ano",
)

_WITH_POLARISATION = re.compile(r"6-?31{1,2}\+{0,2}g\([a-z0-9,]+\)")


def check_basis(name: str) -> str:
    """Return the name of a basis set in lower case if PySCF carries it.

    :raises InputError: if it does not; the message suggests the nearest of the usual names
    """
    lower = name.lower()
    if re.sub(r"[-_ ]", "", lower) not in library.ALIAS and not _WITH_POLARISATION.fullmatch(lower):
        raise InputError(
            f"`basis` must be a basis set that PySCF knows, such as {', '.join(USUAL[1:4])} or cc-pvdz, got {name!r}"
            f"{did_you_mean(name, USUAL)}"
        )
    return lower


@lru_cache(maxsize=512)
def element_functions(basis: str, number: int) -> Any:
    """Contracted functions of one element in PySCF's format.

    :raises InputError: if the basis set has none, or describes the element with an effective core potential
    """
    if number < 1:
        raise InputError(
            "every atom must have a nucleus, one is a ghost (X); leave it out, counterpoise=full brings the functions of "
            "other atoms"
        )
    symbol = chemical_symbols[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to install another package of basis sets
        try:
            functions = library.load(basis, symbol)
        except (RuntimeError, KeyError, OSError, AssertionError):  # one or the other, by the format of its file
            raise InputError(
                f"`basis` must have functions for every element, {basis} has none for {symbol}; use one that covers it"
            ) from None
        try:
            core = library.load_ecp(basis, symbol)
        except RuntimeError:
            core = None
    if core:
        raise InputError(
            f"`basis` must describe all electrons, {basis} replaces the core of {symbol} by a potential; use another one"
        )
    return functions
