"""The comparison of outputs with the golden model's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tlm.core.errors import SimulationError

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


def check_golden(name: str, golden: Mapping[str, npt.NDArray[Any]], found: Mapping[str, npt.NDArray[Any]]) -> None:
    """All outputs are the golden model's.

    Args:
        name: of what ran, for the message.
        golden, found: as of :func:`differing_layers`.

    Raises:
        SimulationError: some are not.
    """
    if differing := differing_layers(golden, found):
        raise SimulationError(f"{name}: the outputs of {', '.join(differing)} differ from the golden model")
