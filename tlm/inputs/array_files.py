"""Arrays from .npy and .npz files that may come from anywhere: checked before anything is allocated for them.

numpy reads such files, too, but damaged ones make it raise errors of any kind, it allocates as much memory as a header
says, and it trusts the sizes and the compression that an archive states.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.core.input_files import MAX_FILE_BYTES, read_file

MAX_ARRAY_BYTES = MAX_FILE_BYTES
"""Most that the arrays of a file may hold together, unpacked."""

_NPY, _ZIPS = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END_BYTES = 22  # of the record behind the directory, which says how many entries there are
_ENCRYPTED = 1  # bit of a zip entry's flags
_KINDS = "biuf"  # truth values, integers, real numbers
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

Arrays = dict[str, npt.NDArray[Any]]


def read_arrays(path: Path) -> Arrays | npt.NDArray[Any]:
    """The array of a .npy file, or those of an .npz file by name.

    Raises:
        InputError: it cannot be read, is neither, is damaged, holds anything but numbers, or too many of them; headed
            by the path.
        FileNotFoundError: there is none.
    """
    data = read_file(path)
    try:
        if data.startswith(_NPY):
            return _array(data)
        if data.startswith(_ZIPS):
            return _archive(data)
        raise InputError("is no numpy file of plain numbers; write it with numpy.save or numpy.savez")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _archive(data: bytes) -> Arrays:
    arrays: Arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            end = len(data) - len(archive.comment) - _END_BYTES
            count = int.from_bytes(data[end + 10 : end + 12], "little")
            if not entries or count != len(entries):  # zipfile does not compare them
                raise InputError("is damaged (its directory is empty or not whole); write it anew with numpy")
            _check_entries(entries)
            for entry in entries:
                name = entry.filename.removesuffix(".npy")
                content = archive.read(entry)
                try:
                    arrays[name] = _array(content)
                except InputError as error:
                    raise InputError(f"array {name!r} {error}") from None
    except InputError:
        raise
    except Exception as error:
        # besides its own error zipfile lets through what unpacking, seeking and decoding names raise
        raise InputError(f"is damaged ({str(error) or type(error).__name__}); write it anew with numpy") from None
    return arrays


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    size_bytes = sum(entry.file_size for entry in entries)
    if size_bytes > MAX_ARRAY_BYTES:
        raise InputError(f"its arrays take {size_bytes:,} bytes; allowed: at most {MAX_ARRAY_BYTES:,}")
    names = set[str]()
    for entry in entries:
        name = entry.filename
        if not name.endswith(".npy") or name in names:
            raise InputError(f"holds {name!r}, which is no array or is there twice; write it with numpy.savez")
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _PACKED:
            raise InputError(f"array {name!r} is encrypted or packed in a way that numpy does not use; save it anew")
        names.add(name)


def _array(data: bytes) -> npt.NDArray[Any]:
    stream = io.BytesIO(data)
    try:
        shape, fortran_order, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
    except Exception as error:
        # numpy parses the header as Python's text: SyntaxError, TokenError, RecursionError, MemoryError, KeyError, ...
        raise InputError(f"has a damaged header ({type(error).__name__}); write it anew with numpy") from None
    if dtype.kind not in _KINDS:
        raise InputError(f"holds {dtype}, not plain numbers; save integers, e.g. with .astype(numpy.int8)")
    content = data[stream.tell() :]
    count = 1
    for side in shape:
        count *= side
    if min(shape, default=0) < 0 or len(content) != count * dtype.itemsize:
        raise InputError(
            f"has shape {shape} of {dtype}, which takes {count * dtype.itemsize:,} bytes, but {len(content):,} are "
            "there: it is damaged; write it anew with numpy"
        )
    try:
        array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C")
    except ValueError as error:  # more dimensions than numpy has
        raise InputError(f"has a damaged header ({error}); write it anew with numpy") from None
    return array
