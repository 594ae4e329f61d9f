"""`result.mbe` says what decompositions and analyses say, row by row."""

import gc
import html.parser
import pickle
import subprocess
import sys
import time
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT

from bodyorder import (
    InputError,
    Sampling,
    combine,
    decompose,
    environment_orders,
    load_results,
    save_results,
    write_report,
)
from bodyorder.analysis import align, atom_shares, order_convergence
from bodyorder.sources import Precision, load_source
from bodyorder.structures import ClusterBatch, System
from bodyorder.structures.hydrogen import high_density, low_density

METAL = "analytic:sutton-chen"
CRYSTAL = "analytic:sutton-chen?cutoff=3.0"


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def three():
    """Three H8 in two groups."""
    frames = high_density(n_atoms=8, n_clusters=2, seed=1) + low_density(n_atoms=8, n_clusters=1, seed=1)
    for name, atoms in zip("abc", frames, strict=True):
        atoms.info["name"] = name
    return frames, decompose(frames, METAL, subsets=True)


@pytest.fixture(scope="module")
def two_sources(three):
    frames, result = three
    return combine({"metal": result, "pairs": decompose(frames, "analytic:pair", subsets=True, max_order=3)})


def test_frames_of_three_clusters(three):
    _, result = three
    orders, subsets = result.mbe.orders(), result.mbe.subsets()
    assert len(orders) == 3 * 8
    assert len(subsets) == 3 * 255
    assert list(orders.columns) == [
        "structure", "group", "order", "contribution", "noise", "above_noise", "contribution_per_body", "noise_per_body",
        "truncation_error", "truncation_noise", "n_bodies", "n_failed", "failure",
    ]  # fmt: skip
    for name in ("contribution", "noise", "above_noise"):
        np.testing.assert_array_equal(orders[name], result[name].values.ravel())
    convergence = order_convergence(result)
    for name in ("contribution_per_body", "noise_per_body", "truncation_error", "truncation_noise"):
        np.testing.assert_array_equal(orders[name], convergence[name].values.ravel())
    assert orders["group"].tolist() == ["high-density"] * 16 + ["low-density"] * 8
    assert orders.attrs["units"]["truncation_error"] == "eV/body"
    sums = subsets.groupby(["structure", "order"], observed=True)["contribution"].sum()
    np.testing.assert_allclose(sums, orders["contribution"], atol=1e-9)
    np.testing.assert_allclose(
        orders.groupby("structure", observed=True)["contribution"].sum(), result["total"], atol=1e-9
    )


def test_each_row_is_its_sub_cluster(three):
    """Energies evaluated again, from the members that a row names."""
    frames, result = three
    source = load_source(METAL)
    rows = result.mbe.subsets().sample(60, random_state=0)
    for row in rows.itertuples():
        own = frames["abc".index(row.structure)][list(row.members)]
        batch = ClusterBatch.cut({0: System.from_atoms(own, np.arange(len(own)))}, [0], [np.arange(len(own))])
        assert source.energies(batch)[0] == pytest.approx(row.energy, rel=1e-12, abs=1e-12)
        assert row.formula == own.get_chemical_formula()
        assert row.order == len(row.members)


def test_orders_above_the_bodies_have_no_row():
    result = decompose([molecule("H2O"), molecule("CH4")], METAL, subsets=True)
    assert result.mbe.orders().groupby("structure", observed=True)["order"].max().tolist() == [3, 5]
    assert len(result.mbe.subsets()) == 7 + 31
    formulas = result.mbe.subsets()["formula"].tolist()
    assert formulas[:7] == ["O", "H", "H", "HO", "HO", "H2", "H2O"]
    assert formulas[-6:] == ["CH3"] * 4 + ["H4", "CH4"]
    truncation = result.mbe.truncation()
    assert np.isnan(truncation["truncation"].values[0, 3:]).all()
    np.testing.assert_allclose(truncation["truncation"].values[0, :3], np.cumsum(result["contribution"].values[0, :3]))
    np.testing.assert_allclose(truncation["truncation_error"].values[[0, 1], [2, 4]], 0, atol=1e-9)
    assert truncation["effective_body_order"].values.tolist() == [3, 5]


def test_structures_come_back_as_they_were(three):
    frames, result = three
    for atoms in frames:
        back = result.mbe.atoms(atoms.info["name"])
        assert back == atoms
        assert back.info == {key: atoms.info[key] for key in ("name", "group")}
        assert back.get_potential_energy() == float(result["total"].sel(structure=atoms.info["name"]))
    one = result.mbe.structure("b")
    assert one.mbe.atoms() == frames[1]
    assert one["contribution"].values.tolist() == result["contribution"].sel(structure=["b"]).values.tolist()
    pd.testing.assert_frame_equal(
        one.mbe.subsets().drop(columns="structure"),
        result.mbe.subsets().query("structure == 'b'").drop(columns="structure").reset_index(drop=True),
        check_categorical=False,
        check_dtype=False,
    )
    assert result.mbe.structure(["c", "a"])["structure"].values.tolist() == ["c", "a"]
    assert result.mbe.structure(["c", "a"]).mbe.atoms("a") == frames[0]


def test_forces_are_those_of_the_program():
    atoms = bulk("Cu", cubic=True) * (1, 1, 2)
    atoms.pbc = False
    atoms.rattle(0.1, seed=3)
    result = decompose(atoms, "ase:ase.calculators.emt.EMT", forces=True)
    back = result.mbe.atoms()
    atoms.calc = EMT()
    assert back.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(back.get_forces(), atoms.get_forces(), atol=1e-9)
    part = decompose(atoms, "ase:ase.calculators.emt.EMT", forces=True, max_order=3).mbe.atoms()
    assert part.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    assert "forces" not in part.calc.results


def test_charges_come_back():
    atoms = Atoms("H3", [[0, 0, 0], [0.9, 0, 0], [0, 2.5, 0]])
    atoms.set_initial_charges([0, 1, 0])
    result = decompose(atoms, "pyscf:uhf/sto-3g?spin=low")
    assert result.mbe.atoms().get_initial_charges().tolist() == [0, 1, 0]


def test_a_crystal():
    silicon = bulk("Si")
    silicon.rattle(0.05, seed=1)
    result = decompose(silicon, CRYSTAL, max_order=3, subsets=True)
    assert result.mbe.atoms() == silicon
    assert len(result.mbe.orders()) == 3
    subsets = result.mbe.subsets()
    np.testing.assert_allclose(
        subsets.groupby("order")["contribution"].sum(), result["contribution"].values[0], atol=1e-10
    )
    source = load_source(CRYSTAL)
    for row in subsets.itertuples():
        positions = silicon.positions[list(row.members)] + np.array(row.cells) @ silicon.cell.array
        system = System.from_atoms(Atoms(["Si"] * row.order, positions), np.arange(row.order))
        batch = ClusterBatch.cut({0: system}, [0], [np.arange(row.order)])
        assert source.energies(batch)[0] == pytest.approx(row.energy, abs=1e-12)
        assert row.formula == system_formula("Si", row.order)
    assert "subset_contribution" not in result.mbe.whole()
    assert float(result.mbe.whole().total) == result.total.item()


def system_formula(symbol, count):
    return symbol + (str(count) if count > 1 else "")


def test_a_surface_repeats_where_it_did(tmp_path):
    slab = fcc111("Cu", (1, 1, 2), vacuum=6.0)
    assert slab.pbc.tolist() == [True, True, False]
    result = decompose([slab, molecule("H2")], CRYSTAL, max_order=2)
    result = load_results(save_results(result, tmp_path / "slab.nc"))
    assert result.mbe.atoms("0") == slab
    assert result.mbe.atoms("1") == molecule("H2")
    assert result.mbe.orders().groupby("structure", observed=True)["order"].max().tolist() == [2, 2]


def test_molecules_as_bodies():
    pair = molecule("H2O") + molecule("CH4")
    pair.positions[3:] += 3.0
    result = decompose(pair, METAL, bodies="molecules", subsets=True)
    assert result.mbe.subsets()["formula"].tolist() == ["H2O", "CH4", "CH6O"]
    assert result.mbe.subsets()["members"].tolist() == [(0,), (1,), (0, 1)]
    assert result.mbe.atoms() == pair
    assert result.mbe.atoms().arrays["body"].tolist() == [0] * 3 + [1] * 5
    assert result.mbe.shares()["atom_share"].values.sum(axis=1) == pytest.approx(result["contribution"].values[0])


def test_a_sample(three):
    frames, _ = three
    result = decompose(frames[0], METAL, max_order=4, sampling=Sampling(20), subsets=True, forces=True)
    assert len(result.mbe.orders()) == 4
    assert len(result.mbe.subsets()) == result["subsets"].sizes["subset"]
    assert "forces" not in result.mbe.atoms().calc.results
    assert "sampled" in repr(result.mbe)
    with pytest.raises(InputError, match="must come from all sub-clusters"):
        result.mbe.shares()


class NoTriples(EMT):
    """EMT that gives up on three atoms."""

    def calculate(self, atoms=None, *rest):
        if len(atoms) == 3:
            raise CalculationFailed("<no> luck")
        super().calculate(atoms, *rest)


def test_what_failed_is_said():
    four = Atoms("Cu4", [[0, 0, 0], [2.5, 0, 0], [0, 2.6, 0], [0, 0, 2.7]])
    result = decompose([four, four[:2]], NoTriples(), subsets=True)
    orders = result.mbe.orders()
    failed = orders[orders["structure"] == "0"]
    assert failed["contribution"].isna().tolist() == [False, False, True, True]
    assert failed["n_failed"].tolist() == [0, 0, 4, 0]
    assert failed["failure"].str.contains("4 of 15 sub-clusters failed").all()
    subsets = result.mbe.subsets()
    assert subsets[subsets["energy"].isna()]["order"].tolist() == [3] * 4
    text, page = repr(result.mbe), result.mbe._repr_html_()
    assert "0: 4 of 15 sub-clusters failed, the first: atoms 0, 1, 2: " in text
    assert "<no> luck" in text
    assert "&lt;no&gt; luck" in page
    assert "<td>–</td>" in page
    four.calc = EMT()
    assert result.mbe.atoms("0").get_potential_energy() == pytest.approx(four.get_potential_energy(), abs=1e-9)


def test_several_sources(three, two_sources):
    frames, result = three
    orders, subsets = two_sources.mbe.orders(), two_sources.mbe.subsets()
    assert len(orders) == 2 * 24
    assert len(subsets) == 2 * 765
    metal = orders.query("source == 'metal'").reset_index(drop=True)
    pd.testing.assert_frame_equal(
        metal.drop(columns=["source", "n_failed"]), result.mbe.orders().drop(columns="n_failed")
    )
    pairs = orders.query("source == 'pairs'")
    assert pairs["contribution"].isna().tolist() == ([False] * 3 + [True] * 5) * 3
    assert pairs["above_noise"].dtype == bool
    assert subsets.query("source == 'pairs'")["energy"].notna().sum() == 3 * (8 + 28 + 56)
    both = subsets.query("source == 'metal'").merge(result.mbe.subsets(), on=["structure", "members"])
    assert len(both) == 765
    for name in ("order", "formula", "energy", "contribution", "noise"):
        assert both[f"{name}_x"].tolist() == both[f"{name}_y"].tolist()
    assert two_sources.mbe.whole("a").total.dims == ("source",)
    assert two_sources.mbe.shares().sizes["source"] == 2
    assert two_sources.mbe.atoms("a") == frames[0]
    assert two_sources.mbe.atoms("a").calc is None
    assert "2 sources" in repr(two_sources.mbe)
    one = two_sources.isel(source=1)
    assert "source" not in one.mbe.orders()
    assert "by pairs" in repr(one.mbe)
    assert one.mbe.truncation().truncation.dims == ("structure", "order")


@pytest.mark.parametrize(("rule", "multiplicity"), [("ground", 3), ("low", 1), ("high", 4 + 1)])
def test_the_whole_square_of_hydrogen(rule, multiplicity):
    square = Atoms("H4", positions=[[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    result = decompose(square, f"pyscf:fci/6-31g?spin={rule}", subsets=True)
    whole = result.mbe.whole()
    assert float(whole.subset_multiplicity) == multiplicity
    assert float(whole.subset_contribution) == result.contribution.values[0, -1]
    assert float(whole.total) == result.mbe.subsets()["energy"].iloc[-1]
    assert result.mbe.subsets()["multiplicity"].iloc[:4].tolist() == [2] * 4
    assert "n_degenerate" in result.mbe.orders()


def test_one_layout_serves_all(three):
    _, result = three
    aligned = result.mbe.aligned
    assert result.mbe.aligned is aligned
    xr.testing.assert_identical(environment_orders(aligned), environment_orders(result))
    xr.testing.assert_identical(result.mbe.shares(), atom_shares(result))
    assert aligned.tables("a test") is align(aligned).tables("a test")


def test_new_trees_and_edited_ones(three):
    _, result = three
    tree = result.copy()
    before = tree.mbe.aligned
    assert tree.mbe is not result.mbe
    assert tree.isel(structure=[0]).mbe is not tree.mbe
    assert tree.isel(structure=[2]).mbe.orders()["group"].unique().tolist() == ["low-density"]
    tree["contribution"] = 2 * tree["contribution"]
    assert tree.mbe.aligned is not before
    np.testing.assert_array_equal(tree.mbe.orders()["contribution"], 2 * result["contribution"].values.ravel())
    deep = result.copy(deep=True)
    assert deep.mbe.truncation().truncation[0, 0] == deep.contribution[0, 0]
    deep["total"].values[:] += 1.0
    np.testing.assert_allclose(deep.copy().mbe.whole("a").total, result.mbe.whole("a").total + 1.0)
    frame = result.mbe.orders()
    frame.loc[:, "contribution"] = 0.0
    assert result["contribution"].values.any()


def test_other_processes_get_the_tree_alone(three):
    _, result = three
    tree = result.copy()
    size = len(pickle.dumps(tree))
    tree.mbe.aligned.tables("a test")
    assert len(pickle.dumps(tree)) < size + 500
    back = pickle.loads(pickle.dumps(tree))
    pd.testing.assert_frame_equal(back.mbe.orders(), tree.mbe.orders())


def test_trees_that_are_no_results(three):
    _, result = three
    for tree, message in [
        (result["subsets"], r"must be asked of a whole result, got its group `subsets`; leave the group out"),
        (xr.DataTree(), r"a result with `.mbe` must have the dimension and coordinate `structure`"),
        (result.isel(structure=0), r"and lacks it; select lists of structures"),
    ]:
        with pytest.raises(InputError, match=message) as raised:
            tree.mbe  # noqa: B018
        assert "\n" not in str(raised.value)
    tree = result.copy()
    del tree["total"]
    with pytest.raises(InputError, match="must have `total` at its root, and lacks it"):
        tree.mbe.orders()


def test_names_that_are_not_there(three):
    frames, result = three
    with pytest.raises(InputError, match=r"a structure must be one of the result's, got 'd'"):
        result.mbe.atoms("d")
    with pytest.raises(InputError, match=r"a structure must be named where there are several, these are a, b, c"):
        result.mbe.whole()
    with pytest.raises(InputError, match=r"`subset_\w+` is missing; decompose with subsets=True"):
        decompose(frames[0], METAL, max_order=2).mbe.subsets()
    with pytest.raises(AttributeError, match="no attribute 'order'"):
        result.mbe.order  # noqa: B018


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_shown_in_a_notebook(three):
    frames, result = three
    atoms = frames[0].copy()
    atoms.info["name"] = "<script>alert('&')</script>"
    page = Page(decompose([atoms], "analytic:pair", max_order=3).mbe._repr_html_())
    assert not page.open
    assert "script" not in page.tags
    assert atoms.info["name"] in page.text
    shown = result.mbe._repr_html_()
    assert "analytic:sutton-chen?a=3.61&amp;c=39.432" in shown
    assert "color" not in shown  # that of the notebook, light or dark
    cells = [text.strip() for text in Page(shown).text if text.strip()]
    assert cells.count("a") == 1
    assert f"{float(result.total[0]):+.3f}" in cells
    many = decompose(high_density(n_atoms=3, n_clusters=20, seed=1), METAL)
    assert "high-density (20)" in many.mbe._repr_html_()
    assert len(repr(many.mbe).splitlines()) == 5


def test_plots(three, two_sources):
    _, result = three
    axes = plt.figure().subplots()
    assert result.mbe.plot.orders(ax=axes, group="low-density") is axes
    lines = [line.get_ydata() for line in axes.get_lines() if len(line.get_ydata()) == 8]
    own = result.mbe.orders().query("group == 'low-density'")
    assert any(np.allclose(line, own["contribution_per_body"]) for line in lines)
    for draw in (result.mbe.plot.orders, result.mbe.plot.truncation, result.mbe.plot.noise):
        new = draw()
        assert new is not axes
        assert new.get_ylabel()
    parity = two_sources.mbe.plot.parity("metal", order=2)
    points = [line for line in parity.get_lines() if line.get_label() == "pairs"]
    assert len(points[0].get_xdata()) == 3 * 28
    other = decompose(result.mbe.atoms("a"), "analytic:pair", subsets=True)
    assert other.attrs["source"] in result.mbe.structure("a").mbe.plot.parity(other).get_xlabel()
    with pytest.raises(InputError, match="must be another result for a result of one source"):
        result.mbe.plot.parity("metal")
    with pytest.raises(InputError, match=r"`reference` must be one of metal, pairs"):
        two_sources.mbe.plot.parity("metall")


LOADED = """
import sys, bodyorder
print(*(name for name in ("xarray", "pandas", "matplotlib", "bodyorder.accessor") if name in sys.modules))
for name in ("decompose", "load_results", "combine"):
    sys.modules.pop("bodyorder.accessor", None)
    getattr(bodyorder, name)
    print("bodyorder.accessor" in sys.modules, "matplotlib" in sys.modules)
"""


def test_it_is_there_with_what_gives_results():
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [""] + ["True False"] * 3


def test_a_million_sub_clusters():
    """All of 20 bodies: the result holds its arrays and no more, and becomes a frame in seconds."""
    atoms = high_density(n_atoms=20, n_clusters=1, seed=1)[0]
    decompose(atoms, "analytic:pair", max_order=2, subsets=True)
    gc.collect()
    tracemalloc.start()
    try:
        result = decompose(atoms, "analytic:pair", subsets=True)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    parts = [result, *result.children.values()]
    arrays = sum(array.nbytes for part in parts for array in part.to_dataset(inherit=False).variables.values())
    assert result["subsets"].sizes["subset"] == 2**20 - 1
    assert held <= 1.2 * arrays
    start = time.process_time()
    frame = result.mbe.subsets()
    assert time.process_time() - start < 10
    assert len(frame) == 2**20 - 1
    assert frame["members"].iloc[-1] == tuple(range(20))
    light = result.mbe.subsets(members=False)
    assert light.memory_usage(deep=True).sum() < 40 * len(light)


def test_small_totals_are_not_shown_as_nothing():
    """Axilrod–Teller of a right angle of 2.3 Å: ν (1 + 3 cos α cos β cos γ) / (r₁₂ r₁₃ r₂₃)³ without a cutoff."""
    corner = Atoms("Ar3", [[0, 0, 0], [2.3, 0, 0], [0, 2.3, 0]])
    result = decompose(corner, "analytic:axilrod-teller?nu=0.1&sigma=1.0")
    exact = 0.1 / (2.3 * 2.3 * 2.3 * np.sqrt(2)) ** 3
    np.testing.assert_allclose(result.contribution[0], [0, 0, exact], atol=1e-12)
    shown = repr(result.mbe).splitlines()[-1]
    assert shown.count(f"+{exact:.1e}") == 2  # order 3 and the energy
    assert shown.count("0.000 ±") == 2


def test_noise_that_is_not_known_is_not_shown_as_none(three):
    _, result = three
    silent = result.copy()
    del silent["noise"]
    assert "± 0" not in repr(silent.mbe)
    assert f"{float(result.contribution[0, 1]):+.3f}".replace("-", "−") in repr(silent.mbe)


def test_connected_sub_clusters_that_do_not_add_up_are_named():
    class Liar:
        """E = Σ 1/r, said to end at 1 Å."""

        name, fingerprint, cutoff, precision = "liar", "liar 1", 1.0, Precision(absolute=1e-12)

        def energies(self, batch):
            apart = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=-1)
            return np.where(apart > 0, 1 / np.where(apart > 0, apart, 1), 0).sum(axis=(1, 2)) / 2

    shown = repr(decompose(Atoms("H2", [[0, 0, 0], [2, 0, 0]]), Liar(), cutoff=1.0).mbe)
    assert "orders of 0 by liar miss 0.500 eV of its energy: parts farther apart than the cutoff do feel" in shown
    honest = decompose(Atoms("H2", [[0, 0, 0], [2, 0, 0]]), Liar(), max_order=1)
    assert "miss" not in repr(honest.mbe)


@pytest.mark.parametrize("kind", ["orders", "truncation", "noise"])
def test_axes_are_axes(three, kind):
    draw = getattr(three[1].mbe.plot, kind)
    for given in (plt.figure(), plt.subplots(1, 2)[1]):
        with pytest.raises(InputError, match="`ax` must be axes of matplotlib, got "):
            draw(ax=given)


def test_what_is_given_in_place_of_something_else(three, tmp_path):
    _, result = three
    with pytest.raises(InputError, match="a structure must be one of the result's, got '0'"):
        result.mbe.structure(0)
    for given in ([result], result, None):
        with pytest.raises(InputError, match="results must be given by the names of their sources, a mapping, got"):
            combine(given)
    with pytest.raises(InputError, match="for a result of one source, got Dataset; or combine"):
        result.mbe.plot.parity(result.to_dataset())
    with pytest.raises(InputError, match="a report must be a Report"):
        write_report({"a": result}, tmp_path / "r.html")


def test_results_that_are_read_piece_by_piece(three):
    _, result = three
    pd.testing.assert_frame_equal(result.chunk().mbe.orders(), result.mbe.orders())


def test_sub_clusters_that_were_taken_away_are_missed(three):
    frames, result = three
    some = result.isel(subset=slice(0, 100))
    with pytest.raises(
        InputError, match=r"shares of atoms must come from all sub-clusters, those of b by .* do not add up"
    ):
        some.mbe.shares()
    with pytest.raises(InputError, match="need the energy of every sub-cluster, a lacks those of sizes"):
        environment_orders(some)
    beside = combine({"kept": result, "not kept": decompose(frames, "analytic:pair", max_order=2)})
    with pytest.raises(InputError, match="those of a by not kept do not add up to its contributions"):
        beside.mbe.shares()
