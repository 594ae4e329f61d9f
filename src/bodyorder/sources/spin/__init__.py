"""The spin of sub-clusters: one rule for every source, *ab initio* or a potential, in which total spins each is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bodyorder._checks import check_choice
from bodyorder.sources.spin.function import FunctionRule, reference
from bodyorder.sources.spin.rules import ElectronRule, HighRule, PatternRule, SpinRule

#: How the spin of every sub-cluster is chosen.
SPIN_RULES = {
    "low": "the lowest state with S = 0 or 1/2; not additive for parts far from each other",
    "ground": "the lowest state of any spin",
    "high": "the lowest state in which the unpaired electrons of all bodies are parallel: those of a free atom, or of the "
    "moments given on the atoms of a molecule",
    "pattern": "the lowest state whose Sz is the sum of the moments given on the atoms",
}

#: Rules to choose from, in words.
CHOICES = (
    "choose from "
    + ", ".join(f"{rule} ({meaning})" for rule, meaning in SPIN_RULES.items())
    + ", or module:function (your own)"
)


def check_rule(spin: str | Callable[..., Any]) -> str:
    """The name of a rule.

    :param spin: one of :data:`SPIN_RULES`, ``module:function``, or the function itself
    :raises InputError: if it is none of these
    """
    if callable(spin):
        return reference(spin)
    return str(spin) if ":" in str(spin) else check_choice("spin", spin, SPIN_RULES)


def spin_rule(name: str, total_spin: bool = False, mean_field: bool = False) -> SpinRule:
    """The rule of a name.

    :param name: one of :data:`SPIN_RULES`, or ``module:function``
    :param total_spin: whether the states of the source that it serves have a total spin; a determinant has its projection only,
        and a potential is told no more than that
    :param mean_field: whether energies are those of determinants, or correlated on one
    :raises InputError: if there is no such function
    """
    if ":" in name:
        return FunctionRule(name)
    if name == "pattern":
        return PatternRule(name, total_spin)
    return HighRule(name) if name == "high" else ElectronRule(name, total_spin, mean_field)
