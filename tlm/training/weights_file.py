"""FP32 weights that were trained elsewhere, from a file that torch wrote.

A file holds the tensors of a network by name, as ``torch.save`` writes a dict, alone or under "network", "state_dict"
or "model". Names begin with those of the layers in :mod:`tlm.training.architecture`: ``conv1.conv.weight``,
``conv1.norm.bias``, ``conv2_1.dwpw2.depthwise.weight``, ``fc.conv.bias``. A checkpoint of an
unpruned float stage is such a file, too.
"""

from __future__ import annotations

import io
import re
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
    model, places = network.architecture.name, network.state_dict()
    wanted = {_by_layer(name, network): tensor for name, tensor in places.items()}
    given = {_by_layer(name, network): tensor for name, tensor in _tensors(path).items()}
    given = {**{name: one for name, one in wanted.items() if name.endswith(_COUNTER)}, **given}
    if lacking := [name for name in wanted if name not in given]:
        raise InputError(f"{path}: lacks {_first(lacking)}, of {model}")
    if foreign := [name for name in given if name not in wanted]:
        raise InputError(f"{path}: holds {_first(foreign)}, which are not in {model}")
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise InputError(
                f"{path}: {name} is {tuple(tensor.shape)}, but must be {tuple(wanted[name].shape)} in {model}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {name} holds values that are not finite")
    return {place: given[_by_layer(place, network)] for place in places}


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
        # damaged files make torch and zipfile raise errors of any kind
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


def _by_layer(name: str, network: FloatNetwork) -> str:
    """The name of a tensor with that of its layer, where a module's place ("parts.3") may stand instead."""
    found = re.fullmatch(r"parts\.(\d+)\.(.*)", name)
    layers = network.architecture.layers
    return f"{layers[int(found[1])].name}.{found[2]}" if found and int(found[1]) < len(layers) else name


def _first(names: list[str]) -> str:
    """Some names, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
