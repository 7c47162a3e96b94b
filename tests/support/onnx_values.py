"""The engine's values of an imported graph beside those of another program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx_graphs import RNG

import tlm
from tlm.exchange.onnx_file import INPUT_TYPES
from tlm.exchange.onnx_reader import Imported

Array = npt.NDArray[Any]
Oracle = Callable[[Array], Array]


def by_onnxruntime(model: onnx.ModelProto) -> Oracle:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (one,) = session.get_inputs()
    return lambda images: np.asarray(session.run(None, {one.name: images})[0])


def check_values(imported: Imported, oracle: Oracle) -> None:
    """All values equal the oracle's."""
    network, given = imported.network, imported.input
    low = -8 if network.signed_input else 0
    images = RNG.integers(low, low + 16, given.shape).astype(np.int8)
    (kind,) = (one.type.tensor_type.elem_type for one in imported.model.graph.input if one.name == given.name)
    right = oracle((images * given.scale).astype(INPUT_TYPES[kind]))
    for image, expected in zip(images, right, strict=True):
        own = image.reshape(-1)
        if given.order is not None:
            own = own[np.argsort(given.order, axis=None)]
        outputs = tlm.reference.run(network, own.reshape(network.input_shape))[network.output.name].reshape(-1)
        if imported.output.order is not None:
            outputs = outputs[imported.output.order.reshape(-1)]
        found = outputs.astype(np.float64) * imported.output.scale
        assert np.unique(found).size > 1
        rounding = 1e-5 * imported.output.scale  # of sums in 32-bit floats, far below a level
        np.testing.assert_allclose(found, expected.reshape(-1), rtol=1e-6, atol=rounding)
