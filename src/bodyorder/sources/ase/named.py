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
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.ase.fingerprint import fingerprint_of
from bodyorder.sources.protocol import EnergySource, Precision
from bodyorder.sources.spec import format_spec

#: Where ASE keeps its base classes, which are no calculators to choose from.
BASE_MODULE = Calculator.__module__
#: Options that are not the calculator's.
OWN_OPTIONS = {"additive_cutoff", "boxed", "charged", "energy_error", "invariant", "relative_error", "trust"}


def load(  # noqa: PLR0913 - what ASE does not say of a calculator, each with a default
    target: str,
    *,
    additive_cutoff: float | None = None,
    energy_error: float | None = None,
    relative_error: float | None = None,
    boxed: bool = False,
    charged: bool = False,
    invariant: bool = False,
    trust: bool = False,
    **options: Any,
) -> EnergySource:
    """The source ``ase:package.module.Name?option=value``.

    Importing a module runs its code, whatever is in it; what is called then is checked first.

    :param target: dotted name of a calculator class, of a class method of one that makes it, or of a function that does
    :param additive_cutoff: the source's ``cutoff`` in Å, for a calculator whose distant parts do not feel each other at all
    :param energy_error: 1σ error of one energy in eV; without this and the next it is measured
    :param relative_error: the same as a fraction of the energy, which comes on top: 6e-8 for energies added up in float32
    :param boxed: true for a calculator that takes periodic structures only: it is given boxes that leave more than the cutoff
        around the atoms
    :param charged: true for a calculator that takes charges: it is given the initial charges of the atoms
    :param invariant: true if congruent sub-clusters, rotated, reflected or permuted, have the same energy to 1e-9 eV; that of one
        then serves all of them
    :param trust: must be true for a function, or whatever else is called and is no calculator class: it could do anything
    :param options: handed to the class
    :raises InputError: if there is no such calculator, it must be trusted and is not, or it rejects the options. A misspelt
        option that the class would silently ignore is rejected too.
    """
    check_switch("trust", trust)
    factory, is_safe = _find(target)
    if not (trust or is_safe):
        raise InputError(
            f"ase:{target} must name an ASE calculator class or one of its class methods, or be trusted: it is another "
            f"{'class' if inspect.isclass(factory) else 'function'}, and calling it runs whatever it does; say trust=true if "
            f"you know that it makes a calculator"
        )
    _check_options(target, factory, options)
    numbers = {"additive_cutoff": additive_cutoff, "energy_error": energy_error, "relative_error": relative_error}
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
    claimed = {"absolute": energy_error, "relative": relative_error}
    given = {name: float(value) for name, value in claimed.items() if value is not None}
    fingerprint = fingerprint_of(calculator, options if inspect.isclass(factory) else None)
    source = CalculatorSource(
        calculator,
        cutoff=additive_cutoff,
        precision=Precision(**given) if given else None,
        fingerprint=fingerprint,
        **switches,
    )
    if multiprocessing.parent_process() is not None:  # one of several, perhaps, that were given the same name
        source.leave_folder()
    if not is_safe:
        switches["trust"] = True  # without it the name would not be loaded again
    own = {name: value for name, value in (numbers | switches).items() if value is not None and value is not False}
    source.name = format_spec("ase", target, options | own)
    return source


def _find(target: str) -> tuple[Callable[..., Any], bool]:
    """What a dotted name stands for, and whether it makes ASE calculators by what it is."""
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise InputError(f"an ASE calculator must be named 'package.module.Class', got {target!r}")
    owner = _import(module_name, target)
    found = getattr(owner, name, None)
    if found is None:
        choices = vars(owner) if inspect.ismodule(owner) else {}
        known = [key for key, value in choices.items() if _is_calculator(value) and value.__module__ != BASE_MODULE]
        there = ", ".join(known) or "none"
        raise InputError(f"{module_name} has no {name!r}; calculators there: {there}{did_you_mean(name, known)}")
    if not callable(found) or inspect.ismodule(found):
        raise InputError(f"ase:{target} must name an ASE calculator class, or a function that returns a calculator")
    if _is_calculator(owner):
        return found, isinstance(inspect.getattr_static(owner, name), classmethod)
    return found, _is_calculator(found)


def _import(name: str, target: str) -> Any:
    """The module of a calculator, or the class in a module whose method makes one."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        module_name, _, class_name = name.rpartition(".")
        # `package.module.Class` is no module, though the one before it is
        if module_name and isinstance(error, ModuleNotFoundError) and error.name == name:
            owner = getattr(_import(module_name, target), class_name, None)
            if inspect.isclass(owner):
                return owner
        raise InputError(
            f"the module of ase:{target} could not be imported ({first_line(error)}); "
            f"check its name, or install the package that has it"
        ) from error


def _is_calculator(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, GetPropertiesMixin) and not inspect.isabstract(value)


def _check_options(target: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # written in C: it checks them itself
        return
    known = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    if len(known) < len(parameters):
        defaults = getattr(factory, "default_parameters", {})
        # ASE's base class takes any keyword and ignores those it does not know. Only programs driven through input files
        # have options beyond the ones listed.
        if not defaults or (inspect.isclass(factory) and issubclass(factory, FileIOCalculator)):
            return
        known |= set(defaults)
    known |= OWN_OPTIONS
    for option in options:
        if option not in known:
            raise InputError(
                f"ase:{target} has no option {option!r}; options: {', '.join(sorted(known))}{did_you_mean(option, known)}"
            )
