import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from geometries import clusters

from bodyorder._checks import ComputationError, InputError
from bodyorder.engine import Store, decompose
from bodyorder.engine.store import STORE_VERSION, opened
from bodyorder.sources.protocol import Evaluation
from bodyorder.sources.registry import load_source

LENNARD_JONES = "ase:ase.calculators.lj.LennardJones?epsilon=0.01&sigma=1.2&rc=20.0"


def test_energies_and_forces_come_back_bitwise(tmp_path):
    rng = np.random.default_rng(0)
    energies, forces = rng.normal(size=2000), rng.normal(size=(2000, 3, 3))
    with Store(tmp_path / "s.sqlite") as store:
        store.add(("f", "name"), [i.to_bytes(16, "big") for i in range(2000)], Evaluation(energies, forces))
    with Store(tmp_path / "s.sqlite") as store:
        assert len(store) == 2000
        wanted = [i.to_bytes(16, "big") for i in (5, 1999, 5, 2001)]
        known = store.lookup("f", wanted, Evaluation.unknown(len(wanted), 3))
        found, gradient = known.energies, known.forces
        np.testing.assert_array_equal(found[:3], energies[[5, 1999, 5]])
        np.testing.assert_array_equal(gradient[:3], forces[[5, 1999, 5]])
        assert np.isnan(found[3])
        assert np.isnan(store.lookup("other", wanted).energies).all()


def test_energies_without_forces_are_unknown_where_forces_are_wanted(tmp_path):
    key = [b"k" * 16]
    with Store(tmp_path / "s.sqlite") as store:
        store.add(("f", "n"), key, Evaluation(np.array([1.0])))
        assert np.isnan(store.lookup("f", key, Evaluation.unknown(1, 2)).energies[0])
        store.add(("f", "n"), key, Evaluation(np.array([1.0]), np.ones((1, 2, 3))))
        store.add(("f", "n"), key, Evaluation(np.array([1.0])))
        known = store.lookup("f", key, Evaluation.unknown(1, 2))
        energies, forces = known.energies, known.forces
        assert energies[0] == 1.0
        np.testing.assert_array_equal(forces, np.ones((1, 2, 3)))


def test_failures_are_kept_and_superseded(tmp_path):
    key = [b"k" * 16]
    with Store(tmp_path / "s.sqlite") as store:
        store.add(("f", "n"), key, Evaluation(np.array([np.nan]), None, {0: "did not converge"}))
        assert store.failures("f") == {key[0]: "did not converge"}
        assert np.isnan(store.lookup("f", key).energies[0])
        store.add(("f", "n"), key, Evaluation(np.array([2.0])))
        assert store.failures("f") == {}
        store.add(
            ("f", "n"), key, Evaluation(np.array([np.nan]), None, {0: "a later failure does not erase an energy"})
        )
        assert store.lookup("f", key).energies[0] == 2.0


def test_a_second_run_computes_nothing(tmp_path):
    frames = clusters()
    first = decompose(frames, LENNARD_JONES, forces=True, store=tmp_path / "s.sqlite")
    again = decompose(frames, LENNARD_JONES, forces=True, store=tmp_path / "s.sqlite")
    assert first.n_evaluations.sum() > 0
    assert again.n_evaluations.sum() == 0
    np.testing.assert_array_equal(again.contribution, first.contribution)
    np.testing.assert_allclose(again.sites.force_contribution, first.sites.force_contribution, atol=1e-13)


def test_twins_are_computed_once(tmp_path):
    """Single atoms, and the same structure shifted and with its atoms in another order."""
    atoms = clusters(1)[0]
    atoms.positions = np.round(atoms.positions, 6)
    twin = atoms[[3, 1, 5, 0, 2, 4]]
    twin.translate([1.0, -2.0, 0.5])
    result = decompose([atoms, twin], LENNARD_JONES, forces=True, store=tmp_path / "s.sqlite")
    assert result.n_evaluations.values.tolist() == [63 - 5, 0]
    np.testing.assert_allclose(result.contribution[1], result.contribution[0], atol=1e-11)
    np.testing.assert_allclose(
        result.sites.force_contribution[:, 6:], result.sites.force_contribution[:, [3, 1, 5, 0, 2, 4]], atol=1e-11
    )


def test_not_a_store(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no database\n" * 100)
    with pytest.raises(InputError, match=r"a store must be an SQLite file that can be written, .*notes\.txt is not"):
        Store(path)
    with pytest.raises(InputError, match="that can be written"):
        Store(tmp_path / "no" / "s.sqlite")


@pytest.mark.parametrize("pragma", ["user_version = 0", "user_version = 1", "application_id = 7"])
def test_a_database_of_another_program_stays_as_it_is(tmp_path, pragma):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bills (amount REAL)")
        db.execute(f"PRAGMA {pragma}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="it is a database of another program"):
        Store(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_many_processes_make_one_store(tmp_path):
    """All open the same new stores at the same moments."""
    script = """
import sys, time
from bodyorder.engine import Store
print("ready", flush=True)
start = float(sys.stdin.readline())
for number in range(40):
    while time.time() < start + 0.04 * number: pass
    Store(f"{sys.argv[1]}/{number}.sqlite").close()
"""
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    start = time.time() + 0.2
    for process in processes:
        process.stdin.write(f"{start}\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors


def test_a_damaged_store(tmp_path):
    path = tmp_path / "s.sqlite"
    keys = [i.to_bytes(16, "big") for i in range(5000)]
    with Store(path) as store:
        store.add(("f", "n"), keys, Evaluation(np.zeros(5000), None, {4999: "why"}))
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xff" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    with Store(path) as store:
        for ask in (lambda: store.lookup("f", keys), lambda: store.failures("f"), lambda: len(store)):
            with pytest.raises(
                ComputationError, match=r"energies must be read from .*s\.sqlite, which failed: .*malformed"
            ):
                ask()


def test_forces_of_another_shape_are_damage(tmp_path):
    with Store(tmp_path / "s.sqlite") as store:
        store.add(("f", "n"), [b"k" * 16], Evaluation(np.zeros(1), np.ones((1, 1, 3))))
        with pytest.raises(ComputationError, match="energies must be read from"):
            store.lookup("f", [b"k" * 16], Evaluation.unknown(1, 2))


def test_opened(tmp_path):
    with opened(None) as nothing:
        assert nothing is None
    with opened(tmp_path / "s.sqlite") as mine:
        mine.add(("f", "n"), [b"k" * 16], Evaluation(np.zeros(1)))
    with pytest.raises(ComputationError, match="closed database"):
        len(mine)
    with Store(tmp_path / "s.sqlite") as given:
        with opened(given) as same:
            assert same is given
        assert len(given) == 1


def test_written_by_a_newer_version(tmp_path):
    path = tmp_path / "s.sqlite"
    Store(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {STORE_VERSION + 1}")
    db.close()
    with pytest.raises(InputError, match=f"must have layout {STORE_VERSION} or older, .* upgrade bodyorder"):
        Store(path)


def test_full_disk(tmp_path):
    """SQLite's own page limit raises the very error that a full disk does."""
    with Store(tmp_path / "s.sqlite") as store:
        store.add(("f", "n"), [b"a" * 16], Evaluation(np.array([1.0])))
        store._db.execute("PRAGMA max_page_count = 8")
        many = [i.to_bytes(16, "big") for i in range(20_000)]
        with pytest.raises(
            ComputationError, match="which failed: database or disk is full; all that was stored before is safe"
        ):
            store.add(("f", "n"), many, Evaluation(np.zeros(20_000)))
        assert store.lookup("f", [b"a" * 16]).energies[0] == 1.0
        assert len(store) == 1


KILLED = """
import sys, time
import numpy as np
from ase import Atoms
from ase.calculators.lj import LennardJones
from bodyorder.engine import decompose

class Slow(LennardJones):
    def calculate(self, *args, **kwargs):
        time.sleep(0.002)
        super().calculate(*args, **kwargs)

from dataclasses import replace
from bodyorder.sources.ase.calculator import CalculatorSource
source = CalculatorSource(LennardJones(epsilon=0.01, sigma=1.2, rc=20.0))
source.calculator.__class__ = Slow
source.capabilities = replace(source.capabilities, batch_size=8)
rng = np.random.default_rng(0)
frames = [Atoms("H6", positions=rng.uniform(0, 4, (6, 3))) for _ in range(3)]
print("ready", flush=True)
decompose(frames, source, forces=True, store=sys.argv[1])
print("done", flush=True)
"""


def test_killed_again_and_again(tmp_path):
    """SIGKILL at random moments: the store opens, keeps what was committed, and the end is as if nothing had happened."""
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    path = tmp_path / "s.sqlite"
    rng = np.random.default_rng(1)
    held = [0]
    for _ in range(10):
        process = subprocess.Popen([sys.executable, script, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.02, 0.12))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with Store(path) as store:
            held.append(len(store))
        assert held[-1] >= held[-2]
    assert held[-1] > 0
    frames = clusters()
    fingerprint = load_source(LENNARD_JONES).fingerprint
    resumed = decompose(frames, LENNARD_JONES, forces=True, store=path)
    fresh = decompose(frames, LENNARD_JONES, forces=True, store=tmp_path / "fresh.sqlite")
    np.testing.assert_array_equal(resumed.contribution, fresh.contribution)
    np.testing.assert_array_equal(resumed.sites.force_contribution, fresh.sites.force_contribution)
    assert fingerprint == resumed.attrs["fingerprint"]
    assert resumed.n_evaluations.sum() + held[-1] == fresh.n_evaluations.sum()


def test_records_come_back_and_outlive_an_energy_without_them(tmp_path):
    key = [b"k" * 16, b"l" * 16]
    with Store(tmp_path / "s") as store:
        store.add(("f", "n"), key, Evaluation(np.array([1.0, 2.0]), records={"multiplicity": np.array([3.0, np.nan])}))
        store.add(("f", "n"), key, Evaluation(np.array([1.0, 2.0])))
        known = store.lookup("f", key[::-1])
        assert np.array_equal(known.records["multiplicity"], [np.nan, 3.0], equal_nan=True)


def test_a_store_of_the_first_layout_is_read_and_brought_up_to_date(tmp_path):
    path = tmp_path / "old"
    db = sqlite3.connect(path)
    db.executescript(
        """
        CREATE TABLE source (id INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE NOT NULL, name TEXT NOT NULL);
        CREATE TABLE evaluation (source INTEGER NOT NULL REFERENCES source(id), key BLOB NOT NULL, energy REAL, forces BLOB,
            failure TEXT, PRIMARY KEY (source, key)) WITHOUT ROWID;
        INSERT INTO source VALUES (1, 'f', 'n');
        PRAGMA user_version = 1;
        """
    )
    db.execute(f"PRAGMA application_id = {int.from_bytes(b'Body')}")
    db.execute("INSERT INTO evaluation VALUES (1, ?, -13.6, NULL, NULL)", (b"k" * 16,))
    db.commit()
    db.close()
    for _ in range(2):
        with Store(path) as store:
            assert store.lookup("f", [b"k" * 16]).energies[0] == -13.6
            store.add(("f", "n"), [b"l" * 16], Evaluation(np.array([1.0]), records={"gap": np.array([0.5])}))
            assert store.lookup("f", [b"l" * 16]).records["gap"][0] == 0.5
