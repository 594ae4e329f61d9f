import itertools
import json

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk

from bodyorder._checks import InputError
from bodyorder.analysis.curves import combine_curves, curve_deviation, density_of, distance_density, pair_wells
from bodyorder.engine.curves import pair_curve, triple_map
from bodyorder.results.files import SCHEMA_VERSION, save
from bodyorder.results.variables import VARIABLES

GRID = np.linspace(0.5, 5.0, 46)
WATER = Atoms("OH2", positions=[[0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]])


def curve(values, grid=GRID, noise=0.0, species="H H"):
    """A curve as the engine gives it, of any function."""
    values = np.broadcast_to(values, np.shape(grid)).astype(float)
    return xr.Dataset(
        {
            "pair_contribution": ("distance", values),
            "pair_energy": ("distance", values),
            "pair_noise": ("distance", np.full(len(grid), noise)),
            "pair_failure": ("distance", np.array([""] * len(grid), dtype=object)),
        },
        coords={"distance": grid},
        attrs={"source": "made", "species": species, "schema_version": 1},
    )


@pytest.fixture(scope="module")
def morse():
    return pair_curve("analytic:pair?kind=morse&epsilon=4.75&alpha=1.94&r0=0.741", ("H", "H"), distances=GRID)


def test_sources_stand_side_by_side(morse, tmp_path):
    other = pair_curve("analytic:pair", ("H", "H"), distances=GRID)
    both = combine_curves({"morse": morse, "lj": other}, "lj")
    assert both.pair_contribution.dims == ("source", "distance")
    assert both["source"].values.tolist() == ["morse", "lj"]
    np.testing.assert_array_equal(both.pair_contribution.sel(source="lj"), other.pair_contribution)
    assert both.attrs["reference"] == "lj"
    assert "fingerprint" not in both.attrs
    assert json.loads(both.attrs["results"])["morse"]["fingerprint"] == morse.attrs["fingerprint"]
    assert combine_curves(both) is both
    assert combine_curves(morse)["source"].values.tolist() == [morse.attrs["source"]]
    path = save(both, tmp_path / "both.nc")
    again = xr.load_dataset(path, engine="h5netcdf")
    np.testing.assert_array_equal(again.pair_contribution, both.pair_contribution)
    read = combine_curves({"a": again.sel(source="lj", drop=True)}, "a")
    assert json.loads(read.attrs["results"])["a"]["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({}, r"^at least one curve must be given to combine, got none$"),
        ({"b": curve(0.0, species="H He")}, r"^curves must be of the same species, 'b' is of H He and 'a' of H H$"),
        (
            {"b": curve(0.0, GRID[1:])},
            r"^curves must be on the same grid, 'b' and 'a' differ in distance; give all the same one$",
        ),
        ({"b": xr.Dataset()}, r"^curves must be those of `pair_curve` or `triple_map`, 'b' is not$"),
    ],
)
def test_curves_that_cannot_be_compared(others, message):
    with pytest.raises(InputError, match=message):
        combine_curves({"a": curve(0.0)} | others if others else {})


def test_curves_and_maps_do_not_mix():
    grid = [1.0, 1.5]
    parts = {
        "a": pair_curve("analytic:pair", ("H", "H"), distances=grid),
        "b": triple_map("analytic:pair", ("H", "H", "H"), distances=grid),
    }
    with pytest.raises(InputError, match=r"^curves must be of the same species, 'b' is of H H H and 'a' of H H$"):
        combine_curves(parts)


def test_wells_of_morse_and_of_what_has_none(morse):
    """A minimum between two points of the grid is found; a wall, a fall at the edge and noise are none."""
    noisy = np.where(np.arange(len(GRID)) == 20, -1e-6, 0.0)
    curves = {
        "morse": morse,
        "wall": curve(np.exp(-GRID)),
        "fall": curve(-np.exp(-GRID)),
        "noise": curve(noisy, noise=1e-6),
        "failed": curve(np.nan),
        "two": curve(-np.exp(-20 * (GRID - 1.0) ** 2) - 3 * np.exp(-20 * (GRID - 3.0) ** 2)),
    }
    wells = pair_wells(curves)
    assert float(wells.well_depth.sel(source="morse")) == pytest.approx(4.75, abs=2e-3)
    assert float(wells.well_distance.sel(source="morse")) == pytest.approx(0.741, abs=1e-3)
    assert float(wells.well_distance.sel(source="two")) == pytest.approx(3.0, abs=1e-3)
    for name in ("wall", "fall", "noise", "failed"):
        assert bool(wells.well_depth.sel(source=name).isnull()), name
        assert bool(wells.well_distance.sel(source=name).isnull()), name


def test_deviation_over_the_grid(morse):
    shifted = morse.copy(deep=True)
    shifted["pair_contribution"] = morse.pair_contribution + 0.3 * (-1.0) ** np.arange(len(GRID))
    shifted["pair_contribution"][3] = np.nan
    found = curve_deviation({"a": shifted, "reference": morse}, "reference")
    assert float(found.pair_rms.sel(source="a")) == pytest.approx(0.3)
    assert float(found.pair_rms.sel(source="reference")) == 0
    assert found.pair_deviation.dims == ("source", "distance")
    assert "pair_training_rms" not in found


def test_deviation_at_training_distances():
    """A straight line of slope 1: the root mean square distance of the pairs, for pairs in the middle of their ranges."""
    structures = [Atoms("H2", positions=[[0, 0, 0], [r, 0, 0]]) for r in (0.95, 2.05, 2.05, 9.95)]
    density = distance_density(structures, np.linspace(0, 10, 101))
    curves = {"line": curve(GRID), "zero": curve(0.0)}
    found = curve_deviation(curves, "zero", density)
    expected = np.sqrt((0.95**2 + 2 * 2.05**2) / 3)
    assert float(found.pair_training_rms.sel(source="line")) == pytest.approx(expected)
    assert float(found.pair_rms.sel(source="line")) == pytest.approx(np.sqrt((GRID**2).mean()))
    coarse = curve_deviation({name: part.isel(distance=[0, -1]) for name, part in curves.items()}, "zero", density)
    assert float(coarse.pair_training_rms.sel(source="line")) == pytest.approx(expected)


def test_no_deviation_where_no_pair_is():
    density = distance_density(WATER, np.linspace(0, 10, 101))
    for species in ("He He", "H H"):
        curves = {"a": curve(GRID, GRID + 3, species=species), "b": curve(0.0, GRID + 3, species=species)}
        assert bool(curve_deviation(curves, "b", density).pair_training_rms.isnull().all())
    failed = curve_deviation({"a": curve(np.nan), "b": curve(0.0)}, "b", density)
    assert bool(failed.pair_rms.sel(source="a").isnull())
    assert bool(failed.pair_training_rms.sel(source="a").isnull())


def test_deviations_of_maps_by_angle():
    """An Axilrod–Teller term of twice the strength is off by itself."""
    parts = {
        name: triple_map(f"analytic:axilrod-teller?nu={name}", ("H", "H", "H"), distances=[1.0, 1.5, 2.0])
        for name in ("1.0", "2.0")
    }
    found = curve_deviation(parts, "1.0")
    assert found.triple_rms.dims == ("source", "angle")
    single = parts["1.0"].triple_contribution
    expected = np.sqrt((single**2).mean(("first", "second")))
    np.testing.assert_allclose(found.triple_rms.sel(source="2.0"), expected)
    np.testing.assert_allclose(found.triple_deviation.sel(source="2.0"), single)
    with pytest.raises(
        InputError, match=r"^`density` must come with curves of two atoms, and came with a map of three$"
    ):
        curve_deviation(parts, "1.0", distance_density(WATER, [0, 1]))
    with pytest.raises(InputError, match=r"^`reference` must be one of 1\.0, 2\.0, got '3\.0'"):
        curve_deviation(parts, "3.0")


def test_density_counts_every_pair_once():
    rng = np.random.default_rng(0)
    structures = [Atoms("OH2OH", positions=rng.uniform(0, 3, (5, 3))) for _ in range(3)] + [Atoms("H")]
    edges = np.array([0.0, 0.7, 1.0, 2.0, 8.0])
    found = distance_density(structures, edges)
    assert found["pair"].values.tolist() == ["H-H", "H-O", "O-O"]
    counts = {name: np.zeros(4) for name in ("H-H", "H-O", "O-O")}
    for atoms in structures:
        for i, j in itertools.combinations(range(len(atoms)), 2):
            name = "-".join(sorted((atoms.symbols[i], atoms.symbols[j])))
            counts[name] += np.histogram(atoms.get_distance(i, j), edges)[0]
    for name, expected in counts.items():
        np.testing.assert_allclose(found.distance_density.sel(pair=name), expected / np.diff(edges) / 4)
    assert float((found.distance_density * found.bin_width).sum()) * 4 == pytest.approx(30)
    np.testing.assert_array_equal(density_of("O H", found), found.distance_density.sel(pair="H-O"))
    assert not density_of("He He", found).any()
    assert found.attrs["n_structures"] == 4


def test_density_of_a_crystal_is_by_cell():
    """Twelve nearest neighbours of every atom are six pairs."""
    found = distance_density(bulk("Cu", "fcc", a=3.6), [2.0, 3.0])
    assert float(found.distance_density.sel(pair="Cu-Cu", bin=2.5)) == pytest.approx(6.0)


def test_no_pairs_at_all():
    found = distance_density(Atoms("H"), [0.0, 1.0])
    assert found.distance_density.shape == (0, 1)


@pytest.mark.parametrize("bins", [[1.0], [1.0, 1.0], [0.0, np.nan], [[0.0, 1.0]]])
def test_wrong_bins(bins):
    with pytest.raises(InputError, match=r"^`bins` must be two or more finite distances that increase, got \["):
        distance_density(WATER, bins)


def test_variables_are_those_of_the_table(morse):
    density = distance_density(WATER, [0.0, 2.0])
    curves = combine_curves({"a": morse, "b": morse})
    maps = triple_map("analytic:pair", ("H", "H", "H"), distances=[1.0, 2.0])
    datasets = [curves, pair_wells(curves), curve_deviation(curves, "a", density)]
    datasets.append(curve_deviation({"a": maps, "b": maps}, "a"))
    for dataset in datasets:
        for name, array in dataset.data_vars.items():
            assert array.dims == ("source", *VARIABLES[name].dims), name
            assert array.attrs == {"units": VARIABLES[name].unit, "long_name": VARIABLES[name].meaning}
    assert density.distance_density.dims == VARIABLES["distance_density"].dims
