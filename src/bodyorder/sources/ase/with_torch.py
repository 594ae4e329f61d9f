"""Calculators that compute with torch: the default dtype that they work in, and the networks that they hold.

Some set torch's default dtype for the whole process, when they are imported, made or first used, and what another source then
makes or computes is in that dtype. Here each has its own. torch is looked at only where something has loaded it already.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FunctionType, ModuleType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from bodyorder.sources.ase.network_text import is_network

P = ParamSpec("P")
Answer = TypeVar("Answer")

#: What torch begins with.
FIRST = "float32"
#: How deep in the attributes of a calculator its networks are looked for, and among how many entries of one list.
DEPTH, WIDTH = 4, 100

#: The default dtype is one for all threads: who may set it has it alone.
_alone = threading.RLock()
#: What importing a module set, by its name: it does so once.
_set_by_import: dict[str, str] = {}


class OwnDtype:
    """torch's default dtype as one calculator has it: what there is when this is made, and what the calculator makes of it."""

    def __init__(self) -> None:
        with _alone:
            self._name = default_dtype() if "torch" in sys.modules else None
        self._matters = True

    def settle(self, calculator: Any) -> None:
        """Say for which calculator it is, now that that is made: one that holds nothing of torch is left alone."""
        self._matters = uses_torch(calculator)

    @contextmanager
    def here(self) -> Iterator[None]:
        """The calculator's in a ``with`` block, and what there was before after it."""
        if not self._matters:
            yield
            return
        with _alone:
            before = default_dtype()
            if self._name is not None:
                _set(self._name)
            try:
                yield
            finally:
                if "torch" in sys.modules:
                    self._name = default_dtype()
                    _set(before)


class _HasDtype(Protocol):
    _own_dtype: OwnDtype


Self = TypeVar("Self", bound=_HasDtype)


def in_own_dtype(method: Callable[Concatenate[Self, P], Answer]) -> Callable[Concatenate[Self, P], Answer]:
    """A method of a source that asks its calculator, in the default dtype of that."""

    @wraps(method)
    def asked(self: Self, *args: P.args, **kwargs: P.kwargs) -> Answer:
        with self._own_dtype.here():
            return method(self, *args, **kwargs)

    return asked


@contextmanager
def importing(module: str) -> Iterator[None]:
    """Have the same default dtype after each import of a module, which sets it the first time only."""
    before = default_dtype()
    yield
    if default_dtype() != before:
        _set_by_import[module] = default_dtype()
    elif module in _set_by_import:
        _set(_set_by_import[module])


def default_dtype() -> str:
    """Name of torch's default dtype."""
    torch = sys.modules.get("torch")
    return FIRST if torch is None else str(torch.get_default_dtype()).removeprefix("torch.")


def _set(name: str) -> None:
    torch = sys.modules.get("torch")
    if torch is not None and default_dtype() != name:
        torch.set_default_dtype(getattr(torch, name))


def networks(calculator: Any) -> list[Any]:
    """Networks that a calculator holds, outermost ones only, in the order of its attributes."""
    found: list[Any] = []
    if "torch" not in sys.modules:
        return found
    seen: set[int] = set()
    level = [calculator]
    for _ in range(DEPTH):
        below: list[Any] = []
        for value in level:
            if id(value) in seen:
                continue
            seen.add(id(value))
            if is_network(value):
                found.append(value)
            elif isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list | tuple):
                below += value[:WIDTH]
            elif not isinstance(value, type | ModuleType | FunctionType):
                below += getattr(value, "__dict__", {}).values()
        level = below
    return found


def uses_torch(calculator: Any) -> bool:
    """Whether a calculator holds a network, or anything else of torch."""
    held = [calculator, *getattr(calculator, "__dict__", {}).values()]
    return bool(networks(calculator)) or any(type(value).__module__.partition(".")[0] == "torch" for value in held)
