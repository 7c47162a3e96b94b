"""What the sections of a scenario file are made of: their base, and types of keys with bounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from tlm.core.errors import InputError

Shape: TypeAlias = tuple[int, int, int]

MAX_SEED = 2**63 - 1
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SEED)]
Size: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Share: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
# Pairs are tuple[X, ...] of length 2: msgspec 0.22 crashes in the garbage collector on `bounded int | tuple[X, X]`.
TWO = Meta(min_length=2, max_length=2)


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of all sections that come in several kinds."""


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
