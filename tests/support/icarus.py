"""Icarus Verilog runs an exported design with its testbench."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="not installed: iverilog")


def run_bench(bench: Path, *design: Path, warnings: str = "-Wall") -> subprocess.CompletedProcess[str]:
    """Compile a testbench with its design, and run it where its stimulus is."""
    simulation = bench.with_suffix(".vvp")
    command = ["iverilog", "-g2005", warnings, "-Wno-timescale", "-o", str(simulation)]
    command += map(str, (bench, *design))
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (compiled.returncode, compiled.stdout, compiled.stderr) == (0, "", "")
    return subprocess.run(
        ["vvp", "-N", str(simulation)], cwd=bench.parent, capture_output=True, text=True, timeout=1800, check=False
    )
