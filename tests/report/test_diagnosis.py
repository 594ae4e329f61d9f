"""The *ab initio* section: what stands there is what the analyses say, and it is there only if there is something to say."""

import re

import numpy as np
import pytest
import xarray as xr
from geometries import square
from trees import changed

from bodyorder.analysis import Aligned, align, group_convergence, order_changes
from bodyorder.analysis.diagnosis import largest_changes, largest_errors
from bodyorder.analysis.factors import series
from bodyorder.engine import decompose
from bodyorder.plots.diagnosis import (
    STATE_COLOURS,
    change_figure,
    error_figure,
    factor_figure,
    multiplicity_figure,
    shown,
)
from bodyorder.plots.style import Theme
from bodyorder.report import Report, render_report
from bodyorder.report.diagnosis import diagnose, doubt_table, named_table
from bodyorder.structures.hydrogen import high_density, low_density

SPECS = {
    "lowest": "pyscf:fci/sto-6g?spin=low",
    "exact": "pyscf:fci/sto-6g?spin=ground",
    "larger": "pyscf:fci/6-31g?spin=ground",
    "field": "pyscf:uhf/sto-6g?spin=ground",
}


@pytest.fixture(scope="module")
def parts():
    # the square is a triplet in the larger basis only
    frames = [*low_density(4, 1, seed=1), *high_density(4, 1, seed=3), square()]
    for index, frame in enumerate(frames):
        frame.info.update(group=("low", "high", "high")[index], name=f"s{index}")
    return {name: decompose(frames, spec, subsets=True) for name, spec in SPECS.items()}


@pytest.fixture(scope="module")
def combined(parts):
    return align(parts).data


@pytest.fixture(scope="module")
def theme(combined):
    return Theme.of([str(name) for name in combined["source"].values])


@pytest.fixture(scope="module")
def found(combined):
    return diagnose(combined)


@pytest.fixture(scope="module")
def section(found, theme):
    return {part.title: part for part in found.section(theme).parts}


def lines_of(axis):
    return [np.asarray(line.get_ydata(), dtype=float) for line in axis.get_lines()]


def test_the_section_holds_its_parts_in_the_page(parts):
    text = render_report(Report("Atomic limit", parts))
    part = text[text.index('<details id="diagnosis"') :]
    part = part[: part.index("</details>")]
    assert re.findall(r"<h3>(.*?)</h3>", part)[:3] == [
        "What the orders depend on", "Spin states of sub-clusters", "Where methods leave the exact energies",
    ]  # fmt: skip
    assert re.findall(r'<figure id="figure-(\w+)"', part) == ["factors", "changes", "multiplicities", "errors"]
    assert part.count("<figcaption>") == 4
    ids = re.findall(r'\bid="([^"]+)"', re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    assert len(ids) == len(set(ids))
    assert part.count("<table>") == part.count("<caption>") >= 4


def test_changes_of_the_data_stand_in_the_table(section, combined):
    (table,) = section["What the orders depend on"].tables
    changes = order_changes(Aligned(combined))
    np.testing.assert_array_equal(
        table.frame.iloc[:, :4], changes["change_mean"].transpose("group", "pair", "order").values.reshape(-1, 4)
    )
    noise = changes["change_noise"].transpose("group", "pair", "order").values.reshape(-1, 4)
    np.testing.assert_array_equal(table.lost.iloc[:, :4], abs(table.frame.iloc[:, :4]) <= 2 * noise)


def test_the_largest_change_is_that_of_the_data(combined):
    changes = order_changes(Aligned(combined))
    largest = largest_changes(changes)
    for place in range(changes.sizes["pair"]):
        pair = changes.isel(pair=place)
        heard = abs(pair["change_mean"]) > np.maximum(2 * pair["change_noise"], 1e-9)
        sizes = abs(pair["change_mean"]).where(heard & (pair["order"] > 1))
        own = largest.isel(pair=place)
        if not sizes.notnull().any():
            assert np.isnan(own["largest_change"])
            continue
        assert abs(own["largest_change"]) == sizes.max()
        at = pair.sel(order=own["changed_order"].item(), group=own["changed_group"].item())
        assert at["change_mean"] == own["largest_change"]
        assert at["change_total"] == own["total_change"]


def test_errors_are_counted_and_the_worst_size_is_found():
    dims = ("source", "group", "order")
    values = {"error_rms": [0.1, 0.5], "n_beyond": [0, 1], "n_compared": [2, 1]}
    errors = xr.Dataset(
        {name: (dims, [[held], [[0, 0]]][:1]) for name, held in values.items()},
        coords={"source": ["field"], "reference": ("source", ["exact"]), "group": ["high"], "order": [1, 2]},
    )
    found = largest_errors(errors).squeeze()
    assert [found[name].item() for name in ("n_compared", "n_beyond", "first_beyond", "worst_rms", "worst_size")] == [
        3,
        1,
        2,
        0.5,
        2,
    ]
    assert found["worst_group"].item() == "high"
    unknown = largest_errors(
        errors.assign(error_rms=errors["error_rms"] * np.nan, n_beyond=errors["n_beyond"] * 0)
    ).squeeze()
    assert np.isnan([unknown["worst_rms"].item(), unknown["first_beyond"].item()]).all()


def test_each_source_is_spoken_of_once(section, found):
    said = section["Where methods leave the exact energies"].sentences
    beyond, compared = (int(found.errors[name].sel(source="field").sum()) for name in ("n_beyond", "n_compared"))
    assert any(f" {beyond} of {compared} sub-clusters" in sentence for sentence in said)
    assert len(said) == found.errors.sizes["source"]
    assert len(section["What the orders depend on"].sentences) == found.changes.sizes["pair"]


def test_orders_of_a_series_are_drawn_by_factor(combined, theme):
    lines = shown(series(combined))
    assert [(line.factor, line.values) for line in lines] == [
        ("spin", ("low", "ground")), ("basis", ("sto-6g", "6-31g")), ("method", ("uhf", "fci")),
    ]  # fmt: skip
    convergence = group_convergence(Aligned(combined))
    figure = factor_figure(convergence, lines, theme)
    assert len(figure.axes) == 6
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[:2] == ["spin in fci/sto-6g\nlow", "spin in fci/sto-6g\nhigh"]
    for axis, source in zip(figure.axes[1::2], ("lowest", "larger", "field"), strict=True):
        values = convergence["group_contribution"].sel(source=source, group="high").values
        assert any(len(line) == 4 and np.allclose(line, values) for line in lines_of(axis))


def test_changes_are_drawn_from_the_anchor_whichever_way_the_pair_goes(combined, theme):
    lines = shown(series(combined))
    figure = change_figure(order_changes(Aligned(combined)), lines, theme)
    per_body = (combined["contribution"] / combined["n_bodies"]).sel(structure=["s1", "s2"]).mean("structure")
    wanted = {1: ("lowest", "exact"), 3: ("larger", "exact"), 5: ("field", "exact")}
    for place, (source, anchor) in wanted.items():
        change = (per_body.sel(source=source) - per_body.sel(source=anchor)).values
        assert any(len(line) == 4 and np.allclose(line, change, atol=1e-12) for line in lines_of(figure.axes[place]))


def test_bars_are_fractions_of_each_order(found):
    counts = np.array([[[[0, 4, 0], [6, 0, 0]]], [[[0, 4, 0], [1, 0, 3]]]])
    dims = ("source", "group", "order")
    states = xr.Dataset(
        {"n_states": ((*dims, "multiplicity"), counts), "n_unknown": (dims, np.zeros(counts.shape[:3], dtype=int))},
        coords={"source": ["lowest", "exact"], "group": ["high"], "order": [1, 2], "multiplicity": [1, 2, 3]},
    )
    figure = multiplicity_figure(states, found.names)
    (axis,) = figure.axes
    heights = {(round(bar.get_x() + 0.4), bar.get_facecolor()): bar.get_height() for bar in axis.patches}
    drawn = sorted(height for (order, _), height in heights.items() if order == 2)
    assert drawn == pytest.approx([0.0, 0.25, 0.75])
    assert [label.get_text() for label in axis.texts] == ["3"]
    assert [label.get_text() for label in figure.legends[0].get_texts()] == ["singlet", "doublet", "triplet"]
    assert len(set(STATE_COLOURS)) == len(STATE_COLOURS)


def test_errors_are_drawn_with_their_tolerance(found, theme):
    figure = error_figure(found.errors, theme, found.names)
    values = found.errors["error_rms"].sel(source="field", group="high").values
    drawn = lines_of(figure.axes[1])
    assert any(len(line) == 4 and np.allclose(line[1:], values[1:]) for line in drawn)
    assert any((line == found.errors.attrs["tolerance"]).all() for line in drawn)
    assert [label.get_text() for label in figure.legends[0].get_texts()] == ["uhf/sto-6g, spin ground"]


def test_doubts_are_listed(parts):
    counts = {
        "n_contaminated": [[0, 5, 4, 1], [0, 1, 0, 0], [0, 1, 0, 0]],
        "n_degenerate": [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]],
        "n_uncertain": np.zeros((3, 4), dtype=int),
        "n_failed": np.zeros((3, 4), dtype=int),
    }
    field = changed(
        parts["field"],
        lambda data: data.assign({name: (("structure", "order"), held) for name, held in counts.items()}),
    )
    found = diagnose(align({"exact": parts["exact"], "field": field}).data)
    frame = doubt_table(found.counts, found.names).frame
    name = "uhf/sto-6g, spin ground"
    assert frame.loc[("low", name, "spin contaminated")].tolist() == [
        "0 of 4",
        "5 of 6",
        "4 of 4",
        "1 of 1",
        "10 of 15",
    ]
    assert frame.loc[("high", name, "spin contaminated"), "all"] == "2 of 30"
    assert frame.loc[("low", name, "nearly degenerate"), "all"] == "1 of 15"
    assert ("low", name, "failed") not in frame.index


def test_potentials_alone_have_no_such_section(results):
    assert diagnose(align(results).data) is None


def test_one_exact_result_shows_its_states_alone(parts):
    alone = align(parts["exact"]).data
    found = diagnose(alone).section(Theme.of([str(name) for name in alone["source"].values]))
    named = [part.title for part in found.parts]
    assert named[0] == "Spin states of sub-clusters"
    assert [picture.name for part in found.parts for picture in part.pictures] == ["multiplicities"]


def test_results_without_subsets_show_their_orders(combined, theme):
    found = diagnose(combined.drop_dims("subset"))
    part = found.section(theme).parts[0]
    assert part.title == "What the orders depend on"
    assert [picture.name for picture in part.pictures] == ["factors", "changes"]
    assert (found.states, found.moves, found.errors) == (None, None, None)


def test_potentials_beside_exact_results_do_not_enter(parts):
    potential = changed(parts["exact"], lambda data: data.assign_attrs(source="metatomic:model.pt", family="complete"))
    found = diagnose(align({"model": potential, "lowest": parts["lowest"], "exact": parts["exact"]}).data)
    assert list(found.names) == ["lowest", "exact"]
    assert found.errors is None
    assert found.changes.sizes["pair"] == 1


def test_what_a_rule_forces_is_not_named_as_a_change():
    frames = low_density(4, 1, seed=1)
    spins = {
        spin: decompose(frames, f"pyscf:fci/sto-6g?spin={spin}", subsets=True) for spin in ("low", "ground", "high")
    }
    found = diagnose(align(spins).data)
    assert int(found.moves["n_changed"].sum()) > 0
    assert named_table(found.moves).rows == 0
