"""Results of several sources on the same structures, side by side along a ``source`` dimension."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.results.asked import NOT_ASKED, unasked_lines, unasked_orders, unasked_totals
from bodyorder.results.dissociation import all_pairs, on_pairs
from bodyorder.results.tree import OWNERS, flat, grown, in_step, some, structure_names
from bodyorder.results.variables import VARIABLES, describe

#: Variables that describe the structures and their subsets, the same for every source.
_SHARED = {
    "n_bodies", "site_structure", "site_number", "site_body", "site_position", "site_charge", "site_moment",
    "subset_members", "subset_cells", "subset_structure", "subset_order", "cell", "periodic",
}  # fmt: skip

#: Positions (Å) that agree to this length are of the same structure.
_SAME_POSITION = 1e-6

#: Cells that bodies of a subset can be apart in each direction, at least: a body and its cell are one number in a table.
_SPAN = 2**10

#: Name of the only group of a result whose structures carry none.
UNGROUPED = "all"


def combine(results: Mapping[str, xr.DataTree]) -> xr.DataTree:
    """Stack the results of several sources along a leading ``source`` dimension.

    Structures, sites and subsets are matched by what they are, not by their place, and stand in the order of the first
    result. Orders and subsets that a source lacks are NaN, but for the contributions of subsets that are not in a
    connected family: those are exactly zero. Attributes that all results share are kept; those of each source are in
    the attribute ``results`` as JSON.

    :param results: a result, as :func:`bodyorder.decompose` gives it, by the name of its source
    :return: a tree like theirs
    :raises InputError: if the results are not of the same structures; the message names those that differ
    """
    return grown(side_by_side(results))


def side_by_side(results: Mapping[str, xr.DataTree]) -> xr.Dataset:
    """The variables of :func:`combine` in one dataset (:func:`bodyorder.results.flat`)."""
    if not isinstance(results, Mapping) or isinstance(results, xr.DataTree | xr.Dataset):  # these are mappings, too
        raise InputError(
            f"results must be given by the names of their sources, a mapping, got {type(results).__name__}"
        )
    if not results:
        raise InputError("at least one result must be given to combine, got none")
    names = [str(name) for name in results]
    # members of one source are not those of another; the uncertainties that they give stand side by side
    given = [flat(result).drop_dims("member", errors="ignore") for result in results.values()]
    first = given[0]
    structures = structure_names(first, repr(names[0]))
    parts = []
    for name, result in zip(names, given, strict=True):
        if "source" in result.dims:
            raise InputError(f"each result must be of one source, {name!r} has a `source` dimension")
        part = _reordered(name, result, names[0], structures)
        _check_same(name, part, names[0], first)
        parts.append(part)
    orders = np.unique(np.concatenate([part["order"].values for part in parts]))
    periodic = any("subset_cells" in part for part in parts)
    parts = [_on_subsets(part, table, periodic) for part, table in zip(parts, _subset_tables(parts), strict=True)]
    parts = [part if np.array_equal(part["order"], orders) else part.reindex(order=orders) for part in parts]
    parts = [on_pairs(part, all_pairs(parts)) for part in parts]
    combined = _stack(names, parts)
    combined.attrs = merged_attributes(dict(zip(names, given, strict=True)))
    return describe(combined)


def alone(result: xr.Dataset) -> xr.Dataset:
    """One result, flat, with a ``source`` dimension of length one.

    Its attribute ``source`` names it, or its coordinate of that name where it was taken out of several.
    """
    if "source" in result.coords:
        name = str(result["source"].item())
        own = json.loads(result.attrs.get("results", "{}")).get(name, {})
        result = result.drop_vars("source").assign_attrs(own)
        del result.attrs["results"]
    else:
        name = str(result.attrs.get("source", "source"))
    structure_names(result, repr(name))
    variables = {
        key: array.variable if key in _SHARED else array.variable.expand_dims("source")
        for key, array in result.data_vars.items()
    }
    coordinates = {key: value.variable for key, value in result.coords.items()}
    source = {"source": ("source", np.array([name], dtype=object))}
    return xr.Dataset(variables, coords=coordinates | source, attrs=merged_attributes({name: result}))


def attributes(results: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Attributes of the result of each source (its spec, fingerprint, family of sub-clusters …), as they were before.

    :param results: of :func:`combine`
    """
    own = json.loads(results.attrs.get("results", "{}"))
    common = {str(key): _plain(value) for key, value in results.attrs.items() if key != "results"}
    return {str(name): common | own.get(str(name), {}) for name in results["source"].values}


def has_groups(dataset: xr.Dataset) -> bool:
    """Whether the structures are grouped: the coordinate ``group`` names the group of each."""
    return "group" in dataset.variables and dataset["group"].dims == ("structure",)


def groups(dataset: xr.Dataset) -> dict[str, np.ndarray]:
    """Indices of the structures of each group, in the order in which the groups first appear.

    The coordinate ``group`` of the structures names them; without it all structures are one group.
    """
    if not has_groups(dataset):
        return {UNGROUPED: np.arange(dataset.sizes["structure"])}
    labels = dataset["group"].values.astype(str)
    return {str(name): np.flatnonzero(labels == name) for name in dict.fromkeys(labels)}


def unknown_orders(combined: xr.Dataset) -> xr.DataArray:
    """Which orders nothing is known of in a group: none of its structures of that many bodies has a contribution.

    Structures of fewer bodies have an exact zero there, which says nothing of the others. Orders beyond all structures of a
    group are known to be zero.

    :param combined: of :func:`combine`
    :return: bool, dims (source, group, order)
    """
    missing = combined["contribution"].isnull().transpose("source", "structure", "order")
    there = combined["order"] <= combined["n_bodies"]
    parts = [
        (missing | ~there).isel(structure=rows).all("structure") & there.isel(structure=rows).any("structure")
        for rows in groups(combined).values()
    ]
    return xr.concat(parts, xr.IndexVariable("group", list(groups(combined)))).transpose("source", "group", "order")


def unasked_wholes(combined: xr.Dataset) -> xr.DataArray:
    """Which structures have no total because the energy of the whole was not asked for, dims (source, structure).

    :param combined: of :func:`combine`
    """
    rows = [unasked_totals(combined.isel(source=row), own) for row, own in enumerate(attributes(combined).values())]
    return xr.DataArray(np.stack(rows), dims=("source", "structure"), coords={"source": combined["source"]})


def said_of_wholes(combined: xr.Dataset) -> dict[str, str]:
    """The attribute ``whole`` of what needs totals: empty, or why they are missing."""
    lacking = unasked_wholes(combined).any("structure").values
    if not lacking.any():
        return {}
    names = [str(name) for name in combined["source"].values[lacking]]
    return {"whole": NOT_ASKED + (f" of {some(names)}" if len(lacking) > 1 else "")}


def said_unasked(combined: xr.Dataset) -> list[str]:
    """What is said of numbers that nobody asked for, source by source, a line each.

    :param combined: of :func:`combine`
    """
    wholes = unasked_wholes(combined).values
    orders = unasked_orders(combined).transpose("source", "structure", "order").values
    return [
        line + f" of {name}" * (len(wholes) > 1)
        for name, *own in zip(combined["source"].values, wholes, orders, strict=True)
        for line in unasked_lines(*own)
    ]


def per_body(combined: xr.Dataset, name: str) -> np.ndarray:
    """A variable of the orders per body, shape (source, order, structure); NaN for orders beyond the number of bodies.

    :param combined: of :func:`combine`
    :param name: of the variable
    """
    bodies = combined["n_bodies"].values
    present = combined["order"].values[:, None] <= bodies
    return np.where(present, combined[name].transpose("source", "order", "structure").values / bodies, np.nan)


def merged_attributes(results: Mapping[str, xr.Dataset]) -> dict[str, Any]:
    """Attributes of several datasets side by side: those that all share, and in ``results``, as JSON, those of each."""
    own = {str(name): {key: _plain(value) for key, value in result.attrs.items()} for name, result in results.items()}
    first, *others = own.values()
    shared = {
        str(key): value for key, value in first.items() if all(key in other and other[key] == value for other in others)
    }
    return shared | {"results": json.dumps(own)}


def _reordered(name: str, result: xr.Dataset, first: str, structures: list[str]) -> xr.Dataset:
    """The result with its structures, and the sites and subsets that belong to them, in the order of ``structures``."""
    own = structure_names(result, repr(name))
    known, wanted = set(own), set(structures)
    lacking = [structure for structure in structures if structure not in known]
    extra = [structure for structure in own if structure not in wanted]
    if lacking or extra:
        what = f"lacks {some(lacking)}" if lacking else f"has {some(extra)} besides"
        raise InputError(f"results must be of the same structures; compared with {first!r}, {name!r} {what}")
    if own == structures:
        return result
    place = {structure: index for index, structure in enumerate(structures)}
    new_index = np.array([place[structure] for structure in own])
    result = result.isel(structure=np.argsort(new_index))
    for owner in OWNERS.values():
        if owner in result:
            result = in_step(result, owner, new_index)
    return result


def _check_same(name: str, part: xr.Dataset, first_name: str, first: xr.Dataset) -> None:
    for variable in ("n_bodies", "site_structure", "site_number", "site_body", "site_position", "site_charge", "cell"):
        ours, theirs = _described(part, variable), _described(first, variable)
        if ours is None or theirs is None:
            continue
        if ours.shape == theirs.shape:
            different = np.abs(ours - theirs).reshape(len(ours), -1).max(axis=1, initial=0) > _SAME_POSITION
            if not different.any():
                continue
            row = int(np.flatnonzero(different)[0])
            index = row if variable in ("n_bodies", "cell") else int(part["site_structure"].values[row])
            where = f" in {part['structure'].values[index]}"
        else:
            where = ""
        what = VARIABLES[variable].meaning
        raise InputError(f"results must be of the same structures; {name!r} and {first_name!r} differ{where}: {what}")


def _described(part: xr.Dataset, variable: str) -> np.ndarray | None:
    """What a result says of its structures; None if it does not. Atoms without charges have none, free clusters no cell."""
    if variable in part:
        return np.nan_to_num(part[variable].values)
    if variable == "cell":
        return np.zeros((part.sizes["structure"], 3, 3))
    return np.zeros(part.sizes["site"]) if variable == "site_charge" and "site" in part.dims else None


def _subset_tables(parts: list[xr.Dataset]) -> list[np.ndarray | None]:
    """Rows (structure, order, bodies with their cells …) of each result's subsets, padded alike; None for one without."""
    slots = max((part.sizes.get("slot", 0) for part in parts), default=0)
    tables: list[np.ndarray | None] = []
    for part in parts:
        if "subset_members" not in part:
            tables.append(None)
            continue
        members = part["subset_members"].transpose("subset", "slot").values.astype(np.int64)
        empty = np.iinfo(np.int64).max
        padded = np.full((len(members), slots), empty)
        padded[:, : members.shape[1]] = np.where(members < 0, empty, _with_cells(members, part))
        columns = (part["subset_structure"].values, (members >= 0).sum(axis=1))
        tables.append(np.column_stack([*columns, np.sort(padded, axis=1)]).astype(np.int64))
    present = [table for table in tables if table is not None]
    if not present:
        return tables
    same = all(np.array_equal(table, present[0]) for table in present)
    union = present[0] if same else np.unique(np.concatenate(present), axis=0)
    for index, table in enumerate(tables):
        rows = np.full(len(union), -1)
        if table is not None and same:
            rows = np.arange(len(union))
        elif table is not None:
            _, places = np.unique(np.concatenate([union, table]), axis=0, return_inverse=True)
            rows[places.ravel()[len(union) :]] = np.arange(len(table))
        tables[index] = np.column_stack([union, rows])
    return tables


def _with_cells(members: np.ndarray, part: xr.Dataset) -> np.ndarray:
    """Bodies with the cells that they are in, as numbers."""
    cells = (
        part["subset_cells"].transpose("subset", "slot", "xyz").values if "subset_cells" in part else np.zeros(3, int)
    )
    return members * _SPAN**3 + (cells + _SPAN // 2) @ np.array([_SPAN**2, _SPAN, 1])


def _on_subsets(part: xr.Dataset, table: np.ndarray | None, periodic: bool) -> xr.Dataset:
    """The result on the common list of subsets: ``table`` holds them, and in its last column the row of each here."""
    if table is None:
        return part
    rows = table[:, -1]
    empty, nodes = table[:, 2:-1] == np.iinfo(np.int64).max, table[:, 2:-1]
    values: dict[str, Any] = {}
    for name, array in part.data_vars.items():
        if array.dims == ("subset",) and name not in _SHARED:
            values[str(name)] = ("subset", np.append(array.values, np.nan)[rows])
    if part.attrs.get("family") == "connected" and "subset_contribution" in values:
        largest = part["order"].values.max()
        if "asked_order" in part:
            largest = part["asked_order"].values[table[:, 0]]
        zero = (rows < 0) & (table[:, 1] <= largest)
        values["subset_contribution"] = ("subset", np.where(zero, 0.0, values["subset_contribution"][1]))
    values["subset_structure"] = ("subset", table[:, 0])
    values["subset_order"] = ("subset", table[:, 1])
    values["subset_members"] = (("subset", "slot"), np.where(empty, -1, nodes // _SPAN**3))
    if periodic:
        cells = nodes[:, :, None] // np.array([_SPAN**2, _SPAN, 1]) % _SPAN - _SPAN // 2
        values["subset_cells"] = (("subset", "slot", "xyz"), np.where(empty[:, :, None], 0, cells))
    return part.drop_dims({"subset", "slot"} & set(part.dims)).assign(values)


def _stack(names: list[str], parts: list[xr.Dataset]) -> xr.Dataset:
    variables: dict[str, Any] = {}
    for name in dict.fromkeys(str(name) for part in parts for name in part.data_vars):
        holders = [part[name] for part in parts if name in part]
        if name in _SHARED:
            variables[name] = holders[0].variable
            continue
        example = holders[0]
        empty = np.full(example.shape, "" if example.dtype.kind in "OUT" else np.nan)
        stacked = [part[name].transpose(*example.dims).values if name in part else empty for part in parts]
        if empty.dtype.kind == "U":
            stacked = [values.astype(object) for values in stacked]
        variables[name] = (("source", *example.dims), np.stack(stacked))
    coordinates = {str(name): value.variable for name, value in parts[0].coords.items()}
    return xr.Dataset(variables, coords=coordinates | {"source": ("source", np.array(names, dtype=object))})


def _plain(value: Any) -> Any:
    """An attribute as JSON can hold it."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value if isinstance(value, str | int | float | bool | list | dict) or value is None else str(value)
