"""Results of parts of a set of structures, by one source, as the result of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import xarray as xr

from bodyorder._checks import InputError, check_switch
from bodyorder.results.agreement import agreed_attributes
from bodyorder.results.dissociation import PAIR, joined_pairs
from bodyorder.results.tree import check_tree, flat, grown, some, structure_names
from bodyorder.results.variables import DOUBTS, VARIABLES, describe

#: Dimensions along which parts stand one behind the other, and what names the structure of a row there.
_ALONG = {"structure": "", "site": "site_structure", "subset": "subset_structure"}

#: What every result with sub-clusters says of each; what else it says is known of states, and NaN where it is not.
_OF_ALL_SUBSETS = {
    "subset_members", "subset_structure", "subset_order", "subset_energy", "subset_contribution", "subset_noise",
}  # fmt: skip

#: What only results with periodic structures have, and what stands for it in free ones.
_OF_CELLS = {"cell": np.nan, "periodic": False, "stress_contribution": np.nan, "subset_cells": 0}

#: Variables whose orders above those of a part are padded so even where they are unknown: nothing of them is above noise.
_NEVER_UNKNOWN = {"above_noise", *DOUBTS}

#: Coordinates that are the same in all results.
_AXES: tuple[str, ...] = ("xyz", "vector", "voigt", "member")

#: What stands in slots of bodies that a sub-cluster does not have.
_EMPTY_SLOT = {"subset_members": -1, "subset_cells": 0}


@dataclass(frozen=True)
class _Part:
    """One of the results that are joined.

    :param name: what it is called in messages, and in names of structures that are not unique
    :param data: its variables side by side
    :param first: how many structures stand before its own
    """

    name: str
    data: xr.Dataset
    first: int

    @property
    def top(self) -> int:
        """Its largest order."""
        return self.data.sizes["order"]

    @cached_property
    def periodic(self) -> np.ndarray:
        """Which of its structures are periodic, shape (n_structures,)."""
        if "cell" not in self.data:
            return np.zeros(self.data.sizes["structure"], dtype=bool)
        return np.asarray(self.data["cell"].notnull().any(("vector", "xyz")).values)

    def asked(self, top: int) -> np.ndarray:
        """Largest order of each structure that was asked for, ``top`` where none up to it is unknown, shape (n_structures,)."""
        own = self.data["asked_order"].values if "asked_order" in self.data else np.full(len(self.periodic), self.top)
        complete = ~self.periodic & (self.data["n_bodies"].values <= own)
        return np.where(complete, top, own)


def join(results: Iterable[xr.DataTree] | Mapping[str, xr.DataTree], *, subsets: bool = True) -> xr.DataTree:
    """The results of different structures by one source, one behind the other: what one run of all of them would have given.

    - **Names** of structures stay if all are different. Where they are plain numbers, as structures without a name have them, all
      are numbered anew, from 0. Else all get the name of their result in front, ``part/name``; a result in a list is called by
      its number there.
    - **Orders** may differ. Those above the ``max_order`` of a part are zero where a structure has fewer bodies, and NaN
      otherwise: ``asked_order`` says then for each structure how far it was asked for.
    - What depends on the structures is filled in as one run does: charges are zero, groups empty, cells NaN, states unknown where
      a part has none. What was asked for, sub-clusters, forces, energies of atoms, all parts must have or none.
    - **Pairs of elements far apart** (``dissociation``) are those of all parts, each once.
    - **Attributes** must agree where they say what the numbers are: source, fingerprint, precision, spin rule, counterpoise,
      field, bodies, cutoff, whether wholes were asked for. ``created`` is the latest, ``versions`` and ``noise`` name all that
      there are, and those of a user stay if all have them alike.

    The parts are copied once. What is asked of the result of a join may be joined again.

    :param results: as :func:`bodyorder.decompose` and :func:`bodyorder.load_results` give them, in a list, or by name
    :param subsets: False leaves out the sub-clusters, which all parts must have or none
    :return: the tree of a result
    :raises InputError: if there are none, one is no result or one of several sources, or they differ in source or in what they
        hold; the message says which and how
    """
    check_switch("subsets", subsets)
    parts = _parts(results, subsets)
    attributes = agreed_attributes({part.name: part.data.attrs for part in parts}, _cells_of(parts))
    pairs = joined_pairs([part.data for part in parts])
    parts = [replace(part, data=part.data.drop_dims(PAIR, errors="ignore")) for part in parts]
    _check_alike(parts)
    top = max(part.top for part in parts)
    variables = {}
    for name in dict.fromkeys(str(name) for part in parts for name in part.data.data_vars):
        if name != "asked_order":
            variables[name] = _joined(name, parts, top)
    asked = np.concatenate([part.asked(top) for part in parts])
    if (asked < top).any():
        variables["asked_order"] = xr.Variable("structure", asked.astype(np.int64))
    dataset = xr.Dataset(variables, coords=_coordinates(parts, top), attrs=attributes)
    return grown(describe(dataset.assign(pairs)))


def _parts(results: Iterable[xr.DataTree] | Mapping[str, xr.DataTree], subsets: bool) -> list[_Part]:
    """The results by name, each checked."""
    if isinstance(results, xr.DataTree | xr.Dataset | str) or not isinstance(results, Iterable):
        raise InputError(f"results that are joined must be a list, or given by name, got {type(results).__name__}")
    named = results.items() if isinstance(results, Mapping) else enumerate(results)
    parts: list[_Part] = []
    seen: dict[int, str] = {}
    first = 0
    for key, tree in named:
        name = str(key)
        what = f"result {name!r}"
        if isinstance(tree, xr.DataTree) and "source" in tree.coords:
            raise InputError(
                f"{what} must be of one source, and has a `source` coordinate; join parts first, then combine"
            )
        check_tree(tree, what)
        if id(tree) in seen:
            raise InputError(
                f"results that are joined must be different ones, {seen[id(tree)]!r} and {name!r} are the same"
            )
        seen[id(tree)] = name
        structure_names(tree.to_dataset(), what)
        data = flat(tree)
        parts.append(_Part(name, data if subsets else data.drop_dims(["subset", "slot"], errors="ignore"), first))
        first += data.sizes["structure"]
    if not parts:
        raise InputError("at least one result must be given to join, got none")
    return parts


def _cells_of(parts: Sequence[_Part]) -> dict[str, bool]:
    return {part.name: "cell" in part.data for part in parts}


def _check_alike(parts: Sequence[_Part]) -> None:
    """Check that all results hold what each of them was asked for."""
    _check_kinds(parts)
    _check_members(parts)
    for name in dict.fromkeys(str(name) for part in parts for name in part.data.variables):
        having = [part.name for part in parts if name in part.data.variables]
        lacking = [part.name for part in parts if name not in part.data.variables and not _may_lack(name, part)]
        if lacking:
            remedy = (
                "leave sub-clusters out (subsets=False, --no-subsets)"
                if name.startswith("subset_")
                else f"leave it out, or join those with `{name}` alone"
            )
            raise InputError(
                f"results that are joined must all have `{name}`, or none; {having[0]!r} has it, "
                f"{some([repr(part) for part in lacking])} not; {remedy}"
            )


def _may_lack(name: str, part: _Part) -> bool:
    """Whether a part can be without something because of its structures, and not because it was not asked for."""
    if name in _OF_CELLS:
        free = "cell" not in part.data
        return free and (name != "stress_contribution" or "force_contribution" in part.data)
    if name in ("group", "site_charge", "site_moment", "asked_order", "failure", "vector", "voigt", *DOUBTS):
        return True
    return name in VARIABLES and VARIABLES[name].dims == ("subset",) and name not in _OF_ALL_SUBSETS


def _check_kinds(parts: Sequence[_Part]) -> None:
    """Check that everything lies along what is joined, once and alike."""
    for part in parts:
        for key, array in part.data.variables.items():
            name, dims = str(key), [str(dim) for dim in array.dims]
            known = name in VARIABLES or name in ("structure", "order", *_AXES)
            if not known and (len(dims) != 1 or dims[0] not in _ALONG):
                raise InputError(
                    f"results that are joined must have variables of their own along structure, site or subset alone, "
                    f"`{name}` of {part.name!r} is along {' and '.join(dims) or 'nothing'}; leave it out"
                )


def _check_members(parts: Sequence[_Part]) -> None:
    """Check that the several energies of a source are the same ones in all parts."""
    first, *others = (
        {str(name) for name in part.data["member"].values} if "member" in part.data else None for part in parts
    )
    for part, own in zip(parts[1:], others, strict=True):
        if own is not None and first is not None and own != first:
            raise InputError(
                f"results that are joined must have the same members, {part.name!r} and {parts[0].name!r} differ in "
                f"{some(sorted(own ^ first))}"
            )


def _joined(name: str, parts: Sequence[_Part], top: int) -> xr.Variable:
    """A variable of all parts, one behind the other."""
    example = next(part.data[name].variable for part in parts if name in part.data)
    dims = [str(dim) for dim in example.dims]
    along = next(dim for dim in dims if dim in _ALONG)
    n_slots = max(part.data.sizes.get("slot", 0) for part in parts)
    sizes = {
        "order": top,
        "slot": n_slots,
        "xyz": 3,
        "vector": 3,
        "voigt": 6,
        "member": parts[0].data.sizes.get("member", 0),
    }
    held = []
    for part in parts:
        shape = tuple(part.data.sizes[along] if dim == along else sizes[dim] for dim in dims)
        held.append(_values(name, part, dims, shape, example.dtype, parts))
    return xr.Variable(dims, np.concatenate(held, axis=dims.index(along)), example.attrs)


def _values(
    name: str, part: _Part, dims: Sequence[str], shape: tuple[int, ...], dtype: np.dtype, parts: Sequence[_Part]
) -> np.ndarray:
    """A variable of one part in the shape that it has in the joined result."""
    if name not in part.data:
        value = _absent(name, parts)
        return np.full(shape, value, dtype=dtype if _fits(value, dtype) else np.float64)
    values = part.data[name].values
    if name in ("site_structure", "subset_structure"):
        return (values + part.first).astype(values.dtype)
    if values.shape == shape:
        return values
    if "slot" in dims:
        wide = np.full(shape, _EMPTY_SLOT[name], dtype=values.dtype)
        wide[:, : values.shape[1]] = values
        return wide
    axis = dims.index("order")
    beyond = _beyond(name, part, dims, shape, values.dtype)
    return np.concatenate([values, beyond], axis=axis)


def _absent(name: str, parts: Sequence[_Part]) -> object:
    """What stands for a variable in a part that does not have it."""
    if name in _OF_CELLS:
        return _OF_CELLS[name]
    if name in DOUBTS:  # another version may not have counted them
        return 0 if len({part.data.attrs.get("versions") for part in parts}) == 1 else np.nan
    return {"site_charge": 0.0, "site_moment": 0.0, "failure": ""}.get(name, np.nan)


def _fits(value: object, dtype: np.dtype) -> bool:
    return dtype.kind in "fOU" or not (isinstance(value, float) and np.isnan(value))


def _beyond(name: str, part: _Part, dims: Sequence[str], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The orders above those of a part: zero for structures of fewer bodies, unknown for others."""
    axis = dims.index("order")
    missing = [*shape]
    missing[axis] -= part.top
    if name in _NEVER_UNKNOWN:
        return np.zeros(missing, dtype=dtype)
    orders = np.arange(part.top + 1, shape[axis] + 1)
    unknown = (orders <= part.data["n_bodies"].values[:, None]) & (
        part.asked(shape[axis])[:, None] < shape[axis]
    ) | part.periodic[:, None]
    if name == "stress_contribution":
        unknown[:] = True
    if dims[0] == "order":  # of atoms
        unknown = unknown[part.data["site_structure"].values].T
    unknown = unknown.reshape(*unknown.shape, *[1] * (len(shape) - 2))
    return np.broadcast_to(np.where(unknown, np.nan, 0.0), missing)


def _coordinates(parts: Sequence[_Part], top: int) -> dict[str, xr.Variable]:
    held = {str(name): array.variable for part in parts for name, array in part.data.coords.items()}
    coordinates: dict[str, xr.Variable] = {name: held[name] for name in _AXES if name in held}
    coordinates["structure"] = xr.Variable("structure", _names(parts))
    coordinates["order"] = xr.Variable("order", np.arange(1, top + 1), held["order"].attrs)
    for name in held.keys() - coordinates.keys():
        dims = held[name].dims
        values = [
            part.data[name].values if name in part.data.coords else np.full(part.data.sizes[dims[0]], "")
            for part in parts
        ]
        coordinates[name] = xr.Variable(dims, np.concatenate(values), held[name].attrs)
    return coordinates


def _names(parts: Sequence[_Part]) -> list[str]:
    """Names of all structures, each different from all others."""
    own = [[str(name) for name in part.data["structure"].values] for part in parts]
    names = [name for part in own for name in part]
    if len(set(names)) == len(names):
        return names
    if all(name.isdecimal() for name in names):
        return [str(number) for number in range(len(names))]
    names = [f"{part.name}/{name}" for part, held in zip(parts, own, strict=True) for name in held]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise InputError(
            f"structures must have different names, several would be called {some(doubled)}; name results otherwise"
        )
    return names
