"""The engine's contract: the interface of every model of the engine to the rest of the system.

Sockets: the host writes and reads ``registers``, ``interrupt`` goes to the host, and each SRAM has a port for each DMA
channel (``ports``). A model is free in everything inside.

Events: a model emits ``events``, each in the cycle in which it happens. Observers listen to these and never look
inside, so a new model needs no new observers. The events include the DMA's accesses, because the SRAMs grant or
refuse them. One event may stand for many accesses: the engine's own accesses of a layer come before the layer ends,
and refusals of a pass come at the latest with its last write. Who reads counts before then emits ``counts_wanted``.
A model that does not make passes one by one emits ``layer_timed`` instead of their events.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from tlm.chip.format.driver import SramName
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.format.registers import UnitFaultError
from tlm.chip.payloads import InterruptPayload, Work
from tlm.core.emitter import Emitter
from tlm.core.module import Module
from tlm.core.payload import MemoryPayload, Origin
from tlm.core.sockets import InitiatorSocket, TargetSocket


class Port(enum.StrEnum):
    """The initiators of SRAM accesses."""

    ALIGNER = "aligner"
    WRITE_BACK = "write_back"
    RESIDUAL = "residual"
    FETCH = "fetch"
    DMA_LOAD = "dma_load"
    DMA_STORE = "dma_store"


_FETCHED = (Port.FETCH, Port.DMA_LOAD, Port.DMA_STORE)
PORTS: Mapping[SramName, tuple[Port, ...]] = {
    SramName.AMEM: (Port.ALIGNER, Port.WRITE_BACK, Port.RESIDUAL, Port.DMA_LOAD, Port.DMA_STORE),
    SramName.WMEM: _FETCHED,
    SramName.IMEM: _FETCHED,
}
"""Ports of each SRAM, highest priority first (engine.md, Banks); of the DMA's channels the load comes first [A]."""


_PASS, _LAYER = Work.PASS, Work.LAYER  # Python 3.11 is slow to find a member in an Enum's class


class PassId(Struct, frozen=True):
    """Identifies a pass within a run."""

    tag: int
    """The tag in the layer's header."""
    pass_index: int
    """group * tiles + tile."""


def pass_id(origin: Origin | None) -> PassId:
    """The pass that a transaction belongs to, from its origin."""
    assert origin is not None
    of_pass, layer = origin.find(_PASS), origin.find(_LAYER)
    assert of_pass is not None
    assert layer is not None
    return PassId(layer.index, of_pass.index)


class PassStarted(Struct, frozen=True):
    """A pass's first sequencer cycle s."""

    of_pass: PassId
    group: int
    tile: int
    pixels: int
    """Real output pixels of the tile."""
    channels: int
    """Real output channels of the group."""


class PassFetched(Struct, frozen=True):
    """A pass has reached its last sequencer cycle e, so the cycles of its steps are known."""

    started: PassStarted
    first_cycle: int
    """s, its first sequencer cycle."""
    steps: int
    fetch_cycles: int
    """Cycles in which words were fetched for a step; more than the steps if words share a bank."""


class Accessed(Struct, frozen=True):
    """Accesses of one initiator to one SRAM."""

    sram: SramName
    port: Port
    words: Sequence[int]
    """Accesses that each bank served, bank 0 first."""
    refused: int
    """Accesses that a bank refused because it served another initiator."""
    of_pass: PassId | None
    """The pass of a write-back or a residual read; None for other accesses."""


class PassTimes(Struct, frozen=True):
    """When a pass happens, in cycles since the first host access, and how much it does."""

    first_cycle: int
    """s, its first sequencer cycle."""
    last_fetch_cycle: int
    """e, its last sequencer cycle."""
    handover_cycle: int
    """h, when the requantiser takes its accumulators."""
    last_write_cycle: int
    steps: int
    fetch_cycles: int
    refused_writes: int
    refused_residual_reads: int


class LayerTimed(Struct, frozen=True):
    """All passes of a layer at once, group by group, from an engine that does not make them one by one."""

    header: LayerHeader
    pixels_of_tiles: Sequence[int]
    channels_of_groups: Sequence[int]
    times: Sequence[PassTimes]
    accesses: Sequence[Accessed]
    """Those of all passes together that no SRAM tells of, because no values move."""


class EngineEvents:
    """The events of an engine, one emitter for each kind."""

    def __init__(self) -> None:
        self.program_started: Emitter[int] = Emitter()
        """A program starts; the event is its first IMem word, in the program's first cycle."""
        self.program_ended: Emitter[UnitFaultError | None] = Emitter()
        """A program has ended; the event is the error that stopped it, or None, in the cycle of the interrupt."""
        self.layer_started: Emitter[LayerHeader] = Emitter()
        """A layer starts, in the cycle after its last header word."""
        self.layer_ended: Emitter[int] = Emitter()
        """A layer has ended; the event is its tag, in the cycle after its last write."""
        self.pass_started: Emitter[PassStarted] = Emitter()
        self.pass_fetched: Emitter[PassFetched] = Emitter()
        self.pass_handed_over: Emitter[PassId] = Emitter()
        """The requantiser takes over a pass's accumulators, in cycle h."""
        self.pass_written: Emitter[PassId] = Emitter()
        """A pass's output is written, in the cycle of its last write."""
        self.accessed: Emitter[Accessed] = Emitter()
        self.counts_wanted: Emitter[None] = Emitter()
        """Emitted by an observer that reads counts now: a model that holds accesses back tells of them."""
        self.layer_timed: Emitter[LayerTimed] = Emitter()
        """Instead of all other events of a layer's passes, in the cycle of its last write."""


class DmaPorts(NamedTuple):
    """The DMA's ports of an SRAM; addresses count words."""

    load: TargetSocket[MemoryPayload]
    store: TargetSocket[MemoryPayload]


class Engine(Module, ABC):
    """Base of every model."""

    def __init__(self, name: str, parent: Module) -> None:
        super().__init__(name, parent)
        self.events = EngineEvents()

    @property
    @abstractmethod
    def registers(self) -> TargetSocket[MemoryPayload]:
        """The engine's register block (:mod:`tlm.chip.format.registers`)."""

    @property
    @abstractmethod
    def interrupt(self) -> InitiatorSocket[InterruptPayload]:
        """Raised when a program has ended or failed."""

    @property
    @abstractmethod
    def ports(self) -> Mapping[SramName, DmaPorts]:
        """The DMA's ports of each SRAM."""

    @abstractmethod
    def written(self, sram: SramName, address: int) -> bool:
        """Whether a word was ever written; for inspection, like the ports' debug transport."""
