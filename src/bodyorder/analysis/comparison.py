"""Sources against a reference, order by order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bodyorder._checks import InputError, check_choice
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import groups, per_body, said_of_wholes, unknown_orders
from bodyorder.analysis.correlation import correlation
from bodyorder.results.variables import describe

_SCORES = ("bias", "mae", "rmse", "correlation")


def compare(results: SeveralResults, reference: str) -> xr.Dataset:
    """Deviations of every source from a reference, order by order and group by group.

    With Δx the value of a source minus that of the reference: ``…_bias`` ⟨Δx⟩, ``…_mae`` ⟨|Δx|⟩, ``…_rmse`` √⟨Δx²⟩ and
    ``…_correlation``, Pearson's r (NaN for fewer than three values and for values that do not vary), over all values
    that both have.

    - ``order_…``: x = E⁽ⁿ⁾/N of the structures of a group that have n bodies or more (eV per body)
    - ``total_…``: x = E/N of the structures of a group (eV per body)
    - ``subset_…``: x = ε(S) of all subsets S of n bodies in the structures of a group (eV); with subsets only
    - ``force_order_rmse``: x = the components of F⁽ⁿ⁾ of all atoms (eV/Å), and ``force_rmse``: of Σ_n F⁽ⁿ⁾ where the
      orders are complete; with forces only
    - ``one_body_energy``: the energy of an isolated atom of each element (eV), see :func:`one_body_energies`

    :param results: results of the same structures by the name of their source, or a combined one
    :param reference: name of the source to compare with
    :return: the variables above with dims (source, group, order); the reference itself is among the sources. The attribute
        ``whole`` says of which sources energies of whole structures were not asked for; ``total_…`` is of the others then.
    :raises InputError: if the results are not of the same structures, or no result is called ``reference``
    """
    aligned = align(results)
    combined = aligned.data
    names = [str(name) for name in combined["source"].values]
    index = names.index(check_choice("reference", reference, names))
    members = groups(combined)
    bodies = combined["n_bodies"].values
    shape = (len(names), len(members), combined.sizes["order"])
    coordinates = {"source": combined["source"], "group": list(members), "order": combined["order"]}
    found: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}

    orders = per_body(combined, "contribution")
    totals = combined["total"].transpose("source", "structure").values / bodies
    by_order = {name: np.full(shape, np.nan) for name in _SCORES}
    by_total = {name: np.full(shape[:2], np.nan) for name in _SCORES}
    for place, rows in enumerate(members.values()):
        for name, value in _scores(totals[:, rows], index).items():
            by_total[name][:, place] = value
        for order in range(shape[2]):
            for name, value in _scores(orders[:, order, rows], index).items():
                by_order[name][:, place, order] = value
    found |= {f"order_{name}": (("source", "group", "order"), value) for name, value in by_order.items()}
    found |= {f"total_{name}": (("source", "group"), value) for name, value in by_total.items()}
    found |= _subset_scores(combined, index, members)
    found |= _force_scores(combined, index, members)
    dataset = xr.Dataset(found, coords=coordinates, attrs={"reference": reference} | said_of_wholes(combined))
    energies = one_body_energies(aligned.several)
    if energies is not None:
        dataset["one_body_energy"] = energies
    return describe(dataset)


def one_body_energies(results: SeveralResults) -> xr.DataArray | None:
    """Energy of an isolated atom of each element, as each source has it.

    From the single-atom subsets where the results hold them; else by solving E⁽¹⁾ = Σ_Z n_Z e_Z over the structures,
    which is exact where their compositions determine every e_Z, and NaN where they do not.

    :return: eV, dim element, behind ``source`` if several results were given, the coordinate ``element`` being atomic numbers;
        None if bodies are not atoms
    """
    aligned = align(results)
    combined = aligned.data
    if "site_number" not in combined or combined.sizes["site"] != int(combined["n_bodies"].sum()):
        return None
    elements, kinds = np.unique(combined["site_number"].values, return_inverse=True)
    energies = np.full((combined.sizes["source"], len(elements)), np.nan)
    counts = np.zeros((combined.sizes["structure"], len(elements)))
    np.add.at(counts, (combined["site_structure"].values, kinds), 1)
    first = combined["contribution"].sel(order=1).transpose("source", "structure").values
    for source, values in enumerate(first):
        known = np.isfinite(values)
        if known.any() and np.linalg.matrix_rank(counts[known]) == len(elements):
            energies[source] = np.linalg.lstsq(counts[known], values[known])[0]
    if "subset_energy" in combined:
        energies = np.where(np.isfinite(energies), energies, _single_atoms(combined, elements))
    array = xr.DataArray(
        energies, dims=("source", "element"), coords={"source": combined["source"], "element": elements}
    )
    return aligned.of_one(array.rename("one_body_energy"))


def one_body_deviations(energies: xr.DataArray, reference: str) -> xr.DataArray:
    """Differences of the energies of isolated atoms from those of a reference.

    :param energies: of :func:`one_body_energies`
    :param reference: source that the others are compared with
    :return: ``one_body_deviation`` in eV, dims (source, element), NaN for the reference itself
    """
    deviation = (energies - energies.sel(source=reference, drop=True)).where(energies["source"] != reference)
    return describe(deviation.to_dataset(name="one_body_deviation"))["one_body_deviation"]


def _single_atoms(combined: xr.Dataset, elements: np.ndarray) -> np.ndarray:
    """Mean energy of the single-atom subsets of each element, shape (source, element)."""
    alone = combined["subset_order"].values == 1
    members = combined["subset_members"].transpose("subset", "slot").values[alone].max(axis=1)
    place = np.full((combined.sizes["structure"], int(combined["n_bodies"].max())), -1)
    place[combined["site_structure"].values, combined["site_body"].values] = combined["site_number"].values
    numbers = place[combined["subset_structure"].values[alone], members]
    energies = combined["subset_energy"].transpose("source", "subset").values[:, alone]
    mean = np.full((len(energies), len(elements)), np.nan)
    for column, element in enumerate(elements):
        for source, values in enumerate(energies[:, numbers == element]):
            known = values[np.isfinite(values)]
            if len(known):
                mean[source, column] = known.mean()
    return mean


def _scores(values: np.ndarray, reference: int) -> dict[str, np.ndarray]:
    """Bias, MAE, RMSE and correlation of each row of ``values`` (source, sample) with the row of the reference."""
    scores = {name: np.full(len(values), np.nan) for name in _SCORES}
    for row, own in enumerate(values):
        known = np.isfinite(own) & np.isfinite(values[reference])
        if not known.any():
            continue
        mine, theirs = own[known], values[reference][known]
        difference = mine - theirs
        scores["bias"][row] = difference.mean()
        scores["mae"][row] = np.abs(difference).mean()
        scores["rmse"][row] = np.sqrt((difference**2).mean())
        scores["correlation"][row] = correlation(mine, theirs)
    return scores


def _subset_scores(
    combined: xr.Dataset, reference: int, members: Mapping[str, np.ndarray]
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    if "subset_contribution" not in combined:
        return {}
    values = combined["subset_contribution"].transpose("source", "subset").values
    orders = combined["order"].values
    table = {name: np.full((len(values), len(members), len(orders)), np.nan) for name in _SCORES}
    for place, rows in enumerate(members.values()):
        inside = np.isin(combined["subset_structure"].values, rows)
        for column, order in enumerate(orders):
            chosen = inside & (combined["subset_order"].values == order)
            for name, value in _scores(values[:, chosen], reference).items():
                table[name][:, place, column] = value
    return {f"subset_{name}": (("source", "group", "order"), value) for name, value in table.items()}


def _force_scores(
    combined: xr.Dataset, reference: int, members: Mapping[str, np.ndarray]
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    if "force_contribution" not in combined:
        return {}
    if "site_structure" not in combined:
        raise InputError("results with forces must say which structure an atom belongs to, `site_structure` is missing")
    forces = combined["force_contribution"].transpose("source", "order", "site", "xyz").values
    owner = combined["site_structure"].values
    complete = combined["n_bodies"].values <= combined["order"].values.max()
    unknown = unknown_orders(combined).values
    unknown = unknown | unknown[reference]
    by_order = np.full((len(forces), len(members), forces.shape[1]), np.nan)
    total = np.full(by_order.shape[:2], np.nan)
    for place, rows in enumerate(members.values()):
        inside = np.isin(owner, rows)
        for order in range(forces.shape[1]):
            found = _scores(_flat(forces[:, order, inside]), reference)["rmse"]
            # the zeros of structures of fewer bodies say nothing where those that have the order lack it
            by_order[:, place, order] = np.where(unknown[:, place, order], np.nan, found)
        whole = forces[:, :, inside & complete[owner]].sum(axis=1)
        total[:, place] = _scores(_flat(whole), reference)["rmse"]
    return {
        "force_order_rmse": (("source", "group", "order"), by_order),
        "force_rmse": (("source", "group"), total),
    }


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)
