"""Whether a model has the body orders that its construction promises, and no others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bodyorder._checks import InputError, check_choice
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import groups
from bodyorder.engine.noise import ROUNDING, SIGNIFICANT
from bodyorder.results.variables import describe

#: What is said of a source: its highest order is the nominal one, or lower, or higher.
EQUAL, LOWER, HIGHER = "nominal = effective", "effective below nominal", "effective above nominal"

#: And where the nominal order itself is below the noise, so that it cannot be told from a lower one.
LOST = "nominal order lost in noise"

#: What is said where no order above the nominal one was resolved, and of a source without a nominal order.
UNDECIDED, NONE = "no order above the nominal one is known", "no nominal order"


def nominal_orders(results: SeveralResults, nominal: Mapping[str, int | None]) -> xr.Dataset:
    """The highest order that a source has, against the one that its construction promises.

    An order counts as zero in a group where |E⁽ⁿ⁾| is below τ⁽ⁿ⁾ = 1e-9 eV for every structure that has it. Where noise is above
    that, τ⁽ⁿ⁾ is twice the root mean square of the noise, and what must be below it the root mean square of E⁽ⁿ⁾.

    - ``highest_order``: the highest order that is not zero; 0 if all are
    - ``beyond_nominal``: of these largest values or root mean squares (eV) above the nominal order the one that is largest
      against its τ⁽ⁿ⁾, and ``beyond_threshold``: this τ⁽ⁿ⁾
    - ``nominal_verdict``: ``"nominal = effective"``, or what else is the case

    :param results: a result, several on the same structures by name, or a combined one
    :param nominal: nominal order by the name of a source; None, or no entry, for one that has none
    :return: the variables above with dim group, behind ``source`` if several results were given
    :raises InputError: if a nominal order is below 1 or of no source, or the results are not of the same structures
    """
    aligned = align(results)
    combined = aligned.data
    names = [str(name) for name in combined["source"].values]
    for name, order in nominal.items():
        check_choice("nominal", name, names)
        if order is not None and order < 1:
            raise InputError(f"a nominal order must be 1 or more, {name!r} has {order}")
    orders = combined["order"].values
    members = groups(combined)
    square, largest = _sizes(combined, "contribution", members)
    noise = _sizes(combined, "noise", members)[0] if "noise" in combined else np.zeros_like(square)
    threshold = np.maximum(SIGNIFICANT * np.nan_to_num(noise), ROUNDING)
    sizes = np.where(threshold > ROUNDING, square, largest)
    shape = sizes.shape[:2]
    highest = np.where(sizes > threshold, orders, 0).max(axis=2, initial=0).astype(float)
    highest[np.isnan(sizes).all(axis=2)] = np.nan
    beyond, limit = np.full(shape, np.nan), np.full(shape, np.nan)
    verdicts = np.full(shape, NONE, dtype=object)
    for place in np.ndindex(shape):
        order = nominal.get(names[place[0]])
        if order is None:
            continue
        above = np.flatnonzero((orders > order) & np.isfinite(sizes[place]))
        if not len(above):
            verdicts[place] = UNDECIDED
            continue
        # the one that is farthest beyond what it may be
        worst = above[np.argmax(sizes[place][above] / threshold[place][above])]
        beyond[place], limit[place] = sizes[place][worst], threshold[place][worst]
        own = threshold[place][orders == order]
        lower = LOST if len(own) and own[0] > ROUNDING else LOWER
        verdicts[place] = EQUAL if highest[place] == order else HIGHER if highest[place] > order else lower
    dims = ("source", "group")
    dataset = xr.Dataset(
        {
            "highest_order": (dims, highest),
            "beyond_nominal": (dims, beyond),
            "beyond_threshold": (dims, limit),
            "nominal_verdict": (dims, verdicts),
        },
        coords={"source": names, "group": list(members)},
    )
    return describe(aligned.of_one(dataset))


def _sizes(combined: xr.Dataset, name: str, members: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square, and largest size, of a variable of the orders over the structures of each group.

    :return: shape (source, group, order) each; NaN without any structure
    """
    values = combined[name].where(combined["order"] <= combined["n_bodies"]).transpose("source", "structure", "order")
    parts = [abs(values.isel(structure=rows)) for rows in members.values()]
    squares = np.stack([(part**2).mean("structure") ** 0.5 for part in parts], axis=1)
    return squares, np.stack([part.max("structure") for part in parts], axis=1)
