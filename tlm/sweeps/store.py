"""A sweep on disk: one SQLite file, in which every point's result is committed as soon as it is there."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.errors import InputError, TlmError
from tlm.core.files import whole_file
from tlm.sweeps.columns import COLUMNS, FAILED, PENDING

if TYPE_CHECKING:
    from tlm.sweeps.plan import Plan
    from tlm.sweeps.task import Outcome

SCHEMA = "tlm.sweep/1"
"""Version of the file: the number grows with every change of its columns."""

DATABASE_NAME, SNAPSHOT_NAME = "sweep.sqlite", "scenario.toml"

_TABLES = f"""
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS columns (name TEXT PRIMARY KEY, unit TEXT, label TEXT, meaning TEXT);
CREATE TABLE IF NOT EXISTS points (point INTEGER PRIMARY KEY, key TEXT NOT NULL, parameters TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, status TEXT NOT NULL, error TEXT,
  {", ".join(f"{column.name} {column.kind}" for column in COLUMNS)});
"""

_TYPES: dict[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int)}
_ANEW = "restore the file, or sweep into another directory"


class Store:
    """The points of a sweep and the results that there are."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def in_memory(cls) -> Store:
        """One that is gone with the process."""
        return cls(sqlite3.connect(":memory:"))

    def begin(self, plan: Plan, place: str = "-o") -> None:
        """Take over the points of a plan; results that are there already stay.

        Raises:
            InputError: the file holds a sweep of something else.
        """
        with self._connection:
            self._connection.executescript(_TABLES)
        # Fails at once, not behind the first point, if the file lacks a column.
        self._connection.execute(f"SELECT {', '.join(column.name for column in COLUMNS)} FROM results LIMIT 0")
        about = self.about()
        _check_version(about.get("schema", SCHEMA), place)
        wanted = {"schema": SCHEMA, "scenario": plan.name, "base": plan.base_key}
        for name, value in wanted.items():
            if about.get(name, value) != value:
                raise InputError(
                    f"{place}: there is a sweep of another scenario already ({name} {about[name]!r} is not {value!r}); "
                    "give another directory, or the scenario and the --set of that sweep"
                )
        with self._connection as write:
            write.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", wanted.items())
            write.execute("INSERT OR REPLACE INTO about VALUES ('axes', ?)", (json.dumps(plan.axes),))
            write.execute("DELETE FROM columns")
            write.executemany(
                "INSERT INTO columns VALUES (?, ?, ?, ?)", [(c.name, c.unit, c.label, c.meaning) for c in COLUMNS]
            )
            write.execute("DELETE FROM points")
            write.executemany(
                "INSERT INTO points VALUES (?, ?, ?)",
                ((point.index, point.key, json.dumps(dict(point.parameters))) for point in plan.points),
            )
            self._make_view(plan.axes)

    def about(self) -> dict[str, str]:
        """Schema, scenario, base and axes."""
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
        row = {"key": outcome.key, "status": outcome.status, "error": outcome.error}
        row |= {column.name: outcome.figures.get(column.name) for column in COLUMNS}
        names, places = ", ".join(row), ", ".join("?" * len(row))
        with self._connection as write:
            write.execute(f"INSERT OR REPLACE INTO results ({names}) VALUES ({places})", list(row.values()))

    def rows(self) -> list[dict[str, Any]]:
        """All points in their order: point, parameters, status, error, figures (None where there are none yet)."""
        names = ["status", "error", *(column.name for column in COLUMNS)]
        query = f"SELECT point, parameters, {', '.join(names)} FROM points LEFT JOIN results USING (key) ORDER BY point"
        rows = []
        axes = self.axes()
        for point, parameters, *values in self._connection.execute(query):
            setting = _decoded(parameters, f"point {point}: parameters")
            if not isinstance(setting, dict) or sorted(setting) != sorted(axes):
                raise InputError(f"point {point}: parameters: {parameters!r} are no values of {axes}; {_ANEW}")
            figures = dict(zip(names, values, strict=True))
            _check_figures(point, figures)
            rows.append({"point": point, **setting, **figures, "status": figures["status"] or PENDING})
        return rows

    def axes(self) -> list[str]:
        """Keys that are varied."""
        text = self.about().get("axes")
        axes = _decoded(text, "axes")
        if not isinstance(axes, list) or not axes or not all(isinstance(axis, str) for axis in axes):
            raise InputError(f"axes: {text!r} is no list of keys; {_ANEW}")
        return axes

    def counts(self) -> dict[str, int]:
        """Status -> points."""
        query = f"SELECT COALESCE(status, '{PENDING}'), COUNT(*) FROM points LEFT JOIN results USING (key) GROUP BY 1"
        return dict(self._connection.execute(query))

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def _make_view(self, axes: Iterable[str]) -> None:
        """The table as people query it: a column a parameter, a column a figure."""
        parameters = [f"""json_extract(parameters, '$."{key}"') AS "{key}\"""" for key in axes]
        figures = [column.name for column in COLUMNS]
        columns = ", ".join(["point", *parameters, f"COALESCE(status, '{PENDING}') AS status", "error", *figures])
        self._connection.execute("DROP VIEW IF EXISTS sweep")
        self._connection.execute(f"CREATE VIEW sweep AS SELECT {columns} FROM points LEFT JOIN results USING (key)")


@contextmanager
def open_store(directory: Path, plan: Plan, place: str = "-o") -> Iterator[Store]:
    """The store of a plan in a directory, made or gone on with; nobody else may write it meanwhile.

    Raises:
        InputError: another process is writing it, it belongs to another scenario, or it is no store.
    """
    from tlm.results.files import check_writable
    from tlm.sweeps.plan import snapshot_text

    file = directory / DATABASE_NAME
    with _locked(check_writable(directory, place), place), _connected(file, place) as connection:
        store = Store(connection)
        store.begin(plan, f"{place} {directory}")
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
        about = store.about() if _has_tables(connection) else {}
        _check_version(about.get("schema"), str(file))
        if not isinstance(about.get("scenario"), str):
            raise InputError(f"{file}: scenario: {about.get('scenario')!r} is no name; {_ANEW}")
        try:
            yield store
        except InputError as error:
            raise error if str(file) in str(error) else InputError(f"{file}: {error}") from None


def scenario_name(directory: Path) -> str:
    """The name of the scenario that was swept into a directory.

    Raises:
        InputError: see :func:`read_store`.
    """
    with read_store(directory) as store:
        return store.about()["scenario"]


@contextmanager
def _connected(file: Path, place: str) -> Iterator[sqlite3.Connection]:
    """A connection that is closed at the end; what SQLite complains of meanwhile is said in one sentence."""
    if file.exists() and not file.is_file():
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
        raise _refusal(file, place, error) from None


def _refusal(file: Path, place: str, error: Exception) -> TlmError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return TlmError(
            f"{place}: {file} cannot be written ({error}); make room and give the same command again: finished points "
            "are kept"
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return InputError(f"{place}: {file} cannot be written ({error}); give a directory that can")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return InputError(f"{place}: {file} is in use ({error}); wait for the other process")
    return InputError(f"{place}: {file} is no store of a sweep, or damaged ({error}); {_ANEW}")


def _check_version(found: str | None, place: str) -> None:
    if found != SCHEMA:
        raise InputError(f"{place}: schema: {found!r} is not {SCHEMA!r}, which this version reads; sweep again")


def _has_tables(connection: sqlite3.Connection) -> bool:
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {"about", "columns", "points", "results"} <= found


def _decoded(text: object, key: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        raise InputError(f"{key}: {text!r} is not JSON; {_ANEW}") from None


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which Python's own reader lets through


def _check_figures(point: int, figures: Mapping[str, Any]) -> None:
    """SQLite keeps any value in a column of any type."""
    kinds = {"status": "TEXT", "error": "TEXT", **{column.name: column.kind for column in COLUMNS}}
    for name, value in figures.items():
        good = value is None or isinstance(value, _TYPES[kinds[name]])
        if not good or (isinstance(value, float) and not math.isfinite(value)):
            raise InputError(f"point {point}: {name}: {value!r} is no {kinds[name]} value; {_ANEW}")


@contextmanager
def _locked(directory: Path, place: str) -> Iterator[None]:
    """The directory's own lock, which ends with the process and leaves no file behind."""
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{place}: another process is sweeping into {directory}; wait for it or give another directory"
            ) from None
        yield
    finally:
        os.close(descriptor)
