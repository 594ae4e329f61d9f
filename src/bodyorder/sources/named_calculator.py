"""ASE calculators by the name of their class: ``ase:package.module.Class?option=value``."""

from __future__ import annotations

import importlib
import inspect
import multiprocessing
from collections.abc import Callable, Mapping
from typing import Any

from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import Calculator, FileIOCalculator

from bodyorder._checks import InputError, check_positive, check_switch, did_you_mean, first_line
from bodyorder.sources.base import EnergySource, Precision, format_spec
from bodyorder.sources.calculator import FLOAT64, CalculatorSource
from bodyorder.sources.fingerprint import fingerprint_of

#: Where ASE keeps its base classes, which are no calculators to choose from.
BASE_MODULE = Calculator.__module__
#: Options that are not the calculator's.
OWN_OPTIONS = {"additive_cutoff", "boxed", "charged", "energy_error", "invariant"}


def load(
    target: str,
    *,
    additive_cutoff: float | None = None,
    energy_error: float | None = None,
    boxed: bool = False,
    charged: bool = False,
    invariant: bool = False,
    **options: Any,
) -> EnergySource:
    """The source ``ase:package.module.Name?option=value``.

    :param target: dotted name of a calculator class, or of a function that returns a calculator
    :param additive_cutoff: the source's ``cutoff`` in Å, for a calculator whose distant parts do not feel each other at all
    :param energy_error: 1σ error of one energy in eV; rounding in float64 if not given
    :param boxed: true for a calculator that takes periodic structures only: it is given boxes that leave more than the cutoff
        around the atoms
    :param charged: true for a calculator that takes charges: it is given the initial charges of the atoms
    :param invariant: true if rotated, reflected and permuted copies of a sub-cluster have the same energy to 1e-9 eV; one then
        serves all of them
    :param options: handed to the class
    :raises InputError: if there is no such calculator, or it rejects the options. A misspelt option that the class would
        silently ignore is rejected too.
    """
    factory = _find(target)
    _check_options(target, factory, options)
    numbers = {"additive_cutoff": additive_cutoff, "energy_error": energy_error}
    for name, value in numbers.items():
        if value is not None:
            check_positive(name, value)
    switches = {"boxed": boxed, "charged": charged, "invariant": invariant}
    for name, switch in switches.items():
        check_switch(name, switch)
    try:
        calculator = factory(**options)
    except Exception as error:
        raise InputError(
            f"ase:{target} could not be built with the options {options}: {type(error).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(calculator, GetPropertiesMixin):
        raise InputError(f"ase:{target} must give an ASE calculator, got {type(calculator).__name__}")
    precision = FLOAT64 if energy_error is None else Precision(absolute=float(energy_error))
    fingerprint = fingerprint_of(calculator, options if inspect.isclass(factory) else None)
    source = CalculatorSource(
        calculator, cutoff=additive_cutoff, precision=precision, fingerprint=fingerprint, **switches
    )
    if multiprocessing.parent_process() is not None:  # one of several, perhaps, that were given the same name
        source.leave_folder()
    own = {name: value for name, value in (numbers | switches).items() if value is not None and value is not False}
    source.name = format_spec("ase", target, options | own)
    return source


def _find(target: str) -> Callable[..., Any]:
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise InputError(f"an ASE calculator must be named 'package.module.Class', got {target!r}")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"the module of ase:{target} could not be imported ({first_line(error)}); "
            f"check its name, or install the package that has it"
        ) from error
    found = getattr(module, name, None)
    if found is None:
        known = [
            key for key, value in vars(module).items() if _is_calculator(value) and value.__module__ != BASE_MODULE
        ]
        there = ", ".join(known) or "none"
        raise InputError(f"{module_name} has no {name!r}; calculators there: {there}{did_you_mean(name, known)}")
    if not _is_calculator(found) and (inspect.isclass(found) or not callable(found)):
        raise InputError(f"ase:{target} must name an ASE calculator class, or a function that returns a calculator")
    return found


def _is_calculator(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, GetPropertiesMixin) and not inspect.isabstract(value)


def _check_options(target: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(factory).parameters.values()
    known = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    if len(known) < len(parameters):
        defaults = getattr(factory, "default_parameters", {})
        # ASE's base class takes any keyword and ignores those it does not know. Only programs driven through input files
        # have options beyond the ones listed.
        if not defaults or issubclass(factory, FileIOCalculator):  # type: ignore[arg-type]
            return
        known |= set(defaults)
    known |= OWN_OPTIONS
    for option in options:
        if option not in known:
            raise InputError(
                f"ase:{target} has no option {option!r}; options: {', '.join(sorted(known))}{did_you_mean(option, known)}"
            )
