"""Orders whose energies failed are unknown, whatever the exact zeros of smaller structures beside them."""

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.calculators.lj import LennardJones

from bodyorder.analysis import align, compare, group_convergence, order_convergence
from bodyorder.analysis.alignment import unknown_orders
from bodyorder.engine import decompose
from bodyorder.results import grown

CORNERS = [[0, 0, 0], [3.8, 0, 0], [0, 3.8, 0], [3.8, 3.8, 0]]


class Cubic(LennardJones):
    """−0.5 eV · N³: orders 1 to 3 are −0.5, −3 and −3 eV a subset, and no other is there (ε = 0)."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] -= 0.5 * len(atoms) ** 3


class FailsForThree(Cubic):
    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        if len(atoms) == 3:
            raise RuntimeError("no three")
        super().calculate(atoms, properties, system_changes)


def resolved(kind, *sizes, **options):
    frames = [Atoms(f"Ar{size}", CORNERS[:size]) for size in sizes]
    return decompose(frames, kind(epsilon=0.0), subsets=True, **options)


def test_an_order_that_every_structure_large_enough_lacks_is_unknown():
    found = group_convergence(resolved(FailsForThree, 2, 4, 4)).isel(source=0, group=0)
    for name in (
        "group_contribution",
        "group_spread",
        "group_noise",
        "group_truncation_error",
        "group_truncation_noise",
    ):
        np.testing.assert_array_equal(np.isnan(found[name]), [False, False, True, True], err_msg=name)
    # −3 eV of a pair of two atoms, −18 eV of the six pairs of four
    np.testing.assert_allclose(found.group_contribution[:2], [-0.5, -(3 / 2 + 18 / 4 + 18 / 4) / 3], atol=1e-12)
    assert np.isnan(found.group_body_order)


def test_zeros_of_smaller_structures_are_exact_where_the_others_are_known():
    found = group_convergence(resolved(Cubic, 2, 4, 4)).isel(source=0, group=0)
    np.testing.assert_allclose(found.group_contribution[2:], [(0 - 12 / 4 - 12 / 4) / 3, 0], atol=1e-12)


def test_orders_beyond_all_structures_of_a_group_are_zero_and_not_unknown():
    results = resolved(FailsForThree, 2, 4)
    results.coords["group"] = ("structure", ["small", "large"])
    unknown = unknown_orders(align(results).data).isel(source=0)
    np.testing.assert_array_equal(unknown, [[False] * 4, [False, False, True, True]])
    np.testing.assert_array_equal(group_convergence(results).group_contribution.sel(group="small")[0, 2:], 0)


def test_errors_of_an_order_that_is_unknown_are_unknown_in_energies_and_forces():
    right, failing = (resolved(kind, 2, 4, 4, forces=True) for kind in (Cubic, FailsForThree))
    found = compare({"right": right, "failing": failing}, "right").sel(source="failing").isel(group=0)
    for name in ("order_rmse", "order_bias", "force_order_rmse"):
        np.testing.assert_array_equal(np.isnan(found[name]), [False, False, True, True], err_msg=name)


def test_an_order_suffices_only_if_those_above_it_did_not_fail():
    """Truncated at order 2 the energy may be right by chance: an unknown order 3 may lead away from it."""
    flat = xr.Dataset(
        {
            "contribution": (("structure", "order"), [[-1.0, -5.0, np.nan, np.nan]]),
            "total": ("structure", [-6.0]),
            "n_bodies": ("structure", [4]),
            "failure": ("structure", ["1 of 15 sub-clusters failed"]),
            "site_structure": ("site", [0, 0, 0, 0]),
        },
        coords={"structure": ["a"], "order": [1, 2, 3, 4]},
        attrs={"source": "given"},
    )
    assert np.isnan(order_convergence(grown(flat)).effective_body_order.item())
    flat["failure"][:] = ""
    assert order_convergence(grown(flat.isel(order=slice(2)))).effective_body_order.item() == pytest.approx(2)
