"""Files that are written completely or not at all; in ``core``, so that every layer may import it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tlm.core.errors import InputError


def temporary_path(path: Path) -> Path:
    """A hidden path beside ``path``, where this process writes the file that will replace it."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def prepare_place(path: Path, key: str = "") -> None:
    """Check that a file can be written to ``path``, and remove temporary files that killed processes left there.

    Args:
        path: where the file will be.
        key: the option or argument that named it, for messages.

    Raises:
        InputError: ``path`` exists and is not a regular file.
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
    except PermissionError:  # another user's process
        pass
    return True


def unwritable(what: str, error: OSError) -> InputError:
    """The error to raise when the system refuses to write a file."""
    return InputError(
        f"{what} cannot be written ({error.strerror or error}); "
        "give a path in an existing directory that is writable and has room"
    )


class PendingFile:
    """A file that grows during a run and replaces its target at the end, even if the run fails.

    Args:
        path: the target; an older file is replaced.
        key: the option or argument that named it, for messages.

    Raises:
        InputError: ``path`` exists and is not a regular file.
    """

    def __init__(self, path: Path, key: str) -> None:
        prepare_place(path, key)
        self._path = path
        self._key = key
        self.temporary = temporary_path(path)
        """The path to write to until then."""

    def take_place(self) -> None:
        """Move the file to its target. Raises OSError."""
        os.replace(self.temporary, self._path)

    def discard(self) -> None:
        """Remove the temporary file, if it still exists."""
        with suppress(OSError):
            self.temporary.unlink()

    def refusal(self, error: OSError) -> InputError:
        """The error to raise when the system refuses to write it."""
        return unwritable(f"{self._key}: {self._path}", error)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``: it replaces ``path`` if the block succeeds, and is removed if the block raises.

    Raises:
        InputError: ``path`` is not a regular file, or the system refused to write it.
    """
    temporary = temporary_path(path)
    try:
        prepare_place(path)
        yield temporary
        if temporary.exists():
            os.replace(temporary, path)
    except OSError as error:
        if error.filename not in (None, str(temporary), temporary, str(path), path):
            raise  # another file, which the block has read
        raise unwritable(f"{path}:", error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
