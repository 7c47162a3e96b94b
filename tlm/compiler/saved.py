"""Programs in files.

A file holds the network, the chip, and the results of the compiler's search (:class:`tlm.compiler.program.Choices`).
The reader compiles the rest again. So a file can say nothing that the compiler would not: layers and chip are checked
like any caller's, places in AMem like the compiler's own.

The first line is the version. The length of the content (8 bytes), its SHA-256, and the content in MessagePack follow.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import DramConfig
from tlm.compiler.compile import rebuild
from tlm.compiler.program import Choices, Program
from tlm.core.arguments import expect
from tlm.core.errors import InputError, TlmError
from tlm.core.files import whole_file
from tlm.network.layers import Conv2d, Layer, MaxPool2d
from tlm.network.network import Network

_KIND = b"tlm.program/"
_HEAD = _KIND + b"3\n"
"""The number grows when older files cannot be read any more."""

_SIZED = struct.Struct(">Q32s")
"""Length and SHA-256 of the content."""

_REMEDY = "give a file that `tlm compile SCENARIO -o FILE` or tlm.save_program wrote"
_KINDS = {"Conv2d": Conv2d, "MaxPool2d": MaxPool2d}
_ARRAYS: dict[int, tuple[type[np.generic], int]] = {1: (np.int8, 4), 2: (np.int64, 1)}
"""Code -> type and dimensions of an array: weights; bias, multiplier, shift."""


class _Layer(msgspec.Struct, forbid_unknown_fields=True):
    """What a layer is made of."""

    kind: Literal["Conv2d", "MaxPool2d"]
    arguments: dict[str, Any]


class _Content(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a file holds."""

    input_shape: tuple[int, int, int]
    signed_input: bool
    layers: tuple[_Layer, ...]
    chip: dict[str, Any]
    choices: Choices
    made: bytes
    """Digest of all that followed from it, so that another version of the compiler cannot make something else of it."""
    batch: Annotated[int, msgspec.Meta(ge=1)] = 1


def save_program(program: Program, path: str | Path) -> None:
    """Write a program; an older file is replaced when the new one is whole.

    Raises:
        InputError: it cannot be written there.
    """
    expect("program", program, Program)
    expect("path", path, (str, Path))
    path, network = Path(path), program.network
    content = msgspec.msgpack.encode(
        _Content(
            network.input_shape, network.signed_input, tuple(map(_described, network.layers)),
            program.config.plain(),
            program.choices, _made(program), program.batch,
        ),
        enc_hook=_encoded,
    )  # fmt: skip
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(_HEAD + _SIZED.pack(len(content), hashlib.sha256(content).digest()) + content)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({_reason(error)}); give another path") from None


def load_program(path: str | Path) -> Program:
    """Read a program that :func:`save_program` wrote.

    Raises:
        InputError: missing, no program, damaged, or of another version.
    """
    expect("path", path, (str, Path))
    path = Path(path)
    content = _read(path)
    try:
        found = msgspec.msgpack.decode(content, type=_Content, ext_hook=_array)
        layers = [_KINDS[layer.kind](**layer.arguments) for layer in found.layers]
        network = Network(found.input_shape, layers, found.signed_input)
        program = rebuild(network, _chip(found.chip), found.choices, found.batch)
        made = _made(program)
    except Exception as error:  # whatever a file that nobody saved makes of them
        reason = str(error) if isinstance(error, TlmError) else f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: describes no program ({reason}); {_REMEDY}") from None
    if made != found.made:
        raise InputError(f"{path}: another version of the compiler made it; compile it again")
    return program


def is_program(path: Path) -> bool:
    """Whether a file begins as a program of any version; what cannot be read is none."""
    try:
        if not path.is_file():  # a pipe could block for ever
            return False
        with path.open("rb") as file:
            return file.read(len(_KIND)) == _KIND
    except (OSError, ValueError):
        return False


def _chip(keys: dict[str, Any]) -> ChipConfig:
    dram = {"dram": DramConfig(**keys["dram"])} if "dram" in keys else {}
    return ChipConfig(**{**keys, **dram})


def _read(path: Path) -> bytes:
    """The content, as long and with the digest that the file says."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file; {_REMEDY}")
        with path.open("rb") as file:
            head = file.read(len(_HEAD))
            if head != _HEAD:
                start = head.split(b"\n")[0]
                if start.startswith(_KIND):
                    raise InputError(f"{path}: of another version ({start!r}, not {_HEAD.strip()!r}); compile it again")
                raise InputError(f"{path}: no compiled program (begins with {start!r}); {_REMEDY}")
            sized, content = file.read(_SIZED.size), file.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)}); {_REMEDY}") from None
    if sized != _SIZED.pack(len(content), hashlib.sha256(content).digest()):
        raise InputError(f"{path}: damaged (its length or its checksum differs); {_REMEDY}")
    return content


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _made(program: Program) -> bytes:
    """Digest of what a compilation makes."""
    made = (program.parts, program.jobs, program.loads, program.stores, program.steps, program.chunks, program.tensors,
            program.places, program.predicted_total_cycles)  # fmt: skip
    return hashlib.sha256(msgspec.msgpack.encode(made)).digest()


def _described(layer: Layer) -> _Layer:
    pads = layer.pads
    arguments = {item.name: getattr(layer, item.name) for item in fields(layer) if item.init}
    return _Layer(type(layer).__name__, arguments | {"padding": ((pads.top, pads.bottom), (pads.left, pads.right))})  # type: ignore[arg-type]


def _encoded(value: object) -> object:
    """An array with its shape before its bytes; a number of numpy as Python's."""
    if isinstance(value, np.ndarray):
        code = next(code for code, kind in _ARRAYS.items() if (value.dtype, value.ndim) == kind)
        kind = np.dtype(_ARRAYS[code][0]).newbyteorder("<")
        return msgspec.msgpack.Ext(code, struct.pack(f"<{value.ndim}Q", *value.shape) + value.astype(kind).tobytes())
    assert isinstance(value, np.generic)
    return value.item()


def _array(code: int, data: memoryview) -> Any:
    if code not in _ARRAYS:
        raise ValueError(f"arrays of kind {code}")
    kind, dimensions = np.dtype(_ARRAYS[code][0]).newbyteorder("<"), _ARRAYS[code][1]
    shape = struct.unpack_from(f"<{dimensions}Q", data)
    values = data[8 * dimensions :]
    if math.prod(shape) * kind.itemsize != len(values):
        raise ValueError(f"an array of shape {shape} in {len(values)} bytes")
    return np.frombuffer(values, kind).reshape(shape)
