"""What a result was not asked for, and lacks for no other reason: energies of whole structures, orders of some structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

#: Values of the attribute ``whole``: whether the energy of a whole structure was asked for where its sub-clusters do not hold it.
#: Results that do not say were asked for it.
ASKED, NOT_ASKED = "asked for", "not asked for"

#: The one kind of family that holds the whole wherever its orders reach it.
_HOLDS_WHOLE = "complete"


def unasked_orders(data: xr.Dataset) -> xr.DataArray:
    """Which orders of which structures nobody asked for, as ``asked_order`` of joined results says.

    :param data: a result, flat or its root, or several side by side
    :return: booleans with the dimensions of ``contribution``
    """
    contribution = data["contribution"]
    if "asked_order" not in data:
        return xr.zeros_like(contribution, dtype=bool)
    return (data["order"] > data["asked_order"].fillna(np.inf)).transpose(*contribution.dims)


def unasked_totals(data: xr.Dataset, attributes: Mapping[str, Any] | None = None) -> np.ndarray:
    """Which structures have no ``total`` because the energy of the whole was not asked for, shape (structure,).

    :param data: the root of a result of one source
    :param attributes: of the result, if it is one of several
    """
    attributes = data.attrs if attributes is None else attributes
    lacking = np.asarray(data["total"].isnull().values)
    if attributes.get("whole", ASKED) != NOT_ASKED:
        return np.zeros_like(lacking)
    largest = data["order"].values.max()
    if "asked_order" in data:
        largest = data["asked_order"].fillna(largest).values
    # where a complete family reaches it, the whole is one of its sub-clusters
    beyond = (data["n_bodies"].values > largest) | (attributes.get("family") != _HOLDS_WHOLE)
    return lacking & beyond


def unasked_lines(wholes: np.ndarray, orders: np.ndarray) -> list[str]:
    """What is said where numbers are missing that nobody asked for, a line each.

    :param wholes: which structures lack their total for this reason, shape (n_structures,)
    :param orders: which orders each lacks, shape (n_structures, n_orders)
    """
    lines = []
    if count := int(wholes.sum()):
        lines.append(f"no total{_of(count, len(wholes))}: the energy of the whole was not asked for")
    if count := int(orders.any(axis=1).sum()):
        largest = (~orders[orders.any(axis=1)]).sum(axis=1)  # that was asked for, of each
        span = str(largest.min()) if largest.min() == largest.max() else f"{largest.min()} to {largest.max()}"
        lines.append(f"no orders above {span}{_of(count, len(orders))}: they were not asked for")
    return lines


def _of(count: int, everything: int) -> str:
    return "" if count == everything else f" of {count} of {everything} structures"
