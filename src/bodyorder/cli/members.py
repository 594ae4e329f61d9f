"""What is printed of the members of a source."""

from __future__ import annotations

import numpy as np
import xarray as xr
from rich.table import Table

from bodyorder.cli.tables import print_table

#: Columns of members, at most: of more the first are shown.
_MOST = 6

#: What the energies of a table are, by the kind of members.
_TITLES = {"ensemble": "members of the ensemble", "heads": "heads", "parts": "parts of the energy"}


def print_members(result: xr.DataTree) -> None:
    """Order totals per body of every member, means over all structures; of an ensemble with their standard deviation.

    The deviation is the root mean square over structures. A result without members prints nothing.
    """
    if "member_contribution" not in result:
        return
    kind, root = str(result.attrs["member_kind"]), result.to_dataset()
    bodies = root["n_bodies"]
    by_order = (root["member_contribution"] / bodies).transpose("structure", "order", "member").values
    whole = (root["member_total"] / bodies).transpose("structure", "member").values
    names = [str(name) for name in root["member"].values]
    count = root.sizes["structure"]
    mean = f", mean of {count} structures" * (count > 1)
    more = f", the first {_MOST} of {len(names)}" * (len(names) > _MOST)
    table = Table(title=f"{_TITLES[kind]}{more}, eV per body{mean}")
    table.add_column("order", justify="right")
    if kind == "ensemble":
        table.add_column("±", justify="right")
    for name in names[:_MOST]:
        table.add_column(name, justify="right")
    deviations = _deviations(root, "ensemble_uncertainty", ("structure", "order"))
    for place, order in enumerate(root["order"].values):
        table.add_row(str(order), *deviations[place : place + 1], *_means(by_order[:, place]))
    table.add_row("total", *_deviations(root, "total_uncertainty", ("structure",)), *_means(whole))
    print_table(table)


def _means(values: np.ndarray) -> list[str]:
    """Means over structures of the members that are shown; a dash where one is unknown."""
    return ["-" if np.isnan(mean) else f"{mean:+.6f}" for mean in values.mean(axis=0)[:_MOST]]


def _deviations(root: xr.Dataset, name: str, dims: tuple[str, ...]) -> list[str]:
    """Standard deviations per body; none for members that are no ensemble."""
    if name not in root:
        return []
    values = (root[name] / root["n_bodies"]).transpose(*dims).values
    found = np.atleast_1d(np.sqrt(np.mean(values**2, axis=0)))
    return ["-" if np.isnan(value) else f"{value:.6f}" for value in found]
