"""A network of real ImageNet weights from exporters that are not ours, imported and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from efficientnet import MILITARY_UNIFORM, MISSING, photographs, write

import tlm
from tlm.exchange.onnx_check import compare
from tlm.exchange.onnx_reader import read_onnx


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
def test_efficientnet_lite0_is_imported_and_runs(tmp_path: Path) -> None:
    path, label = write(tmp_path)
    assert label == MILITARY_UNIFORM  # the weights are the trained ones
    imported = read_onnx(path)
    network = imported.network
    assert network.input_shape == (3, 224, 224)
    assert network.output.shape == (1000, 1, 1)
    depthwise = [layer for layer in network.layers if isinstance(layer, tlm.Conv2d) and layer.groups > 1]
    assert {layer.kernel for layer in depthwise} >= {(3, 3), (5, 5)}
    image = np.clip(np.rint(photographs()[:1] / imported.input_scale), -8, 7).astype(np.int8)
    compared = compare(imported, image)
    assert min(compared.alone.values()) > 0.999
    assert compared.layers["conv_stem_Conv"] > 0.999
    result = tlm.simulate(network, image[0])
    assert np.array_equal(result.outputs, tlm.evaluate(network, image[0])[0])
