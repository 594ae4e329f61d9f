"""``python -m bodyorder`` is the command line."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["chek"], 2)])
def test_the_package_runs_as_a_module(arguments, code, run):
    done = subprocess.run([sys.executable, "-m", "bodyorder", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == run(*arguments)
    assert done.returncode == code
