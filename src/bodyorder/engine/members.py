"""Order totals of each member of a source: of an ensemble, of several heads, or of parts of the energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from bodyorder.engine.subset_energies import SubsetEnergies


def member_totals(by_structure: Sequence[SubsetEnergies], contribution: np.ndarray) -> xr.Dataset:
    """What members say of orders and of whole structures.

    The expansion is linear, so that the order totals of a member are those of its own energies. The uncertainty of an order by
    an ensemble is the standard deviation of its members' totals, 1/(m − 1) Σ (…)² under the root: errors of sub-clusters that
    members have in common are in each of them, and are neither added as if they were independent nor lost.

    :param by_structure: energies, structure by structure, of a source that was asked for its members
    :param contribution: order totals of the energy in eV, shape (n_structures, max_order)
    """
    can = by_structure[0].evaluated.source.capabilities
    names = list(can.members)
    # a structure of fewer bodies has no sub-clusters of the orders above: their sum is zero
    totals = np.zeros((*contribution.shape, len(names)))
    for row, own in enumerate(by_structure):
        top = own.piece.family.max_order
        known = own.member_totals(contribution[row, :top])
        assert known is not None
        totals[row, :top] = known
    whole = np.array([own.whole_members for own in by_structure])
    dataset = xr.Dataset(
        {
            "member_contribution": (("structure", "order", "member"), totals),
            "member_total": (("structure", "member"), whole),
        },
        coords={"member": np.array(names, dtype=object)},
    )
    if can.member_kind == "ensemble":
        dataset["ensemble_uncertainty"] = (("structure", "order"), totals.std(axis=2, ddof=1))
        dataset["total_uncertainty"] = ("structure", whole.std(axis=1, ddof=1))
    return dataset
