import json

import pytest

from bodyorder._checks import ComputationError, InputError
from bodyorder.study.stages import RECORD, Progress, Stage, open_root, run_chains, run_stages


class Study:
    """Three stages that write down when they run: b and c build on a."""

    def __init__(self, root, a=1, b=1, c=1, broken=()):
        self.root, self.ran, self.broken, self.said = root, [], broken, []
        first = Stage("a", {"x": a}, self.work("a"))
        self.stages = [
            first,
            Stage("b", {"x": b}, self.work("b"), (first,)),
            Stage("c", {"x": c}, self.work("c"), (first,)),
        ]
        self.stages.append(Stage("d", {}, self.work("d"), tuple(self.stages[1:])))

    def work(self, name):
        def run(folder):
            self.ran.append(name)
            (folder / "half.txt").write_text("half")
            if name in self.broken:
                raise ComputationError(f"{name} broke")

        return run

    def run(self):
        progress = Progress(self.said.append)
        for stage in self.stages:
            run_stages([stage], self.root, progress)
        return progress


def test_finished_stages_are_not_run_again(tmp_path):
    assert Study(tmp_path).run().failed == {}
    again = Study(tmp_path)
    again.run()
    assert again.ran == []
    assert again.said == ["a: done before", "b: done before", "c: done before", "d: done before"]


def test_a_changed_setting_reruns_what_depends_on_it_and_nothing_else(tmp_path):
    Study(tmp_path).run()
    changed = Study(tmp_path, b=2)
    changed.run()
    assert changed.ran == ["b", "d"]
    changed = Study(tmp_path, a=2)
    changed.run()
    assert changed.ran == ["a", "b", "c", "d"]
    back = Study(tmp_path)
    back.run()
    assert back.ran == []


def test_a_failure_stops_only_what_builds_on_it_and_is_repeated(tmp_path):
    broken = Study(tmp_path, broken=("b",))
    progress = broken.run()
    assert broken.ran == ["a", "b", "c"]
    assert set(progress.failed) == {"b", "d"}
    with pytest.raises(
        ComputationError, match="2 stages failed, run the study again to repeat them: b: b broke; d: needs b"
    ):
        progress.raise_if_failed()
    mended = Study(tmp_path)
    mended.run()
    assert mended.ran == ["b", "d"]


@pytest.mark.parametrize(
    "error",
    [InputError("no such thing"), OSError(28, "No space left on device"), MemoryError(), RuntimeError("no GPU")],
)
def test_whatever_stops_a_stage_stops_no_other(tmp_path, error):
    def work(folder):
        raise error

    said = []
    progress = Progress(said.append)
    stages = [Stage("bad", {}, work), Stage("good", {}, lambda folder: None), Stage("fine", {}, lambda folder: None)]
    run_chains([stages[:1], stages[1:2], stages[2:]], tmp_path, progress, 1)
    assert list(progress.failed) == ["bad"]
    assert "\n" not in progress.failed["bad"]
    assert all(stage.finished(tmp_path) for stage in stages[1:])
    expected = isinstance(error, InputError | OSError)
    assert ("\n" in "".join(said)) != expected  # where a traceback says more
    assert expected or progress.failed["bad"].startswith(f"{type(error).__name__}: ")


def test_an_interrupted_stage_is_run_again(tmp_path):
    study = Study(tmp_path)
    study.run()
    (study.stages[0].folder(tmp_path) / RECORD).unlink()
    again = Study(tmp_path)
    again.run()
    assert again.ran == ["a"]


def test_the_record_says_what_was_done(tmp_path):
    study = Study(tmp_path)
    study.run()
    record = json.loads((study.stages[1].folder(tmp_path) / RECORD).read_text())
    assert record["settings"] == {"x": 1}
    assert record["needs"] == [study.stages[0].key]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="`output` must be a folder that can be written"),
        open_root(tmp_path / "file" / "study"),
    ):
        pass
