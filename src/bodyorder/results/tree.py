"""A result is a tree: orders by structure at its root, below it ``sites``, ``subsets``, ``cells`` …, a row each.

The rows of atoms and of sub-clusters name the structure that they belong to by its ``structure_index``, which goes with a
structure when some are selected. So a tree of which a user took some structures (``isel``) still says which rows are theirs.

Names of variables are those of :data:`bodyorder.results.variables.VARIABLES`, unique over all groups. What computes with results
therefore reads them side by side in one dataset (:func:`flat`), whose dimensions are never multiplied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr

from bodyorder._checks import InputError, did_you_mean
from bodyorder.results.asked import unasked_orders, unasked_totals
from bodyorder.results.variables import VARIABLES

#: Groups below the root, and the dimensions that only they have.
GROUPS = {
    "sites": ("site",), "subsets": ("subset", "slot"), "cells": ("vector", "voigt"), "dissociation": ("pair",),
    "hessians": ("atoms", "by_xyz"),
}  # fmt: skip

#: Groups whose rows belong to structures, and what says to which.
OWNERS = {"sites": "site_structure", "subsets": "subset_structure", "hessians": "atoms_structure"}

#: What the atoms of every result have.
_NEEDED_OF_SITES = ("site_number", "site_position", "site_body")

#: Variables that are no numbers, and those that are whole ones, with the least and the largest of each.
_TEXTS = {"failure", "dissociation_failure"}
_WHOLE: dict[str, tuple[int, int | None]] = {
    "site_number": (0, 118), "site_body": (0, None), "subset_members": (-1, None), "subset_order": (1, None),
}  # fmt: skip

#: What every result has at its root.
_NEEDED = ("contribution", "total", "n_bodies")


def grown(dataset: xr.Dataset) -> xr.DataTree:
    """The tree of a result.

    :param dataset: all its variables side by side, rows of atoms and sub-clusters naming structures by their place
    """
    kinds = {str(name): _group_of(array.dims) for name, array in dataset.variables.items()}
    # a coordinate such as xyz stands in each group that has its dimension
    parts = {
        group: dataset[[name for name in dataset.data_vars if kinds[str(name)] == group]] for group in ("", *GROUPS)
    }
    root = parts.pop("")
    root = root.drop_vars([name for name in root.coords if "structure" not in root[name].dims and name not in _KEPT])
    root = root.assign_coords(structure_index=("structure", np.arange(root.sizes["structure"])))
    root.attrs = dataset.attrs
    groups = {name: _own(part) for name, part in parts.items() if part.data_vars}
    return xr.DataTree.from_dict({"/": root} | groups)


#: Coordinates of the root beside those along its structures.
_KEPT = ("order", "member", "source")


def flat(tree: xr.DataTree) -> xr.Dataset:
    """All variables of a result side by side, without a copy, their dimensions in the order of the table.

    Rows of atoms and sub-clusters name structures by their place; those of structures that the tree does not have are left out.

    :raises InputError: if it is not the tree of a result
    """
    check_tree(tree, "a result")
    root = tree.to_dataset()
    places = _places(root)
    parts = [root.drop_vars("structure_index", errors="ignore")]
    for name in GROUPS:
        if name in tree.children:
            part = tree.children[name].to_dataset(inherit=False)
            parts.append(in_step(part, OWNERS[name], places) if name in OWNERS else part)
    joined = xr.Dataset(
        {name: _in_order(name, array.variable) for part in parts for name, array in part.data_vars.items()},
        coords={name: array.variable for part in parts for name, array in part.coords.items()},
        attrs=root.attrs,
    )
    return joined


def select(tree: xr.DataTree, structures: str | Iterable[str]) -> xr.DataTree:
    """Some structures of a result, with their atoms, sub-clusters and cells.

    :param structures: a name, or several in the order in which they are wanted
    :raises InputError: for a name that the result does not have
    """
    own = structure_names(tree.to_dataset())
    several = isinstance(structures, Iterable) and not isinstance(structures, str)
    wanted = [str(name) for name in structures] if several else [str(structures)]
    rows = []
    for name in wanted:
        if name not in own:
            raise InputError(f"a structure must be one of the result's, got {name!r}{did_you_mean(name, own)}")
        rows.append(own.index(name))
    root = tree.to_dataset().isel(structure=rows)
    groups = {name: tree.children[name].to_dataset(inherit=False) for name in GROUPS if name in tree.children}
    if "cells" in groups:
        groups["cells"] = groups["cells"].isel(structure=rows)
    return grown(flat(xr.DataTree.from_dict({"/": root} | groups)))


def structure_names(root: xr.Dataset, whose: str = "a result") -> list[str]:
    """Names of the structures of a result.

    :raises InputError: if two have the same
    """
    names = [str(value) for value in root["structure"].values]
    doubled = [value for value, count in Counter(names).items() if count > 1]
    if doubled:
        raise InputError(f"structures must have different names, {whose} has several called {some(doubled)}")
    return names


def some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_tree(tree: xr.DataTree, what: str) -> None:
    """Check that a tree is that of a result.

    :param what: what it is called in messages
    :raises InputError: if it lacks something that every result has, a variable does not have the dimensions of the table, or
        numbers are missing without a word
    """
    if not isinstance(tree, xr.DataTree):
        raise InputError(f"{what} must be a tree, as decompose and load_results give it, got {type(tree).__name__}")
    root = tree.to_dataset()
    for name in ("structure", "order"):
        if name not in root.coords or root[name].dims != (name,):
            raise InputError(
                f"{what} must have the dimension and coordinate `{name}`, and lacks it; select lists of {name}s"
            )
    _check_structures(root, what)
    orders = root["order"].values
    if not len(orders) or not np.array_equal(orders, np.arange(1, len(orders) + 1)):
        held = ", ".join(str(order) for order in orders[:6]) or "none"
        raise InputError(f"{what} must have the orders 1, 2, 3 … without gaps, and has {held}")
    for name in _NEEDED:
        if name not in root:
            raise InputError(f"{what} must have `{name}` at its root, and lacks it")
    if "sites" not in tree.children:
        raise InputError(f"{what} must have the group `sites`, and lacks it")
    for group in ("", *(name for name in GROUPS if name in tree.children)):
        part = tree.children[group].to_dataset(inherit=False) if group else root
        for variable, array in part.data_vars.items():
            name, dims = str(variable), tuple(str(dim) for dim in array.dims if dim != "source")
            if name in VARIABLES and set(dims) != set(VARIABLES[name].dims):
                wanted = " and ".join(VARIABLES[name].dims)
                raise InputError(
                    f"{what} must have `{name}` along {wanted}, and has it along {' and '.join(dims) or 'nothing'}"
                )
            if name in VARIABLES and _group_of(dims) != group:
                raise InputError(
                    f"{what} must have `{name}` in {_called(_group_of(dims))}, and has it in {_called(group)}"
                )
            if name in VARIABLES:
                _check_values(name, array, what)
        if group in OWNERS:
            _check_owners(part, group, what)
    _check_bodies(tree, root, what)
    if "subsets" in tree.children:
        _check_members(tree.children["subsets"].to_dataset(inherit=False), root, what)
    _check_said(tree, root, what)


def check_sites(tree: xr.DataTree, what: str) -> None:
    """Check that the tree of a result says what its atoms are, which files and frames need.

    :raises InputError: if it does not
    """
    for name in _NEEDED_OF_SITES:
        if name not in tree.children["sites"].data_vars:
            raise InputError(f"{what} must have `{name}` in the group `sites`, and lacks it")


def _called(group: str) -> str:
    return f"the group `{group}`" if group else "its root"


def _check_values(name: str, array: xr.DataArray, what: str) -> None:
    """Check that a variable holds numbers in its unit: arithmetic takes either for granted."""
    unit = VARIABLES[name].unit
    if (came := array.attrs.get("units", unit)) != unit:
        raise InputError(f"{what} must have `{name}` in {unit}, and has it in {came}")
    if array.dtype.kind not in "biuf" and name not in _TEXTS:
        raise InputError(f"{what} must have numbers in `{name}`, and has {array.dtype}")
    if name in _WHOLE and array.dtype.kind not in "iu":
        raise InputError(f"{what} must have whole numbers in `{name}`, and has {array.dtype}")
    low, high = _WHOLE.get(name, (None, None))
    if array.size and (
        (low is not None and array.values.min() < low) or (high is not None and array.values.max() > high)
    ):
        raise InputError(
            f"{what} must have `{name}` of {low} or more{'' if high is None else f', {high} at most'}, and has "
            f"{array.values.min()} to {array.values.max()}"
        )


def _check_structures(root: xr.Dataset, what: str) -> None:
    if not root.sizes["structure"]:
        raise InputError(f"{what} must have one structure or more, and has none")
    if "structure_index" in root:
        index = root["structure_index"].values
        if index.dtype.kind not in "iu" or (index < 0).any() or len(np.unique(index)) < len(index):
            raise InputError(
                f"{what} must have each structure once, each with a `structure_index` of its own; it has "
                f"{', '.join(str(value) for value in index[:6])}"
            )


def _check_owners(part: xr.Dataset, group: str, what: str) -> None:
    owner = OWNERS[group]
    if owner not in part:
        raise InputError(f"{what} must say whose its {group} are, `{owner}` is missing")
    owners = part[owner].values
    if owners.dtype.kind not in "iu" or (len(owners) and int(owners.min()) < 0):
        raise InputError(
            f"{what} must name structures in `{owner}` by their `structure_index`, 0 or more, and does not"
        )


def _check_bodies(tree: xr.DataTree, root: xr.Dataset, what: str) -> None:
    """Check that every structure has the atoms of all its bodies: rows that name a structure which is not there are lost."""
    sites = tree.children["sites"].to_dataset(inherit=False)
    bodies = root["n_bodies"].values
    rows = _rows_of(sites["site_structure"].values, _places(root))
    known = rows >= 0
    if "site_body" in sites:
        own = sites["site_body"].values[known].astype(np.int64)
        span = int(own.max(initial=0)) + 1
        found, wanted = np.bincount(np.unique(rows[known] * span + own) // span, minlength=len(bodies)), bodies
    else:
        found, wanted = np.minimum(np.bincount(rows[known], minlength=len(bodies)), 1), np.ones(len(bodies))
    wrong = np.flatnonzero(found != wanted)
    if len(wrong):
        first = wrong[0]
        raise InputError(
            f"{what} must have the atoms of all bodies of each structure, {root['structure'].values[first]} has those of "
            f"{found[first]} of {bodies[first]}"
        )


def _check_members(part: xr.Dataset, root: xr.Dataset, what: str) -> None:
    """Check that sub-clusters are of bodies that their structure has, and as many as they say."""
    if "subset_members" not in part:
        return
    members = part["subset_members"].transpose("subset", "slot").values
    rows = _rows_of(part["subset_structure"].values, _places(root))
    bodies = np.where(rows < 0, np.iinfo(np.int64).max, root["n_bodies"].values.astype(np.int64)[rows])
    wrong = members.max(axis=1, initial=-1) >= bodies
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{what} must have sub-clusters of bodies that there are, {root['structure'].values[rows[first]]} has one of body "
            f"{members[first].max()} and {bodies[first]} bodies, counted from 0"
        )
    if "subset_order" in part and not np.array_equal((members >= 0).sum(axis=1), part["subset_order"].values):
        raise InputError(
            f"{what} must say in `subset_order` how many bodies each of `subset_members` has, and does not"
        )


def _check_said(tree: xr.DataTree, root: xr.Dataset, what: str) -> None:
    """Check that what is missing has a reason, but for orders that others have beside which results stand or stood.

    What was not asked for is said by the attribute ``whole`` and by ``asked_order``.
    """
    if "source" in root.coords:
        return
    free = np.ones(root.sizes["structure"], dtype=bool)
    if "cells" in tree.children and "cell" in tree["cells"].data_vars:
        free = np.asarray(tree["cells"]["cell"].isnull().all(("vector", "xyz")))
    silent = np.ones(root.sizes["structure"], dtype=bool)
    if "failure" in root:
        silent = root["failure"].values.astype(str) == ""
    missing = {
        "total": root["total"].isnull().values & free & ~unasked_totals(root),
        "contribution": (root["contribution"].isnull() & ~unasked_orders(root)).any("order").values,
    }
    for name, lacking in missing.items():
        rows = np.flatnonzero(lacking & silent)
        if len(rows):
            raise InputError(
                f"{what} must say in `failure` why numbers are missing, and does not for `{name}` of "
                f"{root['structure'].values[rows[0]]}"
            )


def _in_order(name: object, variable: xr.Variable) -> xr.Variable:
    """A variable of the table with its dimensions in their order there, after ``source``; any other as it is."""
    if name not in VARIABLES:
        return variable
    wanted = tuple(dim for dim in ("source", *VARIABLES[str(name)].dims) if dim in variable.dims)
    return variable if variable.dims == wanted else variable.transpose(*wanted)


def _group_of(dims: Iterable[object]) -> str:
    return next((group for group, own in GROUPS.items() if set(own) & set(dims)), "")


def _own(part: xr.Dataset) -> xr.Dataset:
    """A group without the coordinates that it inherits, and those of dimensions it does not have."""
    own = [name for name in part.coords if part[name].dims == (name,) and name in ("xyz", "vector", "voigt", "pair")]
    kept = [name for name in own if any(name in array.dims for array in part.data_vars.values())]
    part = part.drop_vars([name for name in part.coords if name not in kept])
    part.attrs = {}
    return part


def _places(root: xr.Dataset) -> np.ndarray:
    """For each ``structure_index`` the place of its structure, −1 where the tree does not have it."""
    count = root.sizes["structure"]
    if "structure_index" not in root.coords:
        return np.arange(count)
    index = root["structure_index"].values.astype(np.int64)
    places = np.full(int(index.max(initial=-1)) + 1, -1)
    places[index] = np.arange(count)
    return places


def _rows_of(owners: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Place of the structure that each row names, −1 where there is none such."""
    return np.where(owners < len(places), places[np.minimum(owners, len(places) - 1)], -1)


def in_step(part: xr.Dataset, owner: str, places: np.ndarray) -> xr.Dataset:
    """Rows of the structures that there are, structure by structure.

    :param owner: variable that names the structure of each row
    :param places: where each of the structures that it names stands now, −1 for those that are gone
    """
    owners = part[owner].values
    in_order = np.array_equal(places, np.arange(len(places)))
    if in_order and (not len(owners) or int(owners.max()) < len(places)):
        return part
    moved = _rows_of(owners, places)
    rows = np.argsort(moved, kind="stable")
    rows = rows[moved[rows] >= 0]
    dim = part[owner].dims[0]
    return part.isel({dim: rows}).assign({owner: (dim, moved[rows].astype(owners.dtype), part[owner].attrs)})
