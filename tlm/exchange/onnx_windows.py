"""The windows of Conv, MaxPool and AveragePool: pads, strides and sizes as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import Shape

Pads = tuple[tuple[int, int], tuple[int, int]]
"""((top, bottom), (left, right)), as the engine's layers take it."""

NO_PADS: Pads = ((0, 0), (0, 0))

Geometry = dict[str, Any]
"""stride, dilation, padding, groups: arguments of the engine's layers."""

UNIT: Geometry = {"stride": (1, 1), "dilation": (1, 1), "padding": NO_PADS}
"""Of a window that looks at each place once."""


def window(given: Mapping[str, Any], size: Shape, kernel: Shape) -> Geometry:
    """What a node's attributes say.

    Args:
        given: the attributes.
        size: (H, W) of what the window moves over.
        kernel: (kh, kw).

    Raises:
        InputError: not two-dimensional, below what is possible, or contradicting itself.
    """
    if given["kernel_shape"] not in ((), kernel):
        raise InputError(f"kernel_shape is {given['kernel_shape']}, but its weights have {kernel}")
    pads = given["pads"] or (0, 0, 0, 0)
    for name, values, count, least in (
        ("kernel_shape", kernel, 2, 1),
        ("strides", given["strides"], 2, 1),
        ("dilations", given["dilations"], 2, 1),
        ("pads", pads, 4, 0),
    ):
        if len(values) != count or min(values) < least:
            raise InputError(f"{name} is {values}, but must be {count} whole numbers of at least {least}")
    auto = given["auto_pad"]
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise InputError(f"auto_pad is {auto!r}, but must be 'NOTSET', 'VALID', 'SAME_UPPER' or 'SAME_LOWER'")
    if auto != "NOTSET" and any(pads):
        raise InputError(f"auto_pad is {auto!r}, but must be 'NOTSET' beside pads {pads}")
    padding = []
    for axis, stride in enumerate(given["strides"]):
        before, after = pads[axis], pads[axis + 2]
        reach = given["dilations"][axis] * (kernel[axis] - 1) + 1
        if auto.startswith("SAME"):
            total = max(0, (-(-size[axis] // stride) - 1) * stride + reach - size[axis])
            less, more = total // 2, total - total // 2
            before, after = (less, more) if auto == "SAME_UPPER" else (more, less)
        if given.get("ceil_mode"):
            left = size[axis] + before + after - reach
            missing = -left % stride
            # a window that would start behind the input and its first padding is left out again
            if left + missing < size[axis] + before:
                after += missing
        padding.append((before, after))
    return {"stride": given["strides"], "dilation": given["dilations"], "padding": tuple(padding)}


def with_pads(geometry: Geometry, pads: Pads) -> Geometry:
    """The same with the zeros of Pad nodes around the source."""
    return {**geometry, "padding": added(geometry["padding"], pads)}


def added(one: Pads, other: Pads) -> Pads:
    """Zeros around zeros."""
    rows, columns = ((a[0] + b[0], a[1] + b[1]) for a, b in zip(one, other, strict=True))
    return rows, columns
