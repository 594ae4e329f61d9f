"""Calculators that work in files give the same energies in many processes as in one."""

import logging
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.genericfileio import GenericFileIOCalculator
from ase.calculators.mixing import SumCalculator
from file_calculators import PROGRAM, SILENT, Filed, Fixed, Kept, Profile, Stubborn, Template, folder_of

from bodyorder.engine import decompose
from bodyorder.engine.executors import open_executor
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.registry import load_source
from bodyorder.testing import check_source


def filed(folder, program):
    return Filed(command=f"{sys.executable} {program}", directory=str(folder))


def profiled(folder, program):
    profile = Profile(f"{sys.executable} {program}")
    return GenericFileIOCalculator(template=Template(), profile=profile, directory=folder)


def summed(folder, program):
    return SumCalculator([filed(folder, program), filed(folder, program)])


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary files go, of child processes too."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield path
    tempfile.tempdir = None


def cluster():
    return Atoms("H4", positions=np.random.default_rng(0).uniform(0, 4, (4, 3)))


def resolved(calculator, executor=None):
    source = CalculatorSource(calculator)
    # batches small enough for every worker to have some
    source.capabilities = replace(source.capabilities, batch_size=2)
    result = decompose(cluster(), source, subsets=True, executor=executor)
    assert result.failure.item() == ""
    return result.subsets.subset_energy.values


@pytest.mark.parametrize("kind", [filed, profiled, summed])
def test_one_process_works_in_the_folder_of_the_user(kind, tmp_path, program, temporary):
    energies = resolved(kind(tmp_path / "own", program))
    positions = cluster().positions
    expected = sum(1 / np.linalg.norm(positions[one] - positions[two]) for one in range(4) for two in range(one)) * (
        2 if kind is summed else 1
    )
    assert energies[-1] == pytest.approx(expected, rel=1e-12)
    assert (tmp_path / "own" / "energy.out").exists()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(("kind", "workers"), [(filed, 2), (filed, 4), (profiled, 2), (summed, 2)])
def test_local_processes_give_bitwise_the_energies_of_one(kind, workers, tmp_path, program, temporary):
    expected = resolved(kind(tmp_path / "serial", program))
    calculator = kind(tmp_path / "own", program)
    with open_executor(workers=workers) as executor:
        np.testing.assert_array_equal(resolved(calculator, executor), expected)
    assert not (tmp_path / "own").exists()
    assert not list(temporary.glob("bodyorder-*"))
    if kind is not summed:
        assert Path(calculator.directory) == tmp_path / "own"


def test_threads_give_bitwise_the_energies_of_one(tmp_path, program):
    expected = resolved(filed(tmp_path / "serial", program))
    with ThreadPoolExecutor(3) as executor:
        np.testing.assert_array_equal(resolved(filed(tmp_path / "own", program), executor), expected)
    assert not (tmp_path / "own").exists()


def test_dask_workers_and_their_threads_give_bitwise_the_energies_of_one(tmp_path, program, temporary):
    from distributed import LocalCluster

    expected = resolved(filed(tmp_path / "serial", program))
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as dask,
        open_executor(url=dask.scheduler_address) as executor,
    ):
        np.testing.assert_array_equal(resolved(filed(tmp_path / "own", program), executor), expected)
    assert not (tmp_path / "own").exists()
    assert not list(temporary.glob("bodyorder-*"))


def test_a_calculator_that_cannot_move_runs_in_one_process(tmp_path, program, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = resolved(filed(tmp_path / "serial", program))
    with open_executor(workers=2) as executor, caplog.at_level(logging.WARNING):
        calculator = Fixed(command=f"{sys.executable} {program}")
        np.testing.assert_array_equal(resolved(calculator, executor), expected)
    assert [record.message for record in caplog.records] == [
        "ase:file_calculators.Fixed runs in one process: Fixed works in files and has no `directory` that can be set, so "
        "processes would write over each other's"
    ]


def test_a_relative_path_to_the_program_is_explained(tmp_path, program, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calculator = Filed(command=f"{sys.executable} {program.name}")
    with open_executor(workers=2) as executor:
        result = decompose(cluster(), calculator, executor=executor)
    assert result.failure.item().endswith(" (in a temporary folder: paths in its command and options must be absolute)")


def test_a_calculator_made_in_a_child_process_has_a_folder_of_its_own(program):
    """Stages of a study are processes that make their calculators from a spec."""
    spec = {"source": "ase:file_calculators.Filed", "command": f"{sys.executable} {program}"}
    assert folder_of(spec) == "."
    with open_executor(workers=2) as executor:
        folder = executor.submit(folder_of, spec).result()
    assert os.path.isabs(folder)


@pytest.mark.parametrize(("where", "left"), [({}, False), ({"directory": "there"}, True)])
def test_a_calculator_that_a_spec_names_works_where_it_says_or_apart(where, left, tmp_path, program, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = {"source": "ase:file_calculators.Filed", "command": f"{sys.executable} {program}", **where}
    result = decompose(cluster(), spec)
    assert result.failure.item() == ""
    assert [*tmp_path.rglob("energy.out")] == [tmp_path / "there" / "energy.out"] * left


def test_the_output_of_another_run_is_not_read(tmp_path, monkeypatch):
    """What lies in the current folder is of another command, which may be at work there."""
    monkeypatch.chdir(tmp_path)
    Path("energy.out").write_text("1.0")
    silent = tmp_path / "silent.py"
    silent.write_text(SILENT)
    result = decompose(cluster(), {"source": "ase:file_calculators.Kept", "command": f"{sys.executable} {silent}"})
    assert "FileNotFoundError" in result.failure.item()
    assert Path("energy.out").read_text() == "1.0"


def test_the_output_of_another_structure_is_not_read(tmp_path):
    """A program that writes nothing must not have the output of the structure before read as its own."""
    program = tmp_path / "silent.py"
    program.write_text(SILENT)
    source = CalculatorSource(Kept(command=f"{sys.executable} {program}"))
    source.leave_folder()  # as in a worker
    result = decompose(cluster(), source, subsets=True)
    failed = result.subsets.subset_order.values == 3
    np.testing.assert_array_equal(np.isnan(result.subsets.subset_energy.values), failed)
    assert "FileNotFoundError" in result.failure.item()


needs_mopac = pytest.mark.skipif(shutil.which("mopac") is None, reason="needs the program MOPAC")
MOPAC = "ase:ase.calculators.mopac.MOPAC?method=PM7&task=1SCF GRADIENTS"


def of_mopac(executor=None):
    """All energies of five hydrogen atoms by MOPAC, a batch as small as two."""
    source = load_source(MOPAC)
    source.capabilities = replace(source.capabilities, batch_size=2)
    chain = Atoms("H5", positions=np.random.default_rng(0).uniform(0, 2.9, (5, 3)))
    result = decompose(chain, source, subsets=True, executor=executor)
    assert result.failure.item() == ""
    return result.subsets.subset_energy.values


@pytest.fixture
def serial_mopac(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return of_mopac()


@needs_mopac
def test_mopac_in_two_processes_and_on_dask_is_bitwise_that_of_one(serial_mopac):
    from distributed import LocalCluster

    with open_executor(workers=2) as executor:
        np.testing.assert_array_equal(of_mopac(executor), serial_mopac)
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as dask,
        open_executor(url=dask.scheduler_address) as executor,
    ):
        np.testing.assert_array_equal(of_mopac(executor), serial_mopac)


@needs_mopac
@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_ten_runs_of_mopac_are_bitwise_alike(serial_mopac, workers):
    with open_executor(workers=workers) as executor:
        for _ in range(10):
            np.testing.assert_array_equal(of_mopac(executor), serial_mopac)


def test_check_tries_two_processes_at_once(tmp_path, program, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calculator = Filed(command=f"{sys.executable} {program}")
    with open_executor(workers=2) as executor:
        checks = {check.name: check for check in check_source(calculator, executor=executor).checks}
    assert checks["workers"].passed
    assert checks["workers"].detail == "22 sub-clusters by two processes at once"
    assert {check.name: check for check in check_source("analytic:pair").checks}["workers"].passed is None


def test_check_sees_processes_that_share_a_folder(tmp_path, program, monkeypatch):
    """A calculator that would be moved, and goes back to one folder each time."""
    monkeypatch.chdir(tmp_path)
    calculator = Stubborn(command=f"{sys.executable} {program}")
    with open_executor(workers=2) as executor:
        checks = {check.name: check for check in check_source(calculator, executor=executor).checks}
    assert checks["workers"].passed is False
