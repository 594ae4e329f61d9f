"""The script of docs/clusters.md: the job that it would submit, and its way through a cluster on this machine."""

import re
from pathlib import Path

import numpy as np
import pytest
from ase.io import write
from geometries import scattered

from bodyorder.engine import Store, decompose

PAGE = Path(__file__).parents[1] / "docs" / "clusters.md"


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names = {"__name__": "label"}
    exec(compile(text, "label.py", "exec"), names)
    return names


def test_the_job_that_is_submitted(script):
    with script["slurm"]() as cluster:
        job = cluster.job_script()
    for line in (
        "#SBATCH -p standard",
        "#SBATCH -A myproject",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH -t 04:00:00",
        "source .venv/bin/activate",
        "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1",
        "export OPENBLAS_CORETYPE=Haswell",
    ):
        assert line in job.splitlines()
    assert "#SBATCH --mem=19G" in job  # 20 GB in units of 2³⁰
    assert "--nthreads 1 --memory-limit 2.33GiB --nworkers 8 --nanny" in job
    assert "--lifetime 225m --lifetime-stagger 10m" in job


def test_the_rest_of_the_script(script):
    from distributed import LocalCluster

    clusters = [scattered(4, seed, spread=2.5) for seed in range(2)]
    write(script["STRUCTURES"], clusters)
    script["SOURCE"] = "pyscf:fci/sto-6g?spin=ground"
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
        result = script["label"](cluster)
    alone = decompose(script["STRUCTURES"], script["SOURCE"])
    np.testing.assert_array_equal(result.contribution, alone.contribution)
    with Store(script["STORE"]) as store:
        assert len(store) == 1 + 2 * (15 - 4)
