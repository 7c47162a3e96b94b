"""Sizes that a user asks for are checked before anything of that size is made."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tlm
from tlm.core.errors import TlmError
from tlm.networks.seeded import SeededBits, seeded_activations
from tlm.networks.stack import StackLayer, build_stack
from tlm.networks.weights import dense_weights, fused_weights
from tlm.scenario.inputs import ImageInput, RandomInput
from tlm.scenario.loading import load_scenario

ONE = np.ones((1, 1, 1), np.int8)
SMALL = np.ones((4, 4, 1, 1), np.int8)


def scenario(path: Path, *settings: str) -> tlm.Network:
    (path / "s.toml").write_text('[network]\nkind = "layers"\n')
    return load_scenario(path / "s.toml", settings).build().network


def conv(name: str, **kwargs: object) -> tlm.Conv2d:
    return tlm.Conv2d(name, SMALL, **kwargs)  # type: ignore[arg-type]


BITS = SeededBits(0, "x")
WIDE = StackLayer("wide", 65_535)
CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "input of a scenario": (lambda p: scenario(p, "input.shape=[1,65535,65535]"), "4,294,836,225 values; allowed:"),
    "drawn input": (lambda p: RandomInput(shape=(3, 65_535, 9_999)).activations(None), "allowed: at most 134,217,728"),
    "image": (lambda p: ImageInput(file="none").activations((3, 65_535, 65_535)), "allowed: at most 134,217,728"),
    "drawn activations": (lambda p: seeded_activations((65_535,) * 3, 0), "allowed: at most 134,217,728"),
    "network's input": (lambda p: tlm.Network((1, 65_535, 65_535), [tlm.MaxPool2d("p", 2)]), "input_shape: shape"),
    "a layer's output": (lambda p: tlm.Network((4, 9_000, 9_000), [conv("a")]), "input_shape: shape"),
    "output of a padded layer": (
        lambda p: tlm.Network((4, 5_000, 5_000), [conv("a", padding=1000)]), "layer 'a': output: shape"
    ),
    "weights": (
        lambda p: tlm.Conv2d("w", np.broadcast_to(SMALL[:1, :1], (65_535, 65_535, 1, 1))), "'w': weights: shape"
    ),
    "weights of a list of layers": (
        lambda p: build_stack([WIDE, StackLayer("after", 65_535)], ONE), "layer 'after': weights: shape"
    ),
    "weights of a scenario": (
        lambda p: scenario(p, "input.shape=[65535,1,1]", "network.layers=[{out_channels=65535}]"), "weights: shape"
    ),
    "dense weights": (lambda p: dense_weights(BITS, (65_535, 65_535, 1, 1)), "weights: shape"),
    "fused weights": (lambda p: fused_weights(BITS, 65_535, 65_535, (3, 3), 3), "weights: shape"),
    "layers": (lambda p: tlm.Network((4, 1, 1), [conv("a")] * 2_001), "network: 2001 layers, but 2000"),
    "layers of a list": (lambda p: build_stack([WIDE] * 2_001, ONE), "network.layers: 2001 layers, but 2000"),
    "planes": (
        lambda p: tlm.compile(tlm.Network((1, 8_192, 8_192), [tlm.MaxPool2d("p", 7)])), "has 2097152 words of 32 pixels"
    ),
    "off-chip memory": (
        lambda p: tlm.compile(tlm.Network((9, 999, 999), [tlm.MaxPool2d("p", 7)]), tlm.ChipConfig(memory_bytes=4096)),
        "off-chip, but chip.memory_bytes is 4096",
    ),
    "channels": (lambda p: tlm.Network((10**9, 1, 1), [conv("a")]), "1..65535"),
    "pooled channels": (lambda p: tlm.MaxPool2d("p", 2, channels=10**9), "1..65535"),
    "chip.memory_bytes": (lambda p: tlm.ChipConfig(memory_bytes=2**60), "chip.memory_bytes"),
    "chip.amem_words": (lambda p: tlm.ChipConfig(amem_words=10**30), "chip.amem_words"),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_a_size_is_refused_before_it_is_made(what: str, tmp_path: Path) -> None:
    call, complaint = CASES[what]
    tracemalloc.start()
    try:
        with pytest.raises(TlmError) as caught:
            call(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert complaint in str(caught.value)


def test_many_channels_apart_need_no_gigabytes() -> None:
    """Patterns of all channels for every group: 4,096 x 128 x 49 bits here, of which each once took eight bytes."""
    layer = tlm.Conv2d("d", np.ones((4_096, 1, 7, 7), np.int8), groups=4_096, padding=3, shift=2)
    tracemalloc.start()
    try:
        program = tlm.compile(tlm.Network((4_096, 1, 1), [layer]))
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert len(program.parts) == 128


def test_a_network_grows_by_one_layer_as_if_it_were_made_at_once() -> None:
    layers = [conv("a", padding=1, multiplier=3), tlm.AvgPool2d("m", 2), tlm.MaxPool2d("p", 2), conv("b", input="m")]
    whole, grown = tlm.Network((4, 9, 9), layers), tlm.Network((4, 9, 9), layers[:1])
    for layer in layers[1:]:
        before = len(grown.layers)
        grown, old = grown.with_layer(layer), grown
        assert len(old.layers) == len(old.tensors) - 1 == len(old.inputs) == before
    assert (grown.tensors, grown.inputs, grown.input_shape) == (whole.tensors, whole.inputs, whole.input_shape)
    with pytest.raises(TlmError, match="used twice"):
        grown.with_layer(layers[0])
