"""Resolve any energy of atoms into body orders, exactly and fast, and show what they say.

``decompose(structures, source)`` is the heart; ``read_structures`` reads files, ``load_source`` names an energy, ``Store``
keeps what was computed, ``Sampling`` asks for estimates, ``correct`` labels structures by a cheap source whose first orders are a
better one's, ``variance_shares`` tells how many bodies at a time an energy depends on when they move, ``join`` makes one result
of those of parts, ``compare`` and ``atom_shares`` read results, ``write_report`` shows them, ``check_source`` tests an energy
source. Results have an accessor of their own, ``result.mbe`` (:mod:`bodyorder.accessor`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bodyorder._checks import ComputationError, InputError
    from bodyorder.analysis import atom_shares, combine, compare, environment_orders
    from bodyorder.engine import Corrected, Sampling, Store, correct, decompose, variance_shares
    from bodyorder.report import Report, write_report
    from bodyorder.results import join, load_results, save_results
    from bodyorder.sources import load_source
    from bodyorder.structures import read_structures
    from bodyorder.testing import check_source

#: Public names and where they live. They are imported when asked for, so that ``import bodyorder`` costs nothing.
_HOMES = {
    "ComputationError": "_checks",
    "Corrected": "engine",
    "InputError": "_checks",
    "Report": "report",
    "Sampling": "engine",
    "Store": "engine",
    "atom_shares": "analysis",
    "check_source": "testing",
    "combine": "analysis",
    "compare": "analysis",
    "correct": "engine",
    "decompose": "engine",
    "environment_orders": "analysis",
    "join": "results",
    "load_results": "results",
    "load_source": "sources",
    "read_structures": "structures",
    "save_results": "results",
    "variance_shares": "engine",
    "write_report": "report",
}

__all__ = [
    "ComputationError",
    "Corrected",
    "InputError",
    "Report",
    "Sampling",
    "Store",
    "atom_shares",
    "check_source",
    "combine",
    "compare",
    "correct",
    "decompose",
    "environment_orders",
    "join",
    "load_results",
    "load_source",
    "read_structures",
    "save_results",
    "variance_shares",
    "write_report",
]


#: Whoever asks for one of these gets results, which have ``.mbe`` from then on.
_GIVE_RESULTS = {"combine", "correct", "decompose", "join", "load_results"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bodyorder' has no attribute {name!r}")
    if name in _GIVE_RESULTS:
        importlib.import_module("bodyorder.accessor")
    return getattr(importlib.import_module(f"bodyorder.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
