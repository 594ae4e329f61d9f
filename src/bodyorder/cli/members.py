"""What is printed of the members of a source."""

from __future__ import annotations

import numpy as np
import xarray as xr
from rich.table import Table

from bodyorder.analysis.alignment import UNGROUPED, groups
from bodyorder.analysis.members import group_members
from bodyorder.cli.tables import print_table

#: Columns of members, at most: of more the first are shown.
_MOST = 6

#: What the energies of a table are, by the kind of members.
_TITLES = {"ensemble": "members of the ensemble", "heads": "heads", "parts": "parts of the energy"}


def print_members(result: xr.DataTree) -> None:
    """Order totals per body of every member, means over each group; of an ensemble with their standard deviation.

    A result without members prints nothing.
    """
    if "member_contribution" not in result:
        return
    found, kind = group_members(result), str(result.attrs["member_kind"])
    names = [str(name) for name in found["member"].values]
    more = f", the first {_MOST} of {len(names)}" * (len(names) > _MOST)
    for group, rows in groups(result.to_dataset()).items():
        own = found.sel(group=group).isel(member=slice(_MOST))
        of = f", {group}" * (group != UNGROUPED) + f", mean of {len(rows)}" * (len(rows) > 1)
        table = Table(title=f"{_TITLES[kind]}{more}, eV per body{of}")
        for column in ("order", *["±"] * (kind == "ensemble"), *names[:_MOST]):
            table.add_column(column, justify="right")
        for order in own["order"].values:
            here = own.sel(order=order)
            table.add_row(str(order), *_row(here, "group_ensemble_uncertainty", "group_member_contribution"))
        table.add_row("total", *_row(own, "group_total_uncertainty", "group_member_total"))
        print_table(table)
    if result["member_total"].isnull().any() and "cells" in result.children:
        print("no total of members: sources give energies of periodic cells alone")


def _row(own: xr.Dataset, deviation: str, energies: str) -> list[str]:
    """A deviation, where there is one, and the energy of each member; a dash where one is unknown."""
    said = [_number(float(own[deviation]), ".6f")] if deviation in own else []
    return said + [_number(float(value), "+.6f") for value in own[energies].values]


def _number(value: float, style: str) -> str:
    return "-" if np.isnan(value) else format(value, style)
