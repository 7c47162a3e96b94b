"""Arrays of integers from whatever a user passes."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError

IntArray: TypeAlias = npt.NDArray[np.int64]
Int8Array: TypeAlias = npt.NDArray[np.int8]


def integers(what: str, value: object) -> npt.NDArray[Any]:
    """The value as an array of some integer type.

    Raises:
        InputError: a ragged sequence, a masked array, or an array of another type, even if all of its floating-point
            numbers are whole, since it was not quantised; starts with ``what``.
    """
    try:
        array = np.asarray(value)
    except Exception as error:  # of ragged lists; whatever an object's __array__ raises
        raise InputError(f"{what}: not a rectangular array of integers ({error})") from None
    if array.dtype.kind not in "iu":
        raise InputError(
            f"{what}: dtype is {array.dtype}, but must be an integer type; quantise first, then .astype(np.int8)"
        )
    if _is_masked(value):
        raise InputError(f"{what}: is a masked array, whose mask has no meaning here; give what .filled(0) makes of it")
    return array


def _is_masked(value: object) -> bool:
    """Whether a masked array is in it, so that ``np.asarray`` has dropped a mask."""
    if "numpy.ma" not in sys.modules:  # importing it takes longer than all checks; nobody has made one without it
        return False
    if isinstance(value, (list, tuple)):
        return any(_is_masked(item) for item in value if isinstance(item, (list, tuple, np.ma.MaskedArray)))
    return isinstance(value, np.ma.MaskedArray)


def frozen(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A read-only copy of this type."""
    array = array.astype(dtype, order="C")
    array.flags.writeable = False
    return array
