"""Energies once computed, kept in one SQLite file: the bridge between runs, and between environments."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.sources.protocol import Evaluation

#: Layout of the file; goes up when an older program could no longer read it.
STORE_VERSION = 5

#: Marks an SQLite file as a store, in its header.
_APPLICATION = int.from_bytes(b"Body")

#: Seconds to wait while other processes make the same store.
_PATIENCE = 30.0

#: What brings a store of an older layout to the next one, by the older one.
_UPGRADES = {
    1: "ALTER TABLE evaluation ADD COLUMN records TEXT",
    2: "ALTER TABLE evaluation ADD COLUMN atom_energies BLOB",
    3: "ALTER TABLE evaluation ADD COLUMN members BLOB",
    4: "ALTER TABLE evaluation ADD COLUMN hessians BLOB",
}

_SCHEMA = """
CREATE TABLE source (id INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE NOT NULL, name TEXT NOT NULL);
CREATE TABLE evaluation (
    source INTEGER NOT NULL REFERENCES source(id),
    key BLOB NOT NULL,
    energy REAL,
    forces BLOB,
    failure TEXT,
    records TEXT,
    atom_energies BLOB,
    members BLOB,
    hessians BLOB,
    PRIMARY KEY (source, key)
) WITHOUT ROWID;
"""

#: What an evaluation holds beside energies and records, each in the column of its name.
_BESIDE = ("forces", "atom_energies", "members", "hessians")

#: Rows asked for in one statement; SQLite allows at least this many parameters.
_QUERY_SIZE = 900


class Store:
    """Energies (eV), forces (eV/Å), Hessians (eV/Å²), energies of atoms and of members (eV) by source fingerprint and sub-cluster
    key, atoms in its order.

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
                self._upgrade()
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

    def lookup(self, fingerprint: str, keys: Sequence[bytes], unknown: Evaluation | None = None) -> Evaluation:
        """What is known of some sub-clusters.

        :param fingerprint: of the source
        :param keys: of the sub-clusters
        :param unknown: an evaluation of as many sub-clusters that knows nothing; it has arrays of what is wanted beside energies
            (forces, energies of atoms, members, Hessians), and an energy without them then counts as unknown. Energies only if
            not given.
        :return: ``unknown`` with energies, what belongs to them, and records; NaN where unknown
        :raises ComputationError: if the file is damaged
        """
        known = Evaluation.unknown(len(keys)) if unknown is None else unknown
        places: dict[bytes, list[int]] = {}
        for row, key in enumerate(keys):
            places.setdefault(key, []).append(row)
        distinct = list(places)
        wanted = {name: getattr(known, name) for name in _BESIDE}
        columns = ", ".join("NULL" if array is None else name for name, array in wanted.items())
        for first in range(0, len(distinct), _QUERY_SIZE):
            part = distinct[first : first + _QUERY_SIZE]
            query = (
                f"SELECT key, energy, records, {columns} FROM evaluation "
                "WHERE source = (SELECT id FROM source WHERE fingerprint = ?) "
                f"AND failure IS NULL AND key IN ({','.join('?' * len(part))})"
            )
            with self._reading():
                for key, energy, records, *blobs in self._db.execute(query, (fingerprint, *part)):
                    pairs = [
                        (array, blob) for array, blob in zip(wanted.values(), blobs, strict=True) if array is not None
                    ]
                    if any(blob is None for _, blob in pairs):
                        continue
                    for array, blob in pairs:
                        array[places[key]] = np.frombuffer(blob, dtype="<f8").reshape(array.shape[1:])
                    known.energies[places[key]] = energy
                    for name, value in json.loads(records or "{}").items():
                        known.records.setdefault(name, np.full(len(keys), np.nan))[places[key]] = value
        return known

    def add(self, source: tuple[str, str], keys: Sequence[bytes], found: Evaluation) -> None:
        """Keep energies, in one transaction. What is held beside an energy is not lost when only the energy comes again.

        :param source: fingerprint and name
        :param keys: of the sub-clusters
        :param found: what the source said of them, atoms in the order of the key
        :raises ComputationError: if the file cannot be written (a full disk, say); what was added before is safe
        """
        rows: list[tuple[object, ...]] = []
        for row, key in enumerate(keys):
            if row in found.messages:
                rows.append((key, None, found.messages[row], None, *[None] * len(_BESIDE)))
                continue
            records = {name: float(values[row]) for name, values in found.records.items() if np.isfinite(values[row])}
            beside = [_bytes(getattr(found, name), row) for name in _BESIDE]
            rows.append((key, float(found.energies[row]), None, json.dumps(records) if records else None, *beside))
        columns = ("records", *_BESIDE)
        kept = ", ".join(f"{name} = coalesce(excluded.{name}, {name})" for name in columns)
        try:
            with self._transaction():
                self._db.execute("INSERT OR IGNORE INTO source (fingerprint, name) VALUES (?, ?)", source)
                (number,) = self._db.execute("SELECT id FROM source WHERE fingerprint = ?", source[:1]).fetchone()
                self._db.executemany(
                    f"INSERT INTO evaluation (source, key, energy, failure, {', '.join(columns)}) "
                    f"VALUES (?, ?, ?, ?{', ?' * len(columns)}) "
                    f"ON CONFLICT (source, key) DO UPDATE SET energy = excluded.energy, failure = excluded.failure, {kept} "
                    "WHERE excluded.failure IS NULL OR energy IS NULL",
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

    def _upgrade(self) -> None:
        """Bring an older layout up to date; an energy never changes."""
        if self._layout() == STORE_VERSION:
            return
        with self._transaction():
            for older in range(self._layout(), STORE_VERSION):  # another process may have been faster
                self._db.execute(_UPGRADES[older])
            self._db.execute(f"PRAGMA user_version = {STORE_VERSION}")

    def _layout(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as error:  # ValueError: forces of another shape
            raise ComputationError(
                f"energies must be read from {self.path}, which failed: {first_line(error)}; "
                "free some space if the disk is full, else use a copy of the file that is whole, or another one"
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


def _bytes(array: np.ndarray | None, row: int) -> bytes | None:
    return None if array is None else np.ascontiguousarray(array[row], dtype="<f8").tobytes()


@contextmanager
def opened(store: Store | str | os.PathLike[str] | None) -> Iterator[Store | None]:
    """A store for the time of a ``with`` block: one that is given open stays open, a file is opened and closed, None is none."""
    if store is None or isinstance(store, Store):
        yield store
    else:
        with Store(store) as ready:
            yield ready
