"""Basis sets: which names are known, the functions of each element, and the potential in place of its core.

A basis set that is made for effective core potentials brings them along, as the library of PySCF pairs them. One from a file
brings those of its file.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from pyscf.data.elements import NRSRHF_CONFIGURATION
from pyscf.gto import basis as library
from pyscf.gto.basis import parse_gaussian, parse_nwchem, parse_nwchem_ecp
from pyscf.gto.ecp import core_configuration

from bodyorder._checks import InputError, did_you_mean

#: Names that an unknown one is compared with.
USUAL: tuple[str, ...] = (
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
    "lanl2dz",
)
#: Names that an unknown set of core potentials is compared with.
WITH_POTENTIALS = ("lanl2dz", "def2-svp", "def2-tzvp", "cc-pvdz-pp", "stuttgart", "crenbl", "ccecp", "bfd")

_WITH_POLARISATION = re.compile(r"6-?31{1,2}\+{0,2}g\([a-z0-9,]+\)")
#: How names of basis sets begin whose potentials the library keeps under a name of their own.
_FAMILIES = ("ccecphe", "ccecpreg", "ccecp", "bfd")
#: What a name of a file ends with.
_FILES = (".nw", ".nwchem", ".gbs", ".g94", ".gaussian", ".bas", ".basis", ".dat", ".txt", ".ecp")
#: Where one element ends and the next one begins.
_ELEMENTS = re.compile(r",(?=\s*[A-Za-z]{1,2}\s*:)")
_ECP_OF_GAUSSIAN = re.compile(r"^\s*[A-Za-z]{1,2}-ECP\b", re.MULTILINE | re.IGNORECASE)
_ECP = re.compile(r"^\s*(ECP\b|[A-Za-z]{1,2}\s+nelec\b)", re.MULTILINE | re.IGNORECASE)
_CARTESIAN = re.compile(r"^\s*(basis\b.*\s)?cartesian\b", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Named:
    """One basis set, or one set of core potentials.

    :param name: what the user calls it, in lower case, or the path of a file
    :param text: what stands in the file; empty for one of PySCF's own
    """

    name: str
    text: str = ""

    @property
    def identity(self) -> str:
        """What tells it from others: a hash for a file, which may change."""
        return f"file-{hashlib.blake2b(self.text.encode(), digest_size=12).hexdigest()}" if self.text else self.name


@dataclass(frozen=True)
class BasisSet:
    """The functions of every element, and the potentials in place of cores.

    :param main: of all elements that have none of their own
    :param others: symbols of elements with basis sets of their own, in alphabetical order
    :param potentials: symbols of elements whose potential does not come along with their functions, likewise
    """

    main: Named
    others: tuple[tuple[str, Named], ...] = ()
    potentials: tuple[tuple[str, Named], ...] = ()

    @classmethod
    def of(cls, basis: BasisSet | str) -> BasisSet:
        """A basis set as it is, or one of PySCF's own by name."""
        return basis if isinstance(basis, BasisSet) else cls(Named(basis))

    def of_element(self, number: int) -> Named:
        """Where the functions of an element come from."""
        return dict(self.others).get(chemical_symbols[number], self.main)

    @property
    def names(self) -> dict[str, str]:
        """The options ``basis`` and ``ecp`` as a user writes them, without those that are not given."""
        return self._options("name")

    @property
    def identities(self) -> dict[str, str]:
        """The same for the fingerprint, with hashes in place of paths."""
        return self._options("identity")

    def _options(self, attribute: str) -> dict[str, str]:
        parts = {"basis": self.others, "ecp": self.potentials}
        return {
            option: ",".join(f"{symbol}:{getattr(named, attribute)}" for symbol, named in some)
            for option, some in parts.items()
            if some
        }


def read_basis(main: str, others: object = None, potentials: object = None) -> BasisSet:
    """A basis set from what a user gives.

    :param main: a name, or the path of a file in the format of NWChem or of Gaussian (that of Psi4, too)
    :param others: for elements with another one, ``{"H": "sto-3g"}`` or ``"H:sto-3g,I:lanl2dz"``
    :param potentials: for elements whose potentials do not come along with their functions, the same
    :raises InputError: for a name that PySCF does not know, a file that cannot be read, or what is no element
    """
    named = {symbol: _named("basis", name) for symbol, name in by_element("basis", others).items()}
    cores = {symbol: _named("ecp", name) for symbol, name in by_element("ecp", potentials).items()}
    result = BasisSet(_named("basis", main), tuple(sorted(named.items())), tuple(sorted(cores.items())))
    for symbol in {*named, *cores}:  # those of others are looked at when a structure brings them
        element_functions(result, chemical_symbols.index(symbol))
    return result


def by_element(option: str, value: object) -> dict[str, str]:
    """Names by symbols of elements, from a mapping or its text ``H:sto-3g,O:cc-pvdz``.

    :raises InputError: if it is neither, or names something that is no element
    """
    if value is None:
        return {}
    if isinstance(value, Mapping):
        pairs = [(str(symbol), name) for symbol, name in value.items()]
    else:
        parted = [part.partition(":") for part in _ELEMENTS.split(str(value))]
        pairs = [(symbol, name if colon else None) for symbol, colon, name in parted]
    found: dict[str, str] = {}
    for given, name in pairs:
        symbol = given.strip().capitalize()
        if not isinstance(name, str) or not name.strip() or symbol not in chemical_symbols[1:]:
            raise InputError(
                f"`{option}` must name elements and what each is given, such as {option}=H:sto-3g,I:lanl2dz, got "
                f"{str(value)!r}"
            )
        if symbol in found:
            raise InputError(f"`{option}` must name each element once, {symbol} is named twice in {str(value)!r}")
        found[symbol] = name.strip()
    return found


def _named(option: str, given: str) -> Named:
    path = Path(given).expanduser()
    if path.suffix.lower() in _FILES or "/" in given or "\n" in given:
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "no text"
            raise InputError(
                f"`{option}` must be a name or a file that can be read, {given!r} cannot ({reason})"
            ) from None
        if _CARTESIAN.search(text):
            raise InputError(f"`{option}` must have spherical functions, the file {given!r} says cartesian; convert it")
        if _ECP_OF_GAUSSIAN.search(text):
            raise InputError(
                f"core potentials in a file must be in the format of NWChem, those of {given!r} are in that of Gaussian; "
                "give them as ecp=SYMBOL:FILE, or by name"
            )
        return Named(given, text)
    return Named(check_basis(given, option))


def check_basis(name: str, option: str = "basis") -> str:
    """Return the name of a basis set in lower case if PySCF carries it.

    :raises InputError: if it does not; the message suggests the nearest of the usual names
    """
    lower = name.lower()
    if _plain(lower) not in library.ALIAS and not _WITH_POLARISATION.fullmatch(lower):
        kind, examples, usual = "a basis set", f"{', '.join(USUAL[1:4])} or cc-pvdz", USUAL
        if option == "ecp":
            kind, examples, usual = "a set of core potentials", "lanl2dz or def2-svp", WITH_POTENTIALS
        raise InputError(
            f"`{option}` must be {kind} that PySCF knows, such as {examples}, got {name!r}{did_you_mean(name, usual)}"
        )
    return lower


@dataclass(frozen=True)
class Element:
    """What a basis set has for one element, in PySCF's format.

    :param functions: contracted functions
    :param potential: in place of the core, None where all electrons are described
    """

    functions: Any
    potential: Any = None

    @property
    def core(self) -> int:
        """Electrons that the potential stands for."""
        return int(self.potential[0]) if self.potential else 0


def element_functions(basis: BasisSet | str, number: int) -> Any:
    """Contracted functions of one element in PySCF's format.

    :raises InputError: as :func:`element`
    """
    return element(basis, number).functions


def core_electrons(basis: BasisSet | str, numbers: np.ndarray) -> np.ndarray:
    """Electrons of each atom that a potential stands for, shape as that of the atomic numbers.

    :raises InputError: as :func:`element`
    """
    kinds, places = np.unique(numbers, return_inverse=True)
    cores = np.array([element(basis, number).core for number in kinds.tolist()], dtype=np.int64)
    return cores[places].reshape(np.shape(numbers))


@lru_cache(maxsize=512)
def element(basis: BasisSet | str, number: int) -> Element:
    """What a basis set has for one element.

    :raises InputError: if it has no functions, a core potential without functions that are made for it, or functions that are
        made for a potential and none
    """
    if number < 1:
        raise InputError(
            "every atom must have a nucleus, one is a ghost (X); leave it out, counterpoise=full brings the functions of "
            "other atoms"
        )
    chosen, symbol = BasisSet.of(basis), chemical_symbols[number]
    source = chosen.of_element(number)
    functions, own = _functions(source, symbol), _potential(source, symbol)
    wanted = dict(chosen.potentials).get(symbol)
    found = Element(functions, own if wanted is None else _potential(wanted, symbol))
    if wanted is not None and not found.potential:
        raise InputError(
            f"`ecp` must have a potential for every element it is given for, {wanted.name} has none for {symbol}"
        )
    if wanted is not None and not source.text and not (own and own[0] == found.core):
        made = f"are made for one of {own[0]}" if own else "describe all of them"
        raise InputError(
            f"`ecp` must fit the functions of its element, {wanted.name} replaces {found.core} electrons of {symbol} and the "
            f"functions of {source.name} {made}; give both from one set, as with basis={symbol}:{wanted.name}"
        )
    if found.core >= number:
        raise InputError(
            f"`ecp` must leave electrons of its element, {(wanted or source).name} replaces {found.core} of {symbol}'s {number}"
        )
    _check_shells(source.name, symbol, number, found)
    return found


def _check_shells(name: str, symbol: str, number: int, found: Element) -> None:
    """Check that there are functions for every shell of the atom that has electrons and is not in the core.

    :raises InputError: if there is not
    """
    held = [0, 0, 0, 0]
    for momentum, *_, last in found.functions:
        if momentum < len(held):
            held[momentum] += len(last) - 1
    try:
        core = core_configuration(found.core, symbol)
    except RuntimeError:
        raise InputError(
            f"`ecp` must replace whole shells that PySCF knows, that of {symbol} replaces {found.core} electrons; use another one"
        ) from None
    for momentum, count in enumerate(held):
        filled = -(-NRSRHF_CONFIGURATION[number][momentum] // (4 * momentum + 2)) - core[momentum]
        if filled > count:
            where = " outside its core" if found.core else ""
            raise InputError(
                f"`basis` must have functions for every shell with electrons, {name} has {count} of {'spdf'[momentum]} for "
                f"the {filled} of {symbol}{where}; functions that are made for a core potential need it, as ecp={symbol}:NAME"
            )


def _functions(source: Named, symbol: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to install another package of basis sets
        try:
            functions = _functions_of_file(source.text, symbol) if source.text else library.load(source.name, symbol)
        except (RuntimeError, KeyError, OSError, AssertionError, ValueError, IndexError):  # by the format of its file
            functions = None
    if not functions:
        raise InputError(
            f"`basis` must have functions for every element, {source.name} has none for {symbol}; use one that covers it, "
            f"or give that element another, as with basis={symbol}:NAME"
        )
    return functions


def _functions_of_file(text: str, symbol: str) -> Any:
    text = _sections(text)[0]
    if "****" not in text:
        return parse_nwchem.parse(text, symbol)
    for part in text.split("****"):
        lines = [line for line in part.splitlines() if line.strip() and line.lstrip()[0] not in "!#"]
        heads = [place for place, line in enumerate(lines) if line.split()[0].strip("-").lower() == symbol.lower()]
        if heads:
            return parse_gaussian.parse("\n".join(lines[heads[0] :]))
    return None


def _sections(text: str) -> tuple[str, str]:
    """The functions and the potentials of a file in the format of NWChem."""
    start = _ECP.search(text)
    return (text[: start.start()], text[start.start() :]) if start else (text, "")


def _potential(source: Named, symbol: str) -> Any:
    """The potential of an element, None where there is none.

    :raises InputError: if a file has one that cannot be read
    """
    if source.text:
        text = _sections(source.text)[1]
        if not re.search(rf"^\s*{symbol}\s+nelec\b", text, re.MULTILINE | re.IGNORECASE):
            return None
        try:
            return parse_nwchem_ecp.parse(text, symbol)
        except (RuntimeError, ValueError, IndexError, TypeError, NameError):  # by where its parser stumbles
            raise InputError(
                f"core potentials in a file must be in the format of NWChem, that of {symbol} in {source.name} is not; correct it"
            ) from None
    plain = _plain(source.name)
    family = next((name for name in _FAMILIES if plain.startswith(name)), source.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return library.load_ecp(family, symbol) or None
        except (RuntimeError, KeyError, OSError, AssertionError):
            return None


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name)
