"""Files that are written whole or not at all; here because every layer that writes one may import it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tlm.core.errors import InputError


def temporary_path(path: Path) -> Path:
    """A hidden name beside ``path`` under which this process can write what is to take its place."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def prepare_place(path: Path, key: str = "") -> None:
    """Prove that a file can take the place of what is there, and clear what killed processes have left of theirs.

    Args:
        path: where the file will be.
        key: the option or argument that named it, for messages.

    Raises:
        InputError: what is there now is no file that could be replaced.
    """
    if path.exists() and not path.is_file():
        head = f"{key}: {path}" if key else f"{path}:"
        raise InputError(f"{head} is not a regular file, so it cannot be replaced; give the path of a file to write")
    left = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.part(\.fst)?")
    with suppress(OSError):
        for name in os.listdir(path.parent):
            found = left.fullmatch(name)
            if found and not _runs(int(found[1])):
                (path.parent / name).unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def unwritable(what: str, error: OSError) -> InputError:
    """What to tell the user when the system refuses to write a file."""
    return InputError(
        f"{what} cannot be written ({error.strerror or error}); "
        "give a path in an existing directory that is writable and has room"
    )


class PendingFile:
    """A file that grows while work goes on and takes its place when it ends, whichever way that is.

    Args:
        path: where it will be; an older file is replaced.
        key: the option or argument that named it, for messages.

    Raises:
        InputError: what is there now is no file that could be replaced.
    """

    def __init__(self, path: Path, key: str) -> None:
        prepare_place(path, key)
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
        return unwritable(f"{self._key}: {self._path}", error)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not.

    Raises:
        InputError: what is there is no file, or the system refused to write this one.
    """
    temporary = temporary_path(path)
    try:
        prepare_place(path)
        yield temporary
        if temporary.exists():
            os.replace(temporary, path)
    except OSError as error:
        if error.filename not in (None, str(temporary), temporary, str(path), path):
            raise  # of another file, which the block has read
        raise unwritable(f"{path}:", error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
