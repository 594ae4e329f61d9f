import numpy as np
import pytest
from geometries import scattered
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import changed

from bodyorder import Sampling, decompose
from bodyorder._checks import InputError
from bodyorder.analysis import atom_shares


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 99))
def test_shares_add_up_to_the_order_totals(build, terms, n_bodies, seed):
    structures = {"a": terms(n_bodies, [1.0] * n_bodies, seed), "b": terms(3, [1.0] * 3, seed + 1)}
    result = build(structures)
    shares = atom_shares(result)["atom_share"]
    for index in range(2):
        mine = result["sites/site_structure"].values == index
        np.testing.assert_allclose(shares.values[:, mine].sum(axis=1), result["contribution"].values[index], atol=1e-12)


def test_a_triplet_gives_a_third_to_each_of_its_atoms(build):
    result = build({"a": {(0,): -1.0, (1,): -2.0, (2,): -3.0, (0, 1): 0.4, (0, 2): 0.0, (1, 2): -0.6, (0, 1, 2): 0.9}})
    shares = atom_shares(result)["atom_share"]
    np.testing.assert_allclose(shares.values, [[-1, -2, -3], [0.2, -0.1, -0.3], [0.3, 0.3, 0.3]])


def test_atoms_of_one_body_share_alike(build):
    result = build({"a": {(0,): -1.0, (1,): -2.0, (0, 1): 0.4}})
    molecules = changed(
        result,
        lambda held: held.drop_dims("site").assign(
            site_structure=("site", [0, 0, 0]), site_body=("site", [0, 0, 1]), site_number=("site", [1, 1, 8])
        ),
    )
    shares = atom_shares(molecules)["atom_share"].values
    np.testing.assert_allclose(shares, [[-0.5, -0.5, -2], [0.1, 0.1, 0.2]])


def test_a_sample_has_no_shares():
    cluster = scattered(6, seed=1, spread=8, symbol="Cu")
    sampled = decompose(cluster, "analytic:sutton-chen", max_order=3, sampling=Sampling(samples=4), subsets=True)
    with pytest.raises(InputError, match=r"shares of atoms must come from all sub-clusters, .* has a sample"):
        atom_shares(sampled)


def test_shares_of_a_missing_total_are_missing(build, terms):
    result = build({"a": terms(3, [1.0] * 3, 1), "b": terms(3, [1.0] * 3, 2)})
    result["contribution"][1, 2] = np.nan
    result["failure"][1] = "a triple failed"
    shares = atom_shares(result)["atom_share"].values
    assert np.isnan(shares[2, 3:]).all()
    assert np.isfinite(shares[:2]).all()
    assert np.isfinite(shares[2, :3]).all()


def test_results_without_subsets_cannot_be_shared_out(build, terms):
    with pytest.raises(InputError, match="`subset_contribution` is missing; decompose with subsets=True"):
        atom_shares(build({"a": terms(3, [1.0], 1)}, subsets=False))
