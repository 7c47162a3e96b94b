"""Whole processes on the same layers: SCALE-Sim 3.0.0 from PyPI, and ``tlm layers``; a table for docs/performance.md.

    python docs/tools/compare_scale_sim.py [TABLE.csv] [--core 0]

SCALE-Sim is installed into build/scale-sim, an environment of its own. Each layer is a process of each simulator, one
after the other, with what it writes by default. Seconds depend on the machine; compare the quotients.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build" / "scale-sim"
PACKAGES = ("scalesim==3.0.0", "numpy<2", "pandas<2.3")  # SCALE-Sim 3.0.0 fails with newer ones of the last two

HEADING = "Layer, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"
LAYERS = """
conv2_x 3x3, 58, 58, 3, 3, 64, 64, 1,
conv3_x 3x3, 30, 30, 3, 3, 128, 128, 1,
conv4_x 3x3, 16, 16, 3, 3, 256, 256, 1,
conv5_x 3x3, 9, 9, 3, 3, 512, 512, 1,
conv5_x 1x1, 7, 7, 1, 1, 512, 512, 1,
"""
"""The layers of ResNet-18's stages, padding included."""

CONFIG = """
[general]
run_name = run
[architecture_presets]
ArrayHeight: 32
ArrayWidth: 32
ifmapsramszkB: 256
filtersramszkB: 256
ofmapsramszkB: 256
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Dataflow: os
Bandwidth: 10
ReadRequestBuffer: 32
WriteRequestBuffer: 32
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: false
[run_presets]
InterfaceBandwidth: USER
UseRamulatorTrace: False
"""


def scale_sim_python() -> Path:
    """The Python of SCALE-Sim's environment, made if it is not there yet."""
    python = PLACE / "bin" / "python"
    if not (PLACE / "done").exists():
        subprocess.run((sys.executable, "-m", "venv", "--clear", str(PLACE)), check=True)
        subprocess.run((str(python), "-m", "pip", "install", "--quiet", *PACKAGES), check=True)
        (PLACE / "done").touch()
    return python


def timed(command: list[str], directory: Path) -> float:
    """Wall seconds of a process."""
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=directory, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - begin


def cell(directory: Path, pattern: str, column: str) -> float:
    """A figure of the only row of a table."""
    (path,) = directory.glob(pattern)
    (row,) = csv.DictReader(path.read_text().splitlines(), skipinitialspace=True)
    return float(row[column])


def compare(python: Path, line: str) -> str:
    """A row of the table."""
    cells = [part.strip() for part in line.split(",")]
    height, width, kernel_h, kernel_w, channels, filters, stride = map(int, cells[1:8])
    macs = ((height - kernel_h) // stride + 1) * ((width - kernel_w) // stride + 1)
    macs *= kernel_h * kernel_w * channels * filters
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "table.csv").write_text(f"{HEADING}\n{line}\n")
        (directory / "scale.cfg").write_text(CONFIG)
        (directory / "layout.csv").write_text("Layer\n")
        scale = [str(python), "-m", "scalesim.scale", "-c", "scale.cfg", "-t", "table.csv", "-l", "layout.csv"]
        theirs = timed([*scale, "-p", "out"], directory)
        ours = timed([sys.executable, "-m", "tlm", "layers", "table.csv", "-o", "ours.csv"], directory)
        their_cycles = cell(directory, "out/run/COMPUTE_REPORT.csv", "Total Cycles (incl. prefetch)")
        our_cycles = cell(directory, "ours.csv", "Total Cycles (incl. prefetch)")
    return (
        f"| {cells[0]} | {macs / 1e6:,.1f} | {theirs:.1f} | {ours:.2f} | {theirs / ours:.0f} "
        f"| {their_cycles:,.0f} | {our_cycles:,.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path, help="a SCALE-Sim topology file; by default layers of ResNet-18")
    parser.add_argument("--core", type=int, help="run everything on this processor core")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    lines = arguments.table.read_text().splitlines()[1:] if arguments.table else LAYERS.splitlines()
    python = scale_sim_python()
    print("| layer | M MACs | SCALE-Sim, s | tlm, s | quotient | SCALE-Sim, cycles | tlm, cycles [S] |")
    print("|---|---|---|---|---|---|---|")
    for line in filter(str.strip, lines):
        print(compare(python, line), flush=True)


if __name__ == "__main__":
    main()
