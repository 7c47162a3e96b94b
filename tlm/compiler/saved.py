"""Programs in files.

The content is pickled, but reading it back makes nothing but this package's own data classes and enumerations and numpy
arrays, so a file cannot call what it likes. It is no sandbox all the same: read programs of people you trust.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tlm.compiler.program import Program
from tlm.core.errors import InputError
from tlm.core.files import whole_file

_HEAD = b"tlm.program/1\n"
"""The number grows when older files cannot be read any more."""

_PROTOCOL = 4
_FOREIGN = {
    ("numpy", "ndarray"), ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
}  # fmt: skip


def save_program(program: Program, path: str | Path) -> None:
    """Write a program; an older file is replaced when the new one is whole.

    Raises:
        InputError: it cannot be written there.
    """
    path = Path(path)
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(_HEAD + pickle.dumps(program, _PROTOCOL))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give another path") from None


def load_program(path: str | Path) -> Program:
    """Read a program that :func:`save_program` wrote.

    Raises:
        InputError: missing, no program, damaged, or of another version.
    """
    path = Path(path)
    remedy = "give a file that `tlm compile SCENARIO -o FILE` or tlm.save_program wrote"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    if not data.startswith(_HEAD):
        start = data[: len(_HEAD)].split(b"\n")[0]
        kind = "of another version" if start.startswith(b"tlm.program/") else "no compiled program"
        raise InputError(f"{path}: {kind} ({start!r} is not {_HEAD.strip().decode()!r}); {remedy}")
    try:
        program = _Unpickler(io.BytesIO(data[len(_HEAD) :])).load()
    except Exception as error:  # whatever damaged bytes make of the reader
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); {remedy}") from None
    if not isinstance(program, Program):
        raise InputError(f"{path}: holds a {type(program).__name__}; {remedy}")
    return program


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Data classes and enumerations where they are defined, and what an array needs; nothing else."""
        if (module, name) in _FOREIGN:
            return super().find_class(module, name)
        if module.startswith("tlm.") and "." not in name:
            found = super().find_class(module, name)
            data = isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum))
            if data and found.__module__ == module:  # what a module imports does not count as its own
                return found
        raise pickle.UnpicklingError(f"{module}.{name} does not belong into a program")
