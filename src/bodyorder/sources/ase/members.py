"""The several energies of one ASE calculator: those that it keeps for each member of a committee, or of calculators in it."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.mixing import AverageCalculator, LinearCombinationCalculator

from bodyorder._checks import InputError, check_between
from bodyorder.structures.clusters import FloatArray

#: Where ASE's mixing calculators keep the energies of those that they mix.
MIXED = "energy_contributions"


class Members(NamedTuple):
    """Where the energies of members are found after a calculation.

    :param kind: what they are to each other, as the ``member_kind`` of a source
    :param names: of the members
    :param key: of the calculator's ``results``
    :param weights: by which they are multiplied
    """

    kind: str
    names: tuple[str, ...]
    key: str
    weights: FloatArray

    def read(self, calculator: GetPropertiesMixin) -> FloatArray:
        """Energies of the members in eV, shape (m,), of the structure that was just computed.

        :raises InputError: if the results do not hold so many energies there
        """
        results = getattr(calculator, "results", {})
        if self.key not in results:
            there = ", ".join(sorted(results)) or "none"
            raise InputError(f"`members` must be a key of the calculator's results, got {self.key!r}; keys: {there}")
        energies = np.asarray(results[self.key], dtype=np.float64)
        if energies.shape != (len(self.names),):
            raise InputError(
                f"`{self.key}` of the calculator's results must be one energy for each of {len(self.names)} members, and is of "
                f"shape {energies.shape}"
            )
        return self.weights * energies


def members_of(calculator: GetPropertiesMixin, key: str | None, count: int | None) -> Members | None:
    """The members of a calculator, None if it has none that are known.

    A sum of calculators (``SumCalculator``, or any other linear combination) has them as parts, a mean of calculators
    (``AverageCalculator``) as an ensemble.

    :param key: of its ``results``, with one energy for each member of an ensemble after a calculation
    :param count: how many there are; not needed where the calculator says it in ``num_models``, as mace's does
    :raises InputError: if there is no such number, or a number without a key
    """
    if key is None:
        if count is not None:
            raise InputError("`n_members` belongs to `members`, which is not given")
        return _mixed(calculator) if isinstance(calculator, LinearCombinationCalculator) else None
    if not isinstance(key, str):
        raise InputError(f"`members` must be a key of the calculator's results, got {key!r}")
    count = getattr(calculator, "num_models", None) if count is None else count
    if count is None:
        raise InputError(f"`n_members` must say how many energies `{key}` of the calculator's results holds")
    names = tuple(str(number) for number in range(check_between("n_members", count, 2, 10**6)))
    return Members("ensemble", names, key, np.ones(len(names)))


def _mixed(calculator: LinearCombinationCalculator) -> Members | None:
    parts, weights = calculator.mixer.calcs, np.array(calculator.mixer.weights, dtype=np.float64)
    if len(parts) < 2:
        return None
    names = _different([type(part).__name__ for part in parts])
    if isinstance(calculator, AverageCalculator):
        return Members("ensemble", names, MIXED, np.ones(len(names)))
    return Members("parts", names, MIXED, weights)


def _different(names: list[str]) -> tuple[str, ...]:
    """Names, numbered where several are the same."""
    counts = Counter(names)
    return tuple(
        f"{name} {names[: place + 1].count(name)}" if counts[name] > 1 else name for place, name in enumerate(names)
    )


def per_model(calculator: Any, shape: tuple[int, ...]) -> str:
    """What to say of ``energies`` that are those of models of a committee, as the end of a sentence; else an empty text."""
    count = getattr(calculator, "num_models", 1)
    if count < 2 or shape != (count,):
        return ""
    return f": one for each of its {count} models, which members=energies resolves"
