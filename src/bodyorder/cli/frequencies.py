"""What is printed of the frequencies of a result."""

from __future__ import annotations

import numpy as np
import xarray as xr
from rich.table import Table

from bodyorder.analysis.frequencies import harmonic_frequencies
from bodyorder.cli.tables import print_table

#: Structures whose frequencies are printed, and modes of each, the highest ones.
_STRUCTURES, _MODES = 3, 8


def print_frequencies(result: xr.DataTree) -> None:
    """The highest harmonic frequencies of the first structures, by the orders up to each and by the whole.

    A result without Hessians prints nothing.
    """
    if "hessians" not in result.children:
        return
    found = harmonic_frequencies(result)
    count = found.sizes["structure"]
    for index in range(min(count, _STRUCTURES)):
        own = found.isel(structure=index)
        modes = np.flatnonzero(
            np.isfinite(own["frequency_total"].values) | own["frequency"].notnull().any("order").values
        )
        shown = modes[::-1][:_MODES]
        few = f", the highest {len(shown)} of {len(modes)}" * (len(shown) < len(modes))
        table = Table(title=f"harmonic frequencies of {own['structure'].item()}{few}, 1/cm")
        for column in ("orders up to", "off by", *[str(mode + 1) for mode in shown]):
            table.add_column(column, justify="right")
        for order in own["order"].values:
            here = own.sel(order=order)
            if here["frequency"].notnull().any():
                table.add_row(
                    str(order), _number(here["frequency_error"]), *map(_number, here["frequency"].values[shown])
                )
        table.add_row("whole", "", *map(_number, own["frequency_total"].values[shown]))
        print_table(table)
    if count > _STRUCTURES:
        print(f"frequencies of {count - _STRUCTURES} more structures: result.mbe.frequencies()")


def _number(value: float | xr.DataArray) -> str:
    return "-" if np.isnan(float(value)) else f"{float(value):.1f}"
