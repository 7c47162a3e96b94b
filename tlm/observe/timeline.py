"""The timeline of a run: the activities of host, DMA channels and engine. Pictures and traces are drawn from it.

Times are core clock cycles from the first host access; both ends of a span are inclusive. If a run fails, its open
spans end with its last cycle.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class HostSpan(Struct, frozen=True):
    """What the host did."""

    state: str
    """"run": accesses registers; "sleep": waits for an interrupt."""
    waits_for: str | None
    """The unit that it has to wait for ("load", "store", "engine"), if any."""
    first_cycle: int
    last_cycle: int


class TransferSpan(Struct, frozen=True):
    """A transfer of a DMA channel, from the cycle after START to the one before its interrupt."""

    channel: str
    """"load" or "store"."""
    index: int
    """Which one of its channel."""
    label: str
    sram: str
    """"amem", "wmem" or "imem"."""
    first_cycle: int
    last_cycle: int
    moved_bytes: int
    part_bytes: Mapping[int, int]
    """Tag -> bytes: the parts that a load is for, or the one whose output a store moves; as compiled."""


class PartSpan(Struct, frozen=True):
    """A part of a layer on the engine, s_0 to the last write."""

    tag: int
    name: str
    """The layer's name, with the part's number if the layer is split."""
    layer: str
    first_cycle: int
    last_cycle: int


class EngineSpan(Struct, frozen=True):
    """A program of the engine, from the cycle after START to END."""

    first_cycle: int
    last_cycle: int


class DramWaitSpan(Struct, frozen=True):
    """The host slept until a load or store was done, and that stood still for a reason of the DRAM."""

    cause: str
    """A cause of the account: "refresh" or "row"."""
    first_cycle: int
    last_cycle: int


class Timeline(Struct, frozen=True, kw_only=True):
    """Each kind in the order of time."""

    host: tuple[HostSpan, ...] = ()
    transfers: tuple[TransferSpan, ...] = ()
    programs: tuple[EngineSpan, ...] = ()
    parts: tuple[PartSpan, ...] = ()
    dram_waits: tuple[DramWaitSpan, ...] | None = None
    """None without DRAM."""
