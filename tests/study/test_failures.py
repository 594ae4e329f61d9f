"""Trainings of a study that are killed or diverge: the others go on, and running the study again completes what is missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from bodyorder._files import held
from bodyorder.results.files import load

COMPOSITIONS = {
    "whole": {},
    "heavy": {"orders": "all", "energy_weight": 1.7e308},  # more than the usual loss cannot be told from infinity
    "all": {"orders": "all"},
    "pairs": {"orders": [2]},
}
SETTINGS = {
    "clusters": {"low": {"sampler": "low-density", "n_atoms": 4, "n_clusters": 6}},
    "reference": "analytic:pair?kind=morse",
    "split": {"train": 0.5, "validation": 0.2},
    "models": ["soap-bpnn"],
    "epochs": dict.fromkeys(COMPOSITIONS, 1),
    "curves": [],
    "workers": 1,
}


@dataclass
class Run:
    """A study that was run by its command.

    :param root: its folder
    :param code: exit code of the command
    :param said: lines of its standard output
    :param complaint: last line of its standard error
    """

    root: Path
    code: int
    said: list[str]
    complaint: str

    def did(self, *kinds: str) -> set[str]:
        """Stages of some kinds that were started."""
        names = {line.partition(":")[0] for line in self.said if not line.endswith("done before")}
        return {name for name in names if name.startswith(tuple(f"{kind}/" for kind in kinds))}

    def shown(self) -> list[str]:
        """What the last of the reports shows, reference included."""
        (latest,) = sorted((self.root / "stages").glob("compare-*"), key=lambda folder: folder.stat().st_mtime)[-1:]
        return load(latest / "result.nc").source.values.tolist()


def start(root: Path, **changes) -> subprocess.Popen:
    """Start the command, with a study that is saved beside its folder."""
    settings = SETTINGS | {"output": str(root), "training_sets": COMPOSITIONS} | changes
    settings["epochs"] = {name: settings["epochs"][name] for name in settings["training_sets"]}
    config = root.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(settings, sort_keys=False))
    command = [Path(sys.executable).with_name("bodyorder"), "study", config]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, **pipes)


def finish(root: Path, process: subprocess.Popen) -> Run:
    out, err = process.communicate(timeout=300)
    return Run(root, process.returncode, out.splitlines(), err.splitlines()[-1] if err else "")


def run(root: Path, **changes) -> Run:
    with start(root, **changes) as process:
        return finish(root, process)


def training_in(root: Path, name: str) -> int | None:
    """The process of the program that trains for one training set, once it is under way."""
    for folder in (root / "stages").glob(f"train-soap-bpnn-{name}-*"):
        if (folder / "outputs").exists():
            for entry in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):  # of others, or gone by now
                    if (entry / "cwd").readlink() == folder:
                        return int(entry.name)
    return None


def strike(program: int, caller: bool) -> None:
    """Kill a program that trains, or the process that waits for it, the program being halted lest it is done too soon."""
    if caller:
        os.kill(program, signal.SIGSTOP)
        program = int(Path(f"/proc/{program}/stat").read_text().rpartition(")")[2].split()[1])
        assert b"spawn" in Path(f"/proc/{program}/cmdline").read_bytes()
    os.kill(program, signal.SIGKILL)


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Iterator[Run]:
    """One training that is left alone, one that diverges, one whose program is killed, one whose caller is killed."""
    root = tmp_path_factory.mktemp("failures") / "study"
    victims = {"all", "pairs"}
    with start(root) as process:
        try:
            while victims and process.poll() is None:
                for name in list(victims):
                    if (program := training_in(root, name)) is not None:
                        victims.remove(name)
                        strike(program, caller=name == "pairs")
                time.sleep(0.02)
            assert not victims
            yield finish(root, process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_what_failed_is_named_with_its_reason_and_what_to_do(broken):
    assert broken.code == 1
    assert re.match(r"bodyorder: \d+ stages failed, run the study again to repeat them: ", broken.complaint)
    for name, reason in {
        "heavy": r"training of soap-bpnn diverged: its loss is not finite from epoch \d+ on; lower its learning rate, or the "
        r"weight of its energies; log: \S*/train-soap-bpnn-heavy-\w+/training\.log; ",
        "all": r"training of soap-bpnn was killed by SIGKILL \(out of memory, perhaps\); log: \S*/training\.log; ",
        "pairs": r"its process was killed \(out of memory, perhaps\); ",
    }.items():
        assert re.search(f"[;:] train/soap-bpnn/{name}: {reason}", broken.complaint)
        assert f"resolve/soap-bpnn/{name}: needs train/soap-bpnn/{name}" in broken.complaint
    assert "soap-bpnn/whole" not in broken.complaint


def test_the_rest_is_done_and_reported(broken):
    assert broken.shown() == ["pair", "soap-bpnn/whole"]
    assert "soap-bpnn/whole" in (broken.root / "report.html").read_text()
    done = set(json.loads((broken.root / "study.json").read_text()))
    assert {"train/soap-bpnn/whole", "resolve/soap-bpnn/whole", "compare", "report"} <= done
    assert not done & {
        f"{kind}/soap-bpnn/{name}" for kind in ("train", "resolve") for name in ("heavy", "all", "pairs")
    }


def test_a_mended_make_up_is_trained_and_nothing_else(broken, tmp_path):
    root = shutil.copytree(broken.root, tmp_path / "study")
    mended = run(root, training_sets={"whole": COMPOSITIONS["whole"], "heavy": {"orders": "all"}})
    assert (mended.code, mended.complaint) == (0, "")
    assert mended.did("sample", "label") == set()
    assert mended.did("train", "resolve") == {"train/soap-bpnn/heavy", "resolve/soap-bpnn/heavy"}
    assert mended.shown() == ["pair", "soap-bpnn/whole", "soap-bpnn/heavy"]
    assert mended.said[-1] == f"report: {root / 'report.html'}"


def test_a_program_ends_with_the_process_that_waits_for_it(broken):
    assert training_in(broken.root, "pairs") is None


def test_a_training_that_has_not_ended_guards_its_folder(broken):
    (folder,) = (broken.root / "stages").glob("train-soap-bpnn-pairs-*")
    with held(folder, "a training is still running"):
        blocked = run(broken.root, training_sets={"pairs": COMPOSITIONS["pairs"]})
    assert blocked.code == 1
    assert re.search(
        r": train/soap-bpnn/pairs: \S*/train-soap-bpnn-pairs-\w+ must be free, and a training is still running in it; wait for "
        r"it, or end it; ",
        blocked.complaint,
    )


def test_running_again_completes_what_was_killed_and_nothing_else(broken):
    again = run(broken.root, training_sets={name: COMPOSITIONS[name] for name in ("whole", "all", "pairs")})
    assert (again.code, again.complaint) == (0, "")
    assert again.did("sample", "label") == set()
    assert again.did("train", "resolve") == {
        f"{kind}/soap-bpnn/{name}" for kind in ("train", "resolve") for name in ("all", "pairs")
    }
    assert again.shown() == ["pair", "soap-bpnn/whole", "soap-bpnn/all", "soap-bpnn/pairs"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_a_study_that_ends_takes_its_trainings_with_it(tmp_path, how):
    """Two trainings at a time, of which none would end by itself; an interrupt is taken by the main process alone."""
    lengths = dict.fromkeys(COMPOSITIONS, 100_000)
    with start(
        tmp_path / "study", workers=2, epochs=lengths, training_sets={"whole": {}, "pairs": {"orders": [2]}}
    ) as process:
        programs: list[int] = []
        try:
            while len(programs) < 2 and process.poll() is None:
                programs = [number for name in ("whole", "pairs") if (number := training_in(tmp_path / "study", name))]
                time.sleep(0.1)
            process.send_signal(how)
            assert process.wait(20) == (130 if how is signal.SIGINT else -how)
            deadline = time.monotonic() + 10
            while any(training_in(tmp_path / "study", name) for name in ("whole", "pairs")):
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            process.kill()
            for program in programs:
                with suppress(ProcessLookupError):
                    os.kill(program, signal.SIGKILL)
        assert len(programs) == 2
        process.communicate()
