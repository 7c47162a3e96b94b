"""What the sections of a scenario file are made of: their base, and types of keys with bounds."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Shape: TypeAlias = tuple[int, int, int]

MAX_SEED = 2**63 - 1
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SEED)]
Size: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Share: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
# Pairs are tuple[X, ...] of length 2: msgspec 0.22 crashes in the garbage collector on `bounded int | tuple[X, X]`.
TWO = Meta(min_length=2, max_length=2)


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of all sections that come in several kinds."""
