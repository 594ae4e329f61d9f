"""How names become sources. Importing this imports no backend."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from ase.calculators.abc import GetPropertiesMixin

from bodyorder._checks import InputError, did_you_mean
from bodyorder.sources.adapter import PlainSource, adapt
from bodyorder.sources.protocol import EnergySource
from bodyorder.sources.spec import BUILTIN_FACTORIES, ENTRY_POINT_GROUP, parse_spec, schemes

#: All that :func:`load_source` takes.
SourceLike: TypeAlias = str | Mapping[str, Any] | EnergySource | PlainSource | GetPropertiesMixin


def load_source(spec: SourceLike) -> EnergySource:
    """Get an energy source from its name.

    :param spec: a string ``scheme:target?option=value&…`` such as ``pyscf:fci/sto-6g?spin=ground`` or
        ``ase:ase.calculators.lj.LennardJones?epsilon=0.01``; the same as a mapping, ``{"source": "pyscf:fci/sto-6g",
        "spin": "ground"}``; an ASE calculator instance; an energy source, which is returned as it is; or an object that has what
        :class:`~bodyorder.sources.adapter.PlainSource` names.
    :raises InputError: for an unknown scheme or option (the message names the nearest known one), a missing extra, or a source
        whose capabilities and methods do not fit each other
    """
    if isinstance(spec, GetPropertiesMixin):
        from bodyorder.sources.ase.calculator import CalculatorSource

        return CalculatorSource(spec)
    if not isinstance(spec, str | Mapping):
        return adapt(spec)
    scheme, target, options = parse_spec(spec)
    factory = _factory(scheme)
    _check_options(f"{scheme}:{target}", factory, options)
    return adapt(factory(target, **options))


def _factory(scheme: str) -> Callable[..., EnergySource]:
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == scheme:
            return point.load()
    if scheme not in BUILTIN_FACTORIES:
        known = schemes()
        raise InputError(f"unknown source {scheme!r}; known: {', '.join(known)}{did_you_mean(scheme, known)}")
    module, _, attribute = BUILTIN_FACTORIES[scheme].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _check_options(source: str, factory: Callable[..., EnergySource], options: Mapping[str, Any]) -> None:
    parameters = list(inspect.signature(factory).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return  # the factory hands its options on and checks them itself
    known = [parameter.name for parameter in parameters]
    for option in options:
        if option not in known:
            raise InputError(
                f"{source} has no option {option!r}; options: {', '.join(known) or 'none'}{did_you_mean(option, known)}"
            )
