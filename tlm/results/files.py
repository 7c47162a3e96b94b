"""Result files: written whole or not at all, and byte for byte the same in every run."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.core.files import prepare_place, temporary_path, whole_file

RESULT_NAME, EVALUATION_NAME, OUTPUTS_NAME = "result.json", "eval.json", "outputs.npz"

_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say: no clock is read
_UNIX = 3  # as the creating system, also on Windows


def check_writable(directory: Path, key: str, *names: str) -> Path:
    """Make a directory and prove, before any work is done, that files can be put there.

    Args:
        directory: made if it is not there.
        key: the option that named it, which heads messages.
        names: files that will be written or replaced.

    Raises:
        InputError: it cannot be made or written, or something else than a file has one of the names.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = temporary_path(directory / "probe")
        probe.touch()
        probe.unlink()
    except FileExistsError:
        raise InputError(f"{key}: {directory} is a file; give a directory") from None
    except OSError as error:
        raise InputError(f"{key}: {directory} cannot be written ({error.strerror}); give another directory") from None
    for name in names:
        prepare_place(directory / name, key)
    return directory


def check_writable_file(path: Path, key: str) -> Path:
    """Make the directory of a file and prove, before any work is done, that the file can be put there.

    Raises:
        InputError: the path is a directory, or see :func:`check_writable`; headed by ``key``.
    """
    if path.is_dir():
        raise InputError(f"{key}: {path} is a directory; give a file")
    check_writable(path.parent, key, path.name)
    return path


def write_result(
    directory: Path, text: str, tensors: Mapping[str, npt.NDArray[Any]], name: str = RESULT_NAME
) -> list[Path]:
    """Write a record and outputs.npz as a pair: whatever happens, a record never stands beside outputs of another run.

    Args:
        directory: an existing directory.
        text: from :func:`json_text` or :func:`tlm.results.result_json.result_json`.
        tensors: every layer's output by name.
        name: the record's file.
    """
    outputs, record = directory / OUTPUTS_NAME, directory / name
    with whole_file(record) as new_record, whole_file(outputs) as new_outputs:  # outputs take their place first
        new_outputs.write_bytes(npz_bytes(tensors))
        new_record.write_bytes(text.encode())
        record.unlink(missing_ok=True)
    return [record, outputs]


def json_text(record: Mapping[str, Any]) -> str:
    """A record as a file's text: keys in their order, so equal records give equal bytes.

    A file's name need not be Unicode, JSON must: what is not becomes ``?``.
    """
    packed = json.dumps(record, allow_nan=False)
    if "\\ud" in packed:  # half of a character, and perhaps the other half
        packed = json.dumps(json.loads(json.dumps(record, ensure_ascii=False).encode(errors="replace")))
    return msgspec.json.format(packed, indent=2) + "\n"  # json's own indentation is slow


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as CSV, the keys first; lists, tables and Booleans as JSON, nothing for None."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0] if rows else ())
    writer.writerows([json_unless(value, (str, int, float)) for value in row.values()] for row in rows)
    return text.getvalue()


def json_unless(value: Any, kinds: tuple[type, ...]) -> Any:
    """A value as JSON, but not one of these kinds, nor None; a Boolean is no number."""
    if value is None or (isinstance(value, kinds) and not isinstance(value, bool)):
        return value
    return json.dumps(value)


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """An .npz archive, uncompressed (a compressor's output depends on its version), little-endian, without dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            np.lib.format.write_array(content, plain, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _ZIP_DATE)
            entry.create_system = _UNIX
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content.getvalue())
    return buffer.getvalue()
