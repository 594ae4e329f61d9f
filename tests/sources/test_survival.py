"""Programs that may end the process on a large structure are tried in another one before many sub-clusters are set apart."""

import logging
import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.lj import LennardJones
from held_calculators import Held

from bodyorder import load_source
from bodyorder.sources.ase import apart
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.ase.survival import may_end_process, survives
from bodyorder.structures.clusters import ClusterBatch

MANY = ClusterBatch.from_atoms([Atoms("H3", np.random.default_rng(seed).uniform(0, 2.5, (3, 3))) for seed in range(40)])
OPTIONS = "epsilon=0.1&rc=6&additive_cutoff=6"
EXPECTED = CalculatorSource(LennardJones(epsilon=0.1, rc=6.0)).energies(MANY)


@pytest.fixture(autouse=True)
def _default_dtype():
    """Calculators that are made here by hand set it."""
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


def test_a_program_that_ends_the_process_is_found_out_in_another_one(monkeypatch, caplog):
    monkeypatch.setattr(apart, "WORTH_TRYING", 0.0)
    source = load_source(f"ase:held_calculators.Fragile?{OPTIONS}")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            np.testing.assert_array_equal(source.energies(MANY), EXPECTED)
    assert [record.message for record in caplog.records] == [
        f"{source.name} evaluates its sub-clusters one by one, not many at once: on a structure of 120 atoms it ends the process "
        f"in which it runs"
    ]


def test_a_program_that_lives_on_has_them_set_apart(monkeypatch, caplog):
    monkeypatch.setattr(apart, "WORTH_TRYING", 0.0)
    source = load_source(f"ase:held_calculators.Sturdy?{OPTIONS}")
    np.testing.assert_allclose(source.energies(MANY), EXPECTED, atol=1e-12)
    assert max(source.calculator.sizes) == 120
    assert not caplog.records


def test_short_work_does_not_wait_for_another_process(monkeypatch):
    monkeypatch.setattr(apart, "survives", lambda *given: pytest.fail("it was tried"))
    now = [100.0]
    monkeypatch.setattr(apart.time, "time", lambda: now[0])
    source = load_source(f"ase:held_calculators.Sturdy?{OPTIONS}")
    for now[0] in (100.0, 100.9):
        np.testing.assert_array_equal(source.energies(MANY), EXPECTED)
    assert max(source.calculator.sizes) == 3
    tried = []
    monkeypatch.setattr(apart, "survives", lambda source, atoms, names: tried.append((len(atoms), names)) or True)
    for now[0] in (101.1, 101.2):
        source.energies(MANY)
    assert tried == [(120, ["energies", "energy"])]


def test_together_false_sets_nothing_apart():
    spec = f"ase:held_calculators.Sturdy?{OPTIONS}&together=false"
    source = load_source(spec)
    np.testing.assert_array_equal(source.energies(MANY), EXPECTED)
    assert set(source.calculator.sizes) == {3}
    assert load_source(source.name).name == source.name
    assert source.fingerprint == load_source(spec.replace("&together=false", "")).fingerprint
    own = CalculatorSource(LennardJones(epsilon=0.1, rc=6.0), cutoff=6.0, together=False)
    np.testing.assert_array_equal(own.energies(MANY), EXPECTED)
    with pytest.raises(ValueError, match="`together` must be true or false, got 'no'"):
        load_source(spec.replace("false", "no"))


def test_who_may_end_the_process():
    from ase.calculators.emt import EMT
    from ase.calculators.lammpslib import LAMMPSlib
    from ase.calculators.mixing import SumCalculator
    from networks_of_ase import scripted

    assert may_end_process(LAMMPSlib(lmpcmds=[]))
    assert may_end_process(SumCalculator([LennardJones(), LAMMPSlib(lmpcmds=[])]))
    assert may_end_process(Held())
    assert not any(map(may_end_process, (EMT(), LennardJones(), scripted())))


def test_what_cannot_be_sent_cannot_be_tried_and_nothing_of_the_script_runs_again():
    """No file of the main program is read by the other process."""
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 1]])
    assert survives(CalculatorSource(Held()), atoms, ["energy"])  # cannot be pickled
    assert survives(load_source("ase:held_calculators.Fragile"), atoms, ["energy"])
    assert not survives(load_source("ase:held_calculators.Fragile"), Atoms("H21"), ["energy"])
    assert "held_calculators" in sys.modules
