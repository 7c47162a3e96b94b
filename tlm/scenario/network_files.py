"""Network files as scenarios: what `tlm run model.onnx` and `tlm run network.npz` mean."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from tlm.core.errors import InputError, one_line
from tlm.networks.stored import StoredNetwork, load_network

ONNX = ".onnx"
SUFFIXES = (".npz", ONNX)


def read_network(file: str | Path) -> StoredNetwork:
    """The network of a file: as `tlm train` and `tlm import` write it, or a quantised ONNX graph.

    Raises:
        InputError: no such file, or not such a network; headed by the file.
    """
    path = Path(file)
    if path.suffix != ONNX:
        return load_network(path)
    try:
        stamp = os.stat(path)
    except OSError:
        raise InputError(f"{path}: does not exist") from None
    return _imported(str(path), stamp.st_mtime_ns, stamp.st_size)


@lru_cache(4)
def _imported(file: str, changed_ns: int, size_bytes: int) -> StoredNetwork:
    from tlm.exchange.onnx_reader import read_onnx

    found = read_onnx(file)
    return StoredNetwork(found.network, {"left_out": found.left_out, "coarser": found.coarser})


def settings_of(path: Path) -> dict[str, Any]:
    """The scenario that a network file stands for: this network with seeded activations of its kind."""
    stored = read_network(path)
    notes = []
    if path.suffix == ONNX:
        notes.append(f"imported; `tlm import {path.name}` compares it with onnxruntime")
    if left_out := stored.card.get("left_out"):
        notes.append(f"left to the host: {left_out}")
    if stored.card.get("coarser"):
        notes.append("some weights made coarser")
    return {
        "description": one_line("; ".join(notes)),
        "network": {"kind": "trained", "file": str(path)},
        "input": {"kind": "random", "signed": stored.network.signed_input},
    }
