"""Models that are trained already as runs of a study: files of models, and calculators that fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bodyorder._checks import ComputationError
from bodyorder.config import StudyOptions
from bodyorder.results.files import load, load_analysis
from bodyorder.study import run_study

SETTINGS = {
    "clusters": {"high": {"sampler": "high-density", "n_atoms": 4, "n_clusters": 8}},
    "reference": "analytic:pair?kind=morse",
    "split": {"train": 0.5, "validation": 0.25},
    "curves": [],
    "workers": 1,
    "trainings": 1,
}
TRAINED = {"models": ["soap-linear"], "training_sets": {"whole": {}}}

CALCULATORS = '''
from ase.calculators.lj import LennardJones


class Choosy(LennardJones):
    """Fails where a subclass says so."""

    def calculate(self, atoms, *args):
        if self.refuses(atoms):
            raise RuntimeError("not these")
        super().calculate(atoms, *args)


class NoAtoms(Choosy):
    def refuses(self, atoms):
        return len(atoms) == 1


class NoClusters(Choosy):
    def refuses(self, atoms):
        return len(atoms) == 4


class TornMemory(LennardJones):
    def calculate(self, atoms, *args):
        raise MemoryError("not enough")
'''


def run(root: Path, **changes: object) -> list[str]:
    said: list[str] = []
    run_study(StudyOptions.model_validate(SETTINGS | {"output": str(root)} | changes), said.append)
    return said


@pytest.fixture
def choosy(tmp_path, monkeypatch):
    """The name of a module with calculators that fail."""
    (tmp_path / "choosy_calculators.py").write_text(CALCULATORS)
    monkeypatch.syspath_prepend(tmp_path)
    return "choosy_calculators"


def test_the_file_of_a_trained_model_measures_as_the_model_does(tmp_path):
    run(tmp_path / "first", **TRAINED)
    (folder,) = (tmp_path / "first" / "stages").glob("train-*")
    pretrained = {"old": f"metatomic:{folder / 'model.pt'}"}
    run(tmp_path / "second", pretrained=pretrained, **TRAINED)
    table = load_analysis(tmp_path / "second" / "generalization.nc")
    for name in ("total_rmse", "order_rmse", "force_rmse", "subset_rmse", "group_environment_rms"):
        mine, theirs = (table[name].sel(run=run).values for run in ("old", "soap-linear/whole"))
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10, err_msg=name)
    # what it was built for is not known of a file
    assert table["nominal_verdict"].sel(run="old").values.tolist() == ["no nominal order"]


def test_other_test_clusters_are_resolved_anew(tmp_path):
    """First all clusters test, then those that the split leaves."""
    pretrained = {"pairs": "analytic:pair?kind=lennard-jones&sigma=0.8"}
    for changes, count in (({}, 8), (TRAINED, 2)):
        run(tmp_path / "s", pretrained=pretrained, **changes)
        table = load_analysis(tmp_path / "s" / "generalization.nc")
        assert table["group_size"].sel(run="pairs", group="high").item() == count
        assert table["total_rmse"].sel(run="pairs").notnull().all()


@pytest.mark.parametrize("kind", ["NoAtoms", "NoClusters", "TornMemory"])
def test_a_model_that_fails_is_named_and_the_others_are_reported(tmp_path, choosy, kind):
    pretrained = {"bad": f"ase:{choosy}.{kind}", "good": "analytic:pair?kind=lennard-jones&sigma=0.8"}
    with pytest.raises(ComputationError) as raised:
        run(tmp_path / "s", pretrained=pretrained)
    message = str(raised.value)
    assert message.startswith(
        "2 stages failed, run the study again to repeat them: resolve/bad: 8 clusters lack energies: "
    )
    assert "measure/bad: needs resolve/bad" in message
    assert message.endswith(f"report of the rest: {tmp_path / 's' / 'report.html'}")
    table = load_analysis(tmp_path / "s" / "generalization.nc")
    assert table["run"].values.tolist() == ["pair", "good"]
    # nothing that was computed is lost
    (folder,) = (tmp_path / "s" / "stages").glob("resolve-bad-*")
    assert load(folder / "result.nc")["subsets"]["subset_energy"].notnull().any() == (kind != "TornMemory")


def test_a_teacher_that_fails_is_no_process_that_was_killed(tmp_path, choosy):
    changes = {
        "pretrained": {"bad": f"ase:{choosy}.NoClusters"},
        "models": [],
        "training_sets": {"whole": {"forces": False}},
        "distill": {"students": ["soap-linear"]},
    }
    with pytest.raises(ComputationError, match=r"lacks energies of \d+ clusters: .*not these"):
        run(tmp_path / "s", **changes)
