"""The parts of the section, their tables, and that whatever is missing leaves the rest standing."""

import numpy as np
import pytest

from bodyorder.analysis.nominal import EQUAL, UNDECIDED
from bodyorder.plots.style import Theme
from bodyorder.report.generalization import generalization_parts
from bodyorder.report.generalization.trainings import Trainings
from bodyorder.report.svg import svg

THEME = Theme.of(["any"])

HEADINGS = [
    "Errors on clusters of every kind",
    "Learning curves",
    "Orders that models deduce",
    "How errors of orders cancel",
    "Errors by size of sub-cluster",
    "Nominal and effective orders",
]

#: Parts that go with a measure.
GONE = {
    "total_rmse": {"Errors on clusters of every kind"},
    "group_contribution": set(HEADINGS[2:5]),
    "order_rmse": {"Orders that models deduce"},
    "cancellation": {"How errors of orders cancel"},
    "size_error": {"Errors by size of sub-cluster"},
}


def test_parts_come_in_order_with_figures_of_their_own(parts):
    assert list(parts) == HEADINGS
    figures = [figure for part in parts.values() for figure in part.figures]
    assert len({name for name, *_ in figures}) == len(figures) == 5
    for name, figure, description, caption in figures:
        assert caption.endswith(".")
        assert description.endswith(".")
        assert svg(figure, name, description).startswith("<svg")
    assert all(1 <= len(part.sentences) <= 4 for part in parts.values())


def test_errors_of_energies_in_a_table(parts):
    (energies,) = parts["Errors on clusters of every kind"].tables
    assert energies.columns == ["model", "Low density", "High density", "Low density, H5"]
    assert energies.groups == ["trained on low"] * 2 + ["trained on both"] * 2
    assert energies.rows[0] == ["line", "2.0 ± 0.3", "400 ± 57", "6.0 ± 0.8"]
    assert energies.rows[3] == ["net", "10 ± 1", "40 ± 6", "10 ± 1"]
    (learning,) = parts["Learning curves"].tables
    assert learning.columns == ["model", "20", "40", "80"]
    assert learning.groups[1] == "Low density, both"
    assert learning.rows[1] == ["net", "40 ± 6", "20 ± 3", "10 ± 1"]


def test_forces_have_a_table_of_their_own(make_table):
    table = make_table(seeds=(1.0,))
    first, *_ = generalization_parts(table.assign(force_rmse=table["total_rmse"]), THEME)
    energies, forces = first.tables
    assert "meV/Å" in forces.caption
    assert forces.rows == energies.rows


def test_orders_in_tables(parts):
    (orders,) = parts["Orders that models deduce"].tables
    assert "(high density)" in orders.caption
    assert orders.columns[1:] == [*(f"<i>n</i> = {n}" for n in (1, 2, 3, 4)), "<i>E</i>/<i>N</i>"]
    assert orders.rows[3] == ["net", "0.60 ± 0.08", "0.20 ± 0.03", "0.8 ± 0.1", "0.15 ± 0.02", "0.040 ± 0.006"]
    (left,) = parts["How errors of orders cancel"].tables
    # the orders of low-h5 do not add up to its energy
    assert left.columns == ["model", "Low density", "High density"]
    assert left.rows[:2] == [["constant", "0.500", "0.00600"], ["line", "0.10 ± 0.01", "0.020 ± 0.003"]]


def test_nominal_and_effective_orders_in_tables(parts):
    nominal, effective, alternation, decay = parts["Nominal and effective orders"].tables
    assert nominal.rows == [
        ["line", "explicit", "2", "2", f"{EQUAL} (16); {UNDECIDED} (8)", "6·10⁻¹²", "1·10⁻⁹"],
        ["net", "implicit", "none", "4", "—", "—", "—"],
    ]
    assert effective.groups[:2] == ["reference", "trained on low"]
    assert effective.rows[:2] == [["fci", "3", "4", "—"], ["line", "2 ± 0", "2 ± 0", "—"]]
    assert alternation.rows[0] == ["line", "1 ± 0", "1 ± 0", "1 ± 0"]
    assert decay.rows[0] == ["line", "1.0 ± 0.1", "−0.500 ± 0", "2 ± 0"]


@pytest.mark.parametrize(
    "name",
    [
        "total_rmse", "group_contribution", "group_noise", "order_rmse", "size_error", "error_correlation", "cancellation",
        "highest_order", "beyond_nominal", "beyond_threshold", "nominal_verdict", "group_body_order", "group_alternation",
        "group_truncation_error",
    ],
)  # fmt: skip
def test_any_measure_may_be_missing(make_table, name):
    table = make_table(seeds=(1.0,), training_sets=("both",))
    shown = [part.heading for part in generalization_parts(table.drop_vars(name), THEME)]
    assert shown == [heading for heading in HEADINGS if heading not in GONE.get(name, set()) | {"Learning curves"}]


def test_a_table_of_nothing_shows_nothing(table):
    unknown = table.copy()
    for name, array in unknown.data_vars.items():
        if array.dtype.kind == "f":
            unknown[name] = array * np.nan
    assert generalization_parts(unknown, THEME) == []
    assert generalization_parts(table.isel(run=[0]), THEME) == []


def test_one_seed_has_no_spread(make_table):
    parts = generalization_parts(make_table(seeds=(1.0,)), THEME)
    cells = [cell for part in parts for held in part.tables for row in held.rows for cell in row]
    captions = [caption for part in parts for *_, caption in part.figures]
    assert "±" not in " ".join([*cells, *(text for part in parts for text in part.sentences)])
    assert "seeds" not in " ".join(captions)


def test_one_model_on_one_set_and_one_group(make_table):
    table = make_table(seeds=(1.0,), training_sets=("low",), models=("net",)).sel(group=["low"])
    parts = generalization_parts(table, THEME)
    assert [len(figure.axes) for part in parts for _, figure, *_ in part.figures] == [1, 1, 2, 1]
    assert parts[0].sentences == [
        "The smallest errors of energies where models were trained are 4 meV per atom at low density (net trained on low)."
    ]


def test_groups_of_a_make_up_are_those_that_the_table_names(table):
    named = table.assign_coords(groups=("run", np.where(table["training_set"].values == "both", "high,low-h5", "low")))
    trainings = Trainings.of(named, "atom")
    assert trainings.seen("both") == ["high", "low-h5"]
    assert trainings.seen_anywhere == ["low", "high", "low-h5"]
    # without: by their names
    assert Trainings.of(table, "atom").seen("both") == ["low", "high"]


def test_only_groups_with_all_orders_are_drawn(trainings):
    assert trainings.groups == ["low", "high", "low-h5"]
    assert trainings.complete == trainings.drawn == ["low", "high"]


def test_names_cannot_break_the_page(make_table):
    table = make_table(seeds=(1.0,))
    names = np.where(table["training_set"].values == "both", "<b>", table["training_set"].values)
    parts = generalization_parts(table.assign_coords(training_set=("run", names)), THEME)
    shown = [held.render() for part in parts for held in part.tables]
    shown += [caption for part in parts for *_, caption in part.figures]
    assert not any("<b>" in text for text in shown)
    assert any("&lt;b&gt;" in text for text in shown)
