"""Plots on given and new axes: what is drawn is what the analyses say, noise is a band, users keep their settings."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from bodyorder import plots
from bodyorder._checks import InputError
from bodyorder.analysis import align, compare, group_convergence, one_body_energies
from bodyorder.plots.convergence import convergence_figure
from bodyorder.plots.losses import loss_figure
from bodyorder.plots.one_body import one_body_figure
from bodyorder.plots.parity import parity_figure
from bodyorder.plots.style import Theme


@pytest.fixture(autouse=True)
def closed():
    matplotlib.use("agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def theme(results):
    return Theme.of([str(name) for name in results["source"].values], "many-body")


@pytest.fixture(scope="module")
def convergence(results):
    return group_convergence(results)


def lines_of(axis):
    return [np.column_stack(line.get_data()) for line in axis.get_lines()]


def texts_of(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def shown_in(axis, values):
    return any(len(line) == len(values) and np.allclose(line[:, 1], values) for line in lines_of(axis))


def noisy(results, sigma):
    changed = results.copy(deep=True)
    changed["noise"] = changed["contribution"] * 0 + sigma
    return changed


@pytest.mark.parametrize("kind", ["orders", "truncation", "noise"])
def test_given_axes_are_drawn_on_and_new_ones_are_made(results, kind):
    _, axis = plt.subplots()
    assert getattr(plots, kind)(results, axis) is axis
    made = getattr(plots, kind)(results)
    assert made is not axis
    assert made.figure in map(plt.figure, plt.get_fignums())


def test_totals_of_every_source_stand_where_the_data_say(results, separate, convergence):
    for given in (results, separate, align(results)):
        axis = plots.orders(given, group="thin", reference="pairs")
        for source in convergence["source"].values:
            assert shown_in(axis, convergence["group_contribution"].sel(group="thin", source=source).values)
        assert [text.get_text() for text in axis.get_legend().get_texts()] == ["pairs", "many-body", "triples"]
        assert "(eV per atom)" in axis.get_ylabel()
        assert axis.get_xlabel() == "body order $n$"


def test_groups_of_one_source_have_colours_by_their_order(separate):
    axis = plots.orders(separate["triples"])
    texts, handles = [text.get_text() for text in axis.get_legend().get_texts()], axis.get_legend_handles_labels()[0]
    assert texts == ["thin", "dense"]
    assert len({handle.lines[0].get_color() for handle in handles}) == 2


def test_noise_is_a_band_to_twice_its_size(separate):
    axis = plots.orders(noisy(separate["pairs"], 0.08), group="thin")
    (band,) = axis.collections[:1]
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((-0.04, 0.04))  # 2σ of 4 atoms, per atom


def test_totals_below_twice_their_noise_are_open(separate):
    result = separate["pairs"]
    contribution = np.abs(group_convergence(result)["group_contribution"].sel(group="thin").values.ravel())
    axis = plots.noise(noisy(result, 0.08), group="thin")
    lost = np.isclose(contribution, 0)
    assert lost.tolist() == [True, False, True, True, True]  # all but the pairs of a pair potential
    (open_,) = [line for line in axis.get_lines() if line.get_markerfacecolor() == "white"]
    assert open_.get_xdata().tolist() == [1, 3, 4, 5]
    assert shown_in(axis, np.where(lost, axis.get_ylim()[0], contribution))


def test_truncation_errors_below_the_axis_are_marked_and_not_drawn(results, convergence):
    axis = plots.truncation(results, group="thin")
    foot = axis.get_ylim()[0]
    assert axis.get_yscale() == "log"
    errors = convergence["group_truncation_error"].sel(group="thin", source="pairs").dropna("order").values
    assert (errors[1:] < foot).all()
    marked = [line for line in axis.get_lines() if line.get_marker() == "v" and line.get_markerfacecolor() == "white"]
    assert sum(len(line.get_xdata()) for line in marked) >= len(errors) - 1
    assert "10 meV per atom" in [text.get_text() for text in axis.texts]


def test_parity_draws_every_sub_cluster_of_an_order_against_the_reference(results):
    data = align(results).data
    inside = (data["subset_order"].values == 2) & (data["subset_structure"].values < 2)
    axis = plots.parity(results, "many-body", order=2, group="thin")
    points = {line.get_label(): line.get_xydata() for line in axis.get_lines() if line.get_linestyle() == "None"}
    assert list(points) == ["pairs", "triples"]
    values = data["subset_contribution"].isel(subset=inside)
    scale = 1e3 if "(meV)" in axis.get_xlabel() else 1
    expected = scale * np.column_stack([values.sel(source=name).values for name in ("many-body", "pairs")])
    np.testing.assert_allclose(points["pairs"], expected)
    every = plots.parity(results, "many-body").get_lines()[1]
    assert len(every.get_xdata()) == (data["subset_order"].values > 1).sum()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "thn"}, r"`group` must be one of .*'thn'.*did you mean 'thin'"),
        ({"order": 9}, r"`order` must be one of 1, 2, .*'9'"),
        ({"reference": "pair"}, r"`reference` must be one of .*did you mean 'pairs'"),
    ],
)
def test_what_is_not_there_is_refused(results, options, message):
    with pytest.raises(InputError, match=message):
        plots.parity(results, **({"reference": "pairs"} | options))


def test_wide_totals_are_logarithmic_and_narrow_ones_are_not(convergence, theme):
    assert convergence_figure("orders", convergence, theme).axes[0].get_yscale() == "symlog"
    narrow = convergence.copy()
    narrow["group_contribution"] = narrow["group_contribution"] * 0 + np.linspace(1, 2, narrow.sizes["order"])
    assert convergence_figure("orders", narrow, theme).axes[0].get_yscale() == "linear"


def test_figures_have_a_panel_for_each_group_by_its_own_name(convergence, theme):
    for kind in ("orders", "truncation", "noise"):
        figure = convergence_figure(kind, convergence, theme)
        assert [axis.get_title(loc="left") for axis in figure.axes] == ["thin", "dense"]


def test_parity_writes_the_rmse_of_each_source_in_each_panel(results, theme):
    data = align(results).data
    figure = parity_figure(data, compare(results, "many-body"), "dense", theme)
    assert len(figure.axes) == 5
    for axis, order in zip(figure.axes, range(1, 6), strict=True):
        inside = (data["subset_order"].values == order) & (data["subset_structure"].values >= 2)
        values = data["subset_contribution"].values[:, inside]
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


def test_parity_shows_structures_where_there_are_no_subsets(results, theme):
    data = align(results).data.drop_dims("subset")
    figure = parity_figure(data, compare(results, "many-body"), "thin", theme)
    points = [line for line in figure.axes[1].get_lines() if line.get_linestyle() == "None"]
    totals = (data["contribution"] / data["n_bodies"]).sel(order=2).isel(structure=[0, 1])
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


def test_plots_leave_the_users_matplotlib_alone(results):
    with matplotlib.rc_context({"font.size": 31.0, "axes.titlelocation": "right"}):
        before = dict(matplotlib.rcParams)
        _, axis = plt.subplots()
        assert plots.orders(results, axis).xaxis.label.get_fontsize() == 31.0
        assert plots.orders(results).xaxis.label.get_fontsize() == 9.5
        assert dict(matplotlib.rcParams) == before
