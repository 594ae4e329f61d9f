"""Whether forces balance, order by order: what forces that are no gradient of an energy betray."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import groups, unknown_orders
from bodyorder.results.variables import describe


def net_forces(results: SeveralResults) -> xr.Dataset:
    """Net force and net torque on every structure, order by order.

    With F⁽ⁿ⁾ the n-body forces on the atoms a of a structure: f⁽ⁿ⁾ = |Σ_a F_a⁽ⁿ⁾| and τ⁽ⁿ⁾ = |Σ_a (r_a − r̄) × F_a⁽ⁿ⁾|. An energy
    that does not see shifts and turns of a sub-cluster has gradients that add up to zero in each of them, and therefore in every
    order; what is left beyond noise is work that forces do without an energy (Noether's theorem). The energy of networks that
    are not built to be invariant has a torque, too.

    - ``net_force`` (eV/Å) and ``net_torque`` (eV) by structure and order; the torque of periodic structures is NaN
    - ``group_net_force``, ``group_net_torque``: their root mean squares over the structures of a group

    :param results: a result with forces, several on the same structures by name, or a combined one
    :return: these variables, behind ``source`` if several results were given
    :raises InputError: if no result has forces
    """
    aligned = align(results)
    combined = aligned.data
    if "force_contribution" not in combined:
        raise InputError(
            "net forces must come from results with forces, and these have none; decompose with forces=True"
        )
    forces = combined["force_contribution"].transpose("source", "order", "site", "xyz").values
    owners, count = combined["site_structure"].values, combined.sizes["structure"]
    arms = combined["site_position"].transpose("site", "xyz").values
    sizes = np.bincount(owners, minlength=count)
    middles = np.stack([np.bincount(owners, arms[:, axis], minlength=count) for axis in range(3)], axis=1)
    torques = np.cross(arms - (middles / sizes[:, None])[owners], forces)
    if "periodic" in combined:
        repeats = combined["periodic"].any("vector").values
        torques[:, :, repeats[owners]] = np.nan
    members = groups(combined)
    by_structure, by_group = ("source", "structure", "order"), ("source", "group", "order")
    found = {}
    unknown = unknown_orders(combined).transpose(*by_group).values
    for name, values in (("net_force", forces), ("net_torque", torques)):
        net = np.linalg.norm(_summed(values, owners, count), axis=-1)
        found[name] = (by_structure, net)
        squares = np.stack([(net[:, rows] ** 2).mean(axis=1) for rows in members.values()], axis=1)
        found[f"group_{name}"] = (by_group, np.where(unknown, np.nan, np.sqrt(squares)))
    dataset = xr.Dataset(
        found,
        coords={name: combined[name] for name in ("source", "structure", "order")} | {"group": list(members)},
    )
    return describe(aligned.of_one(dataset))


def _summed(values: np.ndarray, owners: np.ndarray, count: int) -> np.ndarray:
    """Vectors of atoms, shape (source, order, site, 3), added up by structure, shape (source, structure, order, 3)."""
    sums = np.zeros((count, *values.shape[:2], 3))
    np.add.at(sums, owners, values.transpose(2, 0, 1, 3))
    return sums.transpose(1, 0, 2, 3)
