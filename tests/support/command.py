"""The command as a user runs it: a process of its own."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SCENARIOS = REPOSITORY / "scenarios"

SMALL = """\
description = "two small layers"

[network]
kind = "layers"
seed = 1

[[network.layers]]
name = "c1"
out_channels = 16
kernel = 3
taps = 4

[[network.layers]]
name = "c2"
out_channels = 16
residual = "c1"

[input]
seed = 2
shape = [8, 6, 7]
"""


def files(directory: Path) -> list[str]:
    """Names of what is in a directory."""
    return sorted(path.name for path in directory.iterdir())


def tlm(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """`tlm ARGUMENTS` in a directory, 80 columns wide."""
    return subprocess.run(
        [sys.executable, "-m", "tlm", *map(str, arguments)],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def refused(*arguments: object, cwd: Path | None = None) -> str:
    """What the command complains; it must be one line on stderr, with status 2 and nothing on stdout."""
    done = tlm(*arguments, cwd=cwd)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("tlm: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("tlm: ").rstrip("\n")


def start(*arguments: object, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    """`tlm ARGUMENTS`, which answers Ctrl-C even where these tests do not."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([sys.executable, "-m", "tlm", *map(str, arguments)], cwd=cwd, text=True, **streams)
    finally:
        signal.signal(signal.SIGINT, before)


def points_in(database: Path) -> int:
    """How many points a sweep under way has committed."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
            return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # no file yet, or no table in it
