import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import bodyorder
from bodyorder._checks import ComputationError, InputError
from bodyorder.study import stages
from bodyorder.study.stages import (
    RECORD,
    Progress,
    Stage,
    code_version,
    open_root,
    run_chains,
    run_stages,
    say_of_other_code,
    source_hash,
)

PACKAGE = Path(bodyorder.__file__).parent
#: A program that says the key of a stage, and what the code counts as.
KEY = "from bodyorder.study.stages import Stage, code_version; print(Stage('a', {'x': 1}, print).key, code_version())"


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


@pytest.fixture
def copies(tmp_path):
    """Make a copy of this package, and ask it for the key of a stage."""

    def ask(name: str, edit=lambda package: None) -> list[str]:
        package = shutil.copytree(
            PACKAGE,
            tmp_path / name / "bodyorder",
            ignore=shutil.ignore_patterns("__pycache__"),
            copy_function=shutil.copyfile,
        )
        edit(package)
        told = subprocess.run(
            [sys.executable, "-c", KEY],
            env=os.environ | {"PYTHONPATH": str(package.parent)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return told.stdout.split()

    return ask


def test_an_edit_of_the_package_is_another_key(copies):
    key, code = copies("same")
    assert (key, code) == (Stage("a", {"x": 1}, print).key, code_version())
    assert code.startswith(version("bodyorder") + "+")

    def comment(package):
        with (package / "analysis" / "curves.py").open("a") as file:
            file.write("# edited\n")

    assert copies("edited", comment)[0] != key
    assert copies("data", lambda package: (package / "report" / "page" / "style.css").write_text("p {}"))[0] != key
    assert (
        copies("moved", lambda package: (package / "cli" / "tables.py").rename(package / "cli" / "tabl.py"))[0] != key
    )


def test_what_is_no_source_is_another_key_of_nothing(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "a.py").write_text("a = 1\n")
        (tmp_path / name / "sub" / "b.py").write_text("b = 1\n")
    os.utime(tmp_path / "two" / "a.py", (1, 1))
    for waste in ("__pycache__/a.pyc", ".a.py.swp"):
        path = tmp_path / "two" / waste
        path.parent.mkdir(exist_ok=True)
        path.write_text("waste")
    assert source_hash(tmp_path / "one") == source_hash(tmp_path / "two")
    # where one file ends and the next begins is told
    (tmp_path / "two" / "a.py").write_text("a = 1\nb")
    (tmp_path / "two" / "sub" / "b.py").write_text(" = 1\n")
    assert source_hash(tmp_path / "one") != source_hash(tmp_path / "two")


@pytest.fixture
def versions(monkeypatch):
    """Make this package one of another version, or of other code."""

    def become(number: str, source: str = "source") -> None:
        monkeypatch.setattr(stages, "version", lambda name: number)
        monkeypatch.setattr(stages, "source_hash", lambda package: source)
        code_version.cache_clear()

    yield become
    monkeypatch.undo()
    code_version.cache_clear()


def test_a_released_version_is_its_number(versions):
    keys = []
    for number, source in [("1.2", "x"), ("1.2", "y"), ("1.3", "y"), ("1.3.dev0", "x"), ("1.3.dev0", "y")]:
        versions(number, source)
        keys.append(Stage("a", {}, print).key)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_stages_of_other_code_are_counted_and_computed_anew(versions, tmp_path):
    def told(study) -> list[str]:
        said = []
        say_of_other_code(study.stages, tmp_path, said.append)
        return said

    versions("1.0.dev0", "old")
    first = Study(tmp_path, broken=("b",))
    assert told(first) == []
    first.run()
    versions("1.0.dev0", "new")
    edited = Study(tmp_path, c=2)
    # a alone: b failed, c has another setting now, d was not started
    assert told(edited) == ["1 stage was made by other code of bodyorder and is computed anew"]
    edited.run()
    assert edited.ran == ["a", "b", "c", "d"]
    assert told(Study(tmp_path, c=2)) == []
    versions("1.0.dev0", "newest")
    assert told(Study(tmp_path, c=2)) == ["4 stages were made by other code of bodyorder and are computed anew"]
