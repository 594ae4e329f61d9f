"""Energies once computed, kept in one SQLite file: the bridge between runs, and between environments."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from bodyorder._checks import ComputationError, InputError

#: Layout of the file; goes up when an older program could no longer read it.
STORE_VERSION = 1

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

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        try:
            self._db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            if version == 0:
                self._create()
        except sqlite3.Error as error:
            raise InputError(
                f"a store must be an SQLite file that can be written, {self.path} is not: {error}"
            ) from None
        if version > STORE_VERSION:
            self.close()
            raise InputError(
                f"a store must have layout {STORE_VERSION} or older, {self.path} has {version}; upgrade bodyorder to use it"
            )

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of energies held."""
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
            for key, energy, *blob in self._db.execute(query, (fingerprint, *part)):
                if forces is None:
                    energies[places[key]] = energy
                elif blob[0] is not None:
                    energies[places[key]] = energy
                    forces[places[key]] = np.frombuffer(blob[0], dtype="<f8").reshape(-1, 3)
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
        return dict(self._db.execute(query, (fingerprint,)))

    def _create(self) -> None:
        with self._transaction():
            # Another process may have made the tables between our look and our lock.
            if self._db.execute("PRAGMA user_version").fetchone()[0]:
                return
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError("it is a database of another program")
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {STORE_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself if the disk is full
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
