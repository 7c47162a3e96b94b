"""Each test draws the same values, whichever ran before it in its process."""

import float_graphs
import numpy as np
import onnx_graphs
import pytest


@pytest.fixture(autouse=True)
def _same_values() -> None:
    for generator, seed in ((onnx_graphs.RNG, 3), (float_graphs.RNG, 5)):
        generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state
