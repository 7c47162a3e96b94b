"""Reading of files that a user names; in ``core``, so that every layer may import it."""

from __future__ import annotations

from pathlib import Path

from tlm.core.errors import InputError

MAX_FILE_BYTES = 2**30
"""Size limit of any file that is read."""


def read_file(path: Path, most_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The content of a regular file. Pipes and devices are refused, because they could block for ever.

    Raises:
        InputError: it is no regular file, too large, or cannot be read; the message starts with the path.
        FileNotFoundError: it does not exist; the caller knows the remedy.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a directory fails by itself
            raise InputError(f"{path}: cannot be read (it is a pipe, a device or a socket); give a regular file")
        with path.open("rb") as stream:
            size_bytes = path.stat().st_size
            if size_bytes > most_bytes:
                raise InputError(f"{path}: holds {size_bytes:,} bytes; allowed: at most {most_bytes:,}")
            return stream.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError:
        raise InputError(f"{path}: cannot be read (its path holds a zero byte); check the path") from None


def read_text(path: Path, most_bytes: int = MAX_FILE_BYTES) -> str:
    """The content of a UTF-8 text file, with or without a byte order mark; line ends become ``\\n``.

    Raises:
        InputError: as in :func:`read_file`, or it is not UTF-8 text.
        FileNotFoundError: it does not exist.
    """
    data = read_file(path, most_bytes)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: begins with the byte order mark of UTF-16; save the file as UTF-8")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
