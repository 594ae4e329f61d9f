"""Networks inside calculators of ASE: whether their cutoff adapts to the number of neighbours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from ase.calculators.abc import GetPropertiesMixin

#: How many attributes deep networks lie in calculators: of the calculator, and of what it wraps.
DEPTH = 3


def adaptive_remark_of(calculator: GetPropertiesMixin) -> str:
    """What to say of the orders of a calculator whose network has a cutoff that adapts; empty if none does."""
    torch = sys.modules.get("torch")
    if torch is None:  # then it has no network
        return ""
    from bodyorder.sources.networks.adaptive import adaptive_remark

    found = (adaptive_remark(network) for network in _held(calculator, torch.nn.Module, DEPTH))
    return next(filter(None, found), "")


def _held(owner: Any, kind: type, depth: int) -> Iterator[Any]:
    """Objects of a kind that an object holds, directly or in objects of its own."""
    for value in getattr(owner, "__dict__", {}).values():
        if isinstance(value, kind):
            yield value
        elif depth > 1 and hasattr(value, "__dict__") and not isinstance(value, type):
            yield from _held(value, kind, depth - 1)
