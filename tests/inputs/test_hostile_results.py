"""What runs and sweeps wrote, edited so that it is read without an error and makes no sense."""

from __future__ import annotations

import copy
import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from damage import damaged, outcome
from test_damaged_files import LAYER, result_directory
from test_hostile_files import complaint, refusal
from timing_project import Project, body

from tlm.core.errors import InputError, TlmError
from tlm.sweeps.store import refusal as meaning
from tlm.testing.baseline import Row, Section, difference_table, read_sections

VALUES: tuple[Any, ...] = (None, -1, 0, 1, 7.5, 2**62, 10**30, 1e300, "x", "", [], {}, True, [1, "a"], {"a": {"b": 1}})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- result.json ------------------------------------------------------------------------------------------------------


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(item, (*path, key))


def edited(chance: random.Random) -> dict[str, Any]:
    """A result in which one thing is another, is missing or is there twice."""
    result: dict[str, Any] = json.loads(result_directory()["result.json"])
    *path, last = chance.choice(list(places(result)))
    inside: Any = result
    for key in path:
        inside = inside[key]
    way = chance.randrange(len(VALUES) + 2)
    if way < len(VALUES):
        inside[last] = VALUES[way]
    elif way == len(VALUES):
        del inside[last]
    elif isinstance(inside, list):
        inside.append(copy.deepcopy(inside[last]))
    else:
        inside["another"] = inside[last]
    return result


COMMANDS = (
    ("explain", "result.json", "--no-runs"), ("compare", "good.json", "result.json"), ("report", "result.json"),
    ("explain", "result.json"), ("plot", "result.json", "--only", "causes"),
)  # fmt: skip


def try_result(seed: int, here: Path, commands: int) -> None:
    chance = random.Random(seed)
    Path("good.json").write_bytes(result_directory()["result.json"])
    Path("result.json").write_text(json.dumps(edited(chance)))
    outcome(list(COMMANDS[seed % commands]), here)


def test_edited_results(here: Path) -> None:
    for seed in range(16):
        try_result(seed, here, 2)


@pytest.mark.slow
def test_many_edited_results(here: Path) -> None:
    for seed in range(100, 400):
        try_result(seed, here, len(COMMANDS))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cycles", "x", "result.json: not a whole result (Expected `int`, got `str` - at `$.cycles`)"),
        ("macs", -1, "result.json: not a whole result (Expected `int` >= 0 - at `$.macs`)"),
        ("settings", {"network": None, "input": {}}, "result.json: settings.network: None is no section of a scenario"),
        ("cycles", 1, "result.json: account.causes: sums to "),
    ],
)
def test_the_message_names_file_and_key(key: str, value: object, message: str) -> None:
    result = json.loads(result_directory()["result.json"])
    Path("result.json").write_text(json.dumps({**result, key: value}))
    assert complaint("explain", "result.json").startswith(message)


@pytest.mark.parametrize(
    "text", ['{"schema": NaN}', '{"schema": 1e999}', '{"a": ' + "[" * 10**5 + "]" * 10**5 + "}", "\ufeff", "[]"]
)
def test_what_is_no_json_object(text: str) -> None:
    Path("result.json").write_text(text)
    assert complaint("explain", "result.json").startswith("result.json: ")


# -- stores of sweeps -------------------------------------------------------------------------------------------------


def swept(statement: str) -> None:
    """The store of a sweep after a change by SQL."""
    Path("swept").mkdir()
    Path("s.toml").write_text(LAYER)
    Path("swept/sweep.sqlite").write_bytes(result_directory()["sweep.sqlite"])
    with closing(sqlite3.connect("swept/sweep.sqlite")) as connection, connection:
        connection.execute(statement)


EDITS = {
    "UPDATE results SET error = CAST(x'ff' AS TEXT)": "swept: swept/sweep.sqlite is no store of a sweep, or",
    "UPDATE points SET parameters = '{}' WHERE point = 1": "swept: swept/sweep.sqlite is no store of a sweep, or",
    "UPDATE about SET value = 7 WHERE name = 'schema'": "swept/sweep.sqlite: schema: '7' is not 'tlm.sweep/3'",
    "DELETE FROM about WHERE name = 'scenario'": "swept: swept/sweep.sqlite is no store of a sweep, or damaged (the ",
    "DROP TABLE points": "swept: swept/sweep.sqlite is no store of a sweep, or damaged (no such table: ",
    "DELETE FROM points": "swept/sweep.sqlite: there is no point in it; `tlm sweep swept` makes them",
}
IMPOSSIBLE = (
    "UPDATE results SET cycles = 'x'",
    "UPDATE results SET energy_pj = 1e999",
    "UPDATE results SET error = x'ff'",
    "UPDATE points SET parameters = '7'",
    "UPDATE points SET parameters = '{\"chip.amem_banks\": NaN}'",
)


@pytest.mark.parametrize("statement", EDITS)
def test_edited_stores(statement: str, here: Path) -> None:
    swept(statement)
    assert complaint("report", "swept").startswith(EDITS[statement])
    if "ff" in statement:
        assert outcome(["sweep", "s.toml", "-o", "swept", "--processes", "1"], here) in (0, 2)


@pytest.mark.parametrize("statement", IMPOSSIBLE)
def test_edits_that_the_store_itself_refuses(statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        swept(statement)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("SQLITE_FULL", TlmError, "x.sqlite cannot be written (why); make room and give the same command again"),
        ("SQLITE_IOERR_WRITE", TlmError, "x.sqlite cannot be written (why); make room"),
        ("SQLITE_READONLY_DIRECTORY", InputError, "x.sqlite cannot be written (why); give a directory that can"),
        ("SQLITE_BUSY", InputError, "x.sqlite is in use (why); wait for the other process"),
        ("SQLITE_CORRUPT", InputError, "x.sqlite is no store of a sweep, or damaged (why); restore the file"),
    ],
)
def test_what_sqlite_complains_of(name: str, kind: type, message: str) -> None:
    error = sqlite3.OperationalError("why")
    error.sqlite_errorname = name
    found = meaning(Path("x.sqlite"), "-o", error)
    assert type(found) is kind
    assert str(found).startswith(f"-o: {message}")


# -- baselines --------------------------------------------------------------------------------------------------------

BASELINE = """\
# a comment
[test_one]
chip = { amem_banks = 8 }
run = { cycles = 2576, first = 0, last = 2575, causes = { computing = 148, host = 938 } }
layers.c1 = { cycles = 25, first = 622, last = 646, causes = { computing = 4, pipeline = 13, before_host = 461 } }
parts."c1[0]" = { cycles = 25, first = 622, last = 646 }

[test_two]
chip = {}
run = { cycles = 2576, first = 0, last = 2575, causes = { computing = 148, host = 938 } }
"""


def try_baseline(seed: int) -> bool:
    """Whether a damaged file is read; if it is, the difference can be told."""
    path = Path("t.tlm-baseline.toml")
    path.write_bytes(damaged(BASELINE.encode(), seed, text=seed % 2 == 0))
    try:
        found = read_sections(path)
    except InputError as error:
        return not str(error).startswith("t.tlm-baseline.toml")
    path.write_text(BASELINE)
    for name, section in read_sections(path).items():
        assert list(difference_table(found.get(name, Section({}, Row(0, 0, 0))), section))
    return True


def test_damaged_baselines() -> None:
    assert {try_baseline(seed) for seed in range(60)} == {True, False}


@pytest.mark.slow
def test_many_damaged_baselines() -> None:
    for seed in range(100, 400):
        try_baseline(seed)


@pytest.mark.parametrize(
    "line", ["run.cycles = " + "9" * 5_000, "chip.a = " + "[" * 99_999, 'layers."a\\x".cycles = 1', "run.cycles = 1.5"]
)
def test_lines_that_no_baseline_has(line: str) -> None:
    Path("t.toml").write_text(f"[test_one]\n{line}\n")
    assert refusal(lambda: read_sections(Path("t.toml"))).startswith("t.toml: ")


def test_a_damaged_baseline_within_pytest(pytester: pytest.Pytester) -> None:
    """It fails the test that needs it, in pytest's words; the session goes on."""
    project = Project(pytester)
    (project.path / "test_it.tlm-baseline.toml").write_bytes(b"[test_one]\nchip =\xff\n")
    said = project.fails(body("assert small.matches(tlm_baseline)", fixtures="small, tlm_baseline"))
    assert "is not UTF-8 text (byte 17); save the file as UTF-8; restore the file" in said
    assert "INTERNALERROR" not in said
