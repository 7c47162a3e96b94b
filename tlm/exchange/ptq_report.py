"""What 4 bits cost a whole network: the best class beside that of the original one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlm.exchange.onnx_constants import Array
from tlm.exchange.onnx_reader import Imported
from tlm.inputs.integer_arrays import Int8Array, IntArray
from tlm.network import golden
from tlm.network.layers import activation_range
from tlm.network.network import Network


@dataclass(frozen=True)
class Agreement:
    """Of some samples: how many there are, have the original's best class, and are right where that is known."""

    samples: int
    same: int
    right: int | None
    original_right: int | None


def levels(imported: Imported, images: Array) -> Int8Array:
    """Images as the engine's input (N, C, H, W).

    Args:
        imported: the network.
        images: as the graph takes them, the batch first.
    """
    low, high = activation_range(imported.network.signed_input)
    whole = np.clip(np.rint(images / imported.input_scale), low, high).astype(np.int8).reshape(len(images), -1)
    if imported.input.order is not None:
        whole = whole[:, np.argsort(imported.input.order, axis=None)]
    return whole.reshape(len(images), *imported.network.input_shape)


def agreement(
    imported: Imported, network: Network, images: Array, scores: Array, labels: IntArray | None
) -> Agreement | None:
    """Compare the engine's best class with the original network's; None where the output is a map, not scores.

    Args:
        imported: how images and scores stand for whole numbers.
        network: the imported one, or what was made of it.
        images: as the graph takes them, the batch first.
        scores: the original network's.
        labels: the classes that they belong to, if they are known.
    """
    if network.output.shape[1:] != (1, 1):
        return None
    order = imported.output.order
    places = np.arange(network.output.shape[0]) if order is None else order.reshape(-1)
    ours: npt.NDArray[np.int64] = np.array(
        [golden.run(network, one)[network.output.name].reshape(-1)[places].argmax() for one in levels(imported, images)]
    )
    original = scores.reshape(len(images), -1).argmax(axis=1)
    right, original_right = (
        None if labels is None else int(np.count_nonzero(one == labels)) for one in (ours, original)
    )
    return Agreement(len(images), int(np.count_nonzero(ours == original)), right, original_right)
