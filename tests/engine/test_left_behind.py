"""Nothing goes on when the main process is killed, terminated or interrupted: no worker, no program of a calculator."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from file_calculators import PROGRAM

from bodyorder.engine import Store, decompose

#: A program that takes an hour as soon as a file is beside it.
SLOW = PROGRAM.replace("time.sleep(0.01)", "import os; time.sleep(3600 if os.path.exists(__file__ + '.stall') else 0)")

SPEC = "ase:file_calculators.Filed"
COMMAND = "import sys; from bodyorder.cli import main; sys.exit(main())"


def family(root):
    """Processes that a process started, and those that these did, by their time of start: numbers are given again."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent, *rest = (entry / "stat").read_text().rpartition(")")[2].split()
            if state != "Z":
                parents[int(entry.name)] = (int(parent), rest[17])
    found, grown = {root}, True
    while grown:
        more = {child for child, (parent, _) in parents.items() if parent in found} - found
        found, grown = found | more, bool(more)
    return {(number, parents[number][1]) for number in found - {root} if number in parents}


def alive(family):
    found = set()
    for number, start in family:
        with suppress(OSError):
            state, _, *rest = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            if state != "Z" and rest[17] == start:
                found.add(number)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT], ids=lambda how: how.name)
def test_a_main_process_that_ends_takes_all_with_it(tmp_path, how, monkeypatch):
    (tmp_path / "program.py").write_text(SLOW)
    (tmp_path / "temporary").mkdir()
    atoms = Atoms("H7", positions=np.random.default_rng(0).uniform(0, 4, (7, 3)))
    write(tmp_path / "h7.xyz", atoms)
    command = f"{sys.executable} {tmp_path}/program.py"
    process = subprocess.Popen(
        [
            sys.executable, "-c", COMMAND, "decompose", "h7.xyz", "--workers", "2", "--store", "s.sqlite", "-o", "r.nc",
            "--source", f"{SPEC}?command={command}",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path / "temporary")},
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    started = set()
    try:
        deadline = time.monotonic() + 120
        while not held(tmp_path / "s.sqlite") and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        (tmp_path / "program.py.stall").touch()
        # two workers, each with a program at work
        programs = 0
        while programs < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
            started = family(process.pid)
            programs = sum(
                b"program.py" in cmdline(number) and b"spawn" not in cmdline(number) for number, _ in started
            )
        assert programs >= 2
        time.sleep(1)
        started = family(process.pid)
        process.send_signal(how)
        process.wait(20)
        deadline = time.monotonic() + 10
        while alive(started) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not alive(started)
    finally:
        process.kill()
        for number in alive(started):
            os.kill(number, signal.SIGKILL)
    _, complaint = process.communicate()
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert complaint.endswith("bodyorder: interrupted; what was stored is kept\n")
    else:
        assert process.returncode == -how
    assert not list((tmp_path / "temporary").glob("bodyorder-*"))
    kept = held(tmp_path / "s.sqlite")
    assert kept > 0
    (tmp_path / "program.py.stall").unlink()
    monkeypatch.chdir(tmp_path)
    resumed = decompose("h7.xyz", {"source": SPEC, "command": command}, store=tmp_path / "s.sqlite")
    assert resumed.failure.item() == ""
    assert resumed.n_evaluations.item() == 127 - 6 - kept  # the lone atoms are one


def held(path):
    """How many energies a store holds."""
    if not path.exists():
        return 0
    with Store(path) as store:
        return len(store)


def cmdline(number):
    with suppress(OSError):
        return Path(f"/proc/{number}/cmdline").read_bytes()
    return b""
