"""Runs and an independent count of events, from public figures of a result, for the tests of energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from msgspec import structs

import tlm
from tlm.chip.config import ChipConfig
from tlm.network.network import Conv2d, MaxPool2d, Network
from tlm.observe.energy_table import EnergyConfig
from tlm.results.result import LayerResult, Result

OF_STEP = ("multiply_pj", "accumulate_pj", "broadcast_pj")
"""What a step of a convolution costs in the array."""

SLOW_HOST = ChipConfig(host_access_ns=2_000.0)
"""Compiled for it, small layers are not cut, so a program is the same whatever the chip that runs it."""


def pointwise(tiles: int, chip: ChipConfig, energy: EnergyConfig | None = None, fidelity: str = "pass") -> Result:
    """A dense point-wise layer of 512 channels, 32 output channels and so many tiles: passes of 512 steps, r = 1."""
    rng = np.random.default_rng(1)
    layer = Conv2d("c", rng.integers(1, 8, (32, 512, 1, 1)).astype(np.int8), multiplier=3, shift=12)
    network = Network((512, tiles, 32), [layer])
    return tlm.simulate(network, rng.integers(0, 16, network.input_shape), chip, fidelity, energy=energy)


def kernel_layer(taps: int = 9, energy: EnergyConfig | None = None, **chip: Any) -> Result:
    """A 3x3 layer of 24 channels on 8x8 pixels that keeps its first taps, and max pooling behind it: a part each."""
    rng = np.random.default_rng(3)
    weights = rng.integers(1, 8, (40, 24, 3, 3)).astype(np.int8)
    weights.reshape(40, 24, 9)[:, :, taps:] = 0
    layer = Conv2d("a", weights, padding=1, multiplier=3, shift=8)
    network = Network((24, 8, 8), [layer, MaxPool2d("p", (2, 2), stride=(2, 2))])
    program = tlm.compile(network, SLOW_HOST)
    return tlm.simulate(program, rng.integers(0, 16, (24, 8, 8)), ChipConfig(**chip), energy=energy)


def output_words(layer: LayerResult, result: Result) -> int:
    """AMem words that a layer writes: for each tile, also one that two bands compute, a word of each channel.

    Accumulators have six planes.
    """
    planes = 6 if result.tensors[layer.name].dtype == np.int32 else 1
    tiles, left = divmod(layer.passes, -(-layer.output_shape[0] // result.chip.columns))
    assert left == 0
    return planes * layer.output_shape[0] * tiles


def array_aj(layer: LayerResult, aj: Mapping[str, int]) -> int:
    """What a layer's steps cost in the array, attojoules: all of it, or one row in max pooling."""
    pooling = layer.kind == "max-pool"
    return layer.steps * sum(aj[key] for key in (("compare_pj",) if pooling else OF_STEP))


def expected_of_run(result: Result, register_accesses: int) -> dict[str, int]:
    """Component -> attojoules of a run but for the clock, from its account and traffic, an event at a time."""
    aj, account = result.energy_table.per_event_aj(result.chip), result.account
    words: Mapping[tuple[str, str], int] = {
        (name, who): sum(banks) for name, sram in account.sram.items() for who, banks in sram.busy.items()
    }
    reads, writes = dict.fromkeys(account.sram, 0), dict.fromkeys(account.sram, 0)
    for (name, who), count in words.items():
        (writes if who in ("write_back", "dma_load") else reads)[name] += count
    layers = result.layers.values()
    return {
        "mac_array": sum(array_aj(layer, aj) for layer in layers),
        "aligner": words.get(("amem", "aligner"), 0) * aj["align_pj"],
        **{name: reads[name] * aj[f"{name}_read_pj"] + writes[name] * aj[f"{name}_write_pj"] for name in account.sram},
        "requantiser": words["amem", "write_back"] * aj["requantise_pj"],
        "interconnect": result.traffic.total_bytes * aj["transfer_pj"] + register_accesses * aj["register_access_pj"],
        "leakage": result.cycles * aj["leakage_ma"],
    }


@dataclass(frozen=True)
class SteadyState:
    """Dense passes of 512 steps: what 18 more tiles cost."""

    power_mw: float
    tops_per_w: float
    shares: Mapping[str, float]


@cache
def steady_state(volts: float) -> SteadyState:
    """At the clock that a supply allows."""
    chip = ChipConfig.at(volts)
    short, long = pointwise(9, chip), pointwise(27, chip)
    cycles = long.compute_cycles - short.compute_cycles
    assert cycles == 18 * 525
    before, after = structs.asdict(short.energy.compute), structs.asdict(long.energy.compute)
    more_pj = {name: (after[name] - before[name]) / 1e6 for name in before}
    total_pj = sum(more_pj.values())
    return SteadyState(
        total_pj / chip.time_us(cycles) / 1000,
        2 * (long.macs - short.macs) / total_pj,
        {name: pj / total_pj for name, pj in more_pj.items()},
    )
