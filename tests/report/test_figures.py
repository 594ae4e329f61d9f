import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from bodyorder.analysis import compare, group_convergence, one_body_energies, with_sources
from bodyorder.report.figures import loss_figure, one_body_figure, order_totals_figure, truncation_figure
from bodyorder.report.scatter import scatter_figure
from bodyorder.report.style import Theme, render_svg


def lines_of(axis):
    return [np.column_stack(line.get_data()) for line in axis.get_lines()]


def texts_of(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


@pytest.fixture(scope="module")
def theme(results):
    return Theme.of([str(name) for name in results["source"].values], "many-body")


@pytest.fixture(scope="module")
def convergence(results):
    return group_convergence(results)


@pytest.fixture(scope="module")
def comparison(results):
    return compare(results, "many-body")


def test_order_totals_stand_where_the_data_say(convergence, theme):
    figure = order_totals_figure(convergence, theme)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["Low density", "High density"]
    for axis, group in zip(figure.axes, ("low", "high"), strict=True):
        drawn = [line[:, 1] for line in lines_of(axis)]
        for source in theme.sources:
            values = convergence["group_contribution"].sel(group=group, source=source).values
            assert any(len(line) == len(values) and np.allclose(line, values) for line in drawn)
        assert "(eV per atom)" in figure.axes[0].get_ylabel()
        assert axis.get_xlabel() == "body order $n$"


def test_wide_totals_are_logarithmic_and_narrow_ones_are_not(convergence, theme):
    assert order_totals_figure(convergence, theme).axes[0].get_yscale() == "symlog"
    narrow = convergence.copy()
    narrow["group_contribution"] = narrow["group_contribution"] * 0 + np.linspace(1, 2, narrow.sizes["order"])
    assert order_totals_figure(narrow, theme).axes[0].get_yscale() == "linear"


def test_truncation_errors_below_the_axis_are_marked_and_not_drawn(convergence, theme):
    figure = truncation_figure(convergence, theme)
    axis = figure.axes[0]
    foot = axis.get_ylim()[0]
    assert axis.get_yscale() == "log"
    errors = convergence["group_truncation_error"].sel(group="low", source="pairs").values
    assert (errors[1:] < foot).all()
    marked = [line for line in axis.get_lines() if line.get_marker() == "v" and line.get_markerfacecolor() == "white"]
    assert sum(len(line.get_xdata()) for line in marked) >= len(errors) - 1
    assert "10 meV per atom" in texts_of(figure)


def test_scatter_writes_the_rmse_of_each_source_in_each_panel(results, comparison, theme):
    figure = scatter_figure(results, comparison, "high", theme)
    assert len(figure.axes) == 5
    for axis, order in zip(figure.axes, range(1, 6), strict=True):
        inside = (results["subset_order"].values == order) & (results["subset_structure"].values >= 2)
        values = results["subset_contribution"].values[:, inside]
        rmse = np.sqrt(((values - values[0]) ** 2).mean(axis=1))[1:]
        written = [text.get_text() for text in axis.texts]
        assert len(written) == 2
        for error, text in zip(rmse, written, strict=True):
            if text.startswith("<"):
                assert error < 1e-4
            else:
                number, unit = text.split()
                assert float(number) * {"eV": 1, "meV": 1e-3}[unit] == pytest.approx(error, rel=1e-2)
        points = [line for line in axis.get_lines() if line.get_linestyle() == "None"]
        assert [len(line.get_xdata()) for line in points] == [inside.sum()] * 2


def test_scatter_shows_structures_where_there_are_no_subsets(results, theme):
    bare = results.drop_dims("subset")
    figure = scatter_figure(bare, compare(bare, "many-body"), "low", theme)
    points = [line for line in figure.axes[1].get_lines() if line.get_linestyle() == "None"]
    totals = (bare["contribution"] / bare["n_bodies"]).sel(order=2).isel(structure=[0, 1])
    scale = 1e3 if "(meV" in figure.axes[1].get_title(loc="left") else 1
    np.testing.assert_allclose(points[0].get_ydata(), scale * totals.sel(source="pairs").values)


def test_isolated_atoms_stand_at_their_energies(results, theme):
    energies = one_body_energies(results) * 0 + np.array([[-13.6], [-13.5], [np.nan]])
    figure = one_body_figure(energies, "many-body", theme)
    assert texts_of(figure) == ["−13.600", "−13.500 (+0.100)"]
    assert figure.axes[0].get_title(loc="left") == "H"


def test_losses_are_drawn_for_each_model(theme):
    curves = {
        "pairs": {"epoch": [1, 2, 3], "training": [3.0, 1.0, 0.5], "validation": [4.0, 2.0, 1.5]},
        "another": {"epoch": [1, 2], "training": [2.0, 1.0]},
    }
    figure = loss_figure(curves, theme)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["pairs", "another"]
    assert [line[:, 1].tolist() for line in lines_of(figure.axes[0])] == [[3.0, 1.0, 0.5], [4.0, 2.0, 1.5]]
    assert figure.axes[0].get_lines()[0].get_color() == theme.sources["pairs"].colour


def test_sources_keep_their_colour_and_the_reference_is_black():
    names = [f"source {index}" for index in range(12)]
    theme = Theme.of(names, "source 3")
    assert theme.sources["source 3"].colour == "#000000"
    assert next(iter(theme.sources)) == "source 3"
    looks = {(style.colour, str(style.dash)) for style in theme.sources.values()}
    assert len(looks) == len(names)


def test_svg_can_stand_beside_others(convergence, theme):
    figure = order_totals_figure(convergence, theme)
    first, second = (render_svg(figure, name, 'totals "<of>" all') for name in ("a", "b"))
    assert ElementTree.fromstring(first).attrib["aria-label"] == 'totals "<of>" all'
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert not ids[0] & ids[1]
    for svg, own in zip((first, second), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)
        assert used
        assert set(used) <= own
        assert "<metadata" not in svg


def test_figures_leave_the_users_matplotlib_alone(separate):
    with matplotlib.rc_context({"font.size": 31.0, "axes.titlelocation": "right"}):
        before = dict(matplotlib.rcParams)
        alone = with_sources(separate["pairs"])
        figure = order_totals_figure(group_convergence(alone), Theme.of(_names(alone)))
        render_svg(figure, "a", "totals")
        assert dict(matplotlib.rcParams) == before
    assert figure.axes[0].xaxis.label.get_fontsize() == 9.5


def _names(results):
    return [str(name) for name in results["source"].values]
