"""The comparison of outputs with the golden model's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


def differing_layers(golden: Mapping[str, npt.NDArray[Any]], found: Mapping[str, npt.NDArray[Any]]) -> list[str]:
    """Layers whose outputs are missing, or not bit for bit the golden model's.

    Args:
        golden: every layer's output by name.
        found: those of the chip's model.
    """
    import numpy as np

    return [
        name
        for name, array in golden.items()
        if name not in found or found[name].dtype != array.dtype or not np.array_equal(found[name], array)
    ]
