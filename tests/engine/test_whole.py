"""The energy of the whole structure is asked for, or it is not and the result says so."""

import numpy as np
import pytest
import xarray as xr
from ase.build import bulk, molecule
from geometries import clusters
from trees import changed

from bodyorder import Sampling, combine, compare, decompose, load_results, save_results, write_report
from bodyorder._checks import InputError
from bodyorder.analysis import findings, group_convergence, order_convergence
from bodyorder.analysis.generalization import size_errors
from bodyorder.engine.planning import plan
from bodyorder.engine.selection import Selection
from bodyorder.report import Report
from bodyorder.results import flat, select
from bodyorder.sources.protocol import Capabilities, EnergySource, Precision
from bodyorder.sources.registry import load_source


class Counting(EnergySource):
    """Another source that keeps how many atoms each sub-cluster had that it was asked for."""

    def __init__(self, spec="analytic:axilrod-teller"):
        self.own = load_source(spec)
        self.name, self.fingerprint = "counting", "counting 1"
        self.cutoff, self.precision = self.own.cutoff, Precision(absolute=1e-12)
        self.sizes, self.cells = [], 0

    def energies(self, batch):
        self.sizes += [batch.n_atoms] * len(batch)
        return self.own.energies(batch)


class CountingCells(Counting):
    """One that gives the energies of cells, too."""

    capabilities = Capabilities(cell_energy=True)

    def cell_energy(self, atoms):
        self.cells += 1
        return self.own.cell_energy(atoms)


def some():
    """Of six atoms, two, three and one."""
    found = [clusters(1, size, seed=size)[0] for size in (6, 2, 3, 1)]
    for name, atoms in zip("abcd", found, strict=True):
        atoms.info["name"] = name
    return found


#: How sub-clusters are taken, and which of the structures hold their whole all the same.
WAYS = {
    "complete": ({"max_order": 2}, [False, True, False, True]),
    "subsets": ({"max_order": 3, "subsets": True}, [False, True, True, True]),
    "cliques": ({"max_order": 2, "cutoff": 20.0}, [False, True, False, True]),
    "all orders": ({}, [True] * 4),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_whole_is_never_asked_for(way):
    options, held = WAYS[way]
    with_whole, without = Counting(), Counting()
    expected, found = decompose(some(), with_whole, **options), decompose(some(), without, **options, whole=False)
    assert max(with_whole.sizes) == 6
    assert max(without.sizes) == options.get("max_order", 6)
    np.testing.assert_array_equal(np.isfinite(found["total"]), held)
    np.testing.assert_array_equal(np.isfinite(found["residual"]), held)
    # all else is the same to the bit
    for name, array in flat(expected).data_vars.items():
        if name in ("total", "residual"):
            np.testing.assert_array_equal(flat(found)[name][held], array[held])
        elif name != "n_evaluations":
            np.testing.assert_array_equal(flat(found)[name], array)
    assert expected["n_evaluations"].sum() - found["n_evaluations"].sum() == held.count(False)
    assert expected.attrs["whole"] == "asked for"
    assert found.attrs["whole"] == "not asked for"
    assert (found["failure"].values == "").all()


def test_connected_and_sampled_families():
    for options in ({"cutoff": 2.5}, {"sampling": Sampling(4)}):
        spec = "analytic:pair?cutoff=2.5"
        with_whole, without = Counting(spec), Counting(spec)
        expected = decompose(some(), with_whole, max_order=2, **options)
        found = decompose(some(), without, max_order=2, **options, whole=False)
        assert max(with_whole.sizes) == 6
        assert max(without.sizes) == 2
        np.testing.assert_array_equal(found["contribution"], expected["contribution"])
        assert np.isnan(found["total"].values[[0, 2]]).all()
        assert not np.isnan(found["total"].values[3])


def test_the_energy_of_a_cell_is_not_asked_for():
    frames = [bulk("Cu", cubic=True), molecule("H2O")]
    spec = "analytic:sutton-chen?cutoff=3.0"
    with_whole, without = CountingCells(spec), CountingCells(spec)
    expected, found = (decompose(frames, with_whole, max_order=2), decompose(frames, without, max_order=2, whole=False))
    assert (with_whole.cells, without.cells) == (1, 0)
    np.testing.assert_array_equal(found["contribution"], expected["contribution"])
    assert np.isfinite(expected["total"]).all()
    assert np.isnan(found["total"]).all()
    assert "no total: the energy of the whole was not asked for" in repr(found.mbe)


def test_it_is_a_switch():
    with pytest.raises(InputError, match="`whole` must be true or false, got 'no'"):
        decompose(some(), "analytic:pair", whole="no")


def test_a_plan_does_not_price_it():
    source = load_source("analytic:pair")
    assert plan(some(), source, Selection(2)).order.values.tolist() == [0, 1, 2]
    priced = plan(some(), source, Selection(2, whole=False))
    assert priced.order.values.tolist() == [1, 2]
    assert priced.n_clusters.values.tolist() == [12, 19]


@pytest.fixture(scope="module")
def found():
    return decompose(some(), "analytic:axilrod-teller", max_order=3, subsets=True, whole=False)


def test_files_say_why_it_is_missing(found, tmp_path):
    loaded = load_results(save_results(found, tmp_path / "r.nc"))
    assert loaded.mbe.orders().equals(found.mbe.orders())
    unsaid = changed(found, lambda data: data.assign_attrs(whole="asked for"))
    with pytest.raises(
        InputError, match="must say in `failure` why numbers are missing, and does not for `total` of a"
    ):
        save_results(unsaid, tmp_path / "r.nc")
    # of three atoms the third order is the whole: nobody left it out
    lost = changed(found, lambda data: data.assign(total=data["total"].where(data["structure"] != "c")))
    with pytest.raises(InputError, match="why numbers are missing, and does not for `total` of c"):
        save_results(lost, tmp_path / "r.nc")


def test_it_is_said_where_results_are_shown(found):
    said = "no total of 1 of 4 structures: the energy of the whole was not asked for"
    assert said in repr(found.mbe)
    assert said in found.mbe._repr_html_()
    alone = select(found, "a")
    assert "no total: the energy of the whole was not asked for" in repr(alone.mbe)
    assert "not asked for" not in repr(select(found, ["b", "c"]).mbe)
    whole = found.mbe.whole("a")
    assert np.isnan(whole["total"])
    assert np.isnan(whole["residual"])
    assert whole.attrs["whole"] == "not asked for"
    assert "whole" not in found.mbe.whole("c").attrs
    assert found.mbe.atoms("a").calc is None
    both = combine({"without": found, "with": decompose(some(), "analytic:pair", max_order=3, subsets=True)})
    assert f"{said} of without" in repr(both.mbe)
    assert "of with\n" not in repr(both.mbe) + "\n"


def test_errors_of_truncations_are_unknown(found):
    """Those of small structures, which are known, do not speak for the large one."""
    single = order_convergence(found)
    assert single.attrs["whole"] == "not asked for"
    assert np.isnan(single["truncation_error"].values[0]).all()
    assert np.isfinite(single["truncation_error"].values[1:]).all()
    assert np.isnan(single["effective_body_order"].values).tolist() == [True, False, False, False]
    of_group = group_convergence(found)
    for name in ("group_total", "group_total_deviation", "group_truncation_error", "group_body_order"):
        assert of_group[name].isnull().all()
    assert np.isfinite(of_group["group_contribution"]).all()
    said = findings(found)
    assert int(said["n_unasked"]) == 1
    assert int(said["n_lacking"]) == 0
    for name in ("sufficient_order", "last_order", "last_error"):
        assert said[name].isnull().all()
    small = select(found, ["b", "c", "d"])
    xr.testing.assert_identical(
        group_convergence(small), group_convergence(decompose(some()[1:], "analytic:axilrod-teller", subsets=True))
    )


def test_comparisons_are_of_what_both_know(found):
    other = decompose(some(), "analytic:pair", max_order=3, subsets=True)
    compared = compare({"found": found, "other": other}, "other")
    assert compared.attrs["whole"] == "not asked for of found"
    known = [select(result, ["b", "c", "d"]) for result in (found, other)]
    expected = compare(dict(zip(("found", "other"), known, strict=True)), "other")
    np.testing.assert_allclose(compared["total_rmse"], expected["total_rmse"], rtol=1e-12)
    assert np.isfinite(compared["order_rmse"].sel(source="found")).all()
    alone = compare({"found": select(found, "a"), "other": select(other, "a")}, "other")
    assert np.isnan(alone["total_rmse"].sel(source="found")).all()
    sizes = size_errors({"found": found, "other": other}, "other")["size_error"].sel(source="found").values[0]
    assert np.isfinite(sizes).tolist() == [True, True, True, False, False, False]


def test_pages_and_figures_say_so(found, tmp_path):
    alone = select(found, "a")
    page = write_report(tmp_path / "page.html", Report("alone", alone)).read_text()
    assert "What a truncated expansion lacks is not known: energies of whole structures were not asked for." in page
    assert "the energies of the whole structures were not asked for" in page
    assert "What is missing" not in page
    assert "No total: the energy of the whole was not asked for." in page
    axes = alone.mbe.plot.truncation()
    assert "not asked for" in " ".join(text.get_text() for text in axes.texts)
    held = decompose(some()[:1], "analytic:axilrod-teller", max_order=3)
    assert "not asked for" not in " ".join(text.get_text() for text in held.mbe.plot.truncation().texts)
    assert "not asked for" not in write_report(tmp_path / "page.html", Report("held", held)).read_text()
    two = combine({"without": found, "with": decompose(some(), "analytic:pair", max_order=3, subsets=True)})
    page = write_report(tmp_path / "page.html", Report("two", two, reference="with")).read_text()
    assert "is not known for without: energies of whole structures were not asked for." in page
