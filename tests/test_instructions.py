"""The main job needs no more instructions than it did: valgrind counts them, so other load does not matter.

A Python of another build needs another number of instructions. So the job is held against a small program that uses the
same interpreter, numpy and SimPy: what is written down is the quotient of the two counts.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = Path(__file__).parents[1] / "scenarios" / "resnet18_3of9.toml"
JOB_PER_REFERENCE = 4.00
"""Measured. Write a new figure down after every improvement, or a later loss of as much goes unnoticed."""

REFERENCE = """
import numpy, simpy
environment = simpy.Environment()
def ticks():
    for _ in range(50_000):
        yield environment.timeout(1)
environment.process(ticks())
environment.run()
"""


def instructions(directory: Path, *arguments: str) -> int:
    """Instructions of a Python process."""
    command = [
        "valgrind",
        *("--tool=cachegrind", "--cache-sim=no"),  # counts what callgrind does in less than half its time
        f"--cachegrind-out-file={directory / 'counts'}",
        sys.executable,
        *arguments,
    ]
    environment = os.environ | {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(command[4:], env=environment, capture_output=True, check=True)  # leaves bytecode files behind
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    counted = re.search(r"I +refs: +([\d,]+)", done.stderr)
    assert counted, done.stderr
    return int(counted[1].replace(",", ""))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="not installed: valgrind")
def test_the_main_job_needs_no_more_instructions_than_before(tmp_path):
    reference = instructions(tmp_path, "-c", REFERENCE)
    job = instructions(tmp_path, "-m", "tlm", "run", str(SCENARIO))
    print(f"job {job:,} / reference {reference:,} instructions = {job / reference:.3f}")
    assert job / reference < 1.2 * JOB_PER_REFERENCE
