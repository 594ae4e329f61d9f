"""A study from its options to its report, with real reference energies and real trainings, as small as they come."""

import json
import shutil

import numpy as np
import pytest

from bodyorder._checks import ComputationError, InputError
from bodyorder.analysis.seeds import over_seeds
from bodyorder.config import StudyOptions
from bodyorder.engine import Store
from bodyorder.engine.curves import pair_curve
from bodyorder.results.files import load, load_analysis
from bodyorder.structures import ClusterBatch, read_structures, write_structures
from bodyorder.structures.hydrogen import low_density
from bodyorder.study import run_study, train_models
from bodyorder.study.planning import plan_study
from bodyorder.study.sampling import sample_group
from bodyorder.study.stages import open_root

SETTINGS = {
    "clusters": {
        "low": {"sampler": "low-density", "n_atoms": 4, "n_clusters": 5},
        "high": {"sampler": "high-density", "n_atoms": 4, "n_clusters": 5},
    },
    "reference": "pyscf:fci/sto-6g?spin=ground",
    "split": {"train": 0.6, "validation": 0.2},
    "models": ["soap-bpnn"],
    "training_sets": {"whole": {}, "all": {"orders": "all"}},
    "epochs": {"whole": 2, "all": 2},
    "curves": [["H", "H"], ["H", "H", "H"]],
    "workers": 1,
}


def options(folder, **changes):
    return StudyOptions.model_validate(SETTINGS | {"output": str(folder)} | changes)


def stage_folder(root, name):
    (folder,) = (root / "stages").glob(f"{name.replace('/', '-')}-*")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The root of a finished study and what it said."""
    root = tmp_path_factory.mktemp("study") / "study"
    said = []
    report = run_study(options(root), said.append)
    assert report == root / "report.html"
    return root, said


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the finished study that a test may change."""
    return shutil.copytree(finished[0], tmp_path / "study")


def test_every_stage_leaves_its_outcome(finished):
    root, said = finished
    assert [line.split(":")[0] for line in said[:4]] == ["sample/low", "sample/high", "label/low", "label/high"]
    assert said[-1].startswith("report")
    assert load(stage_folder(root, "label/high") / "result.nc").sizes["structure"] == 5
    combined = load(stage_folder(root, "compare") / "result.nc")
    assert combined.source.values.tolist() == ["fci/sto-6g", "soap-bpnn/whole", "soap-bpnn/all"]
    assert (root / "report.html").read_text().startswith("<!")
    record = json.loads((root / "study.json").read_text())
    assert set(record) >= {"train/soap-bpnn/all", "resolve/soap-bpnn/whole", "compare", "generalize", "report"}


def test_the_reference_is_exact_and_complete(finished):
    combined = load(stage_folder(finished[0], "compare") / "result.nc")
    np.testing.assert_allclose(combined.residual, 0, atol=1e-9)
    reference = combined.sel(source="fci/sto-6g")
    np.testing.assert_allclose(reference.contribution[:, 0], 4 * -12.817626, atol=1e-5)


def test_no_subcluster_of_a_test_parent_is_trained_on(finished):
    root, _ = finished
    combined = load(stage_folder(root, "compare") / "result.nc")
    tested = set(combined.structure.values)
    clusters = [
        atoms
        for group in ("low", "high")
        for atoms in read_structures(stage_folder(root, f"sample/{group}") / "clusters.xyz")
    ]
    from bodyorder.study.sampling import subclusters

    def keys(frames):
        found = set()
        for size in {len(atoms) for atoms in frames}:
            found |= set(ClusterBatch.from_atoms([atoms for atoms in frames if len(atoms) == size]).canonical()[0])
        return found

    hidden = keys(
        [part for atoms in clusters if atoms.info["name"] in tested for part in subclusters([atoms]) if len(part) > 1]
    )
    folder = stage_folder(root, "train/soap-bpnn/all")
    for name in ("training.xyz", "validation.xyz"):
        shown = keys(read_structures(folder / name))
        assert shown
        assert not shown & hidden
    assert keys(read_structures(folder / "test.xyz")) & hidden


def test_a_second_run_does_nothing(study):
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*") if path.is_file() and "stages" in path.parts}
    said = []
    run_study(options(study), said.append)
    assert all(line.endswith("done before") for line in said)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_new_title_reruns_the_report_and_nothing_else(study):
    said = []
    run_study(options(study, title="Another title"), said.append)
    assert [line.split(":")[0] for line in said if not line.endswith("done before")] == ["report"]
    assert "Another title" in (study / "report.html").read_text()


def test_new_epochs_of_one_make_up_rerun_what_depends_on_it(study):
    said = []
    run_study(options(study, epochs={"whole": 1, "all": 2}), said.append)
    again = [line.split(":")[0] for line in said if not line.endswith("done before")]
    steps = [f"{step}/soap-bpnn/whole" for step in ("train", "resolve", "measure", "curves")]
    assert again == [*steps, "compare", "generalize", "report"]


def test_more_clusters_of_one_group_keep_the_energies_of_the_other(study):
    with Store(study / "energies.sqlite") as store:
        before = len(store)
    clusters = SETTINGS["clusters"] | {"low": SETTINGS["clusters"]["low"] | {"n_clusters": 6}}
    said = []
    run_study(options(study, clusters=clusters, models=[]), said.append)
    assert [line.split(":")[0] for line in said if line.endswith("done before")] == ["sample/high", "label/high"]
    with Store(study / "energies.sqlite") as store:
        assert len(store) == before + 15 - 4  # one cluster more, its single atoms known


def test_a_failed_training_leaves_the_rest_and_is_repeated(study):
    """A training that cannot start its process fails; the other models are reported all the same."""
    folder = stage_folder(study, "train/soap-bpnn/all")
    for name in ("stage.json", "trained.json"):
        (folder / name).unlink()
    for step in ("resolve", "measure", "curves"):
        (stage_folder(study, f"{step}/soap-bpnn/all") / "stage.json").unlink()
    (folder / "options.yaml").unlink()
    (folder / "options.yaml").mkdir()  # nothing can be written here
    said = []
    with pytest.raises(
        ComputationError, match=r"4 stages failed.*train/soap-bpnn/all: .*resolve/soap-bpnn/all: needs train"
    ):
        run_study(options(study), said.append)
    shown = [load(path / "result.nc").source.values.tolist() for path in (study / "stages").glob("compare-*")]
    assert ["fci/sto-6g", "soap-bpnn/whole"] in shown
    assert "soap-bpnn/all" not in (study / "report.html").read_text()
    (folder / "options.yaml").rmdir()
    run_study(options(study), said.append)
    assert "soap-bpnn/all" in (study / "report.html").read_text()


def test_train_models_stops_at_the_models(study):
    folders = train_models(options(study), print)
    assert [(folder / "model.pt").is_file() for folder in folders] == [True, True]


def test_wrong_input_leaves_nothing_behind(tmp_path):
    for changes, message in (
        ({"reference": "pyscf:fci/sto-6g?spin=gruond"}, "did you mean 'ground'"),
        ({"clusters": {"own": {"sampler": "file", "path": str(tmp_path / "no.xyz")}}}, "must be an existing file"),
    ):
        with pytest.raises(InputError, match=message):
            run_study(options(tmp_path / "s", **changes), print)
    assert not (tmp_path / "s").exists()


def test_a_changed_file_of_clusters_is_noticed(tmp_path):
    path = tmp_path / "own.xyz"
    changes = {"clusters": {"own": {"sampler": "file", "path": str(path)}}, "models": [], "reference": "analytic:pair"}
    write_structures(path, low_density(4, 2, seed=0))
    run_study(options(tmp_path / "s", **changes), print)
    write_structures(path, low_density(4, 3, seed=1))
    said = []
    run_study(options(tmp_path / "s", **changes), said.append)
    assert not any(line.endswith("done before") for line in said)


def test_thermal_clusters(tmp_path):
    sampler = {
        "sampler": "langevin",
        "n_atoms": 4,
        "n_clusters": 3,
        "start": "low-density",
        "source": "pyscf:fci/sto-6g?spin=ground",
        "wall_radius": 5.0,
        "interval": 5,
        "equilibration": 10,
    }
    clusters = sample_group(
        "warm",
        StudyOptions.model_validate(SETTINGS | {"output": "x", "clusters": {"warm": sampler}}).clusters["warm"],
        0,
    )
    assert [atoms.info["name"] for atoms in clusters] == ["warm_0000", "warm_0001", "warm_0002"]
    assert np.abs(clusters[1].positions - clusters[0].positions).max() > 1e-3


def test_two_runs_at_once_do_not_meet(study):
    with open_root(study), pytest.raises(ComputationError, match="another study is running in it"):
        run_study(options(study), print)


def test_the_price_follows_the_options(tmp_path):
    def lines(**changes):
        return {line.stage: line for line in plan_study(options(tmp_path / "s", **changes)).lines}

    one, two = lines(), lines(epochs={"whole": 4, "all": 2})
    assert set(one) == {"label/low", "label/high", "train/soap-bpnn/whole", "train/soap-bpnn/all"}
    assert "75 sub-clusters of 5 clusters" in one["label/low"].what
    assert two["train/soap-bpnn/whole"].core_hours == pytest.approx(2 * one["train/soap-bpnn/whole"].core_hours)
    # Three parents of each group with 6 + 4 + 1 sub-clusters that differ by more than their place, and themselves.
    assert "about 72 clusters" in one["train/soap-bpnn/all"].what
    assert not (tmp_path / "s").exists()


def test_curves_of_a_study_are_those_of_its_models(finished):
    root, _ = finished
    model = f"metatomic:{stage_folder(root, 'train/soap-bpnn/all') / 'model.pt'}"
    folder = stage_folder(root, "curves/soap-bpnn/all")
    reference = stage_folder(root, "curves/reference")
    kept, exact = load_analysis(folder / "H-H.nc"), load_analysis(reference / "H-H.nc")
    # the model ends at its cutoff, and is asked for the distances of the reference all the same
    np.testing.assert_array_equal(kept["distance"], exact["distance"])
    places = kept["distance"].values[[5, 40, 100]]
    expected = pair_curve(model, ("H", "H"), places)
    np.testing.assert_allclose(kept["pair_contribution"].sel(distance=places), expected["pair_contribution"], atol=1e-9)
    assert load_analysis(folder / "H-H-H.nc")["triple_contribution"].notnull().mean() > 0.9
    pairs = load_analysis(folder / "distances.nc")["distance_density"].sum() * 0.05
    frames = read_structures(stage_folder(root, "train/soap-bpnn/all") / "training.xyz")
    within = [(atoms.get_all_distances()[np.triu_indices(len(atoms), 1)] <= 6.0).sum() for atoms in frames]
    assert float(pairs) == pytest.approx(np.mean(within), rel=0.02)


def test_the_table_of_a_study_says_what_the_results_say(finished):
    root, _ = finished
    table = load_analysis(root / "generalization.nc")
    assert table["run"].values.tolist() == ["fci/sto-6g", "soap-bpnn/whole", "soap-bpnn/all"]
    assert table["n_clusters"].values.tolist() == [0, 3, 3]
    result = load(stage_folder(root, "resolve/soap-bpnn/all") / "result.nc")
    exact = load(stage_folder(root, "reference") / "result.nc")
    assert result["structure"].values.tolist() == exact["structure"].values.tolist()
    for group in ("low", "high"):
        rows = exact["group"].values == group
        errors = ((result["contribution"] - exact["contribution"]) / 4).isel(structure=rows)
        found = table.sel(run="soap-bpnn/all", group=group)
        np.testing.assert_allclose(found["order_rmse"], np.sqrt((errors**2).mean("structure")), rtol=1e-9)
        total = ((result["total"] - exact["total"]) / 4).isel(structure=rows)
        assert float(found["total_rmse"]) == pytest.approx(float(np.sqrt((total**2).mean())))
        assert found["nominal_verdict"] == "effective above nominal"
        assert float(table.sel(run="fci/sto-6g", group=group)["highest_order"]) == 4
    wells = table["well_depth"].sel(pair="H-H")
    assert float(wells.sel(run="fci/sto-6g")) == pytest.approx(5.55, abs=0.05)
    lines = (root / "generalization.csv").read_text().splitlines()
    assert lines[0].startswith("training,model,training_set,n_clusters,group,n_seeds,energy_rmse_meV_per_atom")
    assert len(lines) == 1 + 3 * 2


GRID = {
    "held_out": {"larger": {"clusters": {"sampler": "high-density", "n_atoms": 5, "n_clusters": 2}, "max_order": 3}},
    "models": ["soap-linear"],
    "training_sets": {"whole": {}},
    "epochs": {},
    "seeds": 2,
    "training_sizes": {"whole": [2]},
    "curves": [],
}


def test_larger_clusters_seeds_and_sizes_are_cells_of_one_table(tmp_path):
    run_study(options(tmp_path / "grid", **GRID), print)
    table = load_analysis(tmp_path / "grid" / "generalization.nc")
    assert table["run"].values.tolist() == [
        "fci/sto-6g",
        *(f"soap-linear/whole{size}/seed={seed}" for size in ("", "/n=2") for seed in (0, 1)),
    ]
    assert table["group"].values.tolist() == ["low", "high", "larger"]
    means = over_seeds(table).sel(training="soap-linear/whole")
    assert means["n_seeds"] == 2
    # a solved model is the same for every seed that draws nothing
    assert means["total_rmse_spread"].max() < 1e-9
    assert (means["nominal_verdict"].sel(group=["low", "high"]) == "nominal = effective").all()
    assert means["size_error"].sel(group="larger", size=[1, 2, 3, 5]).notnull().all()
    assert means["size_error"].sel(group="larger", size=4).isnull()
    assert "well_depth" not in table


def test_a_reference_without_forces_serves_models_of_energies(tmp_path):
    """CCSD(T) has no analytic forces here."""
    changes = GRID | {
        "reference": "pyscf:ccsd(t)/sto-6g?spin=low",
        "clusters": {"low": SETTINGS["clusters"]["low"]},
        "training_sets": {"whole": {"forces": False}},
        "seeds": 1,
        "training_sizes": {},
        "held_out": {},
    }
    run_study(options(tmp_path / "s", **changes), print)
    table = load_analysis(tmp_path / "s" / "generalization.nc")
    assert table["total_rmse"].sel(run="soap-linear/whole").notnull().all()
    assert "force_rmse" not in table
    with pytest.raises(
        InputError, match=r"must give forces, .* gives energies only; give another, or set `forces: false`"
    ):
        run_study(options(tmp_path / "t", **(changes | {"training_sets": {"whole": {}}})), print)


def test_what_explicit_models_learn_of_others(tmp_path):
    """A model of the same kind learns all of another; what reaches fewer bodies does not."""
    changes = GRID | {
        "clusters": {"high": SETTINGS["clusters"]["high"] | {"n_clusters": 8}},
        "held_out": {},
        "models": ["soap-linear"],
        "training_sizes": {},
        "distill": {"students": ["soap-linear", "gap"], "teachers": ["soap-linear", "morse"]},
        "pretrained": {"morse": "analytic:pair?kind=morse"},
    }
    said = []
    run_study(options(tmp_path / "s", **changes), said.append)
    found = load_analysis(tmp_path / "s" / "distillation.nc").to_dataframe().set_index(["teacher", "student", "seed"])
    assert set(found.index.get_level_values("teacher")) == {"fci/sto-6g", "soap-linear", "morse"}
    errors, own = found["distilled_rmse"], found["teacher_rmse"]
    for seed in (0, 1):
        # its own kind learns it but for the regularisation
        assert errors["soap-linear", "soap-linear", seed] < 0.02 * errors["fci/sto-6g", "soap-linear", seed]
        assert own["soap-linear", "gap", seed] == pytest.approx(errors["fci/sto-6g", "soap-linear", seed])
    assert own["fci/sto-6g", "gap", 0] == 0
    assert np.isnan(own["morse", "gap", 0])
    # the reference teaches the grid's own runs, which are not trained again
    assert not any("distill/soap-linear" in line and "of/fci" in line for line in said)
    assert any(line.startswith("distill/gap/whole/seed=1/of/fci/sto-6g") for line in said)
