"""Calculators that no other process can be sent are made again there, from their spec."""

import logging
import pickle
import tracemalloc

import numpy as np
import pytest
from ase import Atoms
from held_calculators import Held, Weighed

from bodyorder import check_source, decompose, load_source
from bodyorder._checks import ComputationError, InputError
from bodyorder.engine import dispatch
from bodyorder.engine.executors import open_executor
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.ase.pickling import SMALL, pack
from bodyorder.structures.clusters import ClusterBatch

SPEC = "ase:held_calculators.Held?epsilon=0.5&rc=6"
ATOMS = Atoms("H5", positions=np.random.default_rng(0).uniform(0, 5, (5, 3)))
BATCH = ClusterBatch.from_atoms([ATOMS])


@pytest.fixture(autouse=True)
def _say_again():
    dispatch.say_once.cache_clear()


def resolved(source, executor=None, **options):
    result = decompose(ATOMS, source, subsets=True, executor=executor, **options)
    assert result.failure.item() == ""
    return result.subsets.subset_energy.values


def test_a_calculator_of_a_spec_is_made_again_in_each_process(tmp_path, caplog):
    depth = tmp_path / "depth"
    depth.write_text("0.5")
    specs = [
        SPEC,
        "ase:held_calculators.held?depth=0.5&trust=true",
        f"ase:held_calculators.Held.from_file?path={depth}",
    ]
    expected = resolved("ase:ase.calculators.lj.LennardJones?epsilon=0.5&rc=6")
    with open_executor(workers=2) as executor, caplog.at_level(logging.WARNING):
        for spec in specs:
            np.testing.assert_array_equal(resolved(spec), expected)
            np.testing.assert_array_equal(resolved(spec, executor), expected)
    assert not caplog.records
    with pytest.raises(ValueError, match="pointers cannot be pickled"):
        pickle.dumps(load_source(SPEC).calculator)


def test_what_is_claimed_of_a_source_travels_with_it():
    source = load_source(f"{SPEC}&additive_cutoff=6&energy_error=0.001")
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.fingerprint, copy.name, copy.cutoff) == (source.fingerprint, source.name, 6.0)
    assert (copy.precision, copy.capabilities) == (source.precision, source.capabilities)
    np.testing.assert_array_equal(copy.energies(BATCH), source.energies(BATCH))


def test_a_calculator_that_cannot_be_pickled_runs_in_one_process(caplog):
    calculator = Held(epsilon=0.5, rc=6.0)
    with open_executor(workers=2) as executor, caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(resolved(calculator, executor), resolved(SPEC))
    assert [record.message for record in caplog.records] == [
        "ase:held_calculators.Held runs in one process: Held cannot be pickled (ValueError: ctypes objects containing "
        "pointers cannot be pickled); for several, name it by a spec, ase:package.module.Class"
    ]


def test_the_conformance_kit_says_so():
    report = check_source(Held(epsilon=0.5, rc=6.0))
    assert report.passed
    (pickling,) = [check for check in report.checks if check.name == "pickling"]
    assert pickling.passed is None
    assert pickling.detail.startswith("it runs in one process: Held cannot be pickled (ValueError: ")
    assert all(check.passed for check in check_source(SPEC).checks if check.name in ("pickling", "fingerprint"))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("0.7", "{path} is another file here"),
        (None, "must be made again in each process, and one was not: ase:held.*{path}"),
    ],
)
def test_what_became_another_is_not_used(tmp_path, written, message):
    path = tmp_path / "depth"
    path.write_text("0.5")
    packed = pickle.dumps(load_source(f"ase:held_calculators.Held.from_file?path={path}"))
    if written is None:
        path.unlink()
    else:
        path.write_text(written)
    with pytest.raises(ComputationError, match=message.format(path=path)):
        pickle.loads(packed)


def test_another_version_is_named(monkeypatch):
    packed = pickle.dumps(load_source(SPEC))
    monkeypatch.setattr("ase.__version__", "9.9")
    with pytest.raises(
        ComputationError,
        match=r"^ase:held_calculators.Held must be the same in every process, and is not: held_calculators \w+ ase "
        r"3\.\S+ became held_calculators \w+ ase 9\.9$",
    ):
        pickle.loads(packed)


def test_settings_that_are_others_each_time_are_told_and_a_word_helps():
    spec = "ase:held_calculators.Restless?rc=6"
    packed = pickle.dumps(load_source(spec))
    with pytest.raises(
        ComputationError, match="its settings are others each time it is made; give fingerprint=TEXT if"
    ):
        pickle.loads(packed)
    source = load_source(f"{spec}&fingerprint=mine")
    assert pickle.loads(pickle.dumps(source)).fingerprint == source.fingerprint == load_source(source.name).fingerprint
    assert source.fingerprint.startswith("ase:held_calculators.Restless mine held_calculators ")
    with pytest.raises(
        InputError, match="`fingerprint` must be a word that tells this calculator from others, got nothing"
    ):
        load_source(f"{spec}&fingerprint=")
    assert load_source(f"{spec}&fingerprint=2").fingerprint != source.fingerprint
    assert load_source(f"{spec}&fingerprint=mine&invariant=true").fingerprint == f"{source.fingerprint} invariant"


def test_options_that_cannot_be_pickled_run_in_one_process():
    source = load_source({"source": "ase:held_calculators.Untold", "model": lambda: None})
    assert source.capabilities.one_process.startswith("its options cannot be pickled (")
    assert source.capabilities.fleeting_fingerprint.startswith("Untold holds what cannot be told (")


def test_a_store_with_names_that_are_new_each_time_is_told_once(tmp_path, caplog):
    source = CalculatorSource(Weighed(1, locked=True))
    with caplog.at_level(logging.WARNING):
        resolved(source)
        assert not caplog.records
        for _ in range(2):
            resolved(source, store=tmp_path / "store.sqlite")
        resolved(CalculatorSource(Weighed(1, locked=True), fingerprint="weighed"), store=tmp_path / "store.sqlite")
    assert [record.message for record in caplog.records] == [
        "energies of ase:held_calculators.Weighed are stored under a name that is new in every process, and are not found "
        "again: Weighed holds what cannot be told (TypeError: cannot pickle '_thread.lock' object); give fingerprint=TEXT"
    ]


@pytest.mark.parametrize("locked", [False, True])
def test_whether_it_can_be_pickled_is_found_out_without_its_numbers(locked):
    calculator = Weighed(8 * SMALL, locked)
    tracemalloc.start()
    content, why = pack(calculator)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert content is None
    assert ("lock" in why) is locked
    assert peak < 4 * SMALL


def test_what_is_small_is_pickled_whole():
    content, why = pack(Weighed(10, locked=False))
    assert why == ""
    np.testing.assert_array_equal(pickle.loads(content).weights, np.zeros(10))
