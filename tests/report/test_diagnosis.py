"""The *ab initio* section: what stands there is what the analyses say, and it is there only if there is something to say."""

import re

import ase
import numpy as np
import pytest
import xarray as xr
from bodyorder.report.diagnosis.tables import named_table
from bodyorder.report.diagnosis.text import of_changes, of_errors, of_moves
from bodyorder.report.html import render_report
from bodyorder.report.summary import of_doubts

from bodyorder.analysis import combine, group_convergence, order_changes, with_sources
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
from bodyorder.report import Report
from bodyorder.report.diagnosis import diagnose
from bodyorder.structures.hydrogen import high_density, low_density

SPECS = {
    "lowest": "pyscf:fci/sto-6g?spin=low",
    "exact": "pyscf:fci/sto-6g?spin=ground",
    "larger": "pyscf:fci/6-31g?spin=ground",
    "field": "pyscf:uhf/sto-6g?spin=ground",
}


@pytest.fixture(scope="module")
def parts():
    square = ase.Atoms("H4", [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])  # a triplet in the larger basis only
    frames = [*low_density(4, 1, seed=1), *high_density(4, 1, seed=3), square]
    for index, frame in enumerate(frames):
        frame.info.update(group=("low", "high", "high")[index], name=f"s{index}")
    return {name: decompose(frames, spec, subsets=True) for name, spec in SPECS.items()}


@pytest.fixture(scope="module")
def combined(parts):
    return combine(parts)


@pytest.fixture(scope="module")
def theme(combined):
    return Theme.of([str(name) for name in combined["source"].values])


@pytest.fixture(scope="module")
def found(combined):
    return diagnose(combined)


@pytest.fixture(scope="module")
def text(combined):
    return render_report(Report("Atomic limit", combined))


def section(text):
    start = text.index('<section id="diagnosis"')
    return text[start : text.index("</section>", start)]


def lines_of(axis):
    return [np.asarray(line.get_ydata(), dtype=float) for line in axis.get_lines()]


def test_the_section_holds_its_parts_in_the_page(text, found, theme):
    part = section(text)
    assert re.findall(r"<h3>(.*?)</h3>", part)[:3] == [
        "What the orders depend on", "Spin states of sub-clusters", "Where methods leave the exact energies",
    ]  # fmt: skip
    assert re.findall(r'<figure id="figure-(\w+)"', part) == ["factors", "changes", "multiplicities", "errors"]
    assert part.count("<figcaption>") == 4
    ids = re.findall(r'\bid="([^"]+)"', re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    assert len(ids) == len(set(ids))
    assert all(label.strip() for label in re.findall(r'aria-label="([^"]*)"', part))
    assert part.count("<table>") == part.count("<caption>") >= 4


def test_changes_of_the_data_stand_in_the_table(text, combined):
    changes = order_changes(combined)
    table = section(text)
    table = table[table.index("<table>") : table.index("</table>")]
    written = [
        float(cell.replace("−", "-"))
        for cell in re.findall(r">(−?\d+\.\d{3})(?:<span class=\"mark\">~</span>)?<small>", table)
    ]
    values = changes["change_mean"].transpose("group", "pair", "order").values.ravel()
    assert written == pytest.approx(values, abs=5.1e-4)


def test_sentences_hold_the_numbers_of_the_data(found, theme):
    said = " ".join(sentence for part in found.parts(theme) for sentence in part.sentences)
    change = found.changes.isel(pair=0).sel(group="high")
    order = int(change["change_rms"].sel(order=[2, 3, 4]).idxmax("order"))
    value = float(change["change_mean"].sel(order=order))
    expected = f"at order {order}, {value:+.3g} eV per atom" if abs(value) >= 0.05 else f"order {order}"
    assert "Spin low → ground (fci/sto-6g): At low density no order changes by more than twice its noise." in said
    assert expected.replace("-", "−") in said
    errors = found.errors.sel(source="field", group="high")
    beyond, compared = int(errors["n_beyond"].sum()), int(errors["n_compared"].sum())
    assert (
        f"At high density, uhf/sto-6g, spin ground is more than 43 meV off its reference fci/sto-6g, spin ground in {beyond} "
        f"of {compared} sub-clusters" in said
    )
    moved = found.moves.isel(pair=0)
    changed = int(moved["n_changed"].sum())
    assert (
        "Basis sto-6g → 6-31g (fci, spin ground): 1 of 45 sub-clusters changes its multiplicity (1 of 4 bodies)" in said
    )
    assert "bodies 0, 1, 2, 3 of s2 changes most" in said
    first = f"Spin low → ground (fci/sto-6g): {changed} of 45 sub-clusters" if changed else "no sub-cluster of 45"
    assert first in said


def test_orders_of_a_series_are_drawn_by_factor(combined, theme):
    lines = shown(series(combined))
    assert [(line.factor, line.values) for line in lines] == [
        ("spin", ("low", "ground")), ("basis", ("sto-6g", "6-31g")), ("method", ("uhf", "fci")),
    ]  # fmt: skip
    convergence = group_convergence(combined)
    figure = factor_figure(convergence, lines, theme)
    assert len(figure.axes) == 6
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[:2] == ["spin in fci/sto-6g\nLow density", "spin in fci/sto-6g\nHigh density"]
    for axis, source in zip(figure.axes[1::2], ("lowest", "larger", "field"), strict=True):
        values = convergence["group_contribution"].sel(source=source, group="high").values
        assert any(len(line) == 4 and np.allclose(line, values) for line in lines_of(axis))


def test_changes_are_drawn_from_the_anchor_whichever_way_the_pair_goes(combined, theme):
    lines = shown(series(combined))
    figure = change_figure(order_changes(combined), lines, theme)
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


def test_doubts_are_said_and_listed(parts):
    field = parts["field"].assign(
        n_contaminated=(("structure", "order"), [[0, 5, 4, 1], [0, 1, 0, 0], [0, 1, 0, 0]]),
        n_degenerate=(("structure", "order"), [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]),
        n_uncertain=(("structure", "order"), np.zeros((3, 4), dtype=int)),
        n_failed=(("structure", "order"), np.zeros((3, 4), dtype=int)),
    )
    silent = parts["exact"].drop_vars(["n_contaminated", "n_degenerate", "n_uncertain"], errors="ignore")
    text = render_report(Report("Doubts", combine({"exact": silent, "field": field})))
    sentence = "12 of 45 sub-clusters of uhf/sto-6g, spin ground are spin contaminated, 1 is nearly degenerate."
    assert f"<li>{sentence}</li>" in text[: text.index('<section id="diagnosis"')]
    part = section(text)
    part = part[part.index("<h3>What is in doubt</h3>") :]
    assert sentence in part
    assert "<td>5 of 6</td><td>4 of 4</td><td>1 of 1</td><td>10 of 15</td>" in part


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"n_failed": 1}, "1 of 15 sub-clusters of x failed."),
        ({"n_uncertain": 2}, "2 of 15 sub-clusters of x have uncertain energies."),
        ({"n_degenerate": 1, "n_failed": 2}, "1 of 15 sub-clusters of x is nearly degenerate, 2 failed."),
        ({"n_contaminated": 0}, None),
    ],
)
def test_doubts_read_as_sentences(numbers, expected):
    dims = ("source", "group", "order")
    counts = xr.Dataset(
        {name: (dims, [[[0.0, float(value)]]]) for name, value in numbers.items()}
        | {"n_clusters": (dims, [[[4.0, 11.0]]])},
        coords={"source": ["a"], "group": ["low"], "order": [1, 2]},
    )
    assert of_doubts(counts, {"a": "x"}) == ([expected] if expected else [])


def test_potentials_alone_have_no_such_section(results, separate):
    assert diagnose(results) is None
    assert 'id="diagnosis"' not in render_report(Report("Potentials", separate["pairs"]))


def test_one_exact_result_shows_its_states_alone(parts, theme):
    alone = with_sources(parts["exact"])
    found = diagnose(alone)
    (part,) = found.parts(Theme.of([str(name) for name in alone["source"].values]))
    assert part.heading == "Spin states of sub-clusters"
    assert [name for name, *_ in part.figures] == ["multiplicities"]


def test_results_without_subsets_show_their_orders(combined, theme):
    found = diagnose(combined.drop_dims("subset"))
    part = found.parts(theme)[0]
    assert part.heading == "What the orders depend on"
    assert [name for name, *_ in part.figures] == ["factors", "changes"]
    assert (found.states, found.moves, found.errors) == (None, None, None)


def test_potentials_beside_exact_results_do_not_enter(parts, theme):
    potential = parts["exact"].assign_attrs(source="metatomic:model.pt", family="complete")
    found = diagnose(combine({"model": potential, "lowest": parts["lowest"], "exact": parts["exact"]}))
    assert list(found.names) == ["lowest", "exact"]
    assert found.errors is None
    assert found.changes.sizes["pair"] == 1


def errors_of(rms, beyond, correlation=np.nan):
    """Errors of one source at high density, of two orders."""
    dims = ("source", "group", "order")
    values = {
        "error_rms": rms, "error_largest": [-2 * value for value in rms], "n_beyond": beyond, "n_compared": [2, 1],
        "error_contamination": [correlation, np.nan], "order_rmse": [0.0, 0.25], "order_bias": [0.0, -0.25],
        "order_share": [0.0, 0.1],
    }  # fmt: skip
    coordinates = {"source": ["field"], "reference": ("source", ["exact"]), "group": ["high"], "order": [1, 2]}
    variables = {name: (dims, [[held]]) for name, held in values.items()}
    return xr.Dataset(variables, coords=coordinates, attrs={"tolerance": 0.043})


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        (
            errors_of([0.0, 0.01], [0, 0]),
            "At high density, UHF is within 43 meV of its reference FCI in all of 3 sub-clusters; the largest error is 20.0 meV.",
        ),
        (
            errors_of([0.0, 0.5], [0, 1], 0.9),
            "At high density, UHF is more than 43 meV off its reference FCI in 1 of 3 sub-clusters, from 2 bodies on; the RMS "
            "error is largest for 2 bodies, 0.500 eV, and errors grow with the spin contamination (r = 0.90 at order 1). In the "
            "orders it errs most at order 2, by −0.250 eV per atom, 10 % of that order.",
        ),
        (
            errors_of([1.0, 0.5], [2, 1], -0.2),
            "At high density, UHF is more than 43 meV off its reference FCI in 3 of 3 sub-clusters, from 1 body on; the RMS "
            "error is largest for 1 body, 1.00 eV, and errors do not follow the spin contamination (r = −0.20 at order 1). In "
            "the orders it errs most at order 2, by −0.250 eV per atom, 10 % of that order.",
        ),
    ],
)
def test_errors_read_as_sentences(errors, expected):
    assert of_errors(errors, {"field": "UHF", "exact": "FCI"}, "atom") == [expected]


def test_what_a_rule_forces_is_not_said_to_change():
    frames = low_density(4, 1, seed=1)
    spins = {
        spin: decompose(frames, f"pyscf:fci/sto-6g?spin={spin}", subsets=True) for spin in ("low", "ground", "high")
    }
    found = diagnose(combine(spins))
    said = of_moves(found.moves, found.lines)
    assert said == ["Spin low → ground (fci/sto-6g): no sub-cluster of 15 changes its multiplicity."]
    assert int(found.moves["n_changed"].sum()) > 0
    assert named_table(found.moves).rows == []


def test_missing_orders_are_said_to_be_missing(parts):
    whole, cut = parts["exact"], parts["lowest"].copy(deep=True)
    cut["contribution"][0, 1:] = np.nan
    cut["contribution"][1:, 3] = np.nan
    found = diagnose(combine({"cut": cut, "whole": whole}))
    (sentence,) = of_changes(found.changes, found.lines, "atom")
    assert sentence.startswith(
        "Spin low → ground (fci/sto-6g): At low density all orders from 2 on are missing. At high density "
    )
    assert "(missing: order 4)" in sentence
