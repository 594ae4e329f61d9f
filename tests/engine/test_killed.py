"""Labelling that is killed again and again ends as if nothing had happened."""

import json
import os
import subprocess
import sys

import numpy as np

from bodyorder.engine import Store
from bodyorder.results import load_results

#: Forks a labelling run, kills it at a random moment, and looks at what the store holds then; ten times over.
SCRIPT = """
import json, os, random, signal, sys, time
import numpy as np
from ase import Atoms
from bodyorder.engine import Store, decompose
from bodyorder.results.files import save
from dataclasses import replace
from bodyorder.sources.registry import load_source
from bodyorder.sources.pyscf import fci, source  # what takes long to import is there before the forks

rng = np.random.default_rng(0)
frames = [Atoms(f"H{n}", positions=rng.uniform(0, 2.0, (n, 3))) for n in (8, 6, 8, 7)]

def label(store, output=None):
    source = load_source("pyscf:fci/sto-6g?spin=ground")
    source.capabilities = replace(source.capabilities, batch_size=16)
    result = decompose(frames, source, subsets=True, store=store)
    if output:
        save(result, output)
    return result

def forked(*names):
    child = os.fork()
    if child == 0:
        result = label(*(f"{folder}/{name}" for name in names))
        with open(f"{folder}/{names[0]}.count", "w") as file:
            file.write(str(int(result.n_evaluations.sum())))
        os._exit(0)
    return child

folder = sys.argv[1]
begin = time.perf_counter()
status = [os.waitpid(forked("whole.sqlite", "whole.nc"), 0)[1]]
whole = time.perf_counter() - begin
def count():
    if not os.path.exists(f"{folder}/killed.sqlite"):
        return 0
    with Store(f"{folder}/killed.sqlite") as store:
        return len(store)

with Store(f"{folder}/whole.sqlite") as store:
    most = len(store)
held = [0]
for trial in range(10):
    child = forked("killed.sqlite")
    time.sleep(random.uniform(0.0, 0.2) * whole)
    while trial % 2 and count() == held[-1] < most:  # every other one gets on by some batches
        time.sleep(random.uniform(0.0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    held.append(count())
for name in ("resumed", "again"):
    status.append(os.waitpid(forked("killed.sqlite", f"{name}.nc"), 0)[1])
    os.rename(f"{folder}/killed.sqlite.count", f"{folder}/{name}.count")
print(json.dumps({"held": held, "status": status}))
"""


def test_killed_while_labelling_with_fci(tmp_path):
    """The store opens every time, nothing committed is lost, and numbers and multiplicities are bitwise those of a run that was
    left alone, also where all of them come out of the store."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True, env=os.environ | threads, check=False
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert seen["held"] == sorted(seen["held"])
    whole = load_results(tmp_path / "whole.nc")
    with Store(tmp_path / "whole.sqlite") as store:
        total = len(store)
    assert seen["status"] == [0, 0, 0]
    assert 0 < seen["held"][-1] <= total
    counts = [int((tmp_path / f"{name}.count").read_text()) for name in ("resumed", "again")]
    assert counts == [total - seen["held"][-1], 0]
    for name in ("resumed", "again"):
        found = load_results(tmp_path / f"{name}.nc")
        for variable in (
            "contribution",
            "total",
            "noise",
            "subsets/subset_energy",
            "subsets/subset_contribution",
            "subsets/subset_multiplicity",
        ):
            np.testing.assert_array_equal(found[variable], whole[variable])
