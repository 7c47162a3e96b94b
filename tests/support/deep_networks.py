"""Networks of several layers on maps large enough to be cut, and the smallest AMem that still holds them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from chip_cases import NetworkCase
from hypothesis import strategies as st
from strategies import fitting_requantisation, random_activations, random_weights

import tlm
from tlm.chip.config import ChipConfig
from tlm.compiler.program import Program
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT, AvgPool2d, Conv2d, Layer, MaxPool2d
from tlm.network.network import Network


@st.composite
def deep_networks(draw: st.DrawFn, max_side: int = 23) -> NetworkCase:
    """2 to 8 layers: convolutions of 1x1 and 3x3, strides, odd sizes, residuals, depth-wise layers, pooling."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 12)), draw(st.integers(5, max_side)), draw(st.integers(5, max_side)))
    layers: list[Layer | AvgPool2d] = []
    for index in range(draw(st.integers(2, 8))):
        shapes = {INPUT: shape} if not layers else tensor_shapes(Network(shape, layers))
        layers.append(draw(_layers(shapes, index, rng)))
    return NetworkCase(Network(shape, layers), random_activations(rng, shape, signed=False))


def tensor_shapes(network: Network) -> dict[str, tuple[int, int, int]]:
    return {name: tensor.shape for name, tensor in network.tensors.items()}


@st.composite
def _layers(
    draw: st.DrawFn, shapes: dict[str, tuple[int, int, int]], index: int, rng: np.random.Generator
) -> Layer | AvgPool2d:
    # mostly the tensor before, sometimes an older one, so that tensors live for long
    source = draw(st.sampled_from([*reversed(shapes), [*shapes][-1], [*shapes][-1]]))
    channels, height, width = shapes[source]
    name, stride = f"l{index}", draw(st.sampled_from((1, 1, 2)))
    kind = draw(st.sampled_from(("conv", "conv", "conv", "depthwise", "max-pool", "average-pool")))
    keys: dict[str, Any] = {"input": source, "stride": stride}
    if kind.endswith("pool") and min(height, width) > 2:
        pool = MaxPool2d if kind == "max-pool" else AvgPool2d
        return pool(name, draw(st.sampled_from((2, 3))), padding=1, **keys)
    kernel = draw(st.sampled_from((1, 3, 3)))
    groups = channels if kind == "depthwise" else 1
    outputs = channels if kind == "depthwise" else draw(st.integers(1, 24))
    pad = kernel // 2
    out = tuple((size + 2 * pad - kernel) // stride + 1 for size in (height, width))
    alike = [name for name, (c, h, w) in shapes.items() if (h, w) == out and c % groups == 0]
    if alike and draw(st.booleans()):
        keys |= {"residual": draw(st.sampled_from(alike)), "residual_multiplier": int(rng.integers(1, 5000))}
        outputs = shapes[keys["residual"]][0]
    weights = random_weights(
        rng, (outputs, channels // groups, kernel, kernel), draw(st.sampled_from((0.3, 1.0))), True
    )
    return Conv2d(
        name, weights, padding=pad, groups=groups, **keys, **fitting_requantisation(rng, weights, signed_output=False)
    )


def smallest_program(network: Network, chip: ChipConfig) -> Program:
    """Compiled for the fewest AMem words for which it can be."""
    fails, works = 0, tlm.compile(network, chip)
    while works.config.amem_words - fails > chip.amem_banks:
        middle = (works.config.amem_words + fails) // 2 // chip.amem_banks * chip.amem_banks
        if middle < 8:
            break
        try:
            works = tlm.compile(network, replace(chip, amem_words=middle))
        except CompileError:
            fails = middle
    return works


MEMORIES = {"memory_bytes": 1 << 22}

SHARES = st.sampled_from((0.0, 0.05, 0.15, 0.4))
"""Between the smallest AMem that does and one that holds everything."""


def program_between(case: NetworkCase, chip: ChipConfig, share: float) -> tuple[Program, Program]:
    """The network for a large AMem, and for one between the smallest possible and that."""
    large = tlm.compile(case.network, chip)
    small = smallest_program(case.network, chip)
    words = small.config.amem_words + round(share * (used_words(large) - small.config.amem_words))
    words = max(small.config.amem_words, words // chip.amem_banks * chip.amem_banks)
    if words == small.config.amem_words:
        return large, small
    try:
        return large, tlm.compile(case.network, tlm.ChipConfig(**{**vars(chip), "amem_words": words}))
    except CompileError:  # what fits few words need not fit more: places are found by trying
        return large, small


def used_words(program: Program) -> int:
    return max(part.output.end_word for part in program.parts)
