"""A real network, quantised without training and run whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from efficientnet import MILITARY_UNIFORM, MISSING, export, photographs

import tlm
from tlm.exchange.onnx_reader import read_onnx
from tlm.exchange.ptq import PostTraining
from tlm.exchange.ptq_report import agreement, levels


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
def test_efficientnet_lite0_in_4_bits(tmp_path: Path) -> None:
    """With bias correction it knows the photograph that it was calibrated on, and the engine computes it whole."""
    export(tmp_path / "n.onnx")
    images = photographs()[:2]
    done = PostTraining(images)
    imported = read_onnx(tmp_path / "n.onnx", done)
    assert done.scores.argmax(axis=1).tolist() == [MILITARY_UNIFORM] * 2
    found = agreement(imported, imported.network, images, done.scores, np.full(2, MILITARY_UNIFORM))
    assert found is not None
    assert found.same >= 1
    activations = levels(imported, images)[0]
    result = tlm.simulate(imported.network, activations)
    expected = tlm.reference.run(imported.network, activations)
    assert all(np.array_equal(result.tensors[name], tensor) for name, tensor in expected.items())
