"""Figures of terms by distance, and of errors that cancel: what is drawn are the numbers that come in."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from bodyorder.plots.cancellation import cancellation_figure
from bodyorder.plots.style import Theme
from bodyorder.plots.terms import term_figure


@pytest.fixture(autouse=True)
def closed():
    matplotlib.use("agg")
    yield
    plt.close("all")


def test_terms_are_drawn_beside_those_of_models_and_in_the_frame_of_the_reference():
    mean, model = np.array([0.5, -1.0, -0.2]), np.array([0.6, -1.1, 9.0])
    dims = ("function", "species", "bin")
    at = {"function": ["pairs of order 2"], "species": ["H-H"], "bin": [1.0, 1.5, 2.0]}
    held = {"n_terms": [4, 6, 2], "term_mean": mean, "term_spread": [0.1] * 3, "vacuum_mean": 2 * mean}
    exact = xr.Dataset({name: (dims, np.reshape(values, (1, 1, 3))) for name, values in held.items()}, coords=at)
    other = exact[["term_mean"]].copy(data={"term_mean": model.reshape(1, 1, 3)})
    theme = Theme.of(["net"], "exact")
    parts = {"low": {"exact": exact, "net": other}, "high": {"exact": exact}}
    figure = term_figure(parts, "exact", [("pairs of order 2", "H-H")], theme)
    low, high = figure.axes[:2]
    assert low.get_title("left") == "low: H-H, pairs of order 2"
    drawn = [line.get_ydata() for line in low.get_lines()]
    for values, count in ((mean, 1), (model, 1), (2 * mean, 1)):
        assert sum(len(line) == 3 and np.allclose(line, values) for line in drawn) == count
    assert len(low.get_lines()) == len(high.get_lines()) + 1
    assert low.get_ylim() == pytest.approx((-1.1 - 0.25 * 1.7, 0.6 + 0.25 * 1.7))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["exact", "net", "exact in vacuum", "spread of its terms", "number of terms"]


def test_correlations_of_errors_are_drawn_and_grey_where_there_is_none():
    values = np.array([[1.0, -0.5], [-0.5, np.nan]])
    held = xr.DataArray(values, coords={"order": [1, 2], "other_order": [1, 2]})
    figure = cancellation_figure({"a": held, "b": held.fillna(0.25)})
    first, second = (axis.collections[0].get_array() for axis in figure.axes[:2])
    assert np.ma.allclose(first, np.ma.masked_invalid(values))
    assert first.mask.sum() == 1
    assert second.ravel().tolist() == [1.0, -0.5, -0.5, 0.25]
