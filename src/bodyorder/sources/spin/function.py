"""Spin rules that a user writes in Python."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from bodyorder._checks import InputError, did_you_mean, first_line
from bodyorder.sources.spin.electrons import electrons
from bodyorder.sources.spin.rules import SpinRule
from bodyorder.structures.clusters import ClusterBatch


class FunctionRule(SpinRule):
    """A function ``rule(numbers, positions, charge)`` that says which multiplicities 2S + 1 a sub-cluster may have.

    It is given atomic numbers, shape (k,), positions in Å, shape (k, 3), and the charge, and returns one multiplicity or several,
    of which the lowest state is taken. Atoms come in an order that does not depend on their order in the structure, and positions
    are counted from the corner of the box around them: the same sub-cluster elsewhere must have the same spin, or stored
    energies would be wrong.

    The text of the file in which the function stands is part of the fingerprint; what it imports from elsewhere is not.

    :param name: ``module:function``
    :raises InputError: if there is no such function
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.function = _find(name)
        self.identity = f" rule={hashlib.blake2b(_code(self.function, name).encode(), digest_size=16).hexdigest()}"

    def spins(self, batch: ClusterBatch) -> list[tuple[int, ...]]:  # noqa: D102 - as its base
        if not len(batch):
            return []
        order = batch.canonical()[1]
        numbers = np.take_along_axis(batch.numbers, order, axis=1)
        positions = batch.positions - batch.positions.min(axis=1, keepdims=True)
        positions = np.take_along_axis(positions, order[:, :, None], axis=1)
        return [self._of_one(*row) for row in zip(numbers, positions, batch.charges.tolist(), strict=True)]

    def _of_one(self, numbers: np.ndarray, positions: np.ndarray, charge: int) -> tuple[int, ...]:
        count = electrons(numbers, charge)
        try:
            answer = self.function(numbers, positions, charge)
        except Exception as error:  # whatever a function of the user's raises
            raise InputError(
                f"spin={self.name} must give multiplicities, and raised {type(error).__name__}: {first_line(error)}"
            ) from error
        multiplicities = _multiplicities(answer)
        if not multiplicities or multiplicities[0] < 1 or isinstance(answer, bool):
            raise InputError(
                f"spin={self.name} must give a multiplicity 2S + 1 (1, 2, …) or several, got {' '.join(repr(answer).split())} "
                f"for atomic numbers {numbers.tolist()}"
            )
        for multiplicity in multiplicities:
            if (multiplicity - 1 - count) % 2 or multiplicity > count + 1:
                least = 1 + count % 2
                raise InputError(
                    f"spin={self.name} must give multiplicities that the electrons can have, got {multiplicity} for {count} "
                    f"electrons of atomic numbers {numbers.tolist()}; they can have {_listed(least, count + 1)}"
                )
        return tuple(multiplicity - 1 for multiplicity in multiplicities)


def reference(function: Callable[..., Any]) -> str:
    """How a function is named, ``module:function``.

    :raises InputError: if it cannot be found by that name, as worker processes must
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if not inspect.isfunction(function) or getattr(module, name, None) is not function:
        raise InputError(
            f"`spin` must be a function at the top level of a module, where worker processes find it, got {name!r}; "
            "define it there with def"
        )
    return f"{function.__module__}:{name}"


def _multiplicities(answer: Any) -> list[int]:
    """One whole number or several, ascending; none if it is neither."""
    try:
        return [operator.index(answer)]
    except TypeError:
        pass
    try:
        return sorted({operator.index(value) for value in answer})
    except TypeError:
        return []


def _listed(least: int, most: int) -> str:
    known = [str(multiplicity) for multiplicity in range(least, most + 1, 2)]
    return ", ".join(known if len(known) < 5 else [*known[:2], "…", known[-1]])


def _find(name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the user's may raise anything
        raise InputError(
            f"the module of spin={name} could not be imported ({first_line(error)}); check its name, and set PYTHONPATH to "
            "the folder that has it"
        ) from error
    found = getattr(module, function_name, None)
    if not inspect.isfunction(found):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise InputError(
            f"spin={name} must name a function, {module_name} has none of that name{did_you_mean(function_name, known)}"
        )
    reference(found)
    return found


def _code(function: Callable[..., Any], name: str) -> str:
    for thing in (sys.modules[function.__module__], function):
        try:
            return inspect.getsource(thing)
        except (OSError, TypeError):  # not read from a file
            continue
    raise InputError(
        f"the text of spin={name} must be known, so that stored energies are told apart; write it to a file"
    )
