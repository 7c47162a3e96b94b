"""Files that are written whole or not at all; here because every layer that writes one may import it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tlm.core.errors import InputError


def temporary_path(path: Path) -> Path:
    """A hidden name beside ``path`` under which this process can write what is to take its place."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


class PendingFile:
    """A file that grows while work goes on and takes its place when it ends, whichever way that is.

    Args:
        path: where it will be; an older file is replaced.
        key: the option or argument that named it, for messages.

    Raises:
        InputError: what is there now is no file that could be replaced.
    """

    def __init__(self, path: Path, key: str) -> None:
        if path.exists() and not path.is_file():
            raise InputError(f"{key}: {path} is not a regular file; give the path of a file to write")
        self._path = path
        self._key = key
        self.temporary = temporary_path(path)
        """Where it grows."""

    def take_place(self) -> None:
        """Put what has grown in its place. Raises OSError."""
        os.replace(self.temporary, self._path)

    def discard(self) -> None:
        """Remove what has not taken its place."""
        with suppress(OSError):
            self.temporary.unlink()

    def refusal(self, error: OSError) -> InputError:
        """What to tell the user when the system refuses."""
        return InputError(
            f"{self._key}: {self._path} cannot be written ({error.strerror}); "
            "give a path in an existing directory that is writable and has room"
        )


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not."""
    temporary = temporary_path(path)
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file, so it cannot be replaced; give another name")
        yield temporary
        if temporary.exists():
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()
