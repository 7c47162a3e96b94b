"""Ctrl-C while a sweep's workers start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command import SMALL

INTERRUPTED = """
import os, signal, sys
from multiprocessing.process import BaseProcess
from tlm.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    start, started = BaseProcess.start, []

    def interrupted_start(process):
        start(process)
        started.append(process)
        if len(started) == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGINT)

    BaseProcess.start = interrupted_start
    sys.exit(main(["sweep", "small.toml", "--over", "input.seed=0..9", "--processes", "2"]))
"""


@pytest.mark.parametrize("worker", [1, 2])
def test_ctrl_c_while_a_worker_starts_is_one_line(tmp_path: Path, worker: int) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "script.py").write_text(INTERRUPTED)
    command = [sys.executable, "script.py", str(worker)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    message = "tlm: interrupted; 0 of 10 points are in small.sweep; the same command goes on\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, "", message)
