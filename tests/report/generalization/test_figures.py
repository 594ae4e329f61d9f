"""What is drawn stands where the cells of the table say, with bars as long as their seeds are apart."""

from itertools import product

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from bodyorder.report.generalization.figures import (
    UNSEEN,
    cancellation_figure,
    error_figure,
    learning_figure,
    order_figure,
    size_figure,
)
from bodyorder.report.generalization.trainings import Trainings


@pytest.fixture(scope="module")
def known(table):
    """Mean and standard deviation over seeds of a measure."""

    def find(name, training_set, model, group, n_clusters=80):
        own = (table["training_set"] == training_set) & (table["model"] == model) & (table["n_clusters"] == n_clusters)
        values = table[name].sel(group=group).values[own.values]
        return values.mean(axis=0), values.std(axis=0, ddof=1)

    return find


def titles(figure):
    return [axis.get_title(loc="left") for axis in figure.axes if axis.get_title(loc="left")]


def points(axis, trainings, model):
    """What is drawn in the colour of a model: x and y of its points, and half the lengths of their bars."""
    colour = trainings.theme.sources[model].colour
    (drawn,) = [held for held in axis.containers if held.lines[0].get_color() == colour]
    line, _, bars = drawn.lines
    halves = [np.ptp(path.vertices[:, 1]) / 2 for path in bars[0].get_paths()] if bars else []
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata(), dtype=float), np.array(halves)


def test_errors_stand_at_the_means_of_each_training_set(trainings, known):
    figure = error_figure(trainings)
    assert titles(figure) == ["Low density", "High density", "Low density, H5"]
    for axis, group in zip(figure.axes, ("low", "high", "low-h5"), strict=True):
        assert [label.get_text() for label in axis.get_xticklabels()] == ["low", "both"]
        assert axis.get_yscale() == "log"
        for model in ("line", "net"):
            x, y, bars = points(axis, trainings, model)
            means, spreads = zip(
                *(known("total_rmse", training_set, model, group) for training_set in ("low", "both")), strict=True
            )
            np.testing.assert_array_equal(np.round(x), [0, 1])
            np.testing.assert_allclose(y, 1e3 * np.array(means))
            np.testing.assert_allclose(bars, 1e3 * np.array(spreads))
    shaded = [[patch.get_x() for patch in axis.patches] for axis in figure.axes]
    assert shaded == [[], [-0.5], [-0.5, 0.5]]


def test_learning_curves_go_over_all_sizes(trainings, known):
    figure = learning_figure(trainings)
    assert titles(figure) == ["Low density, trained on both", "High density, trained on both"]
    for axis, group in zip(figure.axes, ("low", "high"), strict=True):
        assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
        x, y, bars = points(axis, trainings, "net")
        means, spreads = zip(*(known("total_rmse", "both", "net", group, size) for size in (20, 40, 80)), strict=True)
        np.testing.assert_array_equal(x, [20, 40, 80])
        np.testing.assert_allclose(y, 1e3 * np.array(means))
        np.testing.assert_allclose(bars, 1e3 * np.array(spreads))


def test_orders_of_models_stand_beside_bars_of_the_reference(trainings, known, table):
    figure = order_figure(trainings)
    assert titles(figure) == [
        "Low density, trained on low",
        "High density, trained on low",
        "Low density, trained on both",
        "High density, trained on both",
    ]
    for axis, (training_set, group) in zip(figure.axes, product(("low", "both"), ("low", "high")), strict=True):
        lines = [held for held in axis.collections if hasattr(held, "get_segments")]
        (black,) = [held for held in lines if np.allclose(held.get_color(), to_rgba("black"))]
        heights = [segment[0][1] for segment in black.get_segments()]
        np.testing.assert_allclose(heights, table["group_contribution"].sel(group=group)[0])
        for model in ("line", "net"):
            x, y, bars = points(axis, trainings, model)
            means, spreads = known("group_contribution", training_set, model, group)
            np.testing.assert_array_equal(np.round(x), [1, 2, 3, 4])
            np.testing.assert_allclose(y, means)
            np.testing.assert_allclose(bars, spreads)
    assert [axis.get_facecolor() == to_rgba(UNSEEN) for axis in figure.axes] == [False, True, False, False]


def test_errors_by_size_stand_on_a_logarithmic_axis(trainings, known):
    figure = size_figure(trainings)
    assert len(figure.axes) == 4
    for axis, (training_set, group) in zip(figure.axes, product(("low", "both"), ("low", "high")), strict=True):
        x, y, bars = points(axis, trainings, "net")
        means, spreads = known("size_error", training_set, "net", group)
        np.testing.assert_array_equal(np.round(x), [1, 2, 3, 4])
        np.testing.assert_allclose(y, means)
        np.testing.assert_allclose(bars, spreads)
        assert axis.get_yscale() == "log"


def test_correlations_are_drawn_for_every_model(trainings):
    figure = cancellation_figure(trainings, "both", "high")
    assert titles(figure) == ["line", "net"]
    for axis in figure.axes[:2]:
        (drawn,) = axis.collections
        np.testing.assert_allclose(drawn.get_array().reshape(4, 4), np.where(np.eye(4), 1.0, -0.5))
        assert drawn.get_clim() == (-1, 1)


def test_models_keep_their_colours_in_all_figures(trainings):
    assert list(trainings.theme.sources) == ["fci", "line", "net"]
    figures = [error_figure(trainings), order_figure(trainings), size_figure(trainings)]
    for figure in figures:
        handles = {text.get_text(): handle.get_color() for text, handle in zip(
            figure.legends[0].get_texts(), figure.legends[0].legend_handles, strict=True)}  # fmt: skip
        assert handles == {name: trainings.theme.sources[name].colour for name in handles}
        assert {"line", "net"} <= set(handles)


def test_one_seed_has_no_bars(make_table):
    one = Trainings.of(make_table(seeds=(1.0,)), "atom")
    for figure in (error_figure(one), order_figure(one), size_figure(one)):
        assert not any(held.lines[2] for axis in figure.axes for held in axis.containers)


def test_models_that_are_trained_already_come_last(make_table):
    table = make_table()
    training_set = np.where(table["training_set"].values == "both", "", table["training_set"].values)
    already = Trainings.of(table.assign_coords(training_set=("run", training_set)), "atom")
    assert already.training_sets == ["low", ""]
    assert already.seen("") == []
    labels = [label.get_text() for label in error_figure(already).axes[0].get_xticklabels()]
    assert labels == ["low", "trained\nalready"]
    assert titles(order_figure(already))[-1] == "High density, trained already"
