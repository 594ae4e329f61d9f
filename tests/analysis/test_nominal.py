"""Potentials whose highest order is known: built from terms, and real ones."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.morse import MorsePotential

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.analysis.nominal import EQUAL, HIGHER, LOWER, NONE, UNDECIDED, nominal_orders
from bodyorder.structures.hydrogen import high_density


@pytest.mark.parametrize(
    ("order", "nominal", "verdict"),
    [(1, 1, EQUAL), (2, 2, EQUAL), (4, 4, EQUAL), (1, 2, LOWER), (4, 5, LOWER), (2, 1, HIGHER), (4, 3, HIGHER)],
)
def test_an_order_that_is_promised_is_held_against_what_is_there(build, terms, order, nominal, verdict):
    result = build({name: terms(6, [1.0] * order, seed) for name, seed in [("a", 1), ("b", 2)]})
    found = nominal_orders({"model": result}, {"model": nominal}).sel(source="model", group="all")
    assert found["highest_order"] == order
    assert found["nominal_verdict"] == verdict
    assert (found["beyond_nominal"] > found["beyond_threshold"]) == (verdict == HIGHER)


def test_a_single_term_of_a_nanoelectronvolt_is_found(build, terms):
    # twice 1e-9 eV in one of the sub-clusters of one structure
    given = terms(6, [1.0, 1.0], 1)
    given[0, 1, 2] = 2e-9
    result = build({"a": given})
    found = nominal_orders({"model": result}, {"model": 2}).sel(source="model", group="all")
    assert found["nominal_verdict"] == HIGHER
    assert float(found["beyond_nominal"]) == pytest.approx(2e-9, rel=1e-6)


def test_noise_is_no_order(build, terms):
    draw = np.random.default_rng(3)
    structures = {f"s{seed}": terms(6, [1.0, 1.0], seed) for seed in range(40)}
    result = build(structures, noise=1e-4)
    result["contribution"] = result["contribution"] + draw.normal(scale=1e-4, size=result["contribution"].shape)
    found = nominal_orders({"model": result}, {"model": 2}).sel(source="model", group="all")
    assert found["nominal_verdict"] == EQUAL
    assert 5e-5 < float(found["beyond_nominal"]) < float(found["beyond_threshold"])
    assert float(found["beyond_threshold"]) == pytest.approx(2e-4)


def test_what_is_not_known_is_not_said(build, terms):
    result = build({"a": terms(6, [1.0] * 4, 1)}, max_order=3)
    assert nominal_orders({"model": result}, {"model": 3})["nominal_verdict"].item() == UNDECIDED
    assert nominal_orders({"model": result}, {"model": 2})["nominal_verdict"].item() == HIGHER
    assert nominal_orders({"model": result}, {"model": None})["nominal_verdict"].item() == NONE
    assert nominal_orders({"model": result}, {})["nominal_verdict"].item() == NONE


def test_small_structures_do_not_count_for_orders_that_they_cannot_have(build, terms):
    result = build({"a": terms(6, [1.0] * 2, 1), "b": terms(2, [1.0] * 2, 1)}, groups=["large", "small"])
    found = nominal_orders({"model": result}, {"model": 2}).sel(source="model")
    assert found["nominal_verdict"].values.tolist() == [EQUAL, UNDECIDED]


def test_a_real_pair_potential_is_one():
    result = decompose(high_density(6, 2, 1), MorsePotential(epsilon=4.5, r0=0.74, rho0=1.5, rcut1=8.0, rcut2=9.0))
    assert nominal_orders({"morse": result}, {"morse": 2})["nominal_verdict"].item() == EQUAL


def test_names_and_orders_that_cannot_be_are_refused(build, terms):
    result = build({"a": terms(3, [1.0], 1)})
    with pytest.raises(InputError, match="`nominal` must be"):
        nominal_orders({"model": result}, {"modle": 2})
    with pytest.raises(InputError, match="a nominal order must be 1 or more, 'model' has 0"):
        nominal_orders({"model": result}, {"model": 0})
