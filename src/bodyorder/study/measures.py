"""What is measured of each run of the grid against the reference, and one table of all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bodyorder.analysis import Aligned, align, compare, error_cancellation, group_convergence, size_errors
from bodyorder.analysis.environment_functions import environment_functions, group_environment
from bodyorder.analysis.nominal import nominal_orders
from bodyorder.results.variables import describe

#: Of a comparison with the reference, what is kept of each run.
_COMPARED = (
    "total_bias", "total_mae", "total_rmse", "order_bias", "order_rmse", "subset_rmse", "force_rmse", "force_order_rmse",
)  # fmt: skip

#: Functions in their environment: order of the best approximation, and bodies of a term.
_FUNCTIONS = ((2, 2), (3, 2), (3, 3))
_NAMES = {2: "pairs", 3: "triples"}

#: Ranges of distances (Å) of these functions.
_RANGES = np.round(0.1 * np.arange(61), 1)


def measure_run(tests: Sequence[tuple[xr.DataTree, xr.DataTree]], nominal: int | None) -> xr.Dataset:
    """Errors of a model against the reference on all groups of clusters, and how its own orders converge.

    :param tests: the results of the reference and of the model on the same clusters, for each set of clusters
    :param nominal: body order that the model's construction promises, None if there is none
    :return: dims (group, order, other_order, size), those of :func:`bodyorder.analysis.compare` (of which some are kept),
        :func:`~bodyorder.analysis.size_errors`, :func:`~bodyorder.analysis.error_cancellation`,
        :func:`~bodyorder.analysis.group_convergence` and :func:`~bodyorder.analysis.nominal.nominal_orders`, and where all
        sub-clusters are known those of :func:`~bodyorder.analysis.environment_functions.group_environment` and, along
        ``function``, of :func:`~bodyorder.analysis.environment_functions.environment_functions`
    """
    parts = []
    for reference, result in tests:
        aligned = align({"reference": reference, "model": result})
        compared = compare(aligned, "reference")
        measured = [
            compared[[name for name in _COMPARED if name in compared]],
            size_errors(aligned, "reference"),
            error_cancellation(aligned, "reference"),
            group_convergence(aligned),
            nominal_orders(aligned, {"model": nominal}),
            *_in_environment(aligned),
        ]
        parts.append(xr.merge([part.sel(source="model", drop=True) for part in measured], combine_attrs="drop"))
    return _side_by_side(parts, "group")


def measure_reference(tests: Sequence[xr.DataTree]) -> xr.Dataset:
    """How the orders of the reference converge on all groups of clusters, and the highest that it has.

    :param tests: its results on each set of clusters
    """
    parts = []
    for result in tests:
        aligned = align({"reference": result})
        measured = [group_convergence(aligned), nominal_orders(aligned, {}), *_in_environment(aligned)]
        parts.append(xr.merge([part.sel(source="reference", drop=True) for part in measured], combine_attrs="drop"))
    return _side_by_side(parts, "group")


def run_table(runs: Mapping[str, xr.Dataset], about: Sequence[Mapping[str, Any]], reference: str) -> xr.Dataset:
    """One dataset of all runs along the dimension ``run``, the reference among them.

    :param runs: what is measured of each, by its name
    :param about: for each what it is: values of coordinates
    :param reference: name of the run that is the reference; it has no deviations
    """
    parts = [part.expand_dims(run=[name]) for name, part in runs.items()]
    table = _side_by_side(parts, "run")
    coordinates = {key: ("run", np.array([entry[key] for entry in about])) for key in about[0]}
    return describe(table.assign_coords(coordinates).assign_attrs(reference=reference))


def _in_environment(aligned: Aligned) -> list[xr.Dataset]:
    """Orders and functions in their environment, where all sub-clusters of all structures are known."""
    data = aligned.data
    if data["order"].max() < data["n_bodies"].max():
        return []
    functions = [
        environment_functions(aligned, order, size, _RANGES).assign_coords(function=f"{_NAMES[size]} of order {order}")
        for order, size in _FUNCTIONS
        if size <= order <= int(data["n_bodies"].min())
    ]
    return [group_environment(aligned), _side_by_side(functions, "function")] if functions else []


def _side_by_side(parts: Sequence[xr.Dataset], dim: str) -> xr.Dataset:
    """Parts along a dimension; orders and sizes that one lacks are missing, and so are variables."""
    return xr.concat(
        parts, dim, data_vars="all", coords="minimal", compat="override", join="outer", combine_attrs="drop"
    )
