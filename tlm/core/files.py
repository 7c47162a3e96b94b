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
