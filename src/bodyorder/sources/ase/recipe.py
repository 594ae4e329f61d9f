"""How a calculator is made from a name and options: here, and again in every other process that needs it.

What programs keep in memory (LAMMPS, KIM, compiled networks) cannot be sent to another process; how to make it can.
"""

from __future__ import annotations

import importlib
import inspect
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import Calculator

from bodyorder._checks import ComputationError, InputError, did_you_mean, first_line
from bodyorder.sources.ase.fingerprint import Identity, Making, identify
from bodyorder.sources.ase.with_torch import OwnDtype, importing

#: Where ASE keeps its base classes, which are no calculators to choose from.
BASE_MODULE = Calculator.__module__


class Recipe:
    """How a calculator is made.

    :param target: dotted name of a calculator class, of a class method of one that makes it, or of a function that does
    :param options: handed to it
    :param word: what the user says that tells the numbers of the calculator, in place of its options
    :raises InputError: if there is no such thing
    """

    def __init__(self, target: str, options: Mapping[str, Any], word: str | None = None):
        self.target, self.options, self.word = target, dict(options), word
        #: torch's default dtype as it is after making the calculator
        self.own_dtype = OwnDtype()
        with self.own_dtype.here(), importing(target):
            self.factory, self.is_safe = _find(target)
        self._identity: Identity | None = None

    def make(self) -> GetPropertiesMixin:
        """The calculator.

        :raises InputError: if it cannot be made
        """
        try:
            with self.own_dtype.here():
                calculator = self.factory(**self.options)
        except (Exception, SystemExit) as error:
            raise InputError(
                f"ase:{self.target} could not be built with the options {self.options}: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
        if not isinstance(calculator, GetPropertiesMixin):
            raise InputError(f"ase:{self.target} must give an ASE calculator, got {type(calculator).__name__}")
        return calculator

    def identify(self, calculator: GetPropertiesMixin) -> Identity:
        """What tells the numbers of a calculator that was made here."""
        self._identity = identify(calculator, Making(self.target, self.factory, self.options), self.word)
        return self._identity

    def why_one_process(self) -> str:
        """Why it cannot be made in another process; empty if it can."""
        try:
            pickle.dumps(self.options)
        except Exception as error:  # of any object among them
            return f"its options cannot be pickled ({type(error).__name__}: {first_line(error)})"
        return ""

    def __reduce__(self) -> tuple[Callable[..., Recipe], tuple[Any, ...]]:
        return _brought, (self.target, self.options, self.word, self._identity)

    def again(self) -> GetPropertiesMixin:
        """The calculator in another process.

        :raises ComputationError: if it cannot be made there, or would give other numbers
        """
        try:
            calculator = self.make()
        except InputError as error:
            raise ComputationError(
                f"a calculator must be made again in each process, and one was not: {error}"
            ) from error
        before = self._identity
        assert before is not None
        here = self.identify(calculator)
        if here.text != before.text:
            raise ComputationError(
                f"ase:{self.target} must be the same in every process, and is not: {_difference(before, here)}"
            )
        return calculator


def _brought(target: str, options: Mapping[str, Any], word: str | None, identity: Identity) -> Recipe:
    """A recipe from another process."""
    try:
        recipe = Recipe(target, options, word)
    except InputError as error:
        raise ComputationError(f"a calculator must be made again in each process, and one was not: {error}") from error
    recipe._identity = identity
    return recipe


def _difference(before: Identity, here: Identity) -> str:
    """What tells two calculators apart that were made alike."""
    for path, digest in before.files.items():
        if here.files.get(path) != digest:
            return f"{path} {'is not here' if path not in here.files else 'is another file here'}"
    if more := here.files.keys() - before.files.keys():
        return f"{sorted(more)[0]} was not there before"
    old, new = (identity.text.split(" ", 2) for identity in (before, here))
    if old[2] != new[2]:
        return f"{old[2]} became {new[2]}"
    return "its settings are others each time it is made; give fingerprint=TEXT if it computes the same all the same"


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
