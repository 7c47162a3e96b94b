"""Measures the MAC kernel by the host's instruction set, beside what the set allows.

    python docs/tools/measure_kernels.py

Each figure is the best of several tries of processor time, in G multiply-accumulates a second: whole layers as the
engine runs them, from packed words to accumulators, dense and with 3 of 9 taps; the same pass by pass, as fidelity
``pass`` calls the kernel; and the products and additions alone (peak_products.c, built with ``cc``), which no kernel
can pass.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tlm.chip import kernels
from tlm.chip.kernels.geometry import Geometry

TOOLS = Path(__file__).resolve().parent
KERNELS = TOOLS.parents[1] / "kernels"
TRIES = 15
LAYER = Geometry(
    lanes=32, columns=32, channels=64, height=56, width=56, out_channels=64, out_height=56, out_width=56, kernel_h=3,
    kernel_w=3, pad_top=1, pad_left=1,
)  # fmt: skip


def patterns_of(taps: int) -> npt.NDArray[np.uint64]:
    """Patterns (groups, words) in which each channel has that many of its nine taps, seeded."""
    rng, per_word = np.random.default_rng(0), 60 // LAYER.taps
    found = np.zeros((LAYER.groups, LAYER.patterns_per_group), np.uint64)
    for group in range(LAYER.groups):
        for channel in range(LAYER.channels):
            word, place = divmod(channel, per_word)
            for tap in rng.permutation(LAYER.taps)[:taps].tolist():
                found[group, word] |= np.uint64(1 << (place * LAYER.taps + tap))
    return found


def g_macs_per_s(simd: kernels.Simd, taps: int, run: Callable[..., None]) -> float:
    """A whole layer by the kernel, in one call or in one for each pass."""
    rng, patterns = np.random.default_rng(1), patterns_of(taps)
    steps = LAYER.groups * LAYER.channels * taps
    amem = rng.bytes(LAYER.channels * LAYER.plane_words * LAYER.lanes // 2)
    wmem = rng.bytes(steps * LAYER.columns // 2)
    best = float("inf")
    for _ in range(TRIES):
        begin = time.process_time()
        run(amem, wmem, patterns, simd)
        best = min(best, time.process_time() - begin)
    return steps * LAYER.columns * LAYER.tiles * LAYER.lanes / best / 1e9


def whole_layer(amem: bytes, wmem: bytes, patterns: npt.NDArray[np.uint64], simd: kernels.Simd) -> None:
    """One call."""
    kernels.mac_layer(LAYER, amem, wmem, 0, patterns, simd)


def single_passes(amem: bytes, wmem: bytes, patterns: npt.NDArray[np.uint64], simd: kernels.Simd) -> None:
    """One call for each pass."""
    run_pass, acc, first = kernels.MacPass(LAYER, simd), kernels.new_accumulators(LAYER.lanes, LAYER.columns), 0
    for of_group in patterns:
        for tile in range(LAYER.tiles):
            used = run_pass(amem, wmem, first, of_group, tile, acc)
        first += used


def peaks() -> dict[str, str]:
    """Instruction set -> G multiply-accumulates a second that it allows."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "peak"
        sources = [TOOLS / "peak_products.c", *sorted(KERNELS.glob("*.c"))]
        subprocess.run(["cc", "-std=gnu11", "-O2", f"-I{KERNELS}", *map(str, sources), "-o", str(program)], check=True)
        printed = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in printed.splitlines())


def main() -> None:
    """Print a row per instruction set."""
    allowed = peaks()
    print("| instruction set | dense layer | 3 of 9 taps | dense, by pass | 3 of 9 taps, by pass | the set allows |")
    print("|---|---|---|---|---|---|")
    for simd in kernels.host_simds():
        cells = (f"{g_macs_per_s(simd, taps, run):.1f}" for run in (whole_layer, single_passes) for taps in (9, 3))
        print(f"| {simd.name} | {' | '.join(cells)} | {allowed.get(simd.name, '-')} |")


if __name__ == "__main__":
    main()
