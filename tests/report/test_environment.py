"""Orders in their environment: tables with known outcome, and what is drawn, listed and said of them."""

from itertools import product

import numpy as np
import pytest
import xarray as xr

from bodyorder.analysis.alignment import UNGROUPED
from bodyorder.plots.style import Theme
from bodyorder.report.environment import environment_parts
from bodyorder.report.environment.figures import FOOT, STRIP, function_figure, order_figure
from bodyorder.report.environment.views import Environment, Row
from bodyorder.report.svg import svg

THEME = Theme.of(["any"])

HEADINGS = [
    "Orders in vacuum, in their environment, and shared by all clusters",
    "Pairs and triples in their environment",
]

GROUPS = ("low", "high", "low-h4")
FUNCTIONS = ("pairs of order 2", "triples of order 3")

#: Of clusters of three atoms in eV per atom; all orders of low-h4 are not known.
VACUUM = np.array([[2.0, 0.01, 1e-15], [0.8, 4.8, 2e-15], [2.0, np.nan, np.nan]])
INSIDE = np.array([[1.0, 0.002, 1e-14], [0.5, 0.44, 1e-14], [np.nan] * 3])
LEFT_OUT = np.array([[1.2, 0.003, np.nan], [0.55, 0.6, np.nan], [np.nan] * 3])

#: Mean terms and contributions in vacuum (eV) of pairs in three ranges, and how many there are; the same in all groups but
#: that terms of group low are those in vacuum.
TERMS, ALONE, COUNTS = np.array([-1.0, 0.2, 0.1]), np.array([-4.5, -1.5, -0.5]), np.array([2.0, 10.0, 4.0])


def measures(off: float, alone: float, factor: float = 1.0) -> xr.Dataset:
    """Of the reference, or of a model whose errors are ``factor`` times as large and whose functions are off by so much."""
    dims = ("function", "group", "species", "bin")
    pairs = np.stack([ALONE, TERMS, np.full(3, np.nan)])
    terms = np.full((2, 3, 2, 3), np.nan)
    terms[0, :, 0], terms[1, :2, 1] = pairs + off, 2 * pairs[:2]
    vacuum, counts = np.full_like(terms, np.nan), np.zeros(terms.shape)
    vacuum[0, :2, 0], vacuum[1, :2, 1] = ALONE + alone, 3.0
    counts[0, :2, 0], counts[1, :2, 1] = COUNTS, COUNTS / 2
    rows = ("group", "order")
    return xr.Dataset(
        {
            "group_contribution": (rows, np.where(np.isfinite(VACUUM), 1.0, np.nan)),
            "group_truncation_error": (rows, factor * VACUUM),
            "group_truncation_noise": (rows, np.full((3, 3), 2e-8)),
            "group_environment_rms": (rows, factor * INSIDE),
            "group_environment_residual": (rows, factor * INSIDE / 10),
            "group_environment_left_out": (rows, factor * LEFT_OUT),
            "group_environment_validation": (rows, np.array([[1.3, np.nan, np.nan], [0.6, 0.9, np.nan], [np.nan] * 3])),
            "group_environment_noise": (rows, np.full((3, 3), 4e-10)),
            "term_mean": (dims, terms),
            "term_spread": (dims, np.where(np.isfinite(terms), 0.3, np.nan)),
            "vacuum_mean": (dims, vacuum),
            "vacuum_spread": (dims, np.where(np.isfinite(vacuum), 0.1, np.nan)),
            "n_terms": (dims, counts),
        },
        coords={
            "group": list(GROUPS), "order": [1, 2, 3], "function": list(FUNCTIONS), "species": ["H-H", "H-H-H"],
            "bin": [0.5, 1.5, 2.5],
        },
    )  # fmt: skip


def about(training_set: str, model: str, seed: int = 1) -> dict[str, object]:
    """Coordinates of a cell."""
    name = f"{model}/{training_set}"
    return {
        "run": f"{name}/seed={seed}", "training": name, "model": model, "training_set": training_set, "whole": True,
        "groups": {"both": "low,high"}.get(training_set, training_set), "n_clusters": 80, "seed": seed,
        "explicit": model == "line", "nominal_order": 2.0 if model == "line" else np.nan,
    }  # fmt: skip


def make_table(training_sets=("low", "high"), models=("line", "net"), seeds=(0.9, 1.1)) -> xr.Dataset:
    """A table of the reference, of ``line``, and of ``net``, whose functions are off in vacuum alone."""
    entries = [(measures(0.0, 0.0), about("", "fci"))]
    for training_set, model, (seed, factor) in product(training_sets, models, enumerate(seeds, 1)):
        off = {"line": 0.4 * factor, "net": 0.1 * factor}[model]
        alone = {"line": 0.4 * factor, "net": 2.0 * factor}[model]
        entries.append((measures(off, alone, factor * (2 if model == "net" else 1)), about(training_set, model, seed)))
    parts = [
        part.expand_dims("run").assign_coords({key: ("run", [value]) for key, value in held.items()})
        for part, held in entries
    ]
    return xr.concat(parts, "run", data_vars="all", coords="minimal", compat="override").assign_attrs(reference="fci")


#: What is missed (eV per atom) of whom by students of order 2 and 4, and the own errors of these, by training set.
LESSONS = {
    ("low", "fci"): (7e-4, 1e-4, 0.0), ("low", "net"): (5e-4, 2e-4, 1e-3),
    ("high", "fci"): (0.24, 0.09, 0.0), ("high", "net"): (0.2, 0.05, 0.08), ("high", "other"): (0.3, 0.2, 0.1),
}  # fmt: skip


def make_lessons(training_sets=("low", "high"), seeds=(0.9, 1.1)) -> xr.Dataset:
    """What explicit models miss of the reference and of models."""
    rows = []
    for (training_set, teacher), (*errors, own) in LESSONS.items():
        for (seed, factor), (student, order, error) in product(
            enumerate(seeds, 1), zip(("four", "two"), (4, 2), reversed(errors), strict=True)
        ):
            if training_set in training_sets:
                rows.append(
                    {
                        "teacher": teacher, "training_set": training_set, "student": student, "student_order": order,
                        "seed": seed, "training": f"{student}/{training_set} of {teacher}", "distilled_rmse": factor * error,
                        "teacher_rmse": factor * own,
                    }
                )  # fmt: skip
    table = xr.Dataset({name: ("run", np.array([row[name] for row in rows])) for name in rows[0]})
    measured = ("distilled_rmse", "teacher_rmse")
    return table.set_coords([name for name in rows[0] if name not in measured]).assign_attrs(reference="fci")


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.fixture(scope="module")
def distilled():
    return make_lessons()


@pytest.fixture(scope="module")
def environment(table, distilled):
    return Environment.of(table, distilled, "atom")


@pytest.fixture(scope="module")
def orders(environment):
    return order_figure(environment)


@pytest.fixture(scope="module")
def parts(table, distilled):
    return {part.heading: part for part in environment_parts(table, distilled, THEME)}


def points(axis, colour):
    """What is drawn with bars in one colour: x, y and half the lengths of the bars."""
    (drawn,) = [held for held in axis.containers if held.lines[0].get_color() == colour]
    line, _, bars = drawn.lines
    halves = [np.ptp(path.vertices[:, 1]) / 2 for path in bars[0].get_paths() if len(path.vertices)] if bars else []
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata(), dtype=float), np.array(halves)


def dashed(axis, colour):
    """The dashed line of one colour."""
    (line,) = [line for line in axis.lines if line.get_color() == colour and line.get_linestyle() == "--"]
    return line


def titles(figure):
    return [axis.get_title(loc="left") for axis in figure.axes]


def said(parts):
    return [sentence for part in parts for sentence in part.sentences]


def test_rows_are_complete_groups_with_their_make_ups(environment, table):
    assert environment.rows == [Row("low", "low", "low"), Row("high", "high", "high")]
    both = Environment.of(make_table(training_sets=("both",)), make_lessons(("high",)), "atom")
    assert both.rows == [Row("low", "both", None), Row("high", "both", "high")]
    shared = make_lessons(("high",)).assign_coords(training_set=("run", ["both"] * 12))
    assert Environment.of(make_table(training_sets=("both",)), shared, "atom").rows[0] == Row("low", "both", "both")
    # explicit models may learn on a training set that no model in the table is trained on
    assert Environment.of(table, shared, "atom").rows[0] == Row("low", "low", "both")
    assert Environment.of(table.isel(run=[0]), None, "atom").rows == [Row("low", None, None), Row("high", None, None)]


def test_errors_stand_side_by_side_and_shared_functions_on_an_axis_of_their_own(orders):
    assert titles(orders) == [
        f"{group} density: {way}"
        for group in ("Low", "High")
        for way in ("in vacuum", "in environment", "shared functions")
    ]
    assert {axis.get_yscale() for axis in orders.axes} == {"log"}
    for row in (orders.axes[:3], orders.axes[3:]):
        assert row[0].get_ylim() == row[1].get_ylim() != row[2].get_ylim()
    assert orders.axes[3].get_ylim() != orders.axes[0].get_ylim()


def test_errors_of_the_reference_and_of_implicit_models_are_drawn(environment, orders):
    for axis, values in zip(
        np.array(orders.axes)[[0, 1, 3, 4]], (VACUUM[0], INSIDE[0], VACUUM[1], INSIDE[1]), strict=True
    ):
        x, y, bars = points(axis, "#000000")
        np.testing.assert_array_equal(np.round(x), [1, 2, 3])
        np.testing.assert_allclose(y, [*values[:2], np.nan])
        assert not len(bars)
        _, y, bars = points(axis, environment.theme.sources["net"].colour)
        np.testing.assert_allclose(y[:2], 2 * values[:2])
        np.testing.assert_allclose(bars[:2], 2 * values[:2] * np.std([0.9, 1.1], ddof=1))
        colours = {held.lines[0].get_color() for held in axis.containers}
        assert environment.theme.sources["line"].colour not in colours


def test_exact_zeros_do_not_stretch_the_axis(orders):
    axis = orders.axes[0]
    bottom, top = axis.get_ylim()
    assert FOOT <= bottom <= 1e-3
    assert top < 10
    marks = [line for line in axis.lines if line.get_marker() == "v" and line.get_markerfacecolor() == "white"]
    assert [(round(line.get_xdata()[0]), line.get_ydata()[0]) for line in marks] == [(3, bottom), (3, bottom)]


def test_sub_clusters_that_are_left_out_are_dashed(orders):
    for axis, values in zip(orders.axes[1::3], LEFT_OUT, strict=False):
        line = dashed(axis, "#000000")
        np.testing.assert_array_equal(line.get_xdata(), [1, 2])
        np.testing.assert_allclose(line.get_ydata(), values[:2])


def test_shared_functions_are_drawn_by_the_order_of_the_student(environment, orders):
    axis = orders.axes[5]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["2", "4"]
    for teacher in ("fci", "net", "other"):
        x, y, bars = points(axis, environment.theme.sources[teacher].colour)
        np.testing.assert_array_equal(np.round(x), [2, 4])
        np.testing.assert_allclose(y, LESSONS["high", teacher][:2])
        np.testing.assert_allclose(bars, np.array(LESSONS["high", teacher][:2]) * np.std([0.9, 1.1], ddof=1))
    own = [(held.get_color()[0], held.get_segments()[0]) for held in axis.collections if len(held.get_segments()) == 1]
    assert [segment[0][1] for _, segment in own] == pytest.approx([0.08, 0.1])
    assert all(0.85 < segment[0][0] < segment[1][0] <= 1 for _, segment in own)
    legend = orders.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == [
        "fci", "net", "other", "each sub-cluster left out", "own error of a model",
    ]  # fmt: skip


def test_what_a_constant_misses_is_drawn_if_it_is_known(table, distilled):
    deviation = np.tile([0.05, 0.275, np.nan], (table.sizes["run"], 1))
    known = table.assign(group_total_deviation=(("run", "group"), deviation))
    first, _ = environment_parts(known, distilled, THEME)
    axis = first.figures[0][1].axes[5]
    assert 0.275 in [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == ":"]
    assert "of new clusters, whose energies are spread by 0.275 eV per atom" in first.sentences[1]
    assert "which a constant misses" in first.figures[0][3]


def test_functions_are_drawn_with_their_spread_beside_those_in_vacuum(environment):
    figure = function_figure(environment, environment.functions)
    assert titles(figure) == [
        "Low density: pairs of order 2",
        "High density: pairs of order 2",
        "Low density: triples of order 3",
        "High density: triples of order 3",
    ]
    axis = figure.axes[1]
    solid = {line.get_color(): line for line in axis.lines if line.get_marker() == "."}
    np.testing.assert_allclose(solid["#000000"].get_ydata(), TERMS)
    np.testing.assert_allclose(solid[environment.theme.sources["net"].colour].get_ydata(), TERMS + 0.1)
    np.testing.assert_allclose(dashed(axis, "#000000").get_ydata(), ALONE)
    (band,) = [held for held in axis.collections if held.get_alpha()]
    assert band.get_datalim(axis.transData).y0 == pytest.approx(TERMS[0] - 0.3)
    low, high = axis.get_ylim()
    # the axis holds the terms of the reference and lets its contributions in vacuum leave
    assert ALONE[0] < low < TERMS.min() - 0.3 < TERMS.max() + 0.3 < high
    (strip,) = [patch for patch in axis.patches if hasattr(patch, "get_data")]
    np.testing.assert_allclose(strip.get_data().values, STRIP * COUNTS / 10)


def test_one_element_has_one_figure_and_several_have_one_for_each_kind(table):
    names = ["term_mean", "term_spread", "vacuum_mean", "vacuum_spread", "n_terms"]
    others = table[names].assign_coords(species=["H-O", "H-H-O"])
    others["n_terms"] = 3 * others["n_terms"]
    several = table.drop_vars([*names, "species"]).merge(xr.concat([table[names], others], "species"))
    (one,) = environment_parts(table, None, THEME)[1].figures
    assert one[0] == "environment-functions0"
    part = environment_parts(several.assign_attrs(table.attrs), None, THEME)[1]
    shown = [titles(figure)[0] for _, figure, *_ in part.figures]
    # those of which there are most first
    assert shown == [
        "Low density: H-O, pairs of order 2", "Low density: H-H, pairs of order 2",
        "Low density: H-H-O, triples of order 3", "Low density: H-H-H, triples of order 3",
    ]  # fmt: skip
    assert len(part.tables) == 4


def test_errors_by_order_in_a_table(parts):
    orders, _ = parts[HEADINGS[0]].tables
    assert orders.columns == ["source", "error", *(f"<i>n</i> = {n}" for n in (1, 2, 3))]
    assert (
        "Of 3 bodies there are 3, 6, 7 terms of up to 1 … 3 bodies, and 7 energies of sub-clusters." in orders.caption
    )
    assert orders.groups[9:] == ["High density, models trained on high"] * 9
    assert orders.rows[9:] == [
        ["fci", "whole, vacuum", "800", "4800", "0"],
        ["fci", "noise of it", "2·10⁻⁵", "2·10⁻⁵", "2·10⁻⁵"],
        ["fci", "whole, environment", "50", "44", "0"],
        ["fci", "noise of it", "4·10⁻⁷", "4·10⁻⁷", "4·10⁻⁷"],
        ["fci", "sub-clusters", "500", "440", "0"],
        ["fci", "each left out", "550", "600", "—"],
        ["fci", "sizes left out", "600", "900 (1 of 3)", "—"],
        ["line", "sub-clusters", "500 ± 71", "440 ± 62", "0"],
        ["net", "sub-clusters", "1000 ± 141", "880 ± 124", "0"],
    ]


def test_lessons_in_a_table(parts):
    _, held = parts[HEADINGS[0]].tables
    assert held.columns == ["learnt from", "two<br>order 2", "four<br>order 4", "own error", "enough"]
    assert held.groups == ["trained on low"] * 2 + ["trained on high"] * 3
    assert held.rows == [
        ["fci", "0.70 ± 0.10", "0.10 ± 0.01", "—", "—"],
        ["net", "0.50 ± 0.07", "0.20 ± 0.03", "1.0 ± 0.1", "2"],
        ["fci", "240 ± 34", "90 ± 13", "—", "—"],
        ["net", "200 ± 28", "50 ± 7", "80 ± 11", "4"],
        ["other", "300 ± 42", "200 ± 28", "100 ± 14", "none up to 4"],
    ]


def test_deviations_of_functions_in_a_table(parts):
    (held,) = parts[HEADINGS[1]].tables
    assert held.columns[1:] == [
        "pairs of order 2, H-H", "triples of order 3, H-H-H", "H-H in vacuum", "H-H-H in vacuum",
    ]  # fmt: skip
    assert held.rows[:3] == [
        ["fci, spread", "0.300", "0.300", "0.100", "0.100"],
        ["line", "0.40 ± 0.06", "0 ± 0", "0.40 ± 0.06", "0 ± 0"],
        ["net", "0.10 ± 0.01", "0 ± 0", "2.0 ± 0.3", "0 ± 0"],
    ]


def test_deviations_count_each_term_once(table):
    changed = table.copy(deep=True)
    # off by 1 eV in the range of ten of the sixteen pairs alone
    changed["term_mean"][1:] = table["term_mean"][0]
    changed["term_mean"][1:, 0, :, 0, 1] += 1.0
    environment = Environment.of(changed, None, "atom")
    off = environment.off(environment.rows[1], environment.functions[0], "term_mean")
    assert off["net"] == pytest.approx((np.sqrt(10 / 16), 0.0))


def test_what_few_bodies_miss_is_said(parts):
    low, high, left_out, enough = parts[HEADINGS[0]].sentences
    assert low.startswith("At low density, the expansion in vacuum cut off at order 2 misses 10.0 meV per atom; ")
    assert high == (
        "At high density, the expansion in vacuum cut off at order 2 misses 4.80 eV per atom; the best approximation of all "
        "sub-clusters of a cluster by terms of up to 2 bodies misses 0.440 eV per atom of them, and 44.0 meV per atom of the "
        "clusters themselves; functions of up to 2 bodies that all clusters share miss 0.240 eV per atom (two) of new "
        "clusters, and those of up to 4 bodies 0.0900 eV per atom (four)."
    )
    assert left_out == (
        "A sub-cluster that is left out is predicted by the terms fitted to all others of its cluster with an error of at best "
        "3.00 meV per atom at low density (order 2) and 0.550 eV per atom at high density (order 1); so more bodies describe a "
        "cluster at high density better, but do not predict within it."
    )
    assert enough == (
        "The lowest order of explicit models that miss less of what a model learnt than it misses of fci is, trained on low, 2 "
        "(net); trained on high, 4 (net) and none up to 4 (other)."
    )


def test_where_more_bodies_predict_nothing_else_is_said(table):
    better = table.copy(deep=True)
    better["group_environment_left_out"][:, 1, 1] = 0.1
    sentence = environment_parts(better, None, THEME)[0].sentences[-1]
    assert sentence.endswith(
        "3.00 meV per atom at low density (order 2) and 0.100 eV per atom at high density (order 2)."
    )


def test_what_pairs_in_their_environment_are_is_said(parts):
    low, high, of_low, of_high = parts[HEADINGS[1]].sentences
    assert low.startswith(
        "At low density, the mean of pairs of order 2 of fci in their environment is −1.50 eV at the commonest distance (1.5 Å), "
        "where it is −1.50 eV in vacuum"
    )
    assert high == (
        "At high density, the mean of pairs of order 2 of fci in their environment is +0.200 eV at the commonest distance "
        "(1.5 Å), where it is −1.50 eV in vacuum, and −1 eV at the shortest that is not rare (0.5 Å), where it is −4.50 eV in "
        "vacuum; terms at one distance differ by 0.3 eV (standard deviation), in vacuum by 0.1 eV."
    )
    assert of_high == (
        "At high density, pairs of order 2 of models trained on high are off those of fci by 0.1 (net) to 0.4 (line) eV in "
        "their environment (RMS over terms) and by 0.4 (line) to 2 (net) eV in vacuum; 1 of 2 are closer in their environment "
        "by a factor of 2 or more."
    )
    assert "models trained on low" in of_low


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("group_truncation_error", "in vacuum cut off"),
        ("group_environment_rms", "the best approximation"),
        ("group_environment_residual", "of the clusters themselves"),
        ("group_environment_left_out", "each left out"),
        ("group_environment_noise", None),
        ("group_truncation_noise", None),
        ("term_spread", "standard deviation"),
        ("vacuum_mean", "in vacuum, and"),
        ("vacuum_spread", "in vacuum by"),
        ("term_mean", "pairs"),
        ("n_terms", "pairs"),
    ],
)
@pytest.mark.parametrize("unknown", [True, False])
def test_any_measure_may_be_missing(table, distilled, name, gone, unknown):
    less = table.assign({name: table[name] * np.nan}) if unknown else table.drop_vars(name)
    found = environment_parts(less, distilled, THEME)
    assert [part.heading for part in found] == HEADINGS[: 1 if gone == "pairs" else 2]
    assert gone is None or gone not in " ".join(said(found))


def test_figures_become_part_of_a_page(parts):
    for part in parts.values():
        for label, figure, description, _ in part.figures:
            assert svg(figure, label, description).startswith("<svg")


def test_without_lessons_there_are_two_columns(table):
    first, second = environment_parts(table, None, THEME)
    assert len(first.figures[0][1].axes) == 4
    assert [bool(held.rows) for held in first.tables] == [True, False]
    assert "share" not in " ".join(first.sentences)
    assert second.tables[0].rows
    empty = make_lessons().assign(distilled_rmse=("run", np.full(20, np.nan)))
    assert said(environment_parts(table, empty, THEME)) == said([first, second])


def test_lessons_alone_are_shown_by_training_set(distilled):
    (part,) = environment_parts(None, distilled, THEME)
    ((_, figure, _, caption),) = part.figures
    assert titles(figure) == ["Shared functions\n(trained on low)", "Shared functions\n(trained on high)"]
    assert "vacuum" not in caption
    assert part.sentences[1].startswith(
        "Trained on high, functions of up to 2 bodies that all clusters share miss 0.240 eV"
    )
    assert [len(held.rows) for held in part.tables] == [0, 5]


def test_own_errors_may_be_unknown(table, distilled):
    first, _ = environment_parts(table, distilled.drop_vars("teacher_rmse"), THEME)
    assert {row[-1] for row in first.tables[1].rows} == {"—"}
    assert not any("lowest order" in sentence for sentence in first.sentences)
    assert "own error of a model" not in [text.get_text() for text in first.figures[0][1].legends[0].get_texts()]


def test_the_reference_may_be_alone(table, distilled):
    alone = table.isel(run=[0])
    first, second = environment_parts(alone, None, THEME)
    assert {row[0] for row in first.tables[0].rows} == {"fci"}
    assert first.tables[0].groups[0] == "Low density"
    assert [row[0] for row in second.tables[0].rows] == ["fci, spread"] * 2
    assert "odels" not in " ".join([*said([first, second]), first.figures[0][3], second.figures[0][3]])
    assert "share miss 0.240 eV per atom" in environment_parts(alone, distilled, THEME)[0].sentences[1]


def test_nothing_known_shows_nothing(table):
    assert environment_parts(None, None, THEME) == []
    held = ["group_environment_rms", "group_environment_left_out", "group_environment_residual", "term_mean"]
    assert environment_parts(table.drop_vars(held), None, THEME) == []


def test_one_seed_has_no_spread():
    found = environment_parts(make_table(seeds=(1.0,)), make_lessons(seeds=(1.0,)), THEME)
    cells = [cell for part in found for held in part.tables for row in held.rows for cell in row]
    captions = [text for part in found for _, _, _, text in part.figures] + [
        held.caption for part in found for held in part.tables
    ]
    assert "±" not in " ".join(cells)
    assert "seeds" not in " ".join(captions)
    assert not any(held.lines[2] for axis in found[0].figures[0][1].axes for held in axis.containers)


def test_make_ups_that_are_not_called_like_the_group_are_named(table):
    shared = make_lessons(("high",)).assign_coords(training_set=("run", ["both"] * 12))
    first, second = environment_parts(make_table(training_sets=("both",)), shared, THEME)
    assert titles(first.figures[0][1])[0] == "Low density: in vacuum\n(trained on both)"
    assert first.sentences[0].endswith("; these learnt from both.")
    assert "(Low density: both; High density: both)" in second.figures[0][3]


def test_explicit_models_alone_are_drawn():
    found = environment_parts(make_table(models=("line",)), None, THEME)
    texts = [text.get_text() for text in found[0].figures[0][1].legends[0].get_texts()]
    assert texts == ["fci", "line", "each sub-cluster left out"]
    assert "not shown" not in found[0].figures[0][3]


def test_structures_may_not_be_grouped(table):
    one = table.sel(group=["high"]).assign_coords(group=[UNGROUPED], groups=("run", [UNGROUPED] * 9))
    first, second = environment_parts(one, None, THEME)
    assert titles(first.figures[0][1])[0].startswith("In vacuum")
    assert titles(second.figures[0][1])[0] == "Pairs of order 2"
    assert first.sentences[0].startswith("The expansion in vacuum cut off at order 2 misses 4.80 eV per atom")
    assert first.sentences[1].endswith("so more bodies describe a cluster better, but do not predict within it.")


def test_names_cannot_break_the_page(table, distilled):
    bad = {"net": "<b>", "line": "line", "fci": "fci"}
    named = table.assign_coords(model=("run", [bad[name] for name in table["model"].values]))
    taught = distilled.assign_coords(
        teacher=("run", [bad.get(name, name) for name in distilled["teacher"].values]),
        student=("run", [f"<b>{name}" for name in distilled["student"].values]),
    )
    found = environment_parts(named, taught, THEME)
    shown = [held.render() for part in found for held in part.tables]
    shown += [caption for part in found for *_, caption in part.figures]
    assert not any("<b>" in text for text in shown)
    assert any("&lt;b&gt;" in text for text in shown)
