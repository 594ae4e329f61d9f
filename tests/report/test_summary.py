"""Sentences follow the data: numbers are those of the data, and what the data do not show is not said."""

import re

import numpy as np
import pytest
import xarray as xr

from bodyorder.analysis import compare, group_convergence, with_sources
from bodyorder.report.summary import findings


def result(totals, groups=None, noise=0.0, n_bodies=None):
    """One structure for each row of order totals per body (eV); the energy is their sum."""
    totals = np.asarray(totals, dtype=float)
    n_bodies = n_bodies or totals.shape[1]
    names = [f"s{index}" for index in range(len(totals))]
    dataset = xr.Dataset(
        {
            "contribution": (("structure", "order"), totals * n_bodies),
            "noise": (("structure", "order"), np.full(totals.shape, noise * n_bodies)),
            "total": ("structure", np.nansum(totals, axis=1) * n_bodies),
            "n_bodies": ("structure", [n_bodies] * len(totals)),
            "failure": ("structure", [""] * len(totals)),
        },
        coords={"structure": names, "order": np.arange(1, totals.shape[1] + 1)},
        attrs={"source": "FCI"},
    )
    return dataset if groups is None else dataset.assign_coords(group=("structure", groups))


def said(results, reference=None):
    combined = with_sources(results)
    comparison = compare(combined, reference) if reference else None
    return findings(combined, group_convergence(combined), comparison)


def test_growth_and_alternation_are_said_with_their_numbers():
    assert said(result([[-13.0, -5.0, 12.5, -21.0, 26.04, -8.0]])) == [
        "The contributions of FCI alternate in sign and grow to +26.0 eV per atom at order 5, 5.2 times the two-body "
        "energy. Only the complete expansion, up to order 6, is within 10 meV per atom; stopped at order 4 it is off by "
        "18.0 eV per atom, the worst."
    ]


def test_small_orders_are_called_small():
    sentences = said(result([[-13.0, -2.8, 0.006, -0.0104, 0.004]], groups=["low"]))
    assert sentences[0].startswith(
        "At low density, everything above order 2 is small in FCI: the largest total is −10.4 meV per atom, at order 4."
    )


def test_decay_is_not_called_growth():
    (sentence,) = said(result([[-13.0, -5.0, 1.0, 0.4, 0.2]], groups=["high-density"]))
    assert sentence.startswith(
        "At high density, the contributions of FCI above order 2 are smaller than its two-body energy: the largest is "
        "+1.00 eV per atom, at order 3."
    )
    assert "alternate" not in sentence
    assert "grow" not in sentence


def test_two_orders_alone_are_said_to_be_two():
    assert said(result([[-13.0, -5.0]])) == ["The two-body energy of FCI is −5.00 eV per atom."]
    assert said(result([[-13.0]])) == []


def test_truncated_expansions_that_do_not_suffice_are_said_not_to():
    truncated = result([[-13.0, -5.0, 3.0]], n_bodies=6)
    truncated["total"] = truncated["total"] + 6 * 2.0
    (sentence,) = said(truncated)
    assert sentence.endswith(
        "No expansion up to order 3 is within 10 meV per atom: stopped there, its error is 2.00 eV per atom."
    )


def test_orders_that_are_wrong_while_the_energy_is_right_are_pointed_out():
    reference = result([[-13.0, -5.0, 15.0, -10.0]], groups=["high"])
    model = result([[-13.0, -3.0, 3.0, -0.04]], groups=["high"])
    sentence = said({"FCI": reference, "PET": model}, "FCI")[1]
    total = abs((-13 - 5 + 15 - 10) - (-13 - 3 + 3 - 0.04))
    assert sentence.startswith(
        f"PET differs from FCI in energy by {1e3 * total:.1f} meV per atom at high density (RMSE)"
    )
    assert "its largest deviation in one order is 12.0 eV per atom, at order 3 at high density" in sentence
    assert f"{12 / total:.0f} times that of the energy: what the orders get wrong cancels in the sum" in sentence
    assert sentence.endswith("its largest total above order 2 is +3.00 eV per atom, at order 3 at high density.")


def test_the_same_energies_are_called_the_same():
    reference = result([[-13.0, -5.0, 2.0]])
    sentences = said({"FCI": reference, "copy": reference.copy(deep=True)}, "FCI")
    assert sentences[1].startswith("copy has the same energies as FCI.")
    assert "cancels" not in sentences[1]


def test_orders_within_their_noise_are_named():
    sentences = said(result([[-13.0, -5.0, 0.01, -0.02]], noise=0.1))
    assert sentences[-1] == "Orders 3, 4 of FCI are zero within twice their noise (1σ up to 0.100 eV per atom)."


@pytest.mark.parametrize(("noise", "lost"), [(0.04, []), (0.06, ["Order 3 of FCI is zero within twice its noise"])])
def test_twice_the_noise_is_where_an_order_drowns(noise, lost):
    """0.1 eV is above 0.06 eV, and not above twice that."""
    sentences = said(result([[-13.0, -5.0, 0.1, -0.5]], noise=noise))
    assert [sentence.split(" (")[0] for sentence in sentences if "noise" in sentence] == lost


def test_means_drown_in_the_noise_of_a_structure():
    """Errors that structures share do not average out; a structure that failed has no noise."""
    noisy = result([[-13.0, -5.0, 0.19, -0.5], [-13.0, -5.0, 0.19, -0.5], [-13.0, -5.0, np.nan, np.nan]], noise=0.1)
    noisy["noise"] = noisy["noise"].where(noisy["contribution"].notnull())
    sentence = next(sentence for sentence in said(noisy) if "noise" in sentence)
    assert sentence == "Order 3 of FCI is on average zero within twice its noise (1σ up to 0.100 eV per atom)."


def test_failures_are_counted_and_orders_nobody_asked_for_are_not():
    whole = result([[-13.0, -5.0, 1.0], [-13.0, -5.0, np.nan]])
    assert said(whole)[-1].startswith("1 of 2 structures lacks contributions (FCI)")
    pairs = result([[-13.0, -5.0], [-13.0, -5.0]], n_bodies=3)
    sentences = said({"FCI": result([[-13.0, -5.0, 1.0]] * 2), "pairs": pairs}, "FCI")
    assert not any("lack" in sentence for sentence in sentences)


def failed(totals, n_bodies):
    """Structures of these numbers of bodies; those that lack orders say why."""
    dataset = result(totals, n_bodies=1)
    dataset["n_bodies"] = ("structure", n_bodies)
    for name in ("contribution", "noise", "total"):
        dataset[name] = dataset[name] * dataset["n_bodies"]
    dataset["failure"] = dataset["failure"].where(dataset["contribution"].notnull().all("order"), "no three")
    return dataset


def test_orders_that_are_unknown_are_not_called_small():
    """Smaller structures have exact zeros there."""
    sentences = said(
        failed([[-0.5, -1.5, 0, 0], [-0.5, -4.5, np.nan, np.nan], [-0.5, -4.5, np.nan, np.nan]], [2, 4, 4])
    )
    assert sentences[:2] == [
        "The two-body energy of FCI is −3.50 eV per atom.",
        "Orders 3, 4 of FCI are unknown: energies that they need are missing.",
    ]
    assert "small" not in " ".join(sentences)


def test_small_orders_below_an_unknown_one_are_not_said_to_be_all():
    lacking = failed([[-13.0, -2.8, 0.006, np.nan]], [4])
    lacking["total"] += 4 * 0.002
    first, second, *_ = said(lacking)
    assert first.startswith(
        "Everything known above order 2 is small in FCI: the largest total is +6.00 meV per atom, at order 3."
    )
    assert first.endswith("Stopped at order 3 its error is 2.00 meV per atom, and what follows is unknown.")
    assert second == "Order 4 of FCI is unknown: energies that they need are missing."


def test_expansions_cut_by_distance_are_called_approximate():
    cut = result([[-13.0, -5.0, 0.01]]).assign_attrs(family="cliques", cutoff=4.5, source="FCI")
    assert said(cut)[-1].startswith("FCI was resolved with those sub-clusters alone whose bodies are all within 4.5 Å")
    whole = cut.assign_attrs(family="connected")
    assert not any("approximation" in sentence for sentence in said({"FCI": whole, "b": whole}, "FCI"))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_every_number_comes_from_the_data(scale):
    totals = scale * np.array([[-13.0, -5.0, 12.0, -7.0]])
    text = " ".join(said(result(totals)))
    truncations = abs(totals.sum() - np.cumsum(totals))
    allowed = np.concatenate([abs(totals).ravel(), truncations, abs(totals[0] / totals[0, 1]), [0.010]])
    for number, unit in re.findall(r"(\d[\d.]*) (eV|meV|times)", text):
        value = float(number) * {"eV": 1, "meV": 1e-3, "times": 1}[unit]
        assert np.isclose(allowed, value, rtol=0.02).any(), f"{number} {unit} in: {text}"
