"""Processes that are left: while they start, and while they send a result."""

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
            for _ in range(int(sys.argv[2])):
                os.kill(os.getpid(), signal.SIGINT)

    BaseProcess.start = interrupted_start
    sys.exit(main(["sweep", "small.toml", "--over", "input.seed=0..9", "--processes", "2"]))
"""


@pytest.mark.parametrize(("worker", "presses"), [(1, 1), (2, 3)])
def test_ctrl_c_while_a_worker_starts_is_one_line(tmp_path: Path, worker: int, presses: int) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "script.py").write_text(INTERRUPTED)
    command = [sys.executable, "script.py", str(worker), str(presses)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    message = "tlm: interrupted; 0 of 10 points are in small.sweep; the same command goes on\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, "", message)


LEFT = """
import os, struct, sys, time
from tlm.sweeps.pool import Pool

def half_a_result():
    results = sys._getframe(1).f_locals["result_queue"]  # of the loop in a worker
    os.write(results._writer.fileno(), struct.pack("!i", 1000) + b"half of it")
    time.sleep(600)

if __name__ == "__main__":
    pool = Pool(2)
    pool.submit(half_a_result)
    time.sleep(1)  # the thread that receives is in the middle of it by now
    pool.abandon()
"""


@pytest.mark.slow
def test_half_a_result_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(LEFT)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
