"""Tables and sentences of the page of a study hold the numbers of its results; figures show all that there is."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bodyorder.analysis import interaction_indices
from bodyorder.analysis.curves import combine_curves
from bodyorder.analysis.trainings import distilled_orders, followed_orders, term_deviations
from bodyorder.engine.curves import pair_curve, triple_map
from bodyorder.plots.style import Theme
from bodyorder.report.numbers import MISSING, with_spread
from bodyorder.study.pages import environment as surroundings
from bodyorder.study.pages import figures, sections
from bodyorder.study.pages.environment import Environment
from bodyorder.study.pages.sections import CurveSet, study_sections
from bodyorder.study.pages.trainings import Trainings, seed_frame


@pytest.fixture(scope="module")
def trainings(table) -> Trainings:
    return Trainings.of(table)


def rmse(solved, model: str, group: str, factor: float = 1.0) -> float:
    """Error of energies in meV per atom from the results themselves."""
    own = solved["metal"]["group"].values == group
    errors = (factor * solved[model]["total"] - solved["metal"]["total"]).values[own] / 4
    return 1e3 * float(np.sqrt((errors**2).mean()))


def test_what_there_is(trainings):
    assert trainings.name == "metal"
    assert trainings.models == ["pairs", "triples", "same"]
    assert trainings.sets == ["low", "both", ""]
    assert trainings.seen == {"low": ["low"], "both": ["low", "high"], "": []}
    assert trainings.complete == trainings.drawn == ["low", "high"]
    assert [model for model, _ in trainings.parts("both")] == ["pairs", "triples"]


def test_errors_are_means_over_seeds_with_their_spread(trainings, solved):
    frame = seed_frame(trainings.whole, "total_rmse", "group", 1e3)
    assert list(frame.columns) == ["low", "high"]
    for group in frame.columns:
        seeds = [rmse(solved, "pairs", group, factor) for factor in (1.0, 1.1)]
        assert frame.loc[("trained on both", "pairs"), group] == with_spread(np.mean(seeds), np.std(seeds, ddof=1))
        assert frame.loc[("trained on low", "pairs"), group] == with_spread(seeds[0])
        assert frame.loc[("trained already", "same"), group] == "0"


def test_a_seed_without_a_value_is_counted(trainings):
    runs = trainings.runs.copy(deep=True)
    place = int(np.flatnonzero((runs["model"] == "pairs") & (runs["seed"] == 1))[0])
    runs["total_rmse"][{"run": place}] = np.nan
    frame = seed_frame(Trainings(runs, trainings.reference, trainings.theme).whole, "total_rmse", "group", 1e3)
    assert frame.loc[("trained on both", "pairs"), "high"].endswith(" (1 of 2)")
    runs["total_rmse"][:] = np.nan
    assert seed_frame(Trainings(runs, trainings.reference, trainings.theme).whole, "total_rmse", "group").empty


def test_the_best_are_named(trainings, solved):
    low, high = sections.best_errors(trainings)
    errors = {model: rmse(solved, model, "low") for model in ("pairs", "triples")}
    assert low["own"]["model"].startswith(min(errors, key=lambda model: errors[model]))
    assert "other" not in low  # all sets draw from it
    assert high["other"]["model"].endswith("trained on low")
    frame = sections.learning_frame(trainings)
    assert list(frame.columns) == ["3", "9"]
    assert frame.loc[("trained on both", "pairs", "high"), "3"] == with_spread(rmse(solved, "pairs", "high"))
    assert frame.loc[("trained on both", "triples", "high"), "3"] == MISSING


def test_up_to_which_order_models_follow(trainings, table):
    orders = followed_orders(trainings.whole, trainings.reference)
    assert orders.sel(training="same/").values.tolist() == [4, 4]
    known = trainings.whole[["order_rmse"]].sel(training=["pairs/both"]).copy(deep=True)
    size = abs(trainings.reference["group_contribution"])
    for share, expected in (([0.05, 0.09, 0.2, 0.0], 2), ([0.0, 0.2, 0.0, 0.0], 1), ([np.nan] * 4, np.nan)):
        sizes = np.sqrt(size**2 + trainings.reference["group_spread"] ** 2)
        known["order_rmse"][:] = (sizes.transpose("group", "order").values * np.array(share))[None]
        found = followed_orders(known.transpose("training", "group", "order"), trainings.reference)
        np.testing.assert_array_equal(found.values, [[expected] * 2])


def test_cancellation_and_construction(trainings):
    high = sections.cancellation(trainings)[1]
    own = trainings.runs["cancellation"].sel(group="high")
    seen = (trainings.runs["training_set"] == "both") & trainings.runs["whole"]
    means = [
        own.values[seen.values & (trainings.runs["model"] == model).values].mean() for model in ("pairs", "triples")
    ]
    assert (high["least"], high["most"]) == pytest.approx((min(means), max(means)))
    frame = sections.nominal_frame(trainings)
    assert frame.loc["pairs", ["construction", "nominal", "highest found"]].tolist() == ["explicit", "2", "2"]
    assert frame.loc["triples", "highest found"] == "3"
    assert frame.loc["pairs", "verdict (cases)"] == "nominal = effective (8)"
    assert frame.loc["same", ["nominal", "verdict (cases)", "above nominal (eV)"]].tolist() == [
        "none",
        MISSING,
        MISSING,
    ]


def test_what_suffices_to_say_a_model(distilled):
    found = distilled_orders(distilled)
    assert found["teacher_rmse"].sel(training_set="both").values.tolist() == pytest.approx([np.nan, 0.1], nan_ok=True)
    np.testing.assert_array_equal(found["distilled_order"].values, [[np.nan, 3]])
    # a spread over seeds that reaches beyond the error of the teacher does not suffice
    wide = distilled.assign(distilled_rmse=distilled["distilled_rmse"] * xr.where(distilled["seed"] == 1, 12, 1))
    assert np.isnan(distilled_orders(wide)["distilled_order"].sel(teacher="pairs")).all()


def test_functions_of_models_against_those_of_the_reference(table, trainings, solved):
    found = term_deviations(trainings.runs, trainings.reference)
    np.testing.assert_allclose(found["term_deviation"].sel(training="same/").fillna(0), 0, atol=1e-12)
    # in vacuum: mean contributions of pairs by distance, from the results themselves
    at = {"training": "pairs/low", "group": "high", "function": "pairs of order 2", "species": "H-H"}
    both = [
        interaction_indices(solved[name], 2, indices=("moebius",)).sel(index="moebius") for name in ("pairs", "metal")
    ]
    rows = np.flatnonzero((both[0]["subset_order"].values == 2) & (both[0]["subset_structure"].values >= 3))
    positions = solved["metal"]["sites"]["site_position"].values.reshape(6, 4, 3)
    owners, members = both[0]["subset_structure"].values[rows], both[0]["subset_members"].values[rows]
    distances = np.linalg.norm(positions[owners, members[:, 0]] - positions[owners, members[:, 1]], axis=1)
    errors = np.subtract(*(part["interaction"].values[rows] for part in both))
    bins = np.floor(distances / 0.1).astype(int)
    means = np.array([errors[bins == place].mean() for place in bins])
    assert float(found["vacuum_deviation"].sel(at)) == pytest.approx(float(np.sqrt((means**2).mean())))


def test_tables_of_the_environment(table, trainings, distilled):
    known = Environment(trainings, distilled)
    assert [tuple(row) for row in known.rows] == [("low", "low", "both"), ("high", "both", "both")]
    frame = surroundings.order_frame(known)
    error = float(trainings.reference["group_truncation_error"].sel(group="high", order=2))
    row = frame.loc[("high, models trained on both", "metal", "whole, vacuum")]
    assert row["n = 2"] == with_spread(1e3 * error)
    assert row["n = 4"] == "0"
    learnt = surroundings.distilled_frame(known)
    assert list(learnt.columns) == ["two, order 2", "three, order 3", "own error", "enough"]
    assert learnt.loc[("trained on both", "pairs")].tolist() == ["220 ± 28", "11 ± 1", "100 ± 0", "3"]
    assert learnt.loc[("trained on both", "metal"), ["own error", "enough"]].tolist() == [MISSING, MISSING]
    high = surroundings.said(known)[1]
    assert high["vacuum"] == f"{error:.3g} eV per atom"
    assert high["shared"] == "0.550 eV per atom"
    assert high["student"] == "two, order 2"


def test_points_stand_where_the_table_says(trainings, solved):
    axes = figures.error_figure(trainings).axes
    assert [axis.get_title("left") for axis in axes] == ["low", "high"]
    heights = {round(float(y), 6) for held in axes[1].containers for y in held.lines[0].get_ydata() if y > 1e-9}
    seeds = [rmse(solved, "pairs", "high", factor) for factor in (1.0, 1.1)]
    expected = {seeds[0], np.mean(seeds), rmse(solved, "triples", "high")}
    assert heights == {round(float(value), 6) for value in expected}


@pytest.fixture(scope="module")
def curve_sets() -> list[CurveSet]:
    models = {"metal": "analytic:sutton-chen", "pairs": "analytic:pair?kind=morse"}
    grid = np.linspace(0.6, 4, 15)
    pair = {name: pair_curve(source, ("H", "H"), grid) for name, source in models.items()}
    triple = {name: triple_map(source, ("H", "H", "H"), grid[::4]) for name, source in models.items()}
    return [CurveSet("low", combine_curves(pair, "metal")), CurveSet(None, combine_curves(triple, "metal"))]


def test_all_sections(table, distilled, curve_sets):
    loss = xr.Dataset({name: ("epoch", [1.0, 0.5]) for name in ("training_loss", "validation_loss")}, {"epoch": [0, 1]})
    found = study_sections(table, distilled, curve_sets, {"pairs": loss, "triples": None})
    assert [section.name for section in found] == [
        "generalization",
        "learnt-orders",
        "environment",
        "curves",
        "training",
    ]
    assert [picture.name for section in found for picture in section.pictures] == [
        "generalization-errors", "generalization-learning", "generalization-orders", "generalization-sizes",
        "generalization-cancellation", "environment-orders", "environment-functions0", "pairs0", "triples0", "losses",
    ]  # fmt: skip
    for section in found:
        assert all("{" not in text and "None" not in text for text in map(str, section.sentences))
        assert all(str(held.render()) for held in section.tables)
    functions = next(picture for section in found for picture in section.pictures if "functions" in picture.name)
    titles = [axis.get_title("left") for axis in functions.figure.axes]
    assert titles[1] == "high: H-H, pairs of order 2"
    assert any("H-H-H, triples of order 3" in title for title in titles)


def test_names_are_escaped(table, distilled):
    bad = "<b>pairs"
    models = [bad if name == "pairs" else name for name in table["model"].values]
    teachers = [bad if name == "pairs" else name for name in distilled["teacher"].values]
    table = table.assign_coords(model=("run", models))
    distilled = distilled.assign_coords(teacher=("run", teachers))
    for section in study_sections(table, distilled):
        pieces = [*map(str, section.sentences), *(str(picture.caption) for picture in section.pictures)]
        pieces += [str(held.render()) for held in section.tables]
        assert not any(bad in piece for piece in pieces)


def test_a_study_of_its_reference_alone(table):
    found = study_sections(table.isel(run=[0]), None)
    assert [section.name for section in found] == ["environment"]
    assert "metal" in found[0].tables[0].frame.index.get_level_values("source")


def test_a_theme_of_models_is_not_that_of_teachers(trainings, distilled):
    taught = distilled.assign_coords(teacher=("run", ["metal"] * 4 + ["other"] * 4))
    assert list(Environment(trainings, taught).theme.sources) == ["metal", "pairs", "triples", "same", "other"]
    assert isinstance(Environment(trainings, None).theme, Theme)
