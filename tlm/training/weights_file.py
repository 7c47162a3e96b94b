"""FP32 weights that somebody has trained already, from a file of torch.

A file holds the tensors of a network by name, as ``torch.save`` writes a dict, alone or under "network", "state_dict"
or "model". Names begin with those of the layers in :mod:`tlm.training.architecture`: ``conv1.conv.weight``,
``conv1.norm.bias``, ``conv2_1.dwpw2.depthwise.weight``, ``fc.conv.bias``. A checkpoint of an
unpruned float stage is such a file, too.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.training.networks import FloatNetwork

Weights = dict[str, Tensor]

_HOLDERS = ("network", "state_dict", "model")
_COUNTER = "num_batches_tracked"
_NAMED = 4


def read_weights(path: Path, network: FloatNetwork) -> Weights:
    """The file's tensors by the names of ``network.state_dict()``.

    Raises:
        InputError: no such file, no file of tensors, names or shapes that are not the network's.
    """
    tensors = _by_module(_tensors(path), network)
    wanted = network.state_dict()
    tensors = {**{name: one for name, one in wanted.items() if name.endswith(_COUNTER)}, **tensors}
    _refuse(path, "lacks", [name for name in wanted if name not in tensors], network)
    _refuse(path, "holds", [name for name in tensors if name not in wanted], network)
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise InputError(
                f"{path}: {_layer_name(name, network)} is {tuple(tensor.shape)}, but must be "
                f"{tuple(wanted[name].shape)} in {network.architecture.name}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {_layer_name(name, network)} holds values that are not finite")
    return tensors


def load_file(path: Path) -> Any:
    """What torch has saved, without any code.

    Raises:
        InputError: no such file, or none that torch reads.
    """
    try:
        data = io.BytesIO(read_file(path))
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist") from None
    try:
        if zipfile.is_zipfile(data) and (member := zipfile.ZipFile(data).testzip()) is not None:
            raise InputError(f"{path}: is damaged (the checksum of {member} differs)")
        data.seek(0)
        return torch.load(data, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:
        # on damaged files torch and zipfile raise whatever went wrong inside of them
        raise InputError(f"{path}: is no file of weights that torch reads ({type(error).__name__})") from None


def _tensors(path: Path) -> Weights:
    found = load_file(path)
    for holder in _HOLDERS:
        if isinstance(found, dict) and isinstance(found.get(holder), dict):
            found = found[holder]
            break
    if not isinstance(found, dict) or not found or not all(isinstance(one, Tensor) for one in found.values()):
        raise InputError(f"{path}: is no dict of tensors, alone or under {', '.join(map(repr, _HOLDERS))}")
    return {str(name).removeprefix("module."): one for name, one in found.items()}


def _by_module(tensors: Weights, network: FloatNetwork) -> Weights:
    """Layer names become the places that modules have."""
    places = {f"{plan.name}.": f"parts.{index}." for index, plan in enumerate(network.architecture.layers)}
    found = {}
    for name, tensor in tensors.items():
        start = next((layer for layer in places if name.startswith(layer)), None)
        found[name if start is None else places[start] + name.removeprefix(start)] = tensor
    return found


def _layer_name(name: str, network: FloatNetwork) -> str:
    for index, plan in enumerate(network.architecture.layers):
        if name.startswith(place := f"parts.{index}."):
            return f"{plan.name}.{name.removeprefix(place)}"
    return name


def _refuse(path: Path, verb: str, names: list[str], network: FloatNetwork) -> None:
    if names:
        shown = ", ".join(_layer_name(name, network) for name in names[:_NAMED])
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = "of" if verb == "lacks" else "which are not in"
        raise InputError(f"{path}: {verb} {shown}{more}, {what} {network.architecture.name}")
