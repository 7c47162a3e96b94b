"""The command as a user runs it: a process of its own.

Processes are forked from a server that has imported the command and what it needs, since a start costs more than most
runs of it.
"""

import fcntl
import multiprocessing
import os
import re
import runpy
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SCENARIOS = REPOSITORY / "scenarios"

FORKED = multiprocessing.get_context("forkserver")
_COMMAND = [path.relative_to(REPOSITORY).with_suffix("") for path in (REPOSITORY / "tlm").rglob("[!_]*.py")]
_MODULES = [".".join(path.parts) for path in _COMMAND if path.parts[1] not in ("testing", "training")]
FORKED.set_forkserver_preload([*_MODULES, "matplotlib.backends.backend_agg", "matplotlib.figure", "pandas"])

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
    command = ["tlm", *map(str, arguments)]
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "80", **environment}
    if any(name.startswith("PYTHON") for name in environment):  # Python reads them when it starts
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    with tempfile.TemporaryDirectory() as directory:
        streams = [Path(directory) / name for name in ("stdout", "stderr")]
        process = FORKED.Process(target=_run, args=(command, cwd or Path.cwd(), environment, *streams))
        process.start()
        process.join(timeout=300)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, 300)
        done = subprocess.CompletedProcess(command, process.exitcode, *(stream.read_text() for stream in streams))
        process.close()
    return done


def on_terminal(*arguments: object, cwd: Path) -> list[str]:
    """The lines that `tlm ARGUMENTS` leaves on a terminal of 80 columns, without colours; its status must be 0."""
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    written = bytearray()

    def read() -> None:
        with suppress(OSError):  # when nobody has the other end open any more
            while data := os.read(ours, 1 << 16):
                written.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    place = Path(os.ttyname(its))
    environment = {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color"}
    process = FORKED.Process(target=_run, args=(["tlm", *map(str, arguments)], cwd, environment, place, place))
    process.start()
    process.join(timeout=300)
    os.close(its)
    reader.join()
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    assert process.exitcode == 0, text
    return [part for line in text.split("\n") for part in line.split("\r") if part]


def _run(command: list[str], cwd: Path, environment: dict[str, str], stdout: Path, stderr: Path) -> None:
    """In the forked process: what `python -m tlm` does."""
    for path, stream in ((os.devnull, 0), (stdout, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), stream)
    if os.isatty(1):  # Python's own streams remember that they were files
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, encoding="utf-8") for stream in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv[:] = command
    runpy.run_module("tlm", run_name="__main__", alter_sys=True)


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
