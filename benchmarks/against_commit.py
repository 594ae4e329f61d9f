"""This tree against an earlier commit of it, in one run: processor time of decompositions and of orders in their environment.

    python benchmarks/against_commit.py [COMMIT] [--slow]

Each case runs in processes of its own, the two codes in turn, and the smallest processor time of each counts. Without a commit it
is held against the newest one, so that what is not committed yet is measured. ``--slow`` measures, once each, what takes minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPEATS = 5

_BEFORE = """
import json, time
import numpy as np
from bodyorder import decompose
rng = np.random.default_rng(0)

def measure(call, times):
    call()
    seconds = []
    for _ in range(times):
        begin = time.process_time()
        call()
        seconds.append(time.process_time() - begin)
    print(json.dumps(min(seconds)))
"""

#: What is measured, as code for either commit.
CASES = {
    "600 H8 complete, pairs": """
from ase import Atoms
frames = [Atoms("H8", positions=rng.normal(scale=2.0, size=(8, 3))) for _ in range(600)]
measure(lambda: decompose(frames, "analytic:pair", subsets=True), 5)
""",
    "complete 20 bodies": """
from ase import Atoms
cluster = Atoms("H20", positions=rng.normal(scale=3.0, size=(20, 3)))
measure(lambda: decompose(cluster, "analytic:pair"), 1)
""",
    "periodic silicon, order 3": """
from ase.build import bulk
crystal = bulk("Si", cubic=True) * (3, 3, 3)
crystal.rattle(0.05, seed=1)
measure(lambda: decompose(crystal, "analytic:axilrod-teller?cutoff=4", max_order=3, forces=True), 3)
""",
    "forces and subsets of 20 H8": """
from ase import Atoms
frames = [Atoms("H8", positions=rng.normal(scale=2.0, size=(8, 3))) for _ in range(20)]
measure(lambda: decompose(frames, "analytic:sutton-chen", forces=True, subsets=True), 5)
""",
    "environment orders of 600 x 255, energies laid out once": """
from ase import Atoms
import bodyorder.analysis
from bodyorder import environment_orders
frames = [Atoms("H8", positions=rng.normal(scale=2.0, size=(8, 3))) for _ in range(600)]
result = decompose(frames, "analytic:sutton-chen", subsets=True)
result = getattr(bodyorder.analysis, "align", lambda given: given)(result)
measure(lambda: environment_orders(result), 10)
""",
    "environment orders of 600 x 255, from a result": """
from ase import Atoms
from bodyorder import environment_orders
frames = [Atoms("H8", positions=rng.normal(scale=2.0, size=(8, 3))) for _ in range(600)]
result = decompose(frames, "analytic:sutton-chen", subsets=True)
measure(lambda: environment_orders(result), 10)
""",
}

#: What is measured once and only where it is asked for.
SLOW = {
    "FCI/6-31G of 255 sub-clusters": """
from bodyorder.structures.hydrogen import high_density
(cluster,) = high_density(8, 1, 0)
decompose(cluster[:2], "pyscf:fci/6-31g?spin=ground")
begin = time.process_time()
decompose(cluster, "pyscf:fci/6-31g?spin=ground")
print(json.dumps(time.process_time() - begin))
""",
}


def seconds(tree: Path, code: str) -> float:
    """Processor time of a case in a process of its own."""
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tree / 'src')!r})\n{_BEFORE}{code}"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    slow = "--slow" in sys.argv[1:]
    commit = next((word for word in sys.argv[1:] if word != "--slow"), "HEAD")
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        subprocess.run(
            ["git", "worktree", "add", "--detach", str(before), commit], cwd=ROOT, check=True, capture_output=True
        )
        try:
            print(f"{'processor seconds':58s} {'before':>8s} {'now':>8s} {'ratio':>6s}   (before: {commit})")
            for name, code in (SLOW if slow else CASES).items():
                pairs = [(seconds(before, code), seconds(ROOT, code)) for _ in range(1 if slow else REPEATS)]
                old, new = (min(values) for values in zip(*pairs, strict=True))
                print(f"{name:58s} {old:8.4f} {new:8.4f} {new / old:6.2f}", flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(before)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
