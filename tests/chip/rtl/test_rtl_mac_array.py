"""The circuit's MAC array alone: sums and maxima against numpy, idle cycles among the steps, and when it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.sim import Simulator

from tlm.chip.config import ChipConfig
from tlm.chip.rtl.mac_array import ACCUMULATOR_BITS, MacArray

CONFIG = ChipConfig(lanes=8, columns=8)
STEPS = 24


def nibbles(values: npt.NDArray[Any]) -> int:
    """As a word, the first one lowest."""
    return sum((int(value) & 15) << 4 * index for index, value in enumerate(values))


def sums(word: int, excess: int, lanes: int) -> list[int]:
    """Each lane's accumulator without what it has too much, as a signed number."""
    half, mask = 1 << ACCUMULATOR_BITS - 1, (1 << ACCUMULATOR_BITS) - 1
    found = [(word >> ACCUMULATOR_BITS * lane) - excess & mask for lane in range(lanes)]
    return [(value ^ half) - half for value in found]


async def one_pass(ctx: Any, circuit: MacArray, rng: np.random.Generator, pooling: bool, signed: bool) -> None:
    """Steps with gaps between them, then a handover, then every channel."""
    config, low = circuit.config, -8 if signed else 0
    activations = rng.integers(low, low + 16, (STEPS, config.lanes))
    weights = rng.integers(-8, 8, (STEPS, config.columns))
    rows = np.sort(rng.integers(0, config.columns - 1, STEPS))  # the last channel has no step
    ctx.set(circuit.pooling, pooling)
    ctx.set(circuit.signed_input, signed)
    for step in range(STEPS):
        for lane, value in enumerate(activations[step]):
            ctx.set(circuit.activations[lane], int(value) & 15)
        ctx.set(circuit.weights, nibbles(weights[step]))
        ctx.set(circuit.row, int(rows[step]))
        for stepping in (0,) * int(rng.integers(0, 3)) + (1,):
            ctx.set(circuit.step, stepping)
            ctx.set(circuit.ends, stepping and step == STEPS - 1)
            assert not ctx.get(circuit.done)
            await ctx.tick()
    ctx.set(circuit.step, 0)
    ctx.set(circuit.ends, 0)
    for _ in range(config.multiply_cycles + config.accumulate_cycles - 1):
        assert not ctx.get(circuit.done)
        await ctx.tick()
    for _ in range(3):  # it waits for the requantiser
        assert ctx.get(circuit.done)
        await ctx.tick()
    ctx.set(circuit.handover, 1)
    await ctx.tick()
    ctx.set(circuit.handover, 0)
    for channel in range(config.columns):
        ctx.set(circuit.channel, channel)
        found = sums(ctx.get(circuit.finished), ctx.get(circuit.excess), config.lanes)
        if not pooling:
            expected = activations.T @ weights[:, channel]
        elif (seen := activations[rows == channel]).size:
            expected = seen.max(axis=0) - low  # the requantiser takes the 8 off
        else:
            expected = np.zeros(config.lanes, int)
        assert found == expected.tolist(), (pooling, signed, channel)


@pytest.mark.parametrize("latencies", [{}, {"multiply_cycles": 3, "accumulate_cycles": 2}], ids=str)
def test_sums_and_maxima(latencies: dict[str, int]) -> None:
    """Passes of every kind follow one another; each begins with empty accumulators."""
    circuit, rng = MacArray(replace(CONFIG, **latencies)), np.random.default_rng(5)

    async def bench(ctx: Any) -> None:
        for _ in range(2):
            for pooling in (False, True):
                for signed in (False, True):
                    await one_pass(ctx, circuit, rng, pooling, signed)

    simulator = Simulator(circuit)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
