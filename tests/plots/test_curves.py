import numpy as np
import pytest
from ase import Atoms
from PIL import Image

from bodyorder._checks import InputError
from bodyorder.analysis.curves import combine_curves, distance_density
from bodyorder.engine.curves import pair_curve, triple_map
from bodyorder.plots.curves import pair_curve_figure, save_figure, triple_map_figure
from bodyorder.plots.style import Theme

MORSE = "analytic:pair?kind=morse"


@pytest.fixture(scope="module")
def curves():
    parts = {
        name: pair_curve(spec, ("H", "H"))
        for name, spec in (("morse", MORSE), ("lj", "analytic:pair?sigma=1.0&epsilon=1"))
    }
    return combine_curves(parts, "morse")


@pytest.fixture(scope="module")
def maps():
    grid = np.linspace(1.0, 3.0, 6)
    specs = {"strong": "analytic:axilrod-teller?nu=2.0", "weak": "analytic:axilrod-teller", "none": MORSE}
    parts = {name: triple_map(spec, ("H", "H", "H"), distances=grid, angles=[60, 180]) for name, spec in specs.items()}
    return combine_curves(parts, "weak")


def test_curves_stand_where_the_data_say(curves):
    figure = pair_curve_figure(curves)
    drawn = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) > 2]
    for name, line in zip(("morse", "lj"), drawn, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), curves.pair_contribution.sel(source=name))
        np.testing.assert_array_equal(line.get_xdata(), curves.distance)
    reference, other = drawn
    assert (reference.get_color(), other.get_color()) == ("#000000", "#0072B2")
    assert reference.is_dashed()
    assert not other.is_dashed()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["morse", "lj"]
    assert figure.axes[0].get_title(loc="left") == "H–H"


def test_walls_leave_the_frame(curves):
    """The well of 4.75 eV fills most of the axis although the other curve reaches 1e6 eV."""
    assert float(curves.pair_contribution.max()) > 1e5
    low, high = pair_curve_figure(curves).axes[0].get_ylim()
    assert -6 < low < -4.75
    assert 1 < high < 5


def test_all_wells_are_seen_unless_they_would_hide_the_reference():
    parts = {depth: pair_curve(f"{MORSE}&epsilon={depth}", ("H", "H")) for depth in ("1", "4", "1000")}
    assert -6 < pair_curve_figure({name: parts[name] for name in ("1", "4")}).axes[0].get_ylim()[0] < -4
    low, _ = pair_curve_figure(combine_curves(parts, "1")).axes[0].get_ylim()
    assert -12 < low < -10


def test_curves_without_a_well(curves):
    wall = curves.sel(source=["lj"]).copy(deep=True)
    wall["pair_contribution"][:] = np.exp(-curves.distance.values)
    low, high = pair_curve_figure(wall.assign_attrs(reference="lj")).axes[0].get_ylim()
    assert low < 0 < high < 1
    wall["pair_contribution"][:] = np.nan
    assert pair_curve_figure(wall.assign_attrs(reference="lj")).axes[0].get_ylim() == pytest.approx((-1e-4, 1e-3))
    pair_curve_figure(wall.isel(distance=[3]).assign_attrs(reference="lj")).canvas.draw()


def test_training_distances_stand_below(curves):
    structures = [Atoms("H2", positions=[[0, 0, 0], [r, 0, 0]]) for r in (0.75, 0.75, 2.25)]
    density = distance_density(structures, np.arange(0, 6.1, 0.5))
    figure = pair_curve_figure(curves, density)
    (steps,) = figure.axes[1].patches
    values, edges, _ = steps.get_data()
    np.testing.assert_allclose(values, density.distance_density.sel(pair="H-H"))
    np.testing.assert_allclose(edges, np.arange(0, 6.1, 0.5))
    assert figure.axes[1].get_xlim() == figure.axes[0].get_xlim() == (0.3, 6.0)
    none = distance_density(Atoms("He2", positions=[[0, 0, 0], [1, 0, 0]]), [0, 1, 2])
    assert "none in the training" in pair_curve_figure(curves, none).axes[1].texts[0].get_text()


def test_a_theme_of_the_report_is_kept(curves):
    theme = Theme.of(["another", "lj", "morse"], "morse")
    drawn = pair_curve_figure(curves, theme=theme).axes[0].get_lines()
    assert drawn[-1].get_color() == theme.sources["lj"].colour != "#0072B2"


def test_maps_share_one_scale_with_zero_in_the_middle(maps):
    figure = triple_map_figure(maps)
    panels = [axis for axis in figure.axes if axis.get_aspect() == 1]
    assert len(panels) == 6
    assert [axis.get_title(loc="left") for axis in panels[:2]] == ["60°", "180°"]
    assert [axis.get_ylabel().split("\n")[0] for axis in panels[::2]] == ["weak (reference)", "strong", "none"]
    meshes = [axis.collections[0] for axis in panels]
    limits = {mesh.get_clim() for mesh in meshes}
    assert len(limits) == 1
    ((low, high),) = limits
    assert low == -high
    sizes = abs(maps.triple_contribution.sel(source="weak")).values
    assert np.quantile(sizes, 0.9) < high < sizes.max()
    assert meshes[0].norm(0.0) == pytest.approx(0.5)
    expected = maps.triple_contribution.sel(source="strong", angle=180).transpose("second", "first")
    np.testing.assert_array_equal(meshes[3].get_array(), expected)


def test_first_distance_goes_right_and_second_up(maps):
    one = maps.copy(deep=True)
    one["triple_contribution"].loc[{"source": "none", "angle": 60, "first": 3.0, "second": 1.0}] = 7.0
    panel = [axis for axis in triple_map_figure(one).axes if axis.get_aspect() == 1][4]
    rows, columns = np.nonzero(panel.collections[0].get_array() > 6)
    assert (rows.tolist(), columns.tolist()) == ([0], [5])


def test_missing_energies_are_masked(maps):
    holes = maps.copy(deep=True)
    holes["triple_contribution"].loc[{"source": "strong", "angle": 60, "first": 1.0}] = np.nan
    panels = [axis for axis in triple_map_figure(holes).axes if axis.get_aspect() == 1]
    assert panels[2].collections[0].get_array().mask.sum() == 6
    holes["triple_contribution"][:] = np.nan
    triple_map_figure(holes).canvas.draw()


def test_maps_of_one_geometry():
    """Axilrod and Teller: ν (1 + 3 cos³ 60°)/r⁹ of three atoms at distance 1 is 11 ν/8."""
    figure = triple_map_figure(
        triple_map("analytic:axilrod-teller?nu=2.0", ("H", "H", "H"), distances=[1.0], angles=[60])
    )
    mesh = figure.axes[0].collections[0]
    np.testing.assert_allclose(mesh.get_array(), [[2.75]])
    assert mesh.get_clim() == pytest.approx((-2.75, 2.75))
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")]
)
def test_figures_are_written_alike(curves, tmp_path, ending, start):
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        save_figure(pair_curve_figure(curves), path)
    assert paths[0].read_bytes().startswith(start)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_pictures_have_all_colours(maps, tmp_path):
    save_figure(triple_map_figure(maps), tmp_path / "m.png")
    picture = np.asarray(Image.open(tmp_path / "m.png").convert("RGB")).reshape(-1, 3).astype(int)
    red, blue = picture[:, 0] - picture[:, 2], picture[:, 2] - picture[:, 0]
    assert (red > 80).sum() > 1000
    assert (blue > 80).sum() > 1000


def test_figures_of_other_kinds(curves, tmp_path):
    with pytest.raises(
        InputError,
        match=r"^figures must be files that end in \.svg, \.png, \.pdf, got .*f\.svgg; did you mean '\.svg'\?$",
    ):
        save_figure(pair_curve_figure(curves), tmp_path / "f.svgg")
