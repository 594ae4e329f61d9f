"""Results changed by hand."""

from __future__ import annotations

from collections.abc import Callable

import xarray as xr

from bodyorder.results import flat, grown


def changed(result: xr.DataTree, change: Callable[[xr.Dataset], xr.Dataset]) -> xr.DataTree:
    """The result with what ``change`` makes of its variables side by side."""
    return grown(change(flat(result)))
