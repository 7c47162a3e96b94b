"""Arrays of integers from whatever a user passes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError

IntArray: TypeAlias = npt.NDArray[np.int64]
Int8Array: TypeAlias = npt.NDArray[np.int8]


def integers(what: str, value: object) -> npt.NDArray[Any]:
    """The value as an array of some integer type.

    Raises:
        InputError: a ragged sequence, or an array of another type; starts with ``what``.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{what}: not a rectangular array ({error})") from None
    if array.dtype.kind not in "iu":
        raise InputError(
            f"{what}: dtype is {array.dtype}, but must be an integer type; quantise first, then .astype(np.int8)"
        )
    return array


def frozen(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A read-only copy of this type."""
    array = array.astype(dtype, order="C")
    array.flags.writeable = False
    return array
