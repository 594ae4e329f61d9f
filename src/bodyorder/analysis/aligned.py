"""Results as analyses read them: of several sources side by side, their sub-cluster energies laid out once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis.alignment import alone, side_by_side
from bodyorder.analysis.subset_table import SubsetTable, subset_tables
from bodyorder.results.tree import flat
from bodyorder.results.variables import describe

Analysis = TypeVar("Analysis", xr.Dataset, xr.DataArray)

_NEEDED = ("subset_energy", "subset_members", "subset_structure", "n_bodies")


class Aligned:
    """Results of one source or several on the same structures, ready for any number of analyses.

    Every analysis takes one in place of the results that it was made of, and gives the same. A result alone gives no ``source``
    dimension; several, a mapping or a combined tree, give one, even if they are only one.

    What is expensive, the layout of the energies of all sub-clusters, is made when it is first asked for and then kept: results
    must not be changed meanwhile.

    :param data: all variables side by side with a ``source`` dimension (:func:`bodyorder.results.flat`)
    :param is_single: whether they came from a result alone; its analyses have no ``source`` dimension
    """

    def __init__(self, data: xr.Dataset, is_single: bool = False):
        self.data = data
        self.is_single = is_single
        self._tables: dict[int, list[SubsetTable]] = {}

    def __repr__(self) -> str:
        names = ", ".join(str(name) for name in self.data["source"].values)
        return f"Aligned({self.data.sizes['structure']} structures by {names})"

    @property
    def several(self) -> Aligned:
        """The same, of which every analysis has a ``source`` dimension: for what goes on working with one. Tables are shared."""
        if not self.is_single:
            return self
        view = Aligned(self.data)
        view._tables = self._tables
        return view

    def tables(self, purpose: str, *, resolved: bool = False) -> list[SubsetTable]:
        """The energies of all sub-clusters (:func:`bodyorder.analysis.subset_table.subset_tables`).

        :param purpose: what they are wanted for, to say in errors
        :param resolved: whether sizes up to the largest order of the results suffice; there are no others then
        :raises InputError: if the results hold no subsets, or lack some
        """
        for name in _NEEDED:
            if name not in self.data:
                raise InputError(
                    f"{purpose} must come from results with subsets, `{name}` is missing; decompose with subsets=True"
                )
        bodies, order = int(self.data["n_bodies"].max()), int(self.data["order"].max())
        largest = min(order, bodies) if resolved else bodies
        if largest not in self._tables:
            self._tables[largest] = subset_tables(self.data, purpose, largest)
        return self._tables[largest]

    def of_one(self, analysis: Analysis) -> Analysis:
        """An analysis as it is handed out: without its ``source`` dimension where a result alone was given."""
        return analysis.isel(source=0, drop=True) if self.is_single else analysis

    def given(self, analysis: xr.Dataset, options: Mapping[str, str | int]) -> xr.Dataset:
        """The same of an analysis that takes the coordinates and attributes of its results."""
        own = [name for name in ("structure", "group", "source") if name in self.data.coords]
        analysis = self.of_one(analysis.assign_coords({name: self.data[name] for name in own}))
        kept = ("source", "bodies", "spin")
        analysis.attrs = {key: value for key, value in self.data.attrs.items() if key in kept} | dict(options)
        return describe(analysis)


#: One result, several on the same structures by name, a tree of several, or what was aligned before.
SeveralResults: TypeAlias = xr.DataTree | Mapping[str, xr.DataTree] | Aligned


def align(results: SeveralResults) -> Aligned:
    """Results ready for analyses, whatever came: one result, several by name, a tree of several (:func:`combine`).

    A result alone is named by its attribute ``source``.

    :raises InputError: if the results are no results, or not of the same structures
    """
    if isinstance(results, Aligned):
        return results
    if isinstance(results, Mapping) and not isinstance(results, xr.DataTree | xr.Dataset):  # these are mappings, too
        return Aligned(side_by_side(results))
    if not isinstance(results, xr.DataTree):
        raise InputError(
            f"results must be trees, as decompose and load_results give them, or several by name; got {type(results).__name__}"
        )
    data = flat(results).compute()  # of files that are read piece by piece; what is in memory is not copied
    return Aligned(data) if "source" in data.dims else Aligned(alone(data), is_single=True)
