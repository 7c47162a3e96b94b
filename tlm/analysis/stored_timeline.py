"""The timeline and the energy of a result.json, as pictures need them (docs/result.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Cycle = Annotated[int, Meta(ge=0)]
Bytes = Annotated[int, Meta(ge=0)]
Picojoules = Annotated[float, Meta(ge=0.0)]

Channel = Literal["load", "store"]


class StoredSpan(Struct, frozen=True, kw_only=True):
    """Moments of core clock cycles; both ends belong to it."""

    first_cycle: Cycle
    last_cycle: Cycle

    @property
    def end_cycle(self) -> int:
        """The first cycle behind it."""
        return self.last_cycle + 1


class StoredHostSpan(StoredSpan, frozen=True, kw_only=True):
    """What the host did."""

    state: Literal["run", "sleep"]
    waits_for: Literal["load", "store", "engine"] | None


class StoredTransfer(StoredSpan, frozen=True, kw_only=True):
    """A transfer of a DMA channel."""

    channel: Channel
    sram: Literal["amem", "wmem", "imem"]
    moved_bytes: Bytes
    part_bytes: dict[str, Bytes]
    """Name of a part -> bytes that were moved for it."""


class StoredPart(StoredSpan, frozen=True, kw_only=True):
    """A part of a layer on the engine."""

    name: str
    layer: str


class StoredTimeline(Struct, frozen=True, kw_only=True):
    """When host, DMA channels and engine did what; each kind in the order of time."""

    host: list[StoredHostSpan]
    transfers: list[StoredTransfer]
    programs: list[StoredSpan]
    parts: list[StoredPart]


class StoredEnergy(Struct, frozen=True, kw_only=True):
    """Energy of a layer or of a run [A]; without off-chip memory unless it is named."""

    total_pj: Picojoules
    components_pj: dict[str, Picojoules]
    off_chip_pj: Picojoules


class StoredRunEnergy(StoredEnergy, frozen=True, kw_only=True):
    """Energy of a run."""

    outside_layers_pj: Picojoules
    outside_layers_off_chip_pj: Picojoules
