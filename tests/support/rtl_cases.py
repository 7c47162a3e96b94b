"""Small networks for the circuit, one for each kind of layer, with what of the chip's surroundings they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tlm.chip.dram_config import DramConfig
from tlm.network.layers import Conv2d, MaxPool2d
from tlm.network.network import Network


def layer(name: str, shape: tuple[int, int, int, int], density: float = 1.0, **keys: object) -> Conv2d:
    rng = np.random.default_rng(sum(shape))
    weights = (rng.integers(-8, 8, shape) * (rng.random(shape) < density)).astype(np.int8)
    return Conv2d(name, weights, multiplier=300, shift=14, **keys)  # type: ignore[arg-type]


RESIDUAL = [
    layer("a", (16, 8, 1, 1)),
    layer("b", (8, 16, 3, 3), padding=(1, 1), residual="input", residual_multiplier=500),
]
NAMED: Mapping[str, tuple[Network, dict[str, Any]]] = {
    "point-wise": (Network((4, 4, 4), [layer("c", (8, 4, 1, 1))]), {}),
    "padding and a second group": (Network((6, 7, 7), [layer("c", (12, 6, 3, 3), padding=(1, 1))]), {}),
    "residual overlaid by the output": (Network((8, 8, 8), RESIDUAL), {}),
    "stride with bank conflicts": (
        Network((4, 15, 15), [layer("c", (10, 4, 5, 5), stride=(2, 2), padding=(2, 2))]),
        {},
    ),
    "dilation": (Network((3, 12, 9), [layer("c", (9, 3, 3, 2), dilation=(3, 2), padding=(3, 1))]), {}),
    "no valid tap": (Network((9, 5, 5), [layer("c", (10, 9, 3, 3), density=0.0)]), {}),
    "class scores": (Network((16, 1, 1), [layer("fc", (20, 16, 1, 1), accumulator_output=True)]), {}),
    "max pooling": (Network((20, 9, 9), [MaxPool2d("p", 3, stride=2, padding=1)]), {}),
    "max pooling of signed values": (Network((20, 9, 9), [MaxPool2d("p", 3, stride=2, padding=1)], True), {}),
    "signed": (Network((6, 7, 7), [layer("c", (12, 6, 3, 3), padding=(1, 1), signed_output=True)], True), {}),
    "one channel of one pixel": (Network((1, 1, 1), [layer("c", (1, 1, 1, 1))]), {}),
    "loads beside the computation": (
        Network((16, 9, 9), [layer("c", (40, 16, 3, 3), padding=(1, 1))]),
        {"memory_gb_per_s": 12.8},
    ),
    "loads from DRAM beside the computation": (
        Network((16, 9, 9), [layer("c", (40, 16, 3, 3), padding=(1, 1))]),
        {"memory_model": "dram", "dram": DramConfig("lpddr4_3200_x16", trefi_clocks=1500)},
    ),
    "bands": (Network((6, 40, 40), [layer("c", (6, 6, 3, 3), padding=(1, 1))]), {}),
}
