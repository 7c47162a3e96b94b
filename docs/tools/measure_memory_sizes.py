"""Counts the doublings of a memory that cost cycles, over generated networks (docs/compiler.md).

    python docs/tools/measure_memory_sizes.py [--first 2000] [--networks 150]

Each network has one to five layers, pruned by taps or dense, and is compiled for 2^11 .. 2^18 words of AMem,
2^10 .. 2^16 of WMem and 2^10 .. 2^15 of IMem, one memory at a time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

import tlm
from tlm.core.errors import CompileError

POWERS = {"amem_words": range(11, 19), "wmem_words": range(10, 17), "imem_words": range(10, 16)}


class Doubling(NamedTuple):
    """A network's predicted cycles with a memory, and with twice as much of it."""

    rise: float
    seed: int
    memory: str
    words: int
    cycles: int
    cycles_with_twice: int


def network(seed: int) -> tlm.Network:
    """A network of point-wise and 3x3 layers."""
    rng = np.random.default_rng(seed)
    channels, side = int(rng.choice([3, 16, 32, 64, 96])), int(rng.choice([14, 20, 28, 40, 56]))
    shape, layers = (channels, side, side), list[tlm.Conv2d]()
    for index in range(int(rng.integers(1, 6))):
        kernel = int(rng.choice([1, 3]))
        stride = int(rng.choice([1, 1, 2])) if side >= 14 else 1
        outputs = int(rng.choice([32, 64, 128, 256]))
        weights = rng.integers(-8, 8, (outputs, channels, kernel, kernel)).astype(np.int8)
        if kernel == 3:
            weights *= (rng.random((1, 1, 3, 3)) < rng.choice([0.3, 0.6, 1.0])).astype(np.int8)
        if not weights.any():
            weights[:, :, 0, 0] = 1
        layers.append(tlm.Conv2d(f"l{index}", weights, stride=stride, padding=kernel // 2, shift=10))
        channels, side = outputs, (side + 2 * (kernel // 2) - kernel) // stride + 1
    return tlm.Network(shape, layers)


def doublings(seed: int) -> Iterator[Doubling]:
    """Of all memories, from the first size in which the network fits."""
    made = network(seed)
    for memory, powers in POWERS.items():
        before = None
        for power in powers:
            try:
                program = tlm.compile(made, replace(tlm.ChipConfig(), **{memory: 1 << power}))
            except CompileError:
                before = None
                continue
            cycles = program.predicted_total_cycles
            if before is not None:
                yield Doubling(cycles / before - 1, seed, memory, 1 << power - 1, before, cycles)
            before = cycles


def main() -> None:
    """Measure and print the worst."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=2000, help="seed of the first network")
    parser.add_argument("--networks", type=int, default=150)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.networks)
    found = [one for seed in seeds for one in doublings(seed)]
    rises = sorted((one for one in found if one.rise > 0), reverse=True)
    print(f"{len(found):,} doublings of {len(seeds)} networks: {len(rises)} cost cycles,")
    more = {percent: sum(100 * one.rise > percent for one in rises) for percent in (1, 5)}
    print(f"{more[1]} of them more than 1 %, {more[5]} more than 5 %")
    for one in rises[:10]:
        print(
            f"{one.rise:.1%}  network {one.seed}, {one.memory} {one.words:,}: "
            f"{one.cycles:,} -> {one.cycles_with_twice:,} cycles"
        )


if __name__ == "__main__":
    main()
