"""What the section on curves shows, of potentials whose curves are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bodyorder.analysis.curves import combine_curves, curve_deviation, pair_wells
from bodyorder.engine.curves import pair_curve, triple_map
from bodyorder.report.curve_section import CurveSet, curve_parts

DISTANCES = np.arange(0.7, 4.0, 0.1)


@pytest.fixture(scope="module")
def pairs() -> xr.Dataset:
    kinds = ("morse", "lennard-jones")
    parts = {kind: pair_curve(f"analytic:pair?kind={kind}", ("H", "H"), DISTANCES) for kind in kinds}
    return combine_curves(parts, "morse")


@pytest.fixture(scope="module")
def maps() -> xr.Dataset:
    grid = np.arange(1.0, 3.0, 0.5)
    parts = {
        name: triple_map(spec, ("H", "H", "H"), grid, [90.0])
        for name, spec in (("axilrod", "analytic:axilrod-teller"), ("metal", "analytic:sutton-chen"))
    }
    return combine_curves(parts, "axilrod")


@pytest.fixture
def table(pairs) -> xr.Dataset:
    """Two seeds of one model, whose wells are 1 % above and below those of the curve."""
    wells = pair_wells(pairs).sel(source="lennard-jones")
    deviation = float(curve_deviation(pairs, "morse")["pair_rms"].sel(source="lennard-jones"))
    depth = float(wells["well_depth"])
    return xr.Dataset(
        {
            "well_depth": (("run", "pair"), [[np.nan], [0.99 * depth], [1.01 * depth]]),
            "well_distance": (("run", "pair"), [[np.nan], [1.5], [1.5]]),
            "pair_training_rms": (("run", "pair"), [[np.nan], [deviation], [deviation]]),
        },
        coords={
            "run": ["morse", "lj/all/seed=0", "lj/all/seed=1"],
            "training": ("run", ["morse", "lj/all", "lj/all"]),
            "model": ("run", ["morse", "lj", "lj"]),
            "training_set": ("run", ["", "all", "all"]),
            "whole": ("run", [True, True, True]),
            "pair": ["H-H"],
        },
        attrs={"reference": "morse"},
    )


def test_curves_and_maps_have_a_part_each(pairs, maps):
    parts = curve_parts([CurveSet("all", pairs), CurveSet(None, maps)], None)
    assert [part.heading for part in parts] == ["Two atoms alone", "Three atoms alone"]
    (name, figure, description, caption), *more = parts[0].figures
    assert not more
    assert name == "pairs0"
    assert "<b>Trained on all.</b>" in caption
    assert "Dashed: morse." in caption
    well = pair_wells(pairs).sel(source="lennard-jones")
    assert f"lennard-jones: {float(well['well_depth']):.2f} eV at {float(well['well_distance']):.2f} Å." in description
    assert "morse: no minimum." in description  # it is farther out than the grid
    drawn = figure.axes[0].get_lines()
    assert any(np.array_equal(line.get_ydata(), pairs["pair_contribution"].sel(source="morse")) for line in drawn)
    largest = float(abs(maps["triple_contribution"]).sel(source="metal").max())
    assert f"metal: {largest:.3g} eV." in parts[1].figures[0][2]
    assert parts[0].tables == []


def test_the_table_has_means_and_spreads_over_seeds(pairs, table):
    (part,) = curve_parts([CurveSet("all", pairs)], table)
    (shown,) = part.tables
    depth = float(pair_wells(pairs)["well_depth"].sel(source="lennard-jones"))
    spread = 0.02 * depth / np.sqrt(2)
    assert shown.rows == [["H-H", "lj", f"{depth:.3f} ± {spread:.3f}", "1.500 ± 0.000", shown.rows[0][4]]]
    assert shown.groups == ["all"]


def test_nothing_to_show_is_no_part():
    assert curve_parts([], None) == []
