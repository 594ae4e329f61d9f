"""Members of sources over groups of structures: their orders, and the uncertainties that ensembles give."""

from __future__ import annotations

import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import groups
from bodyorder.results.variables import describe

#: What is averaged over structures, by what it is called for groups; of the second kind root mean squares are taken.
_MEANS = {"member_contribution": "group_member_contribution", "member_total": "group_member_total"}
_DEVIATIONS = {
    "ensemble_uncertainty": "group_ensemble_uncertainty",
    "total_uncertainty": "group_total_uncertainty",
}


def has_members(results: SeveralResults) -> bool:
    """Whether results hold members, or uncertainties by ensembles."""
    data = align(results).data
    return any(name in data for name in (*_MEANS, *_DEVIATIONS))


def group_members(results: SeveralResults) -> xr.Dataset:
    """What members say, per body, over the structures of each group that have it.

    ``group_member_contribution`` and ``group_member_total``: means of E⁽ⁿ⁾/N and E/N of each member, of one source;
    ``group_ensemble_uncertainty`` and ``group_total_uncertainty``: root mean squares of their standard deviations over the
    members of an ensemble, in eV per body. What a source has no members for is left out, or NaN beside sources that have.

    :param results: a result, several on the same structures by name, or a combined one
    :return: the variables above with dims (group, order, member), behind ``source`` if several results were given
    :raises InputError: if no result holds members
    """
    aligned = align(results)
    data = aligned.data
    parts = []
    for name, rows in groups(data).items():
        own = data.isel(structure=rows)
        found = {called: (own[key] / own["n_bodies"]).mean("structure") for key, called in _MEANS.items() if key in own}
        found |= {
            called: ((own[key] / own["n_bodies"]) ** 2).mean("structure") ** 0.5
            for key, called in _DEVIATIONS.items()
            if key in own
        }
        parts.append(xr.Dataset(found).assign_coords(group=name))
    if not parts or not parts[0]:
        raise InputError("members must come from a result with members; decompose with members=True")
    found_of_all = xr.concat(parts, "group", coords="minimal", compat="override", join="exact")
    dims = [dim for dim in ("source", "group", "order", "member") if dim in found_of_all.dims]
    return describe(aligned.of_one(found_of_all.transpose(*dims)))
