"""The kernels on a 64-bit Arm, emulated: recorded calls leave the same bytes behind as on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from command import REPOSITORY

TOOLS = ("aarch64-linux-gnu-gcc", "qemu-aarch64")


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {' and '.join(TOOLS)}")
def test_every_kernel_gives_the_same_bytes_on_arm(tmp_path: Path) -> None:
    done = subprocess.run(("make", "arm"), capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.findall(r"^tlm_\w+ (\d+) calls, (\d+) differ$", done.stdout, re.MULTILINE)
    assert len(counts) > 15
    assert all(int(calls) > 0 and differ == "0" for calls, differ in counts)
    damaged = bytearray((REPOSITORY / "build" / "arm" / "calls.bin").read_bytes())
    damaged[-40] ^= 1  # in what the last call left behind
    (tmp_path / "calls.bin").write_bytes(damaged)
    done = subprocess.run(
        (REPOSITORY / "build/arm/here", tmp_path / "calls.bin"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "1 differ" in done.stdout
