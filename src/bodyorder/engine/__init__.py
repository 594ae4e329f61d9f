"""The engine: structures and an energy source in, a tree of body orders out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bodyorder.engine.corrections import Corrected, correct
    from bodyorder.engine.decomposition import decompose
    from bodyorder.engine.replacement import variance_shares
    from bodyorder.engine.sampling import Sampling
    from bodyorder.engine.store import Store

__all__ = ["Corrected", "Sampling", "Store", "correct", "decompose", "variance_shares"]

#: Where they live. Worker processes need none of them, and start in two thirds of the time without.
_HOMES = {
    "Corrected": "corrections",
    "Sampling": "sampling",
    "Store": "store",
    "correct": "corrections",
    "decompose": "decomposition",
    "variance_shares": "replacement",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bodyorder.engine' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bodyorder.engine.{_HOMES[name]}"), name)
