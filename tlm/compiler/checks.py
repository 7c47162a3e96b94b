"""Checks that hold however a network is cut: sums that could overflow, numbers that no instruction can hold."""

from __future__ import annotations

import numpy as np

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import FIELDS, Opcode
from tlm.compiler.places import tensor_plane_words, tensor_words
from tlm.core.errors import CompileError
from tlm.inputs.integer_arrays import IntArray
from tlm.network.layers import ACCUMULATOR_BITS, INPUT, WEIGHT_MIN, Conv2d, activation_range
from tlm.network.network import Network

LOWEST, HIGHEST = -(1 << (ACCUMULATOR_BITS - 1)), (1 << (ACCUMULATOR_BITS - 1)) - 1


MAX_PLANE_WORDS = 1 << dict(FIELDS[Opcode.BAND])["first_tile"]
"""AMem words of a plane, and so tiles of a layer, that a header can count (engine.md, Bands)."""

MAX_PARTS = 1 << dict(FIELDS[Opcode.LAYER])["tag"]
"""Parts that headers can number."""


def check_planes(network: Network, lanes: int) -> None:
    """Check that a header can count the words of every tensor.

    Raises:
        CompileError: naming the layer, the tensor and its words.
    """
    for layer in network.layers:
        for tensor in (network.input_of(layer), network.tensors[layer.name]):
            words = tensor_plane_words(tensor, lanes)
            if words > MAX_PLANE_WORDS:
                _, height, width = tensor.shape
                raise CompileError(
                    f"layer {layer.name!r}: a channel of {tensor.name!r} ({height}x{width}) has {words} words of "
                    f"{lanes} pixels, but a layer header counts to {MAX_PLANE_WORDS}; use a smaller map or more lanes"
                )


def check_memory(network: Network, config: ChipConfig, images: int = 1, instruction_words: int = 0) -> None:
    """Check that the network's input and output, which always lie off-chip, fit there beside some instructions.

    Raises:
        CompileError: they do not.
    """
    ends = (network.tensors[INPUT], network.output)
    size_bytes = sum(tensor_words(tensor, config.lanes) for tensor in ends) * config.amem_word_bytes * images
    size_bytes += instruction_words * config.imem_word_bytes
    if size_bytes > config.memory_bytes:
        more = f", of {images} images," if images > 1 else ""
        more += f" and at least {instruction_words} instruction words" if instruction_words else ""
        remedy = "enlarge it, or take fewer images" if images > 1 else "enlarge it"
        raise CompileError(
            f"network: its input {ends[0].shape} and output {ends[1].shape}{more} take {size_bytes} bytes off-chip, "
            f"but chip.memory_bytes is {config.memory_bytes}; {remedy}"
        )


def check_parts(parts: int, images: int = 1) -> None:
    """Check that every part can have a number.

    Args:
        parts: of all images.
        images: of the batch.

    Raises:
        CompileError: there are too many.
    """
    if parts > MAX_PARTS:
        raise CompileError(
            f"network: cut so that it fits, it has {parts} parts, but layer headers number only {MAX_PARTS}; "
            f"enlarge the memories or use smaller maps{', or fewer images' if images > 1 else ''}"
        )


def check_accumulators(layer: Conv2d, signed_input: bool) -> None:
    """Prove that no partial sum, in whatever order, leaves 24 bits; with accumulator output also not the biased sum.

    The bounds come from the actual weights and the input's range: for each output channel the sum of the largest
    and of the smallest products (a product can be 0 too, because of padding).

    Raises:
        CompileError: naming the layer, the channel and the bound.
    """
    low, high = activation_range(signed_input)
    terms = layer.weights[0].size
    largest_bias = int(np.abs(layer.bias).max()) if layer.accumulator_output else 0
    if terms * WEIGHT_MIN * -high + largest_bias <= HIGHEST:  # whatever the weights are
        return
    weights = layer.weights.reshape(layer.out_channels, -1)
    total = weights.sum(axis=1, dtype=np.int64)
    magnitude = np.abs(weights).sum(axis=1, dtype=np.int64)  # |-8| fits int8
    positive, negative = (magnitude + total) // 2, (total - magnitude) // 2
    largest = positive * high + negative * low
    smallest = negative * high + positive * low
    _check(layer, "a partial sum", smallest, largest)
    if layer.accumulator_output:
        _check(layer, "the sum with its bias", smallest + layer.bias, largest + layer.bias)


def _check(layer: Conv2d, what: str, smallest: IntArray, largest: IntArray) -> None:
    for bound, bad in ((smallest, smallest < LOWEST), (largest, largest > HIGHEST)):
        if bad.any():
            channel = int(np.argmax(bad))
            raise CompileError(
                f"layer {layer.name!r}: {what} of output channel {channel} can reach {int(bound[channel])}, "
                f"but the accumulator has {ACCUMULATOR_BITS} bits ({LOWEST}..{HIGHEST}); "
                "use smaller weights, fewer channels or taps, or a smaller bias"
            )
