"""Results as frames of pandas: a row for each structure and order, a row for each sub-cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from ase.data import chemical_symbols
from ase.formula import Formula

from bodyorder._checks import InputError
from bodyorder.analysis import Aligned, order_convergence
from bodyorder.analysis.alignment import has_groups
from bodyorder.results.variables import VARIABLES

#: Columns of orders, in their order; counts follow.
_ORDERS = ("contribution", "noise", "above_noise")
_PER_BODY = ("contribution_per_body", "noise_per_body", "truncation_error", "truncation_noise")

#: Columns of sub-clusters that all have; records follow.
_SUBSETS = ("energy", "contribution", "noise")

#: What says which sub-cluster a row is, and stands in columns of its own.
_KEYS = {"subset_members", "subset_cells", "subset_structure", "subset_order"}


def orders(aligned: Aligned) -> pd.DataFrame:
    """A row for each source, structure and order (:meth:`bodyorder.accessor.Expansion.orders`)."""
    data = aligned.data
    shape = (data.sizes["source"], data.sizes["structure"], data.sizes["order"])
    places = np.nonzero(np.broadcast_to(present(data), shape))
    source, structure, order = places
    columns = _named(aligned, source, structure)
    if has_groups(data):
        columns["group"] = _categories(data["group"].values, structure)
    columns["order"] = data["order"].values[order]
    dims = ("source", "structure", "order")
    for name in _ORDERS:
        if name in data:
            columns[name] = data[name].transpose(*dims).values[places]
    if "above_noise" in columns:  # beside sources that have more orders it is a number, NaN where there is no total
        columns["above_noise"] = columns["above_noise"] == 1
    convergence = order_convergence(aligned.several)
    columns |= {name: convergence[name].transpose(*dims).values[places] for name in _PER_BODY}
    columns["n_bodies"] = data["n_bodies"].values[structure]
    for counted, array in data.data_vars.items():
        if set(array.dims) == set(dims) and counted not in columns:
            columns[str(counted)] = array.transpose(*dims).values[places]
    if "failure" in data:
        columns["failure"] = data["failure"].transpose("source", "structure").values.astype(object)[source, structure]
    return _frame(columns, dict(zip(columns, columns, strict=True)))


def members(aligned: Aligned) -> pd.DataFrame:
    """A row for each structure and order (:meth:`bodyorder.accessor.Expansion.members`).

    :raises InputError: if the result holds no members, or is of several sources
    """
    data = aligned.data
    if not aligned.is_single:
        raise InputError("a frame of members must come from a result of one source, got one of several")
    if "member_contribution" not in data:
        raise InputError("a frame of members must come from a result with members; decompose with members=True")
    structure, order = np.nonzero(present(data))
    columns = _named(aligned, np.zeros(len(structure), dtype=np.int64), structure)
    columns["order"] = data["order"].values[order]
    totals = data["member_contribution"].isel(source=0).transpose("structure", "order", "member").values
    variables = dict(zip(columns, columns, strict=True))
    for place, name in enumerate(data["member"].values.astype(str)):
        columns[name], variables[name] = totals[structure, order, place], "member_contribution"
    if "ensemble_uncertainty" in data:
        spread = data["ensemble_uncertainty"].isel(source=0).transpose("structure", "order").values
        columns["uncertainty"], variables["uncertainty"] = spread[structure, order], "ensemble_uncertainty"
    return _frame(columns, variables)


def subsets(aligned: Aligned, members: bool) -> pd.DataFrame:
    """A row for each source and sub-cluster (:meth:`bodyorder.accessor.Expansion.subsets`).

    :raises InputError: if the result holds no subsets
    """
    data = aligned.data
    for name in (*_KEYS - {"subset_cells"}, "subset_energy"):
        if name not in data:
            raise InputError(
                f"a frame of sub-clusters must come from a result with subsets, `{name}` is missing; decompose with subsets=True"
            )
    count, times = data.sizes["subset"], data.sizes["source"]
    owners = data["subset_structure"].values
    rows = np.tile(np.arange(count), times) if times > 1 else slice(None)
    columns = _named(aligned, np.repeat(np.arange(times), count), owners[rows])
    columns["order"] = data["subset_order"].values[rows]
    bodies = data["subset_members"].transpose("subset", "slot").values
    sizes = data["subset_order"].values
    if members:
        columns["members"] = _tuples(bodies, sizes, owners)[rows]
        if "subset_cells" in data:
            columns["cells"] = _cell_tuples(data["subset_cells"].transpose("subset", "slot", "xyz").values, sizes)[rows]
    formulas = _formulas(data, bodies, owners)
    columns["formula"] = formulas if times == 1 else formulas.take(rows)
    known = [str(name) for name, array in data.data_vars.items() if set(array.dims) == {"source", "subset"}]
    first = [f"subset_{name}" for name in _SUBSETS if f"subset_{name}" in known]
    variables = {}
    for name in (*first, *(name for name in known if name not in first and name not in _KEYS)):
        column = name.removeprefix("subset_")
        columns[column], variables[column] = data[name].transpose("source", "subset").values.ravel(), name
    return _frame(columns, variables)


def present(data: xr.Dataset) -> np.ndarray:
    """Which orders each structure has, shape (structure, order): those of its bodies, or all if it is periodic."""
    return (data["order"].values <= data["n_bodies"].values[:, None]) | is_periodic(data)[:, None]


def is_periodic(data: xr.Dataset) -> np.ndarray:
    """Which structures are periodic, shape (structure,)."""
    if "cell" not in data:
        return np.zeros(data.sizes["structure"], dtype=bool)
    return np.asarray(data["cell"].notnull().any(("vector", "xyz")).values)


def _named(aligned: Aligned, source: np.ndarray, structure: np.ndarray) -> dict[str, Any]:
    """The columns that say whose a row is."""
    columns = {} if aligned.is_single else {"source": _categories(aligned.data["source"].values, source)}
    return columns | {"structure": _categories(aligned.data["structure"].values, structure)}


def _categories(names: np.ndarray, places: np.ndarray) -> pd.Categorical:
    """Names in the order of the result, a byte or so a row."""
    labels = [str(name) for name in names]
    known = list(dict.fromkeys(labels))
    number = {name: index for index, name in enumerate(known)}
    return pd.Categorical.from_codes(np.array([number[name] for name in labels], dtype=np.int64)[places], known)


def _frame(columns: dict[str, Any], variables: dict[str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(columns, copy=True)  # who edits a frame must not edit the result
    units = {column: VARIABLES[name].unit for column, name in variables.items() if name in VARIABLES}
    frame.attrs["units"] = {column: unit for column, unit in units.items() if unit != "1"}
    return frame


def _runs(values: np.ndarray) -> Iterator[slice]:
    """Rows with the same value one behind the other."""
    ends = np.flatnonzero(np.diff(values)) + 1
    for start, stop in zip([0, *ends], [*ends, len(values)], strict=True):
        yield slice(start, stop)


def _tuples(bodies: np.ndarray, sizes: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """The bodies of each sub-cluster; structures whose sub-clusters are the same share the tuples."""
    made = np.empty(len(bodies), dtype=object)
    seen: dict[bytes, np.ndarray] = {}
    for rows in _runs(owners):
        key = bodies[rows].tobytes()
        if key not in seen:
            seen[key] = _sized(bodies[rows], sizes[rows])
        made[rows] = seen[key]
    return made


def _sized(bodies: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The first ``sizes`` of each row as a tuple."""
    made = np.empty(len(bodies), dtype=object)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        slots = [bodies[rows, slot].tolist() for slot in range(size)]
        made[rows] = np.fromiter(zip(*slots, strict=True), dtype=object, count=len(rows))
    return made


def _cell_tuples(cells: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The cell of each body of each sub-cluster."""
    made = np.empty(len(cells), dtype=object)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        slots = [list(map(tuple, cells[rows, slot].tolist())) for slot in range(size)]
        made[rows] = np.fromiter(zip(*slots, strict=True), dtype=object, count=len(rows))
    return made


def _formulas(data: xr.Dataset, bodies: np.ndarray, owners: np.ndarray) -> pd.Categorical:
    """Hill formula of each sub-cluster."""
    starts = np.concatenate([[0], np.cumsum(data["n_bodies"].values.astype(np.int64))])
    places = starts[data["site_structure"].values] + data["site_body"].values
    elements, kinds = np.unique(data["site_number"].values, return_inverse=True)
    counts = np.zeros((starts[-1], len(elements)), dtype=np.int64)
    np.add.at(counts, (places, kinds), 1)
    # kinds of bodies, alike in composition; a sub-cluster is told by how many it has of each element
    key = np.zeros(len(bodies), dtype=np.int64)
    compositions = np.zeros((1, 0), dtype=np.int64)
    for column in counts.T:
        padded = np.append(column, 0)
        held = np.zeros(len(bodies), dtype=np.int64)
        for slot in range(bodies.shape[1]):
            own = bodies[:, slot]
            held += padded[np.where(own < 0, len(column), starts[owners] + own)]
        width = int(held.max(initial=0)) + 1
        found, key = np.unique(key * width + held, return_inverse=True)
        compositions = np.column_stack([compositions[found // width], found % width])
    symbols = [chemical_symbols[number] for number in elements]
    names = [
        Formula.from_dict({symbol: int(n) for symbol, n in zip(symbols, row, strict=True) if n}).format("hill")
        for row in compositions
    ]
    return pd.Categorical.from_codes(key, names)
