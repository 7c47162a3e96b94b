"""Generated chips and networks for the whole chip, and independent counts of what a layer must take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
from cycle_oracle import Pass, play
from hypothesis import strategies as st
from images import pattern_word_count
from oracles import conv_integer, max_pool
from strategies import ARRAY_SIZES, fitting_requantisation, random_activations, random_weights

import tlm
from tlm.chip.config import ChipConfig
from tlm.compiler.allocate import Allocator, Cost
from tlm.compiler.operations import Buffer
from tlm.compiler.places import Place, tensor_words
from tlm.compiler.program import Program
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT, AvgPool2d, Conv2d, Layer, MaxPool2d
from tlm.network.network import Network
from tlm.results.result import Result

both = pytest.mark.parametrize("fidelity", ["cycle", "pass"])
"""Both transaction-level models must do the same; for tests of many chips, each of which needs a circuit of its own."""
MODELS = ("cycle", "pass", pytest.param("rtl", marks=pytest.mark.slow))
"""A circuit takes long to build."""
all_models = pytest.mark.parametrize("fidelity", MODELS)
"""For tests of few chips."""
SLOW_CYCLE = pytest.param("cycle", marks=pytest.mark.slow)
pass_first = pytest.mark.parametrize("fidelity", [SLOW_CYCLE, "pass"])
pass_first_of_all = pytest.mark.parametrize("fidelity", [SLOW_CYCLE, *MODELS[1:]])
"""For what both must do: that "cycle" does what "pass" does, `make test` asks in test_fidelities.py and elsewhere."""


@dataclass(frozen=True, eq=False)
class NetworkCase:
    """A network and an input for it."""

    network: Network
    activations: npt.NDArray[np.int8]

    def __repr__(self) -> str:
        layers = "; ".join(map(described, self.network.layers))
        return f"NetworkCase({self.network.input_shape} signed={self.network.signed_input}; {layers})"


def described(layer: Layer) -> str:
    if isinstance(layer, MaxPool2d):
        return f"{layer.name}: max {layer.kernel} stride={layer.stride} {layer.pads} input={layer.input}"
    return (
        f"{layer.name}: {layer.weights.shape} groups={layer.groups} stride={layer.stride} {layer.pads} "
        f"dilation={layer.dilation} input={layer.input} residual={layer.residual} "
        f"accumulator={layer.accumulator_output} signed={layer.signed_output}"
    )


@st.composite
def chips(draw: st.DrawFn, /, **fixed: Any) -> ChipConfig:
    """Chips of every array size, bank count and pipeline depth, with fast and slow surroundings."""
    banks, depth = st.sampled_from((1, 2, 4, 8)), st.integers(1, 4)
    keys: dict[str, Any] = {key: draw(st.sampled_from(ARRAY_SIZES)) for key in ("lanes", "columns")}
    keys |= {key: draw(banks) for key in ("amem_banks", "wmem_banks", "imem_banks")}
    stages = ("sram_read_cycles", "mask_cycles", "multiply_cycles", "accumulate_cycles", "requantiser_cycles")
    keys |= {key: draw(depth) for key in stages}
    keys |= {
        "pass_gap_cycles": draw(st.integers(1, 6)),
        "voltage_v": draw(st.sampled_from((0.75, 0.8, 0.93, 1.1, 1.2))),
        "bus_bytes": draw(st.sampled_from((4, 8, 16, 32))),
        "burst_bytes": draw(st.sampled_from((32, 64, 256))),
        "memory_gb_per_s": draw(st.sampled_from((0.4, 3.2, 100.0))),
        "memory_latency_ns": draw(st.sampled_from((0.0, 7.3, 60.0, 500.0))),
        "dma_bursts_in_flight": draw(st.sampled_from((1, 2, 5))),
        "host_access_ns": draw(st.sampled_from((0.0, 20.0))),
        "host_interrupt_ns": draw(st.sampled_from((0.0, 100.0))),
        "memory_bytes": 1 << 20,
    }
    return ChipConfig(**{**keys, **fixed})


_CIRCUIT_KEYS = (
    *("lanes", "columns", "amem_banks", "wmem_banks", "imem_banks", "sram_read_cycles", "mask_cycles"),
    *("multiply_cycles", "accumulate_cycles", "requantiser_cycles", "pass_gap_cycles"),
)
_CIRCUITS = ((8, 8, 4, 4, 2, 1, 1, 1, 1, 3, 3), (16, 8, 8, 8, 8, 2, 1, 3, 2, 1, 5), (8, 16, 1, 1, 1, 3, 2, 1, 2, 2, 1))
"""The published one but for its sides, and others with the most and the fewest banks."""


def circuits(**fixed: Any) -> st.SearchStrategy[ChipConfig]:
    """Generated chips of three circuits, with the published capacities: only what lies around them varies."""
    choices = [dict(zip(_CIRCUIT_KEYS, values, strict=True)) for values in _CIRCUITS]
    return st.sampled_from(choices).flatmap(lambda keys: chips(**fixed, **keys))


def chips_of(fidelity: str, **fixed: Any) -> st.SearchStrategy[ChipConfig]:
    """Generated chips for a model."""
    return circuits(**fixed) if fidelity == "rtl" else chips(**fixed)


KINDS = ("pointwise", "standard", "depthwise", "grouped", "shift", "max-pool", "average-pool")


@st.composite
def networks(draw: st.DrawFn, max_layers: int = 3) -> NetworkCase:
    """Networks of 1 to 3 layers of every kind, with branches, residuals and accumulator output."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    side = st.integers(1, 11)
    shape = (draw(st.integers(1, 24)), draw(side), draw(side))
    signed, layers = draw(st.booleans()), list[Layer | AvgPool2d]()
    for index in range(draw(st.integers(1, max_layers))):
        layers.append(draw(_layers(Network(shape, layers, signed) if layers else None, shape, index, rng)))
    return NetworkCase(Network(shape, layers, signed), random_activations(rng, shape, signed))


@st.composite
def _layers(
    draw: st.DrawFn, before: Network | None, input_shape: tuple[int, int, int], index: int, rng: np.random.Generator
) -> Layer | AvgPool2d:
    shapes = {INPUT: input_shape}
    if before is not None:
        shapes = {name: tensor.shape for name, tensor in before.tensors.items() if not tensor.accumulator}
    source = draw(st.sampled_from([*reversed(shapes)]))
    channels, height, width = shapes[source]
    kind = draw(st.sampled_from(KINDS))
    if kind.endswith("pool"):
        return _pooling(draw, kind, f"l{index}", source, (height, width))
    kernel = (1, 1) if kind == "pointwise" else draw(st.sampled_from(((3, 3), (3, 3), (2, 2), (1, 4), (5, 3), (9, 7))))
    groups = _groups(draw, kind, channels)
    out_channels = groups * draw(st.integers(1, max(1, 40 // groups)))
    alike = [name for name, shape in shapes.items() if shape[1:] == (height, width) and shape[0] % groups == 0]
    residual = draw(st.sampled_from(alike)) if alike and draw(st.booleans()) else None
    keys: dict[str, Any] = {"input": source, "groups": groups, "signed_output": draw(st.booleans())}
    if residual is not None:
        out_channels = shapes[residual][0]
        top, left = draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))
        keys["padding"] = ((top, kernel[0] - 1 - top), (left, kernel[1] - 1 - left))
        keys |= {"residual": residual, "residual_multiplier": int(rng.integers(1, 1 << draw(st.integers(1, 16))))}
    else:
        keys |= _window(draw, kernel, (height, width))
        keys["accumulator_output"] = draw(st.sampled_from((False, False, False, True)))
    density = draw(st.sampled_from((0.0, 0.1, 0.5, 1.0, 1.0)))
    weights = random_weights(rng, (out_channels, channels // groups, *kernel), density, draw(st.booleans()))
    if kind == "shift":
        taps = weights.reshape(*weights.shape[:2], -1)
        chosen = rng.integers(0, taps.shape[2], channels)
        taps *= np.arange(taps.shape[2]) == chosen[None, :, None]
    return Conv2d(f"l{index}", weights, **keys, **fitting_requantisation(rng, weights, keys["signed_output"]))


def _pooling(draw: st.DrawFn, kind: str, name: str, source: str, size: tuple[int, int]) -> MaxPool2d | AvgPool2d:
    kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = [[draw(st.integers(0, k - 1)) for _ in range(2)] for k in kernel]
    for axis in range(2):  # the kernel fits, and every window sees a pixel
        padding[axis][1] = max(padding[axis][1], kernel[axis] - size[axis] - padding[axis][0])
    keys: dict[str, Any] = {"stride": (draw(st.integers(1, 3)), draw(st.integers(1, 3))), "input": source}
    keys["padding"] = tuple(map(tuple, padding))
    return MaxPool2d(name, kernel, **keys) if kind == "max-pool" else AvgPool2d(name, kernel, **keys)


def _groups(draw: st.DrawFn, kind: str, channels: int) -> int:
    if kind == "depthwise":
        return channels
    divisors = [n for n in range(2, channels + 1) if channels % n == 0]
    return draw(st.sampled_from(divisors)) if kind == "grouped" and divisors else 1


def _window(draw: st.DrawFn, kernel: tuple[int, int], size: tuple[int, int]) -> dict[str, Any]:
    """Stride, dilation and padding on four sides that leave an output of at least one pixel."""
    strides, dilations = (draw(st.tuples(st.integers(1, most), st.integers(1, most))) for most in (3, 2))
    padding = [[draw(st.integers(0, 3)) for _ in range(2)] for _ in range(2)]
    for axis in range(2):
        padding[axis][1] += max(0, dilations[axis] * (kernel[axis] - 1) + 1 - size[axis] - sum(padding[axis]))
    return {"stride": strides, "dilation": dilations, "padding": tuple(map(tuple, padding))}


def onnxruntime_tensors(network: Network, activations: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.int64]]:
    """Every tensor of a network: sums by onnxruntime, the rest in integers by a formula other than the golden model's.

    ``floor((2 * scaled + 2**shift) / 2**(shift + 1))``: halves go up, at shift 0 nothing is rounded.
    """
    tensors: dict[str, npt.NDArray[np.int64]] = {INPUT: activations.astype(np.int64)}
    for layer in network.layers:
        source = network.input_of(layer)
        if isinstance(layer, MaxPool2d):
            tensors[layer.name] = max_pool(layer, tensors[source.name]).astype(np.int64)
            continue
        acc = conv_integer(layer, tensors[source.name], source.signed).astype(np.int64)
        biased = acc + layer.bias[:, None, None]
        if layer.accumulator_output:
            tensors[layer.name] = biased
            continue
        scaled = biased * layer.multiplier[:, None, None]
        if layer.residual is not None:
            scaled = scaled + tensors[layer.residual] * layer.residual_multiplier
        divisor = np.int64(1) << (layer.shift[:, None, None] + 1)
        rounded = np.floor_divide(2 * scaled + divisor // 2, divisor)
        low, high = (-8, 7) if layer.signed_output else (0, 15)
        tensors[layer.name] = np.minimum(np.maximum(rounded, low), high)
    return tensors


def check_values(network: Network, activations: npt.NDArray[Any], result: Result) -> None:
    golden = tlm.reference.run(network, activations)
    expected = onnxruntime_tensors(network, activations)
    assert list(result.tensors) == [layer.name for layer in network.layers]
    for name, tensor in result.tensors.items():
        np.testing.assert_array_equal(tensor, expected[name], err_msg=name)
        np.testing.assert_array_equal(tensor, golden[name], err_msg=name)
        assert tensor.dtype == (np.int32 if network.tensors[name].accumulator else np.int8)
    np.testing.assert_array_equal(result.outputs, expected[network.layers[-1].name])


MEMORIES = st.sampled_from(({}, {"groups": 1}, {"groups": 2}, {"groups": 3}, {"amem_words": 256}))
"""Sizes of the chip's memories; "groups": WMem and IMem hold so many of the largest group of output channels."""


SMALL_MEMORIES = st.one_of(MEMORIES, st.sampled_from((32, 64, 96, 128, 192)).map(lambda words: {"amem_words": words}))
"""The same with AMems that make the compiler cut layers into bands and spill tensors."""


def compiled(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> Program:
    """For small memories where the network fits them in some way, else for the chip as it is."""
    sizes = dict(memories)
    if groups := sizes.pop("groups", 0):
        sizes |= room_for(case.network, chip.columns, groups)
    try:
        return tlm.compile(case.network, replace(chip, **sizes))
    except CompileError:
        return tlm.compile(case.network, chip)


def room_for(network: Network, columns: int, groups: int) -> dict[str, int]:
    """WMem and IMem that hold so many of a network's largest group of output channels, and hardly more."""
    weights = instructions = 1
    for layer in network.layers:
        taps = layer.kernel[0] * layer.kernel[1]
        if isinstance(layer, MaxPool2d):
            channels = min(columns, layer.channels)
            instructions = max(instructions, channels + pattern_word_count(channels, taps))
            continue
        dense = dense_weights(layer)
        words = [int(np.any(dense[g : g + columns] != 0, axis=0).sum()) for g in range(0, len(dense), columns)]
        weights = max(weights, *words)
        instructions = max(instructions, min(columns, len(dense)) + pattern_word_count(dense.shape[1], taps))
    sizes = {"wmem_words": groups * weights, "imem_words": groups * instructions + 8}
    return {key: -(-words // 8) * 8 for key, words in sizes.items()}


@contextmanager
def bank_offsets(network: Network, chip: ChipConfig, offsets: Mapping[str, int]) -> Iterator[None]:
    """Have every tensor lie behind the ones before it, ``offsets[name]`` words further, whatever that costs."""
    bases, end = {}, 0
    for name, tensor in network.tensors.items():
        bases[name] = end + offsets.get(name, 0)
        end = bases[name] + tensor_words(tensor, chip.lanes)

    def forced(self: Allocator, _: Cost) -> dict[Buffer, Place]:
        return {buffer: Place(buffer.window, bases[buffer.window.tensor]) for buffer in self._buffers}

    with mock.patch.object(Allocator, "place_all", forced):
        yield


def oracle_passes(program: Program, tag: int) -> list[Pass]:
    """The per-cycle script's passes of one part of a program."""
    part, network, chip = program.parts[tag], program.network, program.config
    layer = network.layers[part.layer_index]
    height, width = network.input_of(layer).shape[1:]
    rows = slice(part.first_channel, part.first_channel + part.channels)
    if isinstance(layer, MaxPool2d):
        weights, groups = np.ones((part.channels, 1, *layer.kernel), np.int8), part.channels
    elif part.channels == layer.out_channels:
        weights, groups = layer.weights, layer.groups
    else:
        inputs = slice(part.first_in_channel, part.first_in_channel + part.in_channels)
        weights, groups = dense_weights(layer)[rows, inputs], 1
    per_channel = 6 if layer.accumulator_output else 1
    source, output, residual = part.source, part.output, part.residual
    return play(
        weights,
        height,
        width,
        pads=(layer.pads.top, layer.pads.bottom, layer.pads.left, layer.pads.right),
        stride=layer.stride,
        dilation=layer.dilation,
        groups=groups,
        pooling=isinstance(layer, MaxPool2d),
        input_base=source.address(part.first_in_channel, source.window.first_word),
        input_first=source.window.first_word,
        input_plane=source.window.words,
        output_base=output.address(part.first_channel * per_channel, part.first_tile),
        output_plane=output.window.words,
        residual_base=None if residual is None else residual.address(part.first_channel, part.first_tile),
        residual_plane=None if residual is None else residual.window.words,
        first_tile=part.first_tile,
        tile_count=part.tiles,
        accumulator_output=layer.accumulator_output,
        lanes=chip.lanes,
        columns=chip.columns,
        banks=chip.amem_banks,
        pipeline=(
            chip.sram_read_cycles + int(np.log2(chip.lanes)) + chip.mask_cycles + chip.multiply_cycles
            + chip.accumulate_cycles
        ),
        gap=chip.pass_gap_cycles,
        requantiser=chip.requantiser_cycles,
    )  # fmt: skip


def dense_weights(layer: Conv2d) -> npt.NDArray[np.int8]:
    """(O, C, kh, kw) with a grouped layer's weights on the block diagonal."""
    outputs, per_group, *kernel = layer.weights.shape
    dense = np.zeros((outputs, per_group * layer.groups, *kernel), np.int8)
    for o, weights in enumerate(layer.weights):
        first = o * layer.groups // outputs * per_group
        dense[o, first : first + per_group] = weights
    return dense


def closed_form(passes: list[Pass], layer: Conv2d, chip: ChipConfig) -> int:
    """engine.md's compute_cycles where no access is refused, from each pass's S."""
    n = {
        p.group: min(chip.columns, layer.out_channels - p.group * chip.columns) * (6 if layer.accumulator_output else 1)
        for p in passes
    }
    deep = chip.sram_read_cycles + chip.mask_cycles + chip.multiply_cycles + chip.accumulate_cycles
    deep += chip.lanes.bit_length() - 1
    h = passes[0].e - passes[0].s + 1 + deep
    for before, now in pairwise(passes):
        gap = chip.pass_gap_cycles
        if now.group != before.group:
            gap = max(gap, n[now.group] + 1)
        h += max(now.e - now.s + 1 + deep + 1 + gap, n[before.group] + chip.requantiser_cycles + 1)
    return h + chip.requantiser_cycles + 1 + n[passes[-1].group]
