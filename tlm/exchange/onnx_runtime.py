"""onnxruntime's sessions, and what it says where it refuses a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.exchange.onnx_reader import require_onnx

if TYPE_CHECKING:
    from onnx import ModelProto

Run = Callable[[Sequence[str], Mapping[str, npt.NDArray[Any]]], list[npt.NDArray[Any]]]
"""From names of outputs, and arrays by name of the inputs, to the outputs."""


def session(model: ModelProto, options: Any, outputs: Sequence[str] = ()) -> Run:
    """What runs a graph.

    Args:
        model: the graph; not changed.
        options: onnxruntime's SessionOptions.
        outputs: further tensors that it is asked for.

    Raises:
        InputError: onnxruntime refuses the graph; so does the function, of an input.
    """
    require_onnx("onnxruntime")
    import onnx
    import onnxruntime  # type: ignore[import-untyped]

    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it runs by turns
    options.log_severity_level = 4  # fatal errors; the others are raised as well, and are one sentence here
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    kept = {one.name for one in asked.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in kept)
    made = _sentence(
        onnxruntime.InferenceSession, asked.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda names, inputs: list(_sentence(made.run, list(names), dict(inputs)))


def _sentence(call: Callable[..., Any], *arguments: Any, **keys: Any) -> Any:
    try:
        return call(*arguments, **keys)
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"onnxruntime refuses the graph ({text})") from None
