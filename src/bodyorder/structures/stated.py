"""Charges, magnetic moments and multiplicities that a structure states, whatever its file or the program before called them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np

from bodyorder._checks import InputError
from bodyorder.structures.bonds import WHOLE_CHARGE
from bodyorder.structures.keys import kind_of_column, kind_of_key, plain

#: Multiplicities by name, and how files say that nothing is known.
_BY_NAME = {"singlet": 1, "doublet": 2, "triplet": 3, "quartet": 4, "quintet": 5, "sextet": 6, "septet": 7}
_UNKNOWN = ("", "nan", "none", "n/a", "na", "null", "unknown", "?", "-")
#: A comment that is charge and multiplicity, as they stand above the atoms in the input of many programs.
_CHARGE_AND_MULTIPLICITY = re.compile(r"\s*([+-]?\d)\s+([1-9])\s*")
_COMMENT = "comment"
#: What pymatgen gives to the structures that it makes for ASE, as attributes.
_ATTRIBUTES = {"charge", "spin_multiplicity"}
#: Columns that all structures have, and those in which ASE keeps what is stated.
_ALWAYS = ("numbers", "positions")
_ASE = {"charges": "initial_charges", "moments": "initial_magmoms"}


@dataclass
class Stated:
    """What a structure states.

    :param charges: of each atom in elementary charges, shape (n_atoms,)
    :param moments: unpaired electrons of each atom, positive up and negative down, shape (n_atoms,)
    :param multiplicity: 2S + 1 of the whole, None where nothing states it
    :param columns: which column, or key, ``charges`` and ``moments`` come from, if it is not ASE's own
    :param unused: keys and columns that sound like charge or spin and are not used
    """

    charges: np.ndarray
    moments: np.ndarray
    multiplicity: int | None = None
    columns: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    @property
    def sources(self) -> list[str]:
        """Which columns charges and moments come from, in words."""
        return [f"{kind} from {column!r}" for kind, column in self.columns.items()]


def read_stated(atoms: ase.Atoms, name: str) -> Stated:
    """What a structure states of its charges, moments and multiplicity.

    :param name: what messages call the structure
    :raises InputError: where that is ambiguous or contradicts itself: a charge of the whole that is not the sum over its atoms,
        columns that differ, a multiplicity that the number of electrons does not allow, numbers that are not finite
    """
    columns = _columns(atoms)
    keys = {key: value for key, value in _keys(atoms).items() if key not in columns}
    stated = Stated(np.zeros(len(atoms)), np.zeros(len(atoms)))
    if not columns and not keys:
        return stated
    stated.charges = _of_atoms("charges", columns, stated, atoms, name)
    stated.moments = _of_atoms("moments", columns, stated, atoms, name)
    stated.unused += [column for column in columns if kind_of_column(column) == "alike"]
    kinds = {key: kind_of_key(key) for key in keys}
    stated.unused += [key for key, kind in kinds.items() if kind == "alike"]
    charges = {key: value for key, value in keys.items() if kinds[key] in ("charge", "charge if whole")}
    _settle_charge(charges, columns, stated, atoms, name)
    spins = {key: value for key, value in keys.items() if kinds[key] in ("multiplicity", "unpaired")}
    stated.multiplicity = _multiplicity(spins, atoms, stated, name)
    return stated


def settled(atoms: ase.Atoms, name: str) -> ase.Atoms:
    """The structure with what it states where ASE keeps it: initial charges and initial magnetic moments.

    :return: the structure itself where there is nothing to move, else a copy
    :raises InputError: as :func:`read_stated`
    """
    is_bare = atoms.calc is None and not atoms.info and len(atoms.arrays) == len(_ALWAYS)
    if is_bare and not _ATTRIBUTES & vars(atoms).keys():  # most structures, and soon done
        return atoms
    stated = read_stated(atoms, name)
    moved = {}
    for kind, values in (("charges", stated.charges), ("moments", stated.moments)):
        have = atoms.arrays.get(_ASE[kind])
        if values.any() if have is None else not np.array_equal(have, values):
            moved[_ASE[kind]] = values
    if not moved:
        return atoms
    copy = atoms.copy()
    copy.calc = atoms.calc
    for column, values in moved.items():
        copy.set_array(column, None)
        copy.set_array(column, values)
    return copy


def _columns(atoms: ase.Atoms) -> dict[str, np.ndarray]:
    """What a structure, or results of the program that computed it, has for each atom that may be about charge or spin."""
    found = {column: values for column, values in atoms.arrays.items() if kind_of_column(column)}
    results = getattr(atoms.calc, "results", None) or {}
    for more in (atoms.info, results):
        for key, value in more.items():
            # what is in `info` under a name in the singular is of the whole
            is_column = isinstance(key, str) and kind_of_column(key) and (more is results or plain(key).endswith("s"))
            if is_column and key not in found and np.ndim(value) and len(value) == len(atoms):
                found[key] = np.asarray(value)
    return found


def _keys(atoms: ase.Atoms) -> dict[str, Any]:
    """What a structure says that may be about charge or spin of the whole. A word of prose is no statement, ASE makes it true."""
    given = {name: vars(atoms)[name] for name in _ATTRIBUTES & vars(atoms).keys()} | atoms.info
    found = {
        key: value for key, value in given.items() if isinstance(key, str) and kind_of_key(key) and _says(key, value)
    }
    if pair := _CHARGE_AND_MULTIPLICITY.fullmatch(str(atoms.info.get(_COMMENT, ""))):
        charge, multiplicity = int(pair[1]), int(pair[2])
        # else they count something else
        if (int(atoms.numbers.sum()) - charge + multiplicity) % 2:
            found |= {f"{_COMMENT} (charge)": charge, f"{_COMMENT} (multiplicity)": multiplicity}
    return found


def _says(key: str, value: Any) -> bool:
    """Whether a value states anything."""
    if value is None or isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, str):
        # a word beside charges names how they were computed
        return value.strip().lower() not in _UNKNOWN and not (plain(key) == "charges" and value.strip().isalpha())
    if np.size(value) == 1 and np.asarray(value).dtype.kind == "f":
        return not np.isnan(value).all()
    # a wave vector is called q, too
    return plain(key) != "q" or np.size(value) == 1


def _of_atoms(kind: str, columns: dict[str, np.ndarray], stated: Stated, atoms: ase.Atoms, name: str) -> np.ndarray:
    """Charges or moments of the atoms, shape (n_atoms,).

    :param kind: ``charges`` or ``moments``
    """
    found: dict[str, np.ndarray] = {}
    for column, values in columns.items():
        if (of_column := kind_of_column(column)) not in (kind, f"{kind} if whole"):
            continue
        # what is true or false is no number, and atomic numbers are charges of nuclei
        is_other = values.ndim != 1 or values.dtype.kind not in "iufUSO"
        if of_column != kind and (is_other or (kind == "charges" and np.array_equal(values, atoms.numbers))):
            stated.unused.append(column)
            continue
        numbers = _numbers(column, values, name)
        if of_column == kind or (numbers.any() and (np.abs(numbers - np.rint(numbers)) < WHOLE_CHARGE).all()):
            found[column] = numbers
        elif numbers.any():
            stated.unused.append(column)
    first = next(iter(found), None)
    if first is None:
        return np.zeros(len(stated.charges))
    for column, numbers in found.items():
        if not np.array_equal(numbers, found[first]):
            raise InputError(
                f"{name} must state the {kind} of its atoms once, and its columns {first!r} and {column!r} differ; remove one"
            )
    others = [column for column in found if column != _ASE[kind]]
    if found[first].any() and others:
        stated.columns[kind] = others[0]
    return found[first]


def _numbers(column: str, values: np.ndarray, name: str) -> np.ndarray:
    called = {"initial_charges": "initial charges", "initial_magmoms": "initial magnetic moments"}.get(
        column, repr(column)
    )
    if values.dtype.kind not in "iufb" or values.ndim != 1:
        raise InputError(
            f"{name} must have one number for each atom as {called}, and has {values.dtype} of shape {values.shape}; remove "
            "them, or give charges as initial_charges and collinear moments as initial_magmoms"
        )
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"{name} must have finite {called}, and has some that are not")
    return numbers


def _settle_charge(
    keys: dict[str, Any], columns: dict[str, np.ndarray], stated: Stated, atoms: ase.Atoms, name: str
) -> None:
    """Hold the charge of the whole against the charges of the atoms; a single atom takes it."""
    is_said = False
    for key, value in keys.items():
        total = _number(key, value, name, strict=kind_of_key(key) == "charge")
        if total is None:
            stated.unused.append(key)
            continue
        is_said = True
        if len(stated.charges) == 1 and not stated.charges.any():
            stated.charges = np.array([total])
            if total:
                stated.columns["charges"] = key
        if not abs(total - stated.charges.sum()) <= WHOLE_CHARGE:
            raise _unowned(
                name, f"{_quoted(key, f'{total:g}')} and its initial charges add up to {stated.charges.sum():g}"
            )
    if is_said or any(kind_of_column(column) == "charges" for column in columns):
        return
    for column in stated.unused:
        values = columns.get(column, np.zeros(1))
        is_computed = kind_of_column(column) == "charges if whole" and values.ndim == 1 and values.dtype.kind in "iuf"
        if is_computed and not np.array_equal(values, atoms.numbers) and round(float(values.sum())):
            raise _unowned(
                name, f"its column {column!r} adds up to {values.sum():.3g} and says of no body which charge it has"
            )


def _unowned(name: str, reason: str) -> InputError:
    return InputError(
        f"{name} must name the charge of each body by initial charges (column initial_charges of an extended XYZ file), {reason}"
    )


def _quoted(key: str, value: object) -> str:
    """What a structure says under a key, in words."""
    kind = key.removeprefix(f"{_COMMENT} (").removesuffix(")")
    return f"its info has {key}={value}" if kind == key else f"its comment reads as a {kind} of {value}"


def _multiplicity(keys: dict[str, Any], atoms: ase.Atoms, stated: Stated, name: str) -> int | None:
    """2S + 1 of the whole."""
    found: dict[str, int] = {}
    for key, value in keys.items():
        number = _number(key, value, name)
        assert number is not None
        unpaired = kind_of_key(key) == "unpaired"
        if number == 0 and not unpaired:  # how files say that nothing is known
            continue
        if number != round(number) or number < 0:
            raise InputError(
                f"the multiplicity of {name} must be a whole number 2S + 1, {_quoted(key, f'{number:g}')}; correct or remove it"
            )
        found[key] = int(number) + unpaired
    electrons = int(atoms.numbers.sum()) - round(float(stated.charges.sum()))
    for key, multiplicity in found.items():
        if multiplicity != next(iter(found.values())):
            raise InputError(f"{name} must state its multiplicity once, and {' and '.join(found)} differ; remove one")
        if not atoms.pbc.any() and ((electrons + multiplicity) % 2 == 0 or multiplicity > electrons + 1):
            raise InputError(
                f"the multiplicity 2S + 1 of {name} must fit its {electrons} electrons, {_quoted(key, keys[key])}; correct or "
                "remove it"
            )
    return next(iter(found.values()), None)


def _number(key: str, value: Any, name: str, strict: bool = True) -> float | None:
    """A number that ``info`` gives, also one in a text or an array of one.

    :param strict: whether anything else is an error; else None comes of what is no whole number
    """
    number = None
    try:
        values = np.asarray(_BY_NAME.get(str(value).strip().lower(), value), dtype=np.float64)
        if values.size == 1 and np.isfinite(values).all():
            number = float(values.reshape(-1)[0])
    except (TypeError, ValueError):
        pass
    if number is not None and not strict:
        return number if number == round(number) else None
    if number is None and strict:
        called = "charge" if kind_of_key(key) == "charge" else "multiplicity"
        raise InputError(
            f"the {called} of {name} must be a number, {_quoted(key, ' '.join(repr(value).split()))}; correct or remove it"
        )
    return number
