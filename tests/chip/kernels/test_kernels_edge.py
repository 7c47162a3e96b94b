"""The kernels' Python edge: no call can leave its buffers or run on fields that no header can hold."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from images import Images
from strategies import extremes

from tlm.chip import kernels
from tlm.chip.format import packing
from tlm.chip.kernels import KernelError
from tlm.chip.kernels.geometry import Geometry


def image_case() -> Images:
    return Images(extremes()["last partial tile and group"])


def test_addresses_outside_the_memories_are_refused() -> None:
    images = image_case()
    g, acc = images.geometry, kernels.new_accumulators(32, 32)
    with pytest.raises(KernelError, match=r"AMem: the input occupies words 3\.\.26, but there are 26 words"):
        kernels.mac_layer(g, images.amem[:-16], images.wmem, 0, images.patterns)
    with pytest.raises(KernelError, match="AMem"):
        kernels.MacPass(g)(images.amem[:-16], images.wmem, 0, images.patterns[0], 2, acc)
    with pytest.raises(KernelError, match="WMem: the weight words from 0 on run beyond the last of 143 words"):
        kernels.mac_layer(g, images.amem, images.wmem[:-16], 0, images.patterns)
    for first in (-1, 1 << 40):
        with pytest.raises(KernelError, match="WMem"):
            kernels.MacPass(g)(images.amem, images.wmem, first, images.patterns[0], 0, acc)


@pytest.mark.parametrize("bit", [54, 59])
def test_bits_beyond_the_last_channel_or_tap_are_illegal(bit: int) -> None:
    images = image_case()  # 3x3: K = 6 channels in 54 bits; 8 channels
    acc = kernels.new_accumulators(32, 32)
    for index, which in ((0, bit), (1, 18)):
        patterns = images.patterns.copy()
        patterns[0, index] |= np.uint64(1 << which)
        with pytest.raises(KernelError, match="illegal pattern word"):
            kernels.mac_layer(images.geometry, images.amem, images.wmem, 0, patterns)
        with pytest.raises(KernelError, match="beyond channel 7 or tap 8"):
            kernels.MacPass(images.geometry)(images.amem, images.wmem, 0, patterns[0], 0, acc)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 24}, "lanes is 24, but must be one of"),
        ({"columns": 128}, "columns is 128"),
        ({"height": 0}, "height is 0, but must be in 1..65535"),
        ({"stride_x": -1}, "stride_x is -1"),
        ({"pad_left": 1 << 20}, "pad_left"),
        ({"kernel_h": 64}, "a kernel of 64x1, but at most 63 rows and columns"),
        ({"kernel_w": 64}, "a kernel of 1x64, but at most 63 rows and columns"),
        ({"height": 65_535, "width": 65_535}, "input of 4294836225 pixels"),
        ({"input_base_word": -1}, "input_base_word is -1"),
    ],
)
def test_impossible_geometries_are_refused(changes: dict[str, int], message: str) -> None:
    sizes = ("channels", "height", "width", "out_channels", "out_height", "out_width")
    good = {"lanes": 8, "columns": 8, **dict.fromkeys(sizes, 2)}
    Geometry(**good)
    with pytest.raises(KernelError, match=message):
        Geometry(**{**good, **changes})


def test_wrong_buffers_are_refused() -> None:
    images = image_case()
    g = images.geometry
    acc, vector = kernels.new_accumulators(32, 32), kernels.new_activations(32)
    select = kernels.tap_words(g, 0, 4)[1]
    wrong = [
        lambda: kernels.mask(bytes(15), select, False),
        lambda: kernels.mask(bytes(17), select, False),
        lambda: kernels.mac_step(acc, vector, bytes(8), 32, 32),
        lambda: kernels.mac_step(acc, vector, bytes(16), 64, 32),
        lambda: kernels.mac_step(kernels.new_accumulators(32, 16), vector, bytes(16), 32, 32),
        lambda: kernels.tap_words(g, 3, 0),
        lambda: kernels.tap_words(g, 0, 9),
        lambda: kernels.MacPass(g)(images.amem, images.wmem, 0, images.patterns[0], -1, acc),
        lambda: kernels.MacPass(g)(images.amem, images.wmem, 0, images.patterns, 0, acc),
        lambda: kernels.MacPass(g)(images.amem, images.wmem, 0, images.patterns[0].astype(np.int64), 0, acc),
        lambda: kernels.MacPass(g)(images.amem, images.wmem, 0, images.patterns[0], 0, kernels.new_accumulators(8, 8)),
        lambda: kernels.requantise_word(acc, 32, None, False, 0, 1, 0, 0, 0, 15, 32, 32),
        lambda: kernels.requantise_word(acc, 0, None, False, 0, 1, 41, 0, 0, 15, 32, 32),
        lambda: kernels.requantise_word(acc, 0, None, False, 0, 65_536, 0, 0, 0, 15, 32, 32),
        lambda: kernels.requantise_word(acc, 0, None, False, 0, 1, 0, 0, 0, 16, 32, 32),
        lambda: kernels.requantise_word(acc, 0, None, False, 0, 1, 0, 0, 0, 15, 32, 33),
        lambda: kernels.requantise_word(acc, 0, bytes(15), False, 0, 1, 0, 1, 0, 15, 32, 32),
        lambda: kernels.accumulator_plane(acc, 0, 0, 6, 32, 32),
        lambda: kernels.RequantiseKernel(
            bias=np.zeros(2, int), multiplier=np.ones(2, int), shift=np.array([0, 41]), low=0, high=15, lanes=32
        ),
        lambda: kernels.RequantiseKernel(
            bias=np.zeros(2, int), multiplier=np.ones(2, int), shift=np.zeros(2, int), low=0, high=15, lanes=32
        ).words(np.zeros((3, 32), np.int32), 32),
        lambda: kernels.accumulator_layer(np.zeros((2, 32), np.int32), bias=np.zeros(2), lanes=32, pixels=33),
        lambda: kernels.accumulator_layer(np.zeros((2, 32), np.int32), bias=np.zeros(3), lanes=32, pixels=32),
    ]  # fmt: skip
    for call in wrong:
        with pytest.raises(KernelError):
            call()


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="image of 15 bytes, but 1 words of 32 lanes take 16"):
        packing.unpack_tensor(bytes(15), (1, 4, 8), 32, False)


def test_geometry_travels_between_processes() -> None:
    g = image_case().geometry
    assert g.pointer.channels == 8
    copy = pickle.loads(pickle.dumps(g))
    assert copy == g
    assert copy.pointer.out_width == g.out_width
