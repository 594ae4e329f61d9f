"""Calculators that iterate until energies change by less than an option of theirs says, and the same ones converged tighter."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from ase.calculators.abc import GetPropertiesMixin

#: Options that energies are converged to, by class: what they are multiplied by, so that what is left is small beside what was.
KNOBS: Mapping[str, Mapping[str, float]] = {
    "tblite.ase.TBLite": {"accuracy": 1e-3},
    "xtbloom.ase.XTBloom": {"charge_tolerance": 1e-3, "energy_tolerance": 1e-3},
}


def knobs(calculator: GetPropertiesMixin) -> dict[str, float]:
    """The options of a calculator that its energies are converged to, as they would be tighter; none where none are known."""
    kind = type(calculator)
    factors = KNOBS.get(f"{kind.__module__}.{kind.__qualname__}", {})
    return {name: factor * calculator.parameters[name] for name, factor in factors.items()}


def tightened(calculator: GetPropertiesMixin) -> GetPropertiesMixin:
    """A new calculator like this one, its energies converged tighter."""
    return type(calculator)(**copy.deepcopy(dict(calculator.parameters)) | knobs(calculator))
