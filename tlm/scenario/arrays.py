"""Arrays that a scenario names by path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.inputs.array_files import Arrays, read_arrays
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import activation_range


def load_activations(file: str, signed: bool) -> Int8Array:
    """Activations from a .npy file, int8 (C, H, W).

    Raises:
        InputError: unreadable; not an integer array of three dimensions; a value outside 4 bits.
    """
    array = _loaded(file, "input.file")
    if not isinstance(array, np.ndarray):
        raise InputError(f"input.file: {file} holds several arrays; save one with numpy.save")
    if array.dtype.kind not in "iu" or array.ndim != 3 or 0 in array.shape:
        raise InputError(
            f"input.file: {file} holds {array.dtype} of shape {array.shape}; "
            "allowed: an integer array (C, H, W), no side of it zero"
        )
    low, high = activation_range(signed)
    if array.min() < low or array.max() > high:
        raise InputError(
            f"input.file: {file} holds {array.min()}..{array.max()}; allowed: {low}..{high} "
            f"({'' if signed else 'un'}signed 4-bit; see input.signed)"
        )
    return array.astype(np.int8)


def load_arrays(file: str, key: str) -> Arrays:
    """All arrays of an .npz file by name.

    Args:
        key: the scenario's key that names the file.

    Raises:
        InputError: unreadable, or not an .npz file.
    """
    arrays = _loaded(file, key)
    if isinstance(arrays, np.ndarray):
        raise InputError(f"{key}: {file} holds a single array; save named ones with numpy.savez")
    return arrays


def _loaded(file: str, key: str) -> Arrays | npt.NDArray[Any]:
    try:
        return read_arrays(Path(file))
    except FileNotFoundError:
        raise InputError(f"{key}: {file} does not exist; a path in a scenario file is relative to that file") from None
    except InputError as error:
        raise InputError(f"{key}: {error}") from None
