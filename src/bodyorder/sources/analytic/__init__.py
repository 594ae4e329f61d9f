"""Energies in closed form, whose body orders are known exactly: what the rest of the package is tested against.

All atoms are alike to these potentials, whatever their element.
"""

from __future__ import annotations

from typing import Any

from bodyorder._checks import InputError, check_choice, did_you_mean
from bodyorder.sources.analytic.metal import SuttonChen
from bodyorder.sources.analytic.pairs import LennardJones, Morse
from bodyorder.sources.analytic.source import AnalyticSource, parameters
from bodyorder.sources.analytic.triples import AxilrodTeller
from bodyorder.sources.protocol import EnergySource

__all__ = ["AxilrodTeller", "LennardJones", "Morse", "SuttonChen", "load"]

TARGETS: dict[str, dict[str, type[AnalyticSource]]] = {
    "pair": {"lennard-jones": LennardJones, "morse": Morse},
    "axilrod-teller": {"": AxilrodTeller},
    "sutton-chen": {"": SuttonChen},
}


def load(target: str, **options: Any) -> EnergySource:
    """The source ``analytic:target?option=value``.

    :param target: ``pair``, ``axilrod-teller`` or ``sutton-chen``
    :param options: the parameters of the class; for ``pair`` also ``kind``, ``lennard-jones`` (default) or ``morse``
    :raises InputError: for an unknown target, kind or option, with the nearest known name, or a value that cannot be
    """
    check_choice("analytic source", target, TARGETS)
    kinds = TARGETS[target]
    kind = check_choice("kind", options.pop("kind", next(iter(kinds))), kinds) if len(kinds) > 1 else ""
    known = parameters(kinds[kind]) + ["kind"] * (len(kinds) > 1)
    for option in options:
        if option not in known:
            raise InputError(
                f"analytic:{target} has no option {option!r}; options: {', '.join(known)}{did_you_mean(option, known)}"
            )
    return kinds[kind](**options)
