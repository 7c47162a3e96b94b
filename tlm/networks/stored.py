"""A whole quantised network in one .npz file: arrays by layer, the rest as JSON beside them.

The file holds ``<layer>.weights`` (int8), ``.bias`` (int32), ``.multiplier`` (uint16), ``.shift`` (uint8) for each
convolution, and ``network.json`` (bytes): layers in the order of execution, and a card that says where they come from.
The same network gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.inputs.array_files import read_arrays
from tlm.network.layers import Conv2d, Layer, MaxPool2d
from tlm.network.network import Network

FORMAT = "tlm.network/1"
"""Version of the format."""

JSON_NAME = "network.json"
_KEYS = ("groups", "signed_output", "accumulator_output", "residual", "residual_multiplier")
_DTYPES = {"weights": np.int8, "bias": np.int32, "multiplier": np.uint16, "shift": np.uint8}


class StoredNetwork(Struct, frozen=True, eq=False):
    """A network and its card: data, recipe, seed, command, accuracy, time."""

    network: Network
    card: Mapping[str, Any] = field(default_factory=dict)


def save_network(path: str | Path, stored: StoredNetwork) -> None:
    """Write a network, whole or not at all."""
    network = stored.network
    arrays: dict[str, npt.NDArray[Any]] = {}
    for layer in network.layers:
        if isinstance(layer, Conv2d):
            arrays |= {f"{layer.name}.{key}": getattr(layer, key).astype(kind) for key, kind in _DTYPES.items()}
    text = json.dumps(
        {
            "format": FORMAT,
            "input_shape": list(network.input_shape),
            "signed_input": network.signed_input,
            "layers": [_description(layer, network) for layer in network.layers],
            "card": dict(stored.card),
        },
        indent=1,
    )
    arrays = {JSON_NAME: np.frombuffer(text.encode(), np.uint8), **arrays}
    with whole_file(Path(path)) as temporary, temporary.open("wb") as file:  # to a name numpy would add .npz
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_network(path: str | Path) -> StoredNetwork:
    """Read a network.

    Raises:
        InputError: no such file, not such a file, or layers that do not fit.
    """
    path = Path(path)
    try:
        arrays = read_arrays(path)
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist") from None
    if isinstance(arrays, np.ndarray) or JSON_NAME not in arrays:
        what = "holds a single array" if isinstance(arrays, np.ndarray) else f"has no {JSON_NAME}"
        raise InputError(f"{path}: {what}, so it is no stored network as `tlm train` writes them")
    try:
        content = json.loads(arrays[JSON_NAME].tobytes())
        if content["format"] != FORMAT:
            raise InputError(f"{path}: format is {content['format']!r}, but must be {FORMAT!r}")
        layers = [_layer(described, arrays) for described in content["layers"]]
        network = Network(tuple(content["input_shape"]), layers, content["signed_input"])
        card = content["card"]
        if not isinstance(card, dict):
            raise InputError(f"{path}: card is {card!r}, but must be an object")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: {JSON_NAME} or an array is damaged ({type(error).__name__}: {error})") from None
    except InputError as error:
        raise InputError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None
    return StoredNetwork(network, card)


def _description(layer: Layer, network: Network) -> dict[str, Any]:
    pads = layer.pads
    common = {
        "name": layer.name,
        "input": network.inputs[layer.name],
        "stride": list(layer.stride),
        "padding": [[pads.top, pads.bottom], [pads.left, pads.right]],
        "dilation": list(layer.dilation),
    }
    if isinstance(layer, MaxPool2d):
        return common | {"kind": "max_pool", "kernel": list(layer.kernel)}
    return common | {"kind": "conv"} | {key: getattr(layer, key) for key in _KEYS}


def _layer(described: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Layer:
    name, kind = described["name"], described["kind"]
    common = {key: described[key] for key in ("name", "input", "stride", "padding", "dilation")}
    if kind == "max_pool":
        return MaxPool2d(**common, kernel=described["kernel"])
    if kind != "conv":
        raise InputError(f"layer {name!r}: kind {kind!r} is not known; allowed: conv, max_pool")
    integers: dict[str, Any] = {key: arrays[f"{name}.{key}"] for key in _DTYPES}  # of other types Conv2d complains
    return Conv2d(**common, **integers, **{key: described[key] for key in _KEYS})
