"""The section on the members of sources: of ensembles, of several heads, or of parts of the energy."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bodyorder.analysis.aligned import Aligned
from bodyorder.analysis.members import group_members, has_members
from bodyorder.plots.style import Theme
from bodyorder.report.orders import by_order
from bodyorder.report.section import Section
from bodyorder.report.table import Table
from bodyorder.report.words import words

#: Members with a row of their own, at most.
_MOST = 12


def members(aligned: Aligned, theme: Theme) -> Section | None:
    """Orders of each member of a source alone, and the uncertainties of orders by ensembles; None without members."""
    if not has_members(aligned):
        return None
    found = group_members(aligned)
    tables = []
    if "group_member_contribution" in found:
        own = found.isel(source=0, member=slice(_MOST))
        left = found.sizes["member"] - own.sizes["member"]
        caption = words("captions.html", "members_table", body=theme.body, left=left)
        tables.append(Table(_with_total(own, "group_member_contribution", "group_member_total", "member"), caption))
    if "group_ensemble_uncertainty" in found:
        frame = _with_total(found, "group_ensemble_uncertainty", "group_total_uncertainty", "source")
        tables.append(Table(frame, words("captions.html", "uncertainty_table", body=theme.body)))
    return Section("members", "Members", "ensembles, heads or parts, order by order", tables=tables)


def _with_total(found: xr.Dataset, orders: str, total: str, row: str) -> pd.DataFrame:
    frame = by_order(found, orders, ("group", row))
    frame["E/N"] = found[total].transpose("group", row).values.ravel()
    return frame
