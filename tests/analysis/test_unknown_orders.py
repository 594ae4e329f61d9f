"""Orders whose energies failed are unknown, whatever the exact zeros of smaller structures beside them."""

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.calculators.lj import LennardJones
from trees import changed

from bodyorder.analysis import align, combine, compare, group_convergence, order_convergence
from bodyorder.analysis.alignment import unknown_orders
from bodyorder.engine import decompose

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
    found = group_convergence(resolved(FailsForThree, 2, 4, 4)).isel(group=0)
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
    found = group_convergence(resolved(Cubic, 2, 4, 4)).isel(group=0)
    np.testing.assert_allclose(found.group_contribution[2:], [(0 - 12 / 4 - 12 / 4) / 3, 0], atol=1e-12)


def test_orders_beyond_all_structures_of_a_group_are_zero_and_not_unknown():
    results = changed(
        resolved(FailsForThree, 2, 4), lambda held: held.assign_coords(group=("structure", ["small", "large"]))
    )
    unknown = unknown_orders(align(results).data).isel(source=0)
    np.testing.assert_array_equal(unknown, [[False] * 4, [False, False, True, True]])
    np.testing.assert_array_equal(group_convergence(results).group_contribution.sel(group="small")[2:], 0)


def test_errors_of_an_order_that_is_unknown_are_unknown_in_energies_and_forces():
    right, failing = (resolved(kind, 2, 4, 4, forces=True) for kind in (Cubic, FailsForThree))
    found = compare({"right": right, "failing": failing}, "right").sel(source="failing").isel(group=0)
    for name in ("order_rmse", "order_bias", "force_order_rmse"):
        np.testing.assert_array_equal(np.isnan(found[name]), [False, False, True, True], err_msg=name)


def test_an_order_suffices_only_if_those_above_it_did_not_fail(build):
    """Truncated at order 2 the energy may be right by chance: an unknown order 3 may lead away from it."""
    terms = {(0,): -1.0, (1,): 0.0, (2,): 0.0, (3,): 0.0, (0, 1): -5.0}
    terms |= dict.fromkeys([(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], 0.0)
    whole = build({"a": terms | {(0, 1, 2): 0.0, (0, 1, 3): 0.0, (0, 2, 3): 0.0, (1, 2, 3): 0.0, (0, 1, 2, 3): 0.0}})
    # one source was never asked for more than pairs, the triples of the other failed
    pairs = changed(whole, lambda held: held.isel(order=slice(2), subset=held["subset_order"].values <= 2))
    failed = whole.copy(deep=True)
    failed["contribution"][0, 2:] = np.nan
    failed["failure"] = failed["failure"].copy(data=["1 of 15 sub-clusters failed"])
    results = {"whole": whole, "pairs": pairs, "failed": failed}
    np.testing.assert_array_equal(combine(results)["contribution"][1:, 0], [[-1.0, -5.0, np.nan, np.nan]] * 2)
    found = order_convergence(results).effective_body_order.squeeze("structure")
    assert found.sel(source=["whole", "pairs"]).values.tolist() == [2, 2]
    assert np.isnan(found.sel(source="failed"))
    assert np.isnan(order_convergence(failed).effective_body_order.item())
