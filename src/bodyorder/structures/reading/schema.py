"""What QCSchema says of molecules, as far as it is used here, and what is wrong with a file of it in one line.

Imported where such a file is read: pydantic takes longer than most commands.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, TypeVar

from ase.data import atomic_numbers
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bodyorder._checks import InputError

#: The largest number that squares can be computed of with some to spare.
LARGEST = 1e20
#: Charges that differ by less are the same.
SAME_CHARGE = 1e-6

#: So many characters of what came are shown.
_SHOWN = 40


class SchemaObject(BaseModel):
    """A part of QCSchema; keys that are not read may hold anything, as the schema allows it."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


_Part = TypeVar("_Part", bound=SchemaObject)


def validated(kind: type[_Part], content: Any, where: str) -> _Part:
    """A part of QCSchema from what JSON holds.

    :param where: it stands, for messages
    :raises InputError: if it is not what the schema says
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{where}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """The first of pydantic's complaints in one line."""
    problem = error.errors(include_url=False)[0]
    path = f"`{'.'.join(str(part) for part in problem['loc'])}`" if problem["loc"] else "what stands there"
    if problem["type"] == "missing":
        return f"{path} must be given, and is not"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"]) + (f" (in {path})" if problem["loc"] else "")
    shown = repr(problem["input"])
    said = re.sub(r"^(Input|List|Dictionary) should", "must", problem["msg"])
    said = re.sub(r" after validation.*| or instance of \w+$", "", said)
    return f"{path} {said}, got {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + ' …'}"


def _flat(value: Any) -> Any:
    """Rows of numbers one behind the other; the schema has them so, and readers take both."""
    rows = isinstance(value, list) and all(isinstance(row, list) for row in value)
    return [number for row in value for number in row] if rows else value


def _element(symbol: str) -> str:
    if symbol.capitalize() not in atomic_numbers or symbol.capitalize() == "X":
        raise ValueError(f"`symbols` must be chemical elements, and one has {symbol!r}")
    return symbol.capitalize()


def _whole(value: Any) -> Any:
    """A whole number that is written as a float; the schema has multiplicities so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: A number, which NaN and infinity are not.
Finite = Annotated[float, Field(allow_inf_nan=False)]
#: A coordinate in bohr.
Length = Annotated[Finite, Field(ge=-LARGEST, le=LARGEST)]
#: Of an atom, a fragment or a molecule, in elementary charges.
Charge = Annotated[Finite, Field(ge=-1000, le=1000)]
#: 2S + 1.
Multiplicity = Annotated[int, BeforeValidator(_whole), Field(ge=1)]


class Molecule(SchemaObject):
    """A molecule: lengths in bohr, charges in elementary charges."""

    symbols: Annotated[list[Annotated[str, AfterValidator(_element)]], Field(min_length=1)]
    geometry: Annotated[list[Length], BeforeValidator(_flat)]
    name: str | None = None
    real: list[bool] | None = None
    fragments: list[Annotated[list[int], Field(min_length=1)]] | None = None
    fragment_charges: list[Charge] | None = None
    fragment_multiplicities: list[Multiplicity] | None = None
    molecular_charge: Charge | None = None
    molecular_multiplicity: Multiplicity | None = None
    extras: dict[str, Any] | None = None

    @property
    def present(self) -> list[bool]:
        """Whether each atom is there, and not its functions alone."""
        return self.real or [True] * len(self.symbols)

    @property
    def charge(self) -> float:
        """Of the whole."""
        return self.molecular_charge if self.molecular_charge is not None else math.fsum(self.charges_of_fragments)

    @property
    def charges_of_fragments(self) -> list[float]:
        """Of each fragment; zero where nothing is said."""
        return self.fragment_charges or [0.0] * len(self.fragments or [])

    def electrons(self, atoms: list[int], charge: float) -> int:
        """Electrons of some atoms that are there."""
        present = self.present
        return sum(atomic_numbers[self.symbols[atom]] for atom in atoms if present[atom]) - round(charge)

    @model_validator(mode="after")
    def _fits(self) -> Molecule:
        count = len(self.symbols)
        if len(self.geometry) != 3 * count:
            raise ValueError(
                f"`geometry` must have three coordinates for each of {count} symbols, and has {len(self.geometry)} numbers"
            )
        if self.real and len(self.real) != count:
            raise ValueError(
                f"`real` must say of each of {count} atoms whether it is there, and says it of {len(self.real)}"
            )
        if self.fragments:
            self._check_fragments(self.fragments)
        elif self.fragment_charges or self.fragment_multiplicities:
            raise ValueError("`fragments` must be given with their charges and multiplicities, and are not")
        every = list(range(count))
        if self.molecular_multiplicity is not None:
            self._check_spin("molecular_multiplicity", every, self.charge, self.molecular_multiplicity)
        return self

    def _check_fragments(self, fragments: list[list[int]]) -> None:
        owners: set[int] = set()
        count = len(self.symbols)
        for atom in (atom for fragment in fragments for atom in fragment):
            if not 0 <= atom < count or atom in owners:
                raise ValueError(
                    f"`fragments` must have every atom once, atom {atom} of {count} is in two, or there is none such"
                )
            owners.add(atom)
        if missing := set(range(count)) - owners:
            raise ValueError(
                f"`fragments` must have every atom once, and what is given leaves out atom {min(missing)} of {count}"
            )
        for name, given in (("charge", self.fragment_charges), ("multiplicity", self.fragment_multiplicities)):
            if given and len(given) != len(fragments):
                key = "fragment_charges" if name == "charge" else "fragment_multiplicities"
                raise ValueError(
                    f"`{key}` must have the {name} of each of {len(fragments)} fragments, and has {len(given)}"
                )
        total = math.fsum(self.charges_of_fragments)
        if self.molecular_charge is not None and abs(self.molecular_charge - total) > SAME_CHARGE:
            raise ValueError(
                f"charges of fragments must add up to `molecular_charge`, they add up to {total:g}, and it is "
                f"{self.molecular_charge:g}"
            )
        for index, multiplicity in enumerate(self.fragment_multiplicities or []):
            charge = self.charges_of_fragments[index]
            self._check_spin(f"fragment_multiplicities.{index}", fragments[index], charge, multiplicity)

    def _check_spin(self, name: str, atoms: list[int], charge: float, multiplicity: int) -> None:
        electrons = self.electrons(atoms, charge)
        # what has no whole charge, or atoms of which some are ghosts, is no body, and others say so
        parts = [{self.present[atom] for atom in fragment} for fragment in self.fragments or []]
        whole = abs(charge - round(charge)) < SAME_CHARGE and all(len(part) == 1 for part in parts)
        if whole and ((electrons - multiplicity + 1) % 2 or multiplicity - 1 > electrons):
            raise ValueError(
                f"`{name}` must fit the charge, {charge:+g} leaves {electrons} electrons, which cannot have multiplicity "
                f"{multiplicity}; correct one of them"
            )
