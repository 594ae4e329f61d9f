"""What lone atoms miss of two far apart, in results that are joined or stand side by side: of every pair that any of them has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

#: The dimension of its table.
PAIR = "pair"


def all_pairs(parts: Sequence[xr.Dataset]) -> list[str]:
    """Pairs of all results, in alphabetical order.

    :param parts: variables of results side by side
    """
    return sorted({str(pair) for part in parts if PAIR in part.coords for pair in part[PAIR].values})


def on_pairs(part: xr.Dataset, pairs: Sequence[str]) -> xr.Dataset:
    """A result with a row for each of some pairs, NaN where it knows nothing."""
    if PAIR not in part.dims or np.array_equal(part[PAIR].values.astype(str), pairs):
        return part.assign_coords({PAIR: list(pairs)}) if pairs else part
    return part.reindex({PAIR: list(pairs)}, fill_value={"dissociation_failure": ""}, copy=False)


def joined_pairs(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """The tables of results of one source as one: a pair that several have is that of the first that knows it."""
    tables = [part[[name for name, array in part.data_vars.items() if PAIR in array.dims]] for part in parts]
    pairs = all_pairs(parts)
    if not pairs:
        return xr.Dataset()
    rows = []
    for pair in pairs:
        own = [table.sel({PAIR: [pair]}) for table in tables if pair in table.get(PAIR, [])]
        known = [table for table in own if table["dissociation_offset"].notnull().all()]
        rows.append((known or own)[0])
    found = xr.concat(rows, PAIR)
    return found.drop_vars([name for name in found.coords if name != PAIR])
