"""The sentences say what is so in tables whose outcome is known."""

import numpy as np
import pytest
import xarray as xr
from bodyorder.report.generalization import generalization_parts
from bodyorder.report.generalization.order_text import followed
from bodyorder.report.wording import group_title, place, power_of_ten, with_spread

from bodyorder.analysis.nominal import HIGHER, LOST, LOWER
from bodyorder.plots.style import Theme


def test_who_is_best_where(parts):
    seen, unseen, further = parts["Errors on clusters of every kind"].sentences
    assert "2.0 ± 0.3 meV per atom at low density (line trained on low)" in seen
    assert "40 ± 6 meV per atom at high density (net trained on both)" in seen
    assert "400 ± 57 meV per atom at high density (line trained on low), 10 times the smallest there" in unseen
    assert "5.0 ± 0.7 meV per atom in H5 at low density (net trained on low), where line trained on low" in further
    assert further.endswith("the best at low density, has 6.0 ± 0.8.")


def test_how_much_more_clusters_help(parts):
    assert parts["Learning curves"].sentences[1] == (
        "At high density, from 20 to 80 training clusters of each group, errors of models trained on both fall by a factor of 4."
    )


def test_up_to_which_order_models_follow(parts):
    low, low_ratio, high, high_ratio = parts["Orders that models deduce"].sentences
    assert low.startswith("At low density, orders are within 10 %")
    assert high == (
        "At high density, orders are within 10 % of the reference (RMS) up to order 4 in net trained on both and at no order in "
        "any model trained on low."
    )
    # line trained on low is off by half of −12 eV, and by 2 meV in the energy
    assert "most in line trained on low, 6.00 eV per atom at order 1 against 2.00 meV per atom" in low_ratio
    # of the models that were trained there: 5 % and 20 % of 16 eV, over 40 and 60 meV
    assert "is 20 to 53 times that of the energy" in high_ratio


@pytest.mark.parametrize(
    ("errors", "order"), [([0.1, 0.4, 0.1], 3), ([0.1, 0.6, 0.1], 1), ([2.0, 0.1, 0.1], 0), ([np.nan] * 3, None)]
)
def test_an_order_is_followed_only_after_those_before_it(errors, order):
    own = {"group_contribution": ("order", [-10.0, 3.0, -2.0]), "group_spread": ("order", [0.0, 4.0, 0.0])}
    reference = xr.Dataset(own, coords={"order": [1, 2, 3]})  # of order 2 the root mean square is 5 eV
    assert followed(xr.Dataset({"order_rmse": ("order", errors)}, coords={"order": [1, 2, 3]}), reference) == order


def test_how_errors_cancel(parts):
    low, high, neighbours = parts["How errors of orders cancel"].sentences
    assert "κ of models trained there is 0.1;" in low
    assert "κ of models trained there is 0.02;" in high
    assert high.endswith("and a constant that is right in the mean energy alone gives 0.006.")
    assert neighbours == (
        "At high density, errors of neighbouring orders have a mean correlation of −0.50 in models trained on both."
    )


def test_which_set_is_best_for_sub_clusters(parts):
    said = parts["Errors by size of sub-cluster"].sentences[0]
    assert "is 0.100 eV per atom (net trained on both) and 1.00 eV per atom (line trained on low)." in said
    assert said.endswith(
        "best in other models: 2.00 meV per atom (line trained on low), against 10.0 meV per atom (net trained on both)."
    )


def test_which_orders_there_are(parts):
    nominal, free, low, high = parts["Nominal and effective orders"].sentences
    assert nominal == "Nominal = effective in all 16 cases (line: 2); above it there is at most 6·10⁻¹² eV."
    assert free == "net (no nominal order): no order that was resolved is above a nominal one; the highest found is 4."
    assert low == (
        "At low density, the effective body order (10 meV per atom) is 3 in fci, 2 in explicit models trained there and 3 in "
        "implicit models trained there."
    )
    assert "is 4 in fci" in high


def test_trainings_without_an_effective_order_are_counted(table):
    lost = table.copy(deep=True)
    rows = np.flatnonzero((lost["model"].values == "net") & (lost["seed"].values == 2))
    lost["group_body_order"][rows, 0] = np.nan
    parts = {part.heading: part for part in generalization_parts(lost, Theme.of(["any"]))}
    shown = parts["Nominal and effective orders"]
    assert shown.sentences[2].endswith("3 in implicit models trained there (2 of 4 trainings have none).")
    effective = next(table for table in shown.tables if "Effective body order" in table.caption)
    assert any("(1 of 2)" in cell for row in effective.rows for cell in row)


@pytest.mark.parametrize(
    ("verdict", "highest", "said"),
    [
        (
            HIGHER,
            3.0,
            ": effective above nominal in 1 of 16 cases; orders up to 3 are found, and above the nominal one up to 0.25 eV.",
        ),
        (LOWER, 1.0, ": order 2 is zero in 1 of 16 cases, else nominal = effective; above it at most 0.25 eV."),
        (LOST, 1.0, ": order 2 is lost in noise in 1 of 16 cases, else nominal = effective; above it at most 0.25 eV."),
    ],
)
def test_a_single_case_in_which_a_model_breaks_its_promise(table, verdict, highest, said):
    broken = table.copy(deep=True)
    row = int(np.flatnonzero(broken["model"].values == "line")[0])
    for name, value in (("nominal_verdict", verdict), ("highest_order", highest), ("beyond_nominal", 0.25)):
        broken[name][row, 1] = value
    sentences = generalization_parts(broken, Theme.of(["any"]))[-1].sentences
    assert sentences[0] == f"line (nominal 2){said}"


def test_numbers_have_no_more_digits_than_their_spread_allows():
    assert with_spread(63.2, 7.9) == "63 ± 8"
    assert with_spread(0.02798, 1e-12) == "0.0280 ± 0"
    assert with_spread(516.4, 328.7) == "516 ± 329"
    assert with_spread(-0.5) == "−0.500"
    assert with_spread(2.0) == "2"
    assert with_spread(2.0, 0.5) == "2.0 ± 0.5"
    assert with_spread(1.9e-4, 4e-5) == "(1.9 ± 0.4)·10⁻⁴"
    assert power_of_ten(6e-12) == "6·10⁻¹²"
    assert power_of_ten(1234.0) == "1200"


def test_further_groups_of_a_density_are_named_after_it():
    assert group_title("low-h10") == "Low density, H10"
    assert group_title("high-density") == "High density"
    assert place("high-h12") == "in H12 at high density"
    assert group_title("liquid-300") == "Liquid 300"
