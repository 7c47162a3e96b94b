"""The windows of Conv, MaxPool and AveragePool: pads, strides and sizes as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlm.core.errors import InputError
from tlm.exchange.onnx_values import Quantised
from tlm.network.layers import Padding
from tlm.network.layers.base import output_size

Geometry = dict[str, Any]


def window(given: Mapping[str, Any], source: Quantised, kernel: tuple[int, ...]) -> Geometry:
    """stride, padding and dilation as the engine's layers take them, without what Pad nodes added to the source.

    Args:
        given: the node's attributes.
        source: what the window moves over.
        kernel: (kh, kw).

    Raises:
        InputError: not two-dimensional, below what is possible, or contradicting itself.
    """
    if given["kernel_shape"] not in ((), kernel):
        raise InputError(f"kernel_shape is {given['kernel_shape']}, but its weights have {kernel}")
    for name, values, least in (
        ("kernel_shape", kernel, 1),
        ("strides", given["strides"], 1),
        ("dilations", given["dilations"], 1),
        ("pads", given["pads"] or (0, 0, 0, 0), 0),
    ):
        count = 4 if name == "pads" else 2
        if len(values) != count or min(values) < least:
            raise InputError(f"{name} is {values}, but must be {count} whole numbers of at least {least}")
    stride, dilation = given["strides"], given["dilations"]
    size, spread = source.shape[2:], [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    padding = _padding(given, size, spread)
    if given.get("ceil_mode"):
        for axis, (before, after) in enumerate(padding):
            left = size[axis] + before + after - spread[axis]
            missing = -left % stride[axis]
            # A window that would start behind the input and its first padding is left out again.
            if missing and (left + missing) < size[axis] + before:
                padding[axis] = (before, after + missing)
    return {"stride": stride, "dilation": dilation, "padding": tuple(padding)}


def _padding(given: Mapping[str, Any], size: tuple[int, ...], spread: list[int]) -> list[tuple[int, int]]:
    kind, pads = given["auto_pad"], given["pads"] or (0, 0, 0, 0)
    if kind == "NOTSET":
        return [(pads[0], pads[2]), (pads[1], pads[3])]
    if any(pads):
        raise InputError(f"auto_pad is {kind!r}, but must be 'NOTSET' beside pads {pads}")
    if kind == "VALID":
        return [(0, 0), (0, 0)]
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        raise InputError(f"auto_pad is {kind!r}, but must be 'NOTSET', 'VALID', 'SAME_UPPER' or 'SAME_LOWER'")
    found = []
    for pixels, step, reach in zip(size, given["strides"], spread, strict=True):
        total = max(0, (-(-pixels // step) - 1) * step + reach - pixels)
        less, more = total // 2, total - total // 2
        found.append((less, more) if kind == "SAME_UPPER" else (more, less))
    return found


def with_pads(geometry: Geometry, pads: tuple[int, int, int, int]) -> Geometry:
    """The same with the zeros of Pad nodes around the source."""
    (top, bottom), (left, right) = geometry.get("padding", ((0, 0), (0, 0)))
    return {**geometry, "padding": ((top + pads[0], bottom + pads[2]), (left + pads[1], right + pads[3]))}


def moved_over(size: tuple[int, int], kernel: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """(H', W') of a window with that geometry over (H, W) pixels.

    Raises:
        InputError: it fits nowhere.
    """
    (top, bottom), (left, right) = geometry.get("padding", ((0, 0), (0, 0)))
    stride, dilation = geometry.get("stride", (1, 1)), geometry.get("dilation", (1, 1))
    rows, columns = output_size(size, kernel, stride, Padding(top, bottom, left, right), dilation)
    if rows < 1 or columns < 1:
        raise InputError(f"a window of {kernel} does not fit into {size} pixels with {geometry}")
    return rows, columns
