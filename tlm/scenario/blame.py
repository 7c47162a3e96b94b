"""Which key or option is to blame for a complaint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tlm.core.errors import InputError


@contextmanager
def blaming(key: str) -> Iterator[None]:
    """Complaints within the block are headed by the key, or the option, that is to blame."""
    try:
        yield
    except FileNotFoundError as error:
        name = error.filename
        raise InputError(f"{key}: {name} does not exist; a path in a scenario file is relative to that file") from None
    except InputError as error:
        raise InputError(f"{key}: {error}") from None
