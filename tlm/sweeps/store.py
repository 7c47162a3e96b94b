"""A sweep on disk: one SQLite file, in which every point's result is committed as soon as it is there."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tlm.core.errors import InputError, TlmError
from tlm.core.files import whole_file
from tlm.results.files import check_writable
from tlm.sweeps.columns import COLUMNS, FAILED, PENDING
from tlm.sweeps.plan import Plan, snapshot_text
from tlm.sweeps.task import Outcome

SCHEMA = "tlm.sweep/3"
"""Version of the file: the number grows with every change of its columns."""

DATABASE_NAME, SNAPSHOT_NAME = "sweep.sqlite", "scenario.toml"

_FIGURES = ", ".join(column.name for column in COLUMNS)


def _definition(name: str, kind: str) -> str:
    """No infinities: JSON has none."""
    return f"{name} {kind} CHECK (abs({name}) < 9e999)" if kind == "REAL" else f"{name} {kind}"


_TABLES = f"""
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS columns (name TEXT PRIMARY KEY, unit TEXT, label TEXT, meaning TEXT) STRICT;
CREATE TABLE IF NOT EXISTS points (point INTEGER PRIMARY KEY, key TEXT NOT NULL, parameters TEXT NOT NULL
  CHECK (json_valid(parameters) AND json_type(parameters) = 'object')) STRICT;
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, status TEXT NOT NULL, error TEXT,
  {", ".join(_definition(column.name, column.kind) for column in COLUMNS)}) STRICT;
"""

_ANEW = "restore the file, or sweep into another directory"


class Store:
    """The points of a sweep and the results that there are."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self, plan: Plan, place: str = "-o") -> None:
        """Take over the points of a plan; results that are there already stay.

        Raises:
            InputError: the file holds a sweep of something else.
        """
        with self._connection as write:
            write.executescript(_TABLES)
        about = self.about()
        _check_version(about.get("schema", SCHEMA), place)  # first: another version has other columns
        with self._connection as write:
            list(write.execute(f"SELECT status, error, {_FIGURES} FROM results"))  # fails at once on a damaged file
        wanted = {"schema": SCHEMA, "scenario": plan.name, "base": plan.base_key}
        for name, value in wanted.items():
            if about.get(name, value) != value:
                raise InputError(
                    f"{place}: there is a sweep of another scenario already ({name} {about[name]!r} is not {value!r}); "
                    "give another directory, or the scenario and the --set of that sweep"
                )
        parameters = "".join(f"""json_extract(parameters, '$."{key}"') AS "{key}", """ for key in plan.axes)
        with self._connection as write:
            write.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", wanted.items())
            write.execute("DELETE FROM columns")
            write.executemany(
                "INSERT INTO columns VALUES (?, ?, ?, ?)", [(c.name, c.unit, c.label, c.meaning) for c in COLUMNS]
            )
            write.execute("DELETE FROM points")
            write.executemany(
                "INSERT INTO points VALUES (?, ?, ?)",
                ((point.index, point.key, json.dumps(dict(point.parameters))) for point in plan.points),
            )
            write.execute("DROP VIEW IF EXISTS sweep")
            write.execute(
                f"CREATE VIEW sweep AS SELECT point, {parameters}COALESCE(status, '{PENDING}') AS status, error, "
                f"{_FIGURES} FROM points LEFT JOIN results USING (key)"
            )

    def about(self) -> dict[str, str]:
        """Schema, scenario and base."""
        return dict(self._connection.execute("SELECT name, value FROM about"))

    def done(self) -> set[str]:
        """Keys of points that need not run any more, failed ones included."""
        return {key for (key,) in self._connection.execute("SELECT key FROM results")}

    def forget_failed(self) -> None:
        """Failed points are to run again."""
        with self._connection as write:
            write.execute("DELETE FROM results WHERE status = ?", (FAILED,))

    def add(self, outcome: Outcome) -> None:
        """Commit the result of a point."""
        row = [outcome.key, outcome.status, outcome.error]
        row += [outcome.figures.get(column.name) for column in COLUMNS]
        with self._connection as write:
            places = ", ".join("?" * len(row))
            write.execute(f"INSERT OR REPLACE INTO results (key, status, error, {_FIGURES}) VALUES ({places})", row)

    def rows(self) -> list[dict[str, Any]]:
        """All points in their order: point, parameters, status, error, figures (None where there are none yet)."""
        query = (
            f"SELECT point, parameters, COALESCE(status, '{PENDING}'), error, {_FIGURES} "
            "FROM points LEFT JOIN results USING (key) ORDER BY point"
        )
        names = ["status", "error", *(column.name for column in COLUMNS)]
        return [
            {"point": point, **json.loads(parameters), **dict(zip(names, values, strict=True))}
            for point, parameters, *values in self._connection.execute(query)
        ]

    def axes(self) -> list[str]:
        """Keys that are varied, in all points the same."""
        settings = [json.loads(text) for (text,) in self._connection.execute("SELECT parameters FROM points")]
        axes = list(settings[0]) if settings else []
        for point, setting in enumerate(settings):
            if list(setting) != axes:
                raise sqlite3.DataError(f"point {point} has the parameters {list(setting)}, not {axes}")
        return axes

    def counts(self) -> dict[str, int]:
        """Status -> points."""
        query = f"SELECT COALESCE(status, '{PENDING}'), COUNT(*) FROM points LEFT JOIN results USING (key) GROUP BY 1"
        return dict(self._connection.execute(query))


@contextmanager
def open_store(directory: Path | None, plan: Plan, place: str = "-o") -> Iterator[Store]:
    """The store of a plan in a directory, made or gone on with; nobody else may write it meanwhile.

    Args:
        directory: None keeps everything in memory.
        plan: what is swept.
        place: what named the directory, for messages.

    Raises:
        InputError: another process is writing it, it belongs to another scenario, or it is no store.
    """
    file: Path | str = ":memory:" if directory is None else directory / DATABASE_NAME
    lock = nullcontext() if directory is None else _locked(check_writable(directory, place), place)
    with lock, _connected(file, place) as connection:
        store = Store(connection)
        store.begin(plan, f"{place} {directory}")
        if directory is not None:
            with whole_file(directory / SNAPSHOT_NAME) as temporary:
                temporary.write_text(snapshot_text(plan, directory), encoding="utf-8")
        yield store


@contextmanager
def read_store(directory: Path) -> Iterator[Store]:
    """A store that is only read.

    Raises:
        InputError: there is none, or one of another version.
    """
    file = directory / DATABASE_NAME
    if not file.is_file():
        raise InputError(f"{file}: no such sweep; `tlm sweep SCENARIO --over KEY=VALUES -o {directory}` makes one")
    with _connected(file, str(directory)) as connection:
        store = Store(connection)
        about = store.about()
        _check_version(about.get("schema"), str(file))
        if "scenario" not in about:
            raise sqlite3.DataError("the scenario's name is missing")
        yield store


def scenario_name(directory: Path) -> str:
    """The name of the scenario that was swept into a directory.

    Raises:
        InputError: see :func:`read_store`.
    """
    with read_store(directory) as store:
        return store.about()["scenario"]


@contextmanager
def _connected(file: Path | str, place: str) -> Iterator[sqlite3.Connection]:
    """A connection that is closed at the end; what SQLite complains of meanwhile is said in one sentence."""
    if isinstance(file, Path) and file.exists() and not file.is_file():
        raise InputError(f"{place}: {file} is not a regular file; give another directory")
    try:
        connection = sqlite3.connect(file)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise InputError(f"{place}: {file} is damaged ({found}); {_ANEW}")
            yield connection
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of a damaged name in SQLite's own message
        raise refusal(file, place, error) from None


def refusal(file: Path | str, place: str, error: Exception) -> TlmError:
    """What an error of SQLite means for a sweep."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        remedy = "make room and give the same command again: finished points are kept"
        return TlmError(f"{place}: {file} cannot be written ({error}); {remedy}")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return InputError(f"{place}: {file} cannot be written ({error}); give a directory that can")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return InputError(f"{place}: {file} is in use ({error}); wait for the other process")
    return InputError(f"{place}: {file} is no store of a sweep, or damaged ({error}); {_ANEW}")


def _check_version(found: str | None, place: str) -> None:
    if found != SCHEMA:
        raise InputError(f"{place}: schema: {found!r} is not {SCHEMA!r}, which this version reads; sweep again")


@contextmanager
def _locked(directory: Path, place: str) -> Iterator[None]:
    """The directory's own lock, which ends with the process and leaves no file behind."""
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError(
            f"{place}: another process is sweeping into {directory}; wait for it or give another directory"
        ) from None
    finally:
        os.close(descriptor)
