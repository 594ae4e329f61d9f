"""How errors of the orders make up the error of the energy, and how they depend on the size of what is asked for."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder._checks import check_choice
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import groups, per_body
from bodyorder.analysis.correlation import correlation
from bodyorder.results.variables import describe

_PURPOSE = "errors by size"


def error_cancellation(results: SeveralResults, reference: str) -> xr.Dataset:
    """How the errors of the orders cancel in the energy.

    With Δ⁽ⁿ⁾ = (E⁽ⁿ⁾ − E⁽ⁿ⁾_ref)/N of each structure, over the structures of a group:

    - ``error_correlation``: Pearson's r of Δ⁽ⁿ⁾ and Δ⁽ᵐ⁾ where both are known; −1 between neighbouring orders where each undoes
      the other. NaN for fewer than three structures and for errors that do not vary.
    - ``cancellation``: √⟨(Σ_n Δ⁽ⁿ⁾)²⟩ / √⟨Σ_n (Δ⁽ⁿ⁾)²⟩ over the structures of which all orders up to N are known. It is 1 for
      errors that know nothing of each other, √N where all are the same, and far below 1 where the sum is right although
      its terms are wrong. NaN without errors and where orders are missing, as in results up to a ``max_order`` below N.
    - ``constant_cancellation``: the same of a source that knows the mean energy per body of the group and nothing else (all of it
      in order 1). Where the orders of the reference alternate, it is far below 1, too: what a model adds is the difference.

    :param results: results of the same structures by the name of their source, or a combined one
    :param reference: name of the source to compare with
    :return: dims (source, group, order, other_order), ``constant_cancellation`` (group) of the reference alone; without unit
    :raises InputError: if the results are not of the same structures, or no result is called ``reference``
    """
    combined = align(results).data
    names = [str(name) for name in combined["source"].values]
    row = names.index(check_choice("reference", reference, names))
    orders = combined["order"].values
    values = per_body(combined, "contribution")
    errors = values - values[row]
    members = groups(combined)
    bodies = combined["n_bodies"].values
    complete = ((orders[:, None] <= bodies) == np.isfinite(errors)).all(axis=1) & (orders.max() >= bodies)
    shape = (len(names), len(members), len(orders))
    correlations, ratio = np.full((*shape, len(orders)), np.nan), np.full(shape[:2], np.nan)
    constant = np.full(len(members), np.nan)
    for column, rows in enumerate(members.values()):
        constant[column] = _ratio(_of_constant(values[row][:, rows[complete[row, rows]]]))
        for source in range(len(names)):
            own = errors[source][:, rows]
            correlations[source, column] = [[correlation(one, other) for other in own] for one in own]
            ratio[source, column] = _ratio(own[:, complete[source, rows]])
    dataset = xr.Dataset(
        {
            "error_correlation": (("source", "group", "order", "other_order"), correlations),
            "cancellation": (("source", "group"), ratio),
            "constant_cancellation": ("group", constant),
        },
        coords={"source": combined["source"], "group": list(members), "order": orders, "other_order": orders},
        attrs={"reference": reference},
    )
    return describe(dataset)


def _ratio(errors: np.ndarray) -> float:
    """Error of the sums over the orders against the root of the summed squares, of shape (order, structure)."""
    # orders above its number of bodies contribute nothing to a structure
    terms = np.nan_to_num(errors)
    squares = (terms**2).sum()
    return float(np.sqrt((terms.sum(axis=0) ** 2).sum() / squares)) if squares > 0 else np.nan


def _of_constant(orders: np.ndarray) -> np.ndarray:
    """Errors of a source whose first order is the mean energy of all structures, and whose others are zero."""
    errors = -np.nan_to_num(orders)
    if errors.size:
        errors[0] -= errors.sum(axis=0).mean()
    return errors


def size_errors(results: SeveralResults, reference: str) -> xr.Dataset:
    r"""Errors of the energies of sub-clusters by their size, the whole structures being the largest.

    :param results: results with subsets of the same structures by name, or a combined one, complete or of a connected family,
        up to any order: between that and the whole structures errors are NaN
    :param reference: name of the source to compare with
    :return: ``size_bias`` ⟨Δ⟩ and ``size_error`` √⟨Δ²⟩ in eV per body with Δ = (E(S) − E_ref(S))/\|S\|, over all sub-clusters S
        of a size in the structures of a group that both have; dims (source, group, size)
    :raises InputError: if the results hold no subsets, are not of the same structures, or lack sub-clusters of their orders
    """
    aligned = align(results)
    combined = aligned.data
    names = [str(name) for name in combined["source"].values]
    row = names.index(check_choice("reference", reference, names))
    tables = aligned.tables(_PURPOSE, resolved=True)
    members = groups(combined)
    largest = int(combined["n_bodies"].max())
    shape = (len(names), len(members), largest)
    sums, squares, counts = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    totals = combined["total"].transpose("structure", "source").values
    for table in tables:
        for chunk, by_size in table.chunks():
            # the whole structures are known however few of their orders are
            whole = totals[table.structures[chunk]][None]
            parts = by_size[: table.n_bodies - 1]
            for size, energies in [*enumerate(parts, start=1), (table.n_bodies, whole)]:
                errors = (energies - energies[..., row : row + 1]) / size
                known = np.isfinite(errors)
                errors = np.where(known, errors, 0.0)
                for column, rows in enumerate(members.values()):
                    place, inside = (slice(None), column, size - 1), np.isin(table.structures[chunk], rows)
                    sums[place] += errors[:, inside].sum(axis=(0, 1))
                    squares[place] += (errors[:, inside] ** 2).sum(axis=(0, 1))
                    counts[place] += known[:, inside].sum(axis=(0, 1))
    with np.errstate(invalid="ignore"):
        bias, error = sums / counts, np.sqrt(squares / counts)
    dims = ("source", "group", "size")
    dataset = xr.Dataset(
        {"size_bias": (dims, bias), "size_error": (dims, error)},
        coords={"source": combined["source"], "group": list(members), "size": np.arange(1, largest + 1)},
        attrs={"reference": reference},
    )
    return describe(dataset)
