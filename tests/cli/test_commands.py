"""The commands as a user calls them: real files, real sources, exit codes and what is printed."""

import zipfile
from itertools import product

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk
from geometries import clusters as hydrogen_clusters
from geometries import scattered

from bodyorder.analysis import combine, compare
from bodyorder.cli.tables import print_orders
from bodyorder.engine import decompose
from bodyorder.results import grown, save_results
from bodyorder.results.files import load
from bodyorder.sources.protocol import Precision
from bodyorder.structures import read_structures, write_structures


@pytest.fixture
def clusters(tmp_path):
    return write_structures(tmp_path / "clusters.xyz", hydrogen_clusters(2, 4, spread=3))


def one_line(text):
    assert text.startswith("bodyorder")
    assert text.count("\n") == 1
    return text


def test_sample_decompose_compare_report(run, tmp_path):
    clusters, first, second = tmp_path / "c.xyz", tmp_path / "pair.nc", tmp_path / "triple.nc"
    code, out, _ = run("sample", "--preset", "high-density", "--atoms", 5, "--clusters", 3, "-o", clusters)
    assert (code, len(read_structures(clusters))) == (0, 3)
    assert "3 structures in" in out
    for source, path in (("analytic:pair", first), ("analytic:axilrod-teller", second)):
        code, out, err = run("decompose", clusters, "--source", source, "--forces", "--subsets", "-o", path)
        assert (code, err) == (0, "")
        assert "93 sub-clusters evaluated" in out
    assert np.abs(load(first).contribution[:, 2:]).max() < 1e-9
    code, out, _ = run("compare", first, second, "--reference", "pair", "-o", tmp_path / "comparison.nc")
    assert code == 0
    assert "RMSE against pair" in out
    assert "order_rmse" in xr.load_dataset(tmp_path / "comparison.nc", engine="h5netcdf")
    code, out, _ = run("report", first, second, "--reference", "pair", "-o", tmp_path / "report.html")
    assert code == 0
    assert (tmp_path / "report.html").read_text().startswith("<!")


def test_environment_orders_of_one_result_and_of_several(run, clusters, tmp_path):
    paths = [tmp_path / "pair.nc", tmp_path / "triple.nc"]
    for source, path in zip(("analytic:pair", "analytic:axilrod-teller"), paths, strict=True):
        assert run("decompose", clusters, "--source", source, "--subsets", "-o", path)[0] == 0
    output = tmp_path / "environment.nc"
    code, out, err = run("environment", *paths, "-o", output)
    assert (code, err) == (0, "")
    assert "triple, 2 clusters: best approximations by weights size, eV per body" in out
    errors = xr.load_dataset(output, engine="h5netcdf").environment_rms
    assert errors.dims == ("source", "structure", "order")
    assert float(abs(errors.sel(source="pair", order=[2, 3, 4])).max()) < 1e-9
    assert float(errors.sel(source="triple", order=2).min()) > 1e-6
    code, _, err = run("environment", paths[0], "--weights", "shapley", "--max-order", 3, "--sum-rule", "-o", output)
    assert (code, err) == (0, "")
    assert xr.load_dataset(output, engine="h5netcdf").environment_rms.dims == ("structure", "order")


def test_a_file_of_several_sources_is_compared_and_shown_by_their_names(run, clusters, tmp_path):
    parts = {
        name: decompose(read_structures(clusters), f"analytic:{name}", subsets=True) for name in ("pair", "sutton-chen")
    }
    save_results(combine(parts), tmp_path / "both.nc")
    code, _, err = run("compare", tmp_path / "both.nc", "--reference", "pair", "-o", tmp_path / "c.nc")
    assert (code, err) == (0, "")
    found = xr.load_dataset(tmp_path / "c.nc", engine="h5netcdf")
    np.testing.assert_array_equal(found.total_rmse, compare(parts, "pair").total_rmse)
    code, _, err = run("report", tmp_path / "both.nc", "--reference", "sutton-chen", "-o", tmp_path / "r.html")
    assert (code, err) == (0, "")
    code, _, err = run("report", tmp_path / "both.nc", "--reference", "both", "-o", tmp_path / "r.html")
    assert (code, err.count("\n")) == (2, 1)


def test_environment_orders_are_printed_for_each_group_and_number_of_bodies(run, tmp_path):
    frames = [scattered(n, seed=n, spread=3) for n in (2, 4, 5)]
    for atoms, group in zip(frames, ("low", "low", "high"), strict=True):
        atoms.info["group"] = group
    path = tmp_path / "metal.nc"
    structures = write_structures(tmp_path / "c.xyz", frames)
    assert run("decompose", structures, "--source", "analytic:sutton-chen", "--subsets", "-o", path)[0] == 0
    code, out, _ = run("environment", path, "--sum-rule", "-o", tmp_path / "environment.nc")
    assert code == 0
    words = " ".join(out.split())
    assert "2 clusters of low: best approximations by weights size, exact at the full cluster" in words
    assert "1 cluster of high: " in words
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines() if line.startswith("│")]
    assert [row[:4] for row in cells if row[0].isdigit()] == [
        ["1", "2", "2–4", "3–15"], ["2", "2", "3–10", "3–15"], ["3", "1", "14", "15"], ["4", "1", "15", "15"],
        ["1", "1", "5", "31"], ["2", "1", "15", "31"], ["3", "1", "25", "31"], ["4", "1", "30", "31"], ["5", "1", "31", "31"],
    ]  # fmt: skip


def test_interaction_indices_stand_beside_environment_orders(run, clusters, tmp_path):
    path, output = tmp_path / "triple.nc", tmp_path / "environment.nc"
    assert run("decompose", clusters, "--source", "analytic:axilrod-teller", "--subsets", "-o", path)[0] == 0
    code, _, err = run("environment", path, "--interactions", 3, "-o", output)
    assert (code, err) == (0, "")
    found, result = xr.load_dataset(output, engine="h5netcdf"), load(path)
    assert found.environment_rms.dims == ("structure", "order")
    triples = found.interaction.sel(index="faith_shap").values[found.subset_order.values == 3]
    expected = result.subsets.subset_contribution.values[result.subsets.subset_order.values == 3]
    np.testing.assert_allclose(triples, expected, atol=1e-10)
    code, _, err = run("environment", path, "--interactions", 5, "-o", output)
    assert code == 2
    assert "`interactions` must be between 1 and 4, got 5" in one_line(err)


def test_surroundings_of_atoms_of_a_crystal(run, tmp_path):
    crystal, output = write_structures(tmp_path / "cu.xyz", [bulk("Cu", cubic=True)]), tmp_path / "around.xyz"
    options = ("--radius", 2.7, "--clusters", 2, "--seed", 1)
    code, out, _ = run("sample", "--surroundings", crystal, *options, "-o", output)
    assert code == 0
    assert "2 structures in" in out
    drawn = read_structures(output)
    assert [len(atoms) for atoms in drawn] == [13, 13]
    assert not drawn[0].pbc.any()
    for atoms in drawn:
        np.testing.assert_allclose(atoms.get_distances(0, range(1, 13)), 3.61 / np.sqrt(2), atol=1e-6)
    code, _, err = run("sample", "--surroundings", crystal, "--radius", 2.7, "--atoms", 12, "-o", output)
    assert code == 2
    assert "`radius` must leave at most 12 atoms around a centre" in one_line(err)
    code, _, err = run("sample", "--surroundings", crystal, "-o", output)
    assert code == 2
    assert "`--radius` must be given with `--surroundings`, and is not" in one_line(err)


def test_environment_orders_need_every_subcluster(run, clusters, tmp_path):
    path, output = tmp_path / "pair.nc", tmp_path / "environment.nc"
    assert run("decompose", clusters, "--source", "analytic:pair", "--subsets", "--max-order", 2, "-o", path)[0] == 0
    code, _, err = run("environment", path, "-o", output)
    assert code == 2
    assert "0 lacks those of sizes 3, 4; decompose without max_order, cutoff and samples" in one_line(err)
    code, _, err = run("environment", path, "--weights", "shaply", "-o", output)
    assert code == 2
    assert not output.exists()


def test_plan_says_what_is_measured(run, clusters):
    code, out, _ = run("plan", clusters, "--source", "analytic:sutton-chen", "--forces")
    assert code == 0
    assert "30 sub-clusters" in out
    code, out, _ = run("plan", clusters, "--source", "analytic:sutton-chen", "--max-order", 2)
    assert "whole" in out
    assert "22 sub-clusters" in out


def test_plan_compares_sources(run, clusters):
    """Every source has its rows, and below its hours on so many workers and its memory."""
    specs = ("pyscf:fci/sto-3g?spin=ground", "pyscf:uhf/sto-3g?spin=low&counterpoise=vmfc", "analytic:pair")
    options = [word for spec in specs for word in ("--source", spec)]
    code, out, _ = run("plan", clusters, *options, "--max-order", 2, "--workers", 3)
    assert code == 0
    assert "cost of 2 structures" in out
    for number, name in enumerate(
        ("pyscf:fci/sto-3g?spin=ground", "pyscf:uhf/sto-3g?counterpoise=vmfc&spin=low", "analytic:pair"), start=1
    ):
        assert f"[{number}] {name}" in out
    assert out.count("hours with 3 workers (about ") == 2
    assert out.count("MB seen here so far)") == 3
    # 2 × (4 atoms, 6 pairs of 3 energies each, the whole)
    assert ": 46 sub-clusters" in out


def test_plan_refuses_what_cannot_work(run, clusters):
    code, _, err = run("plan", clusters, "--source", "analytic:pair", "--workers", 0)
    assert code == 2
    assert "`workers` must be between 1 and 4096, got 0" in one_line(err)


def test_subclusters_of_a_file(run, clusters, tmp_path):
    code, _, _ = run("sample", "--subclusters", clusters, "--order", 3, "-o", tmp_path / "s.xyz")
    assert code == 0
    parts = read_structures(tmp_path / "s.xyz")
    assert [len(atoms) for atoms in parts] == [3] * 8
    parents = read_structures(clusters)
    members = [int(word) for word in parts[-1].info["members"].split("-")]
    np.testing.assert_allclose(parts[-1].positions, parents[1].positions[members])


def test_check(run):
    code, out, _ = run("check", "analytic:pair?cutoff=4.0")
    assert code == 0
    assert "FAILED" not in out
    # A pair potential that reaches further than it claims.
    claim = "ase:ase.calculators.lj.LennardJones?epsilon=0.1&sigma=2.0&rc=12.0&additive_cutoff=3.0"
    code, out, _ = run("check", claim)
    assert code == 1
    assert "FAILED" in out


def test_store_makes_the_second_run_free(run, clusters, tmp_path):
    options = (
        "decompose",
        clusters,
        "--source",
        "analytic:pair",
        "--store",
        tmp_path / "s.sqlite",
        "-o",
        tmp_path / "r.nc",
    )
    _, first, _ = run(*options)
    _, second, _ = run(*options)
    assert "23 sub-clusters evaluated" in first  # eight single atoms are one sub-cluster
    assert "0 sub-clusters evaluated" in second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("decompose", "nothing.xyz", "--source", "analytic:pair", "-o", "r.nc"), "must be an existing file"),
        (("decompose", "empty.xyz", "--source", "analytic:pair", "-o", "r.nc"), r"empty\.xyz is empty"),
        (("decompose", "prose.xyz", "--source", "analytic:pair", "-o", "r.nc"), "must begin with its number of atoms"),
        (("decompose", "spot.xyz", "--source", "analytic:pair", "-o", "r.nc"), "atoms 0 and 1 are on one spot"),
        (
            ("decompose", "clusters.xyz", "--source", "pysfc:fci", "-o", "r.nc"),
            "unknown source 'pysfc'.*did you mean 'pyscf'",
        ),
        (("decompose", "clusters.xyz", "--source", "analytic:piar", "-o", "r.nc"), "did you mean 'pair'"),
        (("decompose", "clusters.xyz", "--source", "analytic", "-o", "r.nc"), "must look like 'scheme:target"),
        (("decompose", "clusters.xyz", "--source", "analytic:pair?epsilom=1", "-o", "r.nc"), "did you mean 'epsilon'"),
        (("decompose", "clusters.xyz", "--source", "ase:ase.calculators.lj.Nope", "-o", "r.nc"), "Nope"),
        (("decompose", "clusters.xyz", "--source", "metatomic:no.pt", "-o", "r.nc"), r"no\.pt"),
        (
            ("decompose", "clusters.xyz", "--source", "analytic:pair", "--max-order", "5", "-o", "r.nc"),
            "between 1 and 4, got 5",
        ),
        (
            ("decompose", "clusters.xyz", "--source", "analytic:pair", "--max-order", "0", "-o", "r.nc"),
            "between 1 and 4, got 0",
        ),
        (
            ("decompose", "clusters.xyz", "--source", "analytic:pair", "--bodies", "atom", "-o", "r.nc"),
            "must be 'atoms'",
        ),
        (
            ("decompose", "clusters.xyz", "--source", "analytic:pair", "--cutoff", "-1", "-o", "r.nc"),
            "must be a positive number",
        ),
        (
            ("decompose", "clusters.xyz", "--source", "analytic:pair", "--workers", "0", "-o", "r.nc"),
            "`workers` must be",
        ),
        (
            ("decompose", "clusters.xyz", "--source", "analytic:pair", "-o", "no/r.nc"),
            "output must go into an existing folder",
        ),
        (("decompose", "clusters.xyz", "--source", "analytic:pair", "-o", "."), "output must be a file"),
        (("decompose", "clusters.xyz", "-o", "r.nc"), "one of the arguments --source --level is required"),
        (("decompos",), "did you mean 'decompose'"),
        (("sample", "--preset", "middle", "-o", "c.xyz"), "must be one of low-density, high-density"),
        (("sample", "--preset", "high-density", "--clusters", "0", "-o", "c.xyz"), "`n_clusters` must be between"),
        (("compare", "prose.xyz", "--reference", "a"), "must be NetCDF files"),
        (("report", "nothing.nc", "-o", "r.html"), "results must be an existing file"),
        (("study", "nothing.yaml"), r"nothing\.yaml is not: No such file"),
        (("plan", "clusters.xyz"), "`--source` must say"),
        (("sample", "--preset", "high-density", "--order", "3", "-o", "c.xyz"), "`--order` belongs to `--subclusters`"),
        (
            ("sample", "--subclusters", "clusters.xyz", "--atoms", "3", "-o", "c.xyz"),
            "`--atoms` belongs to `--preset` or",
        ),
        (("sample", "--subclusters", "clusters.xyz", "-o", "clusters.xyz"), "output must not be an input"),
        (
            ("decompose", "clusters.xyz", "--source", "analytic:pair", "-o", "clusters.xyz"),
            "output must not be an input",
        ),
        (
            ("decompose", "clusters.xyz", "--source", "analytic:pair", "--store", "s.db", "-o", "./s.db"),
            "output must not be an input",
        ),
        (("check", "analytic:pair", "--species", "Xx"), "Xx"),
        (
            ("decompose", "clusters.xyz", "--source", "pyscf:fci/sto-7g?spin=low", "-o", "r.nc"),
            "`basis` must be .* got 'sto-7g'; did you mean 'sto-6g'",
        ),
        (
            ("decompose", "clusters.xyz", "--source", "pyscf:fci/sto-6g?spin=low&xc=pbe", "-o", "r.nc"),
            "pyscf:fci/sto-6g has no option 'xc'",
        ),
        (
            ("decompose", "clusters.xyz", "--workers", "1", "--source", "pyscf:fci/sto-6g?spin=pattern", "-o", "r.nc"),
            "structure 0 has none; set its initial magnetic moments",
        ),
        (
            ("decompose", "clusters.xyz", "--workers", "1", "--source", "pyscf:uhf/sto-6g?spin=own:even", "-o", "r.nc"),
            r"spin=own:even must give .* can have, got 2 for 4 electrons of atomic numbers \[1, 1, 1, 1\]; they can have 1, 3, 5",
        ),
        (
            ("decompose", "ghosts.xyz", "--workers", "1", "--source", "pyscf:fci/sto-6g?spin=low", "-o", "r.nc"),
            r"atom 0 is a ghost or dummy \(X\); leave it out",
        ),
        (("plan", "ions.xyz", "--source", "analytic:pair"), "takes no charges, structure 0 has a body of charge -1"),
        (
            ("decompose", "ion.xyz", "--source", "analytic:pair", "-o", "r.nc"),
            "takes no charges, structure 0 has a body of",
        ),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(run, clusters, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.xyz").touch()
    (tmp_path / "prose.xyz").write_text("Call me Ishmael.\n")
    (tmp_path / "spot.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0\n")
    (tmp_path / "ghosts.xyz").write_text("2\n\nX 0 0 0\nX 0 0 1\n")
    (tmp_path / "ion.xyz").write_text("1\nProperties=species:S:1:pos:R:3 charge=1\nLi 0 0 0\n")
    columns = "Properties=species:S:1:pos:R:3:initial_charges:R:1"
    (tmp_path / "ions.xyz").write_text(f"2\n{columns}\nH 0 0 0 -1\nLi 0 0 2 1\n")
    (tmp_path / "own.py").write_text("def even(numbers, positions, charge):\n    return 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, out, err = run(*arguments)
    assert code == 2
    assert not out or (out.startswith("read: ") and out.count("\n") == 1), "what was read may be said before"
    import re

    assert re.search(message, one_line(err))
    assert sorted(tmp_path.iterdir()) == before


def test_an_element_that_the_source_lacks(run, tmp_path):
    frame = write_structures(tmp_path / "u.xyz", [Atoms("U2", positions=[[0, 0, 0], [0, 0, 3]])])
    code, _, err = run("decompose", frame, "--source", "pyscf:fci/sto-6g?spin=ground", "-o", tmp_path / "r.nc")
    assert code == 2
    assert "U" in one_line(err)
    assert not (tmp_path / "r.nc").exists()


def test_missing_contributions_are_exit_code_one_and_are_written(run, tmp_path):
    """EMT knows copper and not iron: what can be computed is kept, and the reason is said."""
    frames = [Atoms(f"Cu2{last}", positions=[[0, 0, 0], [0, 0, 2.4], [0, 2.0, 0]]) for last in ("Fe", "Cu")]
    path = write_structures(tmp_path / "f.xyz", frames)
    code, out, err = run("decompose", path, "--source", "ase:ase.calculators.emt.EMT", "-o", tmp_path / "r.nc")
    assert code == 1
    assert "1 of 2 structures are incomplete: 4 of 7 sub-clusters failed" in one_line(err)
    assert "written to" in out
    np.testing.assert_array_equal(np.isnan(load(tmp_path / "r.nc").contribution).any("order"), [True, False])


def test_results_of_a_newer_layout(run, clusters, tmp_path):
    path = tmp_path / "r.nc"
    run("decompose", clusters, "--source", "analytic:pair", "-o", path)
    result = load(path)
    result.attrs["schema_version"] = 99
    result.to_netcdf(path, engine="h5netcdf")
    code, _, err = run("report", path, "-o", tmp_path / "r.html")
    assert code == 2
    assert "upgrade bodyorder" in one_line(err)


def test_orders_from_samples(run, tmp_path):
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3), axis=-1).reshape(-1, 3)[:14]
    clusters = write_structures(tmp_path / "c.xyz", [Atoms("Ar14", positions=3.6 * grid)])
    common = ("decompose", clusters, "--source", "analytic:sutton-chen", "--max-order", 3)
    assert run(*common, "-o", tmp_path / "all.nc")[0] == 0
    assert run(*common, "--samples", 60, "--error", 0.05, "--seed", 1, "-o", tmp_path / "some.nc")[0] == 0
    every, some = load(tmp_path / "all.nc"), load(tmp_path / "some.nc")
    assert some.attrs["family"] == "sampled"
    assert (some.noise <= 0.05).all()
    assert (abs(some.contribution - every.contribution) <= 5 * some.noise + 1e-9).all()
    code, _, err = run(*common, "--seed", 1, "-o", tmp_path / "none.nc")
    assert (code, "`--seed` belongs to `--samples`" in one_line(err)) == (2, True)


def test_a_periodic_structure(run, tmp_path):
    from ase.io import write

    write(tmp_path / "si.xyz", bulk("Si", cubic=True))
    source = ("--source", "analytic:axilrod-teller?cutoff=4.0")
    assert (
        run("decompose", tmp_path / "si.xyz", *source, "--max-order", 4, "--forces", "-o", tmp_path / "si.nc")[0] == 0
    )
    result = load(tmp_path / "si.nc")
    assert abs(float(result.contribution[0, 3])) < 1e-9 < abs(float(result.contribution[0, 2]))
    assert "stress_contribution" in result.cells
    code, _, err = run("decompose", tmp_path / "si.xyz", *source, "-o", tmp_path / "x.nc")
    assert (code, "`max_order` must be given for structure 0, which is periodic" in one_line(err)) == (2, True)


def test_a_plan_of_a_sample_says_what_it_leaves_out(run, tmp_path):
    path = write_structures(tmp_path / "c.xyz", [scattered(14, spread=12, symbol="Ar")])
    common = ("plan", path, "--source", "analytic:sutton-chen", "--max-order", 3)
    scatter = "noise without the error of sampling, which comes on top and is known only afterwards"
    first = "only the first round of the sample is priced; more is drawn until every order is known to 0.05 eV"
    for options, said in (
        ((), ()),
        (("--samples", 40), (scatter,)),
        (("--samples", 40, "--error", 0.05), (scatter, first)),
        (("--samples", 4000, "--error", 0.05), ()),  # all sub-clusters
    ):
        code, out, _ = run(*common, *options)
        assert code == 0
        assert [line for line in (scatter, first) if line in out.splitlines()] == list(said)


def test_orders_within_their_noise_are_marked_and_say_in_what(run, tmp_path):
    path = write_structures(tmp_path / "c.xyz", [scattered(14, spread=12, symbol="Ar")])
    common = ("decompose", path, "--source", "analytic:sutton-chen", "-o", tmp_path / "r.nc")
    code, out, _ = run(*common, "--max-order", 6, "--samples", 10)
    lost = load(tmp_path / "r.nc").pipe(lambda held: ~held.above_noise & (held.noise > 0)).values[0]
    assert (code, lost[-1]) == (0, True)
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│")][:6]
    assert [cells[2].strip().endswith("~") for cells in rows] == lost.tolist()
    assert "~ not above twice its noise, which is the error of sampling, and what is claimed by the source" in out


def test_means_are_held_against_the_noise_of_a_structure(capsys):
    """Of a hundred structures some are above twice their noise by chance, and the mean is not."""
    rng = np.random.default_rng(0)
    contribution = np.stack([np.full(100, -1.0), np.full(100, 0.21), 0.1 * rng.normal(size=100)], axis=1)
    noise = np.full((100, 3), 0.1)
    assert (abs(contribution[:, 2]) > 0.2).any()
    result = xr.Dataset(
        {
            "contribution": (("structure", "order"), contribution),
            "noise": (("structure", "order"), noise),
            "above_noise": (("structure", "order"), abs(contribution) > 2 * noise),
            "total": ("structure", contribution.sum(axis=1)),
            "residual": ("structure", np.zeros(100)),
            "n_bodies": ("structure", np.full(100, 3)),
            "n_evaluations": ("structure", np.full(100, 7)),
            "site_structure": ("site", np.repeat(np.arange(100), 3)),
        },
        coords={"structure": np.arange(100), "order": [1, 2, 3]},
        attrs={"source": "made", "noise": "claimed by the source", "family": "complete"},
    )
    print_orders(grown(result))
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")][:3]
    assert ["~" in row for row in rows] == [False, False, True]


def test_nearly_degenerate_states_of_atoms_apart_are_told_from_others_where_sub_clusters_are_known(capsys):
    """H2 and two atoms far from it and each other: five pairs, two triples and all four hold spins that are not coupled."""
    far = Atoms("H4", [[0, 0, 0], [0.75, 0, 0], [6, 0, 0], [12, 0, 0]])
    said = {}
    for subsets in (True, False):
        print_orders(decompose(far, "pyscf:fci/sto-6g?spin=ground", subsets=subsets))
        said[subsets] = [line for line in capsys.readouterr().out.splitlines() if "degenerate" in line]
    apart = "nearly degenerate, but fallen apart into open-shell atoms or fragments, which is no reason to doubt"
    assert said[True] == [f"sub-clusters {apart}: 8 (orders 2, 3, 4)"]
    assert said[False] == ["sub-clusters nearly degenerate: 8 (orders 2, 3, 4)"]


class Shallow:
    """Each atom has -1 eV; of a periodic structure it says nothing."""

    name, fingerprint, cutoff, precision = "shallow", "shallow", 5.5, Precision(absolute=1e-12)

    def energies(self, batch):
        return np.full(len(batch), -float(batch.n_atoms))


class Deep(Shallow):
    """By cell too."""

    def cell_energy(self, atoms):
        return -float(len(atoms))


@pytest.mark.parametrize(("source", "count"), [(Shallow(), 1), (Deep(), 0)])
def test_a_periodic_structure_without_an_energy_by_cell(capsys, source, count):
    print_orders(decompose(bulk("Ar", cubic=True), source, max_order=2))
    assert capsys.readouterr().out.count("no total: the source gives no energy of a periodic cell") == count


def test_a_pickled_model_is_loaded_on_the_word_of_the_user_only(run, clusters, tmp_path):
    (tmp_path / "m.model").write_bytes(b"not a model")
    model = f"mace:{tmp_path / 'm.model'}"
    commands = (("decompose", clusters, "--source", model, "-o", tmp_path / "x.nc"), ("check", model))
    for command, flag in product(commands, ((), ("--trust",))):
        code, _, err = run(*command, *flag)
        assert (code, ("could not be loaded" if flag else "trust=true") in one_line(err)) == (2, True), err


def test_compiled_code_that_came_with_a_model_is_loaded_on_the_word_of_the_user_only(run, clusters, tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/extra/extensions", '[{"name": "unknown", "path": "elsewhere/libunknown.so"}]')
    (tmp_path / "extensions").mkdir()
    model = f"metatomic:{tmp_path / 'm.pt'}"
    commands = (("decompose", clusters, "--source", model, "-o", tmp_path / "x.nc"), ("check", model))
    for command, flag in product(commands, ((), ("--trust",))):
        code, _, err = run(*command, *flag)
        assert (code, ("could not be loaded" if flag else "trust=true") in one_line(err)) == (2, True), err


def test_sources_that_hold_no_code_are_not_told_of_trust(run, clusters, tmp_path):
    assert run("decompose", clusters, "--source", "analytic:pair", "--trust", "-o", tmp_path / "x.nc")[0] == 0


def test_a_function_is_called_on_the_word_of_the_user_only(run, clusters, tmp_path):
    commands = (
        ("decompose", clusters, "--source", "ase:os.getcwd", "-o", tmp_path / "x.nc"),
        ("check", "ase:os.getcwd"),
    )
    for command, flag in product(commands, ((), ("--trust",))):
        code, _, err = run(*command, *flag)
        assert (code, ("got str" if flag else "trust=true") in one_line(err)) == (2, True), err
