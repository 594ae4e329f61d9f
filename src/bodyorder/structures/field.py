"""Point charges that stand for the atoms of absent bodies, as users give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TypeAlias

import ase
import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from bodyorder._checks import InputError, did_you_mean, parse_values

#: Charges in elementary charges: by element, in a column of the structures (``"column:NAME"``), of each atom of one structure or
#: of all of them; or the kind of those that the source finds (``"mulliken"``).
FieldLike: TypeAlias = str | Mapping[str, float] | Sequence[float] | np.ndarray

_COLUMN = "column:"


def parse_field(text: str) -> FieldLike:
    """A field as the command line has it: a word, ``column:NAME``, or ``O=-0.834,H=0.417``.

    :raises InputError: if it is none of them
    """
    if "=" not in text or text.startswith(_COLUMN):
        return text
    return parse_values("field", text, "charge", "charges as O=-0.834,H=0.417")


def is_kind(field: FieldLike) -> bool:
    """Whether a field is named by the kind of its charges, which are found and not given."""
    return isinstance(field, str) and not field.startswith(_COLUMN)


def field_label(field: FieldLike) -> str:
    """What a field is, in one word: its kind, its column, its charges by element; ``given`` if they are given atom by atom."""
    if isinstance(field, str):
        return field
    if isinstance(field, Mapping):
        return ",".join(f"{symbol}={float(charge):g}" for symbol, charge in sorted(field.items()))
    return "given"


def field_charges(field: FieldLike, structures: Sequence[ase.Atoms]) -> list[np.ndarray]:
    """The charge that stands for each atom in elementary charges, shape (n_atoms,) for each structure.

    :param field: given charges
    :raises InputError: if they do not fit the structures, or are no finite numbers
    """
    if isinstance(field, str):
        return [_of_column(field.removeprefix(_COLUMN), atoms, index) for index, atoms in enumerate(structures)]
    if isinstance(field, Mapping):
        return _by_element(field, structures)
    try:
        charges = np.asarray(field, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            "`field` must be the charge of each atom, charges by element such as {'O': -0.834, 'H': 0.417}, 'column:NAME' or "
            f"the kind of charges that the source finds, got {type(field).__name__}"
        ) from None
    sizes = [len(atoms) for atoms in structures]
    if charges.ndim != 1 or any(charges.size not in (n, sum(sizes)) for n in sizes):
        wanted = f"the {sizes[0]} atoms" if len(set(sizes)) == 1 else f"the {min(sizes)} to {max(sizes)} atoms"
        raise InputError(
            f"`field` must give the charge of each of {wanted} of a structure, got {charges.size} values of shape {charges.shape}"
        )
    if not np.isfinite(charges).all():
        atom = int(np.argmin(np.isfinite(charges)))
        raise InputError(f"`field` must give finite charges, got {charges[atom]} for atom {atom}")
    if charges.size == sum(sizes):
        return np.split(charges, np.cumsum(sizes)[:-1])
    return [charges] * len(sizes)


def _of_column(column: str, atoms: ase.Atoms, index: int) -> np.ndarray:
    if column not in atoms.arrays:
        columns = sorted(set(atoms.arrays) - {"numbers", "positions"})
        raise InputError(
            f"`field` must name a column of structure {index}, {column!r} is none; it has "
            f"{', '.join(columns) or 'no columns of its own'}{did_you_mean(column, columns)}"
        )
    values = atoms.arrays[column]
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise InputError(
            f"column {column!r} of structure {index} must give a charge for each atom, got {values.dtype} of shape {values.shape}"
        )
    if not np.isfinite(values).all():
        atom = int(np.argmin(np.isfinite(values)))
        raise InputError(
            f"column {column!r} of structure {index} must give finite charges, got {values[atom]} for atom {atom}"
        )
    return values.astype(np.float64)


def _by_element(field: Mapping[str, float], structures: Sequence[ase.Atoms]) -> list[np.ndarray]:
    table = np.full(len(chemical_symbols), np.nan)
    for symbol, charge in field.items():
        if symbol not in atomic_numbers:
            raise InputError(f"`field` must give charges by element, such as {{'O': -0.834}}, and {symbol!r} is none")
        if isinstance(charge, bool) or not isinstance(charge, Real) or not np.isfinite(float(charge)):
            raise InputError(f"`field` must give finite charges, got {charge!r} for {symbol}")
        table[atomic_numbers[symbol]] = float(charge)
    for index, atoms in enumerate(structures):
        unknown = np.isnan(table[atoms.numbers])
        if unknown.any():
            raise InputError(
                f"`field` must give the charge of every element, and lacks {atoms.symbols[int(np.argmax(unknown))]} of "
                f"structure {index}; it has {', '.join(field) or 'none'}"
            )
    return [table[atoms.numbers] for atoms in structures]
