"""A fingerprint changes whenever the numbers of a calculator could, and is the same in every process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from held_calculators import Commanded, Untold
from networks_of_ase import Double, frozen, scripted

from bodyorder import load_source
from bodyorder._checks import InputError
from bodyorder.sources.ase import named_files
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.ase.fingerprint import fingerprint_of

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _default_dtype():
    """Calculators that are made here by hand set it."""
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


def commanded(*commands):
    return fingerprint_of(Commanded(commands=list(commands)))


def in_another_process(*expressions):
    """Fingerprints that another process finds."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r})\n" + (
        "import networks_of_ase, held_calculators\nfrom bodyorder import load_source\n"
        "from bodyorder.sources.ase.calculator import CalculatorSource\n"
    )
    code += "".join(f"print({expression}.fingerprint)\n" for expression in expressions)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(
    "command",
    [
        "pair_coeff * * {} Cu",
        "file={}",
        "run < '{}' > out",
        "pair_style hybrid\npair_coeff * * {} Cu",
        "{}",
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_files_that_words_name_enter_by_content(command, absolute, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = command.format(tmp_path / "Cu.eam" if absolute else "Cu.eam")
    without = commanded("pair_style eam/alloy", line)
    Path("Cu.eam").write_text("one")
    one = commanded("pair_style eam/alloy", line)
    assert one == commanded("pair_style eam/alloy", line) != without
    Path("Cu.eam").write_text("two")
    assert commanded("pair_style eam/alloy", line) not in (one, without)
    Path("unrelated").write_text("two")
    Path("Cu.eam").write_text("one")
    assert commanded("pair_style eam/alloy", line) == one


def test_files_lie_in_the_folder_of_the_calculator_or_in_one_that_is_named(tmp_path):
    (tmp_path / "Cu.eam").write_text("one")
    lines = ["pair_coeff * * Cu.eam Cu"]
    makers = [
        lambda: Commanded(commands=lines, directory=str(tmp_path)),
        lambda: Commanded(commands=lines, units=str(tmp_path)),
    ]
    before = [fingerprint_of(make()) for make in makers]
    (tmp_path / "Cu.eam").write_text("two")
    assert all(fingerprint_of(make()) != old for make, old in zip(makers, before, strict=True))


def test_files_that_a_named_file_includes_enter_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.potential").write_text("# by hand\npair_style mlip mlip.ini\npair_coeff * * *\nprint log\n")
    Path("mlip.ini").write_text("mtp-filename  pot.mtp\nselect FALSE\n")
    Path("pot.mtp").write_text("one")
    one = commanded("include in.potential")
    Path("log").write_text("what a run wrote")
    assert commanded("include in.potential") == one
    Path("pot.mtp").write_text("two")
    assert commanded("include in.potential") != one
    Path("pot.mtp").write_text("include mlip.ini")  # round and round
    commanded("include in.potential")


@pytest.mark.parametrize(
    "line", ["log lmp.out", "dump 1 all custom 1 lmp.out id", "program > lmp.out", "program 2>lmp.out"]
)
def test_what_a_run_writes_does_not_count(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = commanded(line), fingerprint_of(Commanded(commands=[], log_file="lmp.out"))
    Path("lmp.out").write_text("of the last run")
    assert (commanded(line), fingerprint_of(Commanded(commands=[], log_file="lmp.out"))) == before


def test_folders_enter_by_what_is_in_them(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights").write_text("one")
    one = commanded(str(folder))
    assert one == commanded(str(folder)) != commanded(str(tmp_path / "none"))
    (folder / "deep" / "weights").write_text("two")
    assert commanded(str(folder)) != one
    monkeypatch.chdir(folder / "deep")  # where the work is done, in which everything may be written
    above = commanded(str(tmp_path))
    (folder / "deep" / "weights").write_text("one")
    assert commanded(str(tmp_path)) == above


def test_a_folder_of_many_files_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(named_files, "MOST_FILES", 3)
    for number in range(5):
        (tmp_path / str(number)).write_text("one")
    one = commanded(f"{tmp_path}/")
    (tmp_path / "0").write_text("two")
    assert commanded(f"{tmp_path}/") == one
    (tmp_path / "0").write_text("longer")
    assert commanded(f"{tmp_path}/") != one


def test_options_beside_the_parameters_that_a_class_declares_count():
    names = {
        load_source(f"ase:held_calculators.Untold?model={model}").fingerprint for model in ("small", "large", "small")
    }
    assert len(names) == 2
    assert load_source("ase:held_calculators.Untold").fingerprint == CalculatorSource(Untold()).fingerprint


def test_a_class_method_is_told_by_its_options_and_files(tmp_path):
    path = tmp_path / "depth"
    path.write_text("0.5")
    spec = f"ase:held_calculators.Held.from_file?path={path}"
    one = load_source(spec).fingerprint
    assert in_another_process(f"load_source({spec!r})") == [one]
    assert one.startswith("ase:held_calculators.Held.from_file ")
    path.write_text("0.6")
    assert load_source(spec).fingerprint != one


def test_networks_are_told_by_their_numbers_in_every_process():
    specs = [f"ase:networks_of_ase.{name}?weight=0.5&trust=true" for name in ("double", "scripted", "Double")]
    made = (Double, scripted, frozen)
    here = [
        source.fingerprint for source in [*map(load_source, specs), *(CalculatorSource(make(0.5)) for make in made)]
    ]
    there = in_another_process(
        *(f"load_source({spec!r})" for spec in specs),
        *(f"CalculatorSource(networks_of_ase.{make.__name__}(0.5))" for make in made),
    )
    assert there == here
    assert len(set(here)) == 6
    assert " torch 2." in here[0]
    for make, text in zip(made, here[3:], strict=True):
        source = CalculatorSource(make(0.6))
        assert source.fingerprint != text
        assert not source.capabilities.fleeting_fingerprint


def test_the_weights_that_a_function_finds_by_itself_count(monkeypatch):
    spec = "ase:networks_of_ase.double?trust=true"
    one = load_source(spec).fingerprint
    monkeypatch.setattr("networks_of_ase.Double.__init__.__defaults__", (2.0,), raising=False)
    monkeypatch.setattr("networks_of_ase.double.__defaults__", (2.0,))
    assert load_source(spec).fingerprint != one


def test_programs_behind_calculators_of_ase_are_named(monkeypatch):
    from ase.calculators.lammpslib import LAMMPSlib

    monkeypatch.setattr("bodyorder.sources.ase.fingerprint._package_version", lambda name: f"of {name}")
    lines = ["pair_style lj/cut 9.0"]
    text = fingerprint_of(LAMMPSlib(lmpcmds=lines))
    assert " lammps of lammps" in text
    assert " lammps of lammps" in CalculatorSource(LAMMPSlib(lmpcmds=lines), fingerprint=None).fingerprint


def test_lammps_looks_for_files_in_its_library(tmp_path, monkeypatch):
    from ase.calculators.lammpslib import LAMMPSlib

    monkeypatch.setenv("LAMMPS_POTENTIALS", str(tmp_path))
    lines = ["pair_coeff * * Cu.eam Cu"]
    before = fingerprint_of(LAMMPSlib(lmpcmds=lines))
    (tmp_path / "Cu.eam").write_text("one")
    assert fingerprint_of(LAMMPSlib(lmpcmds=lines)) != before


def test_options_that_a_class_takes_and_does_not_list_are_known():
    spec = "ase:ase.calculators.lammpslib.LAMMPSlib?lmpcmds=['pair_style lj/cut 9']&log_file=none"
    assert load_source(spec).calculator.parameters.lmpcmds == ["pair_style lj/cut 9"]
    with pytest.raises(InputError, match="LAMMPSlib has no option 'lmpcmd'; options"):
        load_source(spec.replace("lmpcmds", "lmpcmd"))


def test_energies_are_computed_again_when_a_file_changes(tmp_path):
    from ase import Atoms

    from bodyorder import decompose

    path, store = tmp_path / "depth", tmp_path / "store.sqlite"
    pair = Atoms("H2", [[0, 0, 0], [0, 0, 1.1]])
    found = []
    for depth in (0.5, 0.5, 1.0, 0.5):
        path.write_text(str(depth))
        result = decompose(pair, f"ase:held_calculators.Held.from_file?path={path}", store=store)
        found.append((float(result.total[0]), int(result.n_evaluations[0])))
    energy = found[0][0]
    np.testing.assert_allclose([one for one, _ in found], [energy, energy, 2 * energy, energy], rtol=1e-14)
    assert [count for _, count in found] == [2, 0, 2, 0]
