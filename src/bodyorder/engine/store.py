"""Energies once computed, kept in one SQLite file: the bridge between runs, and between environments."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from bodyorder._checks import ComputationError, InputError, first_line

#: Layout of the file; goes up when an older program could no longer read it.
STORE_VERSION = 1

#: Marks an SQLite file as a store, in its header.
_APPLICATION = int.from_bytes(b"Body")

#: Seconds to wait while other processes make the same store.
_PATIENCE = 30.0

_SCHEMA = """
CREATE TABLE source (id INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE NOT NULL, name TEXT NOT NULL);
CREATE TABLE evaluation (
    source INTEGER NOT NULL REFERENCES source(id),
    key BLOB NOT NULL,
    energy REAL,
    forces BLOB,
    failure TEXT,
    PRIMARY KEY (source, key)
) WITHOUT ROWID;
"""

#: Rows asked for in one statement; SQLite allows at least this many parameters.
_QUERY_SIZE = 900


class Store:
    """Energies (eV) and forces (eV/Å, atoms in the order of the key) by source fingerprint and sub-cluster key.

    Every call of :meth:`add` is one transaction: a process killed at any moment leaves what was added before. Several processes
    may read; writes wait for each other. Failures are kept with their message, and computed again when asked for again.

    :param path: the file, made if it does not exist
    :raises InputError: if the file cannot be opened, is not a store, or was written by a newer version
    """

    _ready = False

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        try:
            self._db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        try:
            self._open()
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        finally:
            if not self._ready:
                self.close()

    def _unusable(self, reason: object) -> InputError:
        return InputError(f"a store must be an SQLite file that can be written, {self.path} is not: {reason}")

    def _open(self) -> None:
        """Look first: a file of another program must stay as it is."""
        latest = time.monotonic() + _PATIENCE
        while not self._ready:
            try:
                with self._transaction("DEFERRED"):  # one state of the file, not three
                    made = self._is_store()
                if not made:
                    self._create()
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.execute("PRAGMA journal_mode = WAL")
                self._ready = True
            except sqlite3.OperationalError as error:
                # Another process is making the store just now, and SQLite does not wait for a change of the journal.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > latest:
                    raise
                time.sleep(0.02)

    def _is_store(self) -> bool:
        """Whether the file is a store, and not empty.

        :raises InputError: if it is anything else, or a store of a newer version
        """
        owner, version = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        if owner == _APPLICATION:
            if version > STORE_VERSION:
                raise InputError(
                    f"a store must have layout {STORE_VERSION} or older, {self.path} has {version}; upgrade bodyorder to use it"
                )
            return True
        if owner or version or self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise self._unusable("it is a database of another program")
        return False

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of energies held."""
        with self._reading():
            return int(self._db.execute("SELECT count(*) FROM evaluation WHERE failure IS NULL").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def lookup(
        self, fingerprint: str, keys: Sequence[bytes], n_atoms: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What is known of some sub-clusters.

        :param fingerprint: of the source
        :param keys: of the sub-clusters
        :param n_atoms: their number of atoms k if forces are wanted; an energy without its forces then counts as unknown
        :return: energies (n,), NaN where unknown, and forces (n, k, 3) or None
        :raises ComputationError: if the file is damaged
        """
        energies = np.full(len(keys), np.nan)
        forces = None if n_atoms is None else np.full((len(keys), n_atoms, 3), np.nan)
        places: dict[bytes, list[int]] = {}
        for row, key in enumerate(keys):
            places.setdefault(key, []).append(row)
        distinct = list(places)
        columns = "key, energy" if forces is None else "key, energy, forces"
        for first in range(0, len(distinct), _QUERY_SIZE):
            part = distinct[first : first + _QUERY_SIZE]
            query = (
                f"SELECT {columns} FROM evaluation WHERE source = (SELECT id FROM source WHERE fingerprint = ?) "
                f"AND failure IS NULL AND key IN ({','.join('?' * len(part))})"
            )
            with self._reading():
                for key, energy, *blob in self._db.execute(query, (fingerprint, *part)):
                    if forces is None:
                        energies[places[key]] = energy
                    elif blob[0] is not None:
                        forces[places[key]] = np.frombuffer(blob[0], dtype="<f8").reshape(forces.shape[1:])
                        energies[places[key]] = energy
        return energies, forces

    def add(
        self,
        source: tuple[str, str],
        keys: Sequence[bytes],
        energies: np.ndarray,
        forces: np.ndarray | None = None,
        failures: Mapping[int, str] | None = None,
    ) -> None:
        """Keep energies, in one transaction. Forces already held are not lost when only the energy comes again.

        :param source: fingerprint and name
        :param keys: of the sub-clusters
        :param energies: shape (n,)
        :param forces: shape (n, k, 3), atoms in the order of the key
        :param failures: messages of the rows that failed
        :raises ComputationError: if the file cannot be written (a full disk, say); what was added before is safe
        """
        failures = failures or {}
        rows = []
        for row, key in enumerate(keys):
            failed = row in failures
            blob = None if forces is None or failed else np.ascontiguousarray(forces[row], dtype="<f8").tobytes()
            rows.append((key, None if failed else float(energies[row]), blob, failures.get(row)))
        try:
            with self._transaction():
                self._db.execute("INSERT OR IGNORE INTO source (fingerprint, name) VALUES (?, ?)", source)
                (number,) = self._db.execute("SELECT id FROM source WHERE fingerprint = ?", source[:1]).fetchone()
                self._db.executemany(
                    "INSERT INTO evaluation (source, key, energy, forces, failure) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (source, key) DO UPDATE SET energy = excluded.energy, failure = excluded.failure, "
                    "forces = coalesce(excluded.forces, forces) WHERE excluded.failure IS NULL OR energy IS NULL",
                    ((number, *row) for row in rows),
                )
        except sqlite3.Error as error:
            raise ComputationError(
                f"energies must be written to {self.path}, which failed: {error}; all that was stored before is safe"
            ) from None

    def failures(self, fingerprint: str) -> dict[bytes, str]:
        """Messages of the sub-clusters that failed and have not been computed since, by key."""
        query = (
            "SELECT key, failure FROM evaluation WHERE source = (SELECT id FROM source WHERE fingerprint = ?) "
            "AND failure IS NOT NULL"
        )
        with self._reading():
            return dict(self._db.execute(query, (fingerprint,)))

    def _create(self) -> None:
        with self._transaction():
            # Another process may have made the tables between our look and our lock.
            if self._is_store():
                return
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {STORE_VERSION}")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as error:  # ValueError: forces of another shape
            raise ComputationError(
                f"energies must be read from {self.path}, which failed: {first_line(error)}; "
                "use a copy of the file that is whole, or another one"
            ) from None

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself if the disk is full
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


@contextmanager
def opened(store: Store | str | os.PathLike[str] | None) -> Iterator[Store | None]:
    """A store for the time of a ``with`` block: one that is given open stays open, a file is opened and closed, None is none."""
    if store is None or isinstance(store, Store):
        yield store
    else:
        with Store(store) as shelf:
            yield shelf
