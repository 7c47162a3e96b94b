"""The engine's contract: what every model of the engine is to the rest of the system.

Sockets: ``registers`` is what the host writes and reads, ``interrupt`` goes to the host, and each SRAM has a port for
each DMA channel (``ports``). Inside, a model is free.

Events: a model says what happens in it through ``events``, each in the cycle in which it happens. Whoever counts,
accounts, draws or checks listens to these and never looks inside, so another model needs no other observers. The
accesses of the DMA are told as well, since the SRAMs grant or refuse them. A model may tell many accesses in one
event: its own for a layer before the layer ends, refusals of a pass at the latest with its last write.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tlm.chip.format.driver import SramName
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.format.registers import UnitFaultError
from tlm.chip.payloads import InterruptPayload, Work
from tlm.core.emitter import Emitter
from tlm.core.module import Module
from tlm.core.payload import Cause, MemoryPayload
from tlm.core.sockets import InitiatorSocket, TargetSocket


class Port(enum.StrEnum):
    """Who accesses an SRAM."""

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


class PassId(NamedTuple):
    """Which pass."""

    tag: int
    """Of its layer, as the layer's header says."""
    pass_index: int
    """group * tiles + tile."""


def pass_id(cause: Cause | None) -> PassId:
    """The pass that a transaction belongs to."""
    assert cause is not None
    of_pass, layer = cause.find(Work.PASS), cause.find(Work.LAYER)
    assert of_pass is not None
    assert layer is not None
    return PassId(layer.index, of_pass.index)


class PassStarted(NamedTuple):
    """A pass's first sequencer cycle s."""

    of_pass: PassId
    group: int
    tile: int
    pixels: int
    """Real output pixels of the tile."""
    channels: int
    """Real output channels of the group."""


class PassFetched(NamedTuple):
    """A pass's last sequencer cycle e: what its steps took."""

    started: PassStarted
    first_cycle: int
    """s."""
    steps: int
    fetch_cycles: int
    """Cycles in which words were fetched for a step; more than the steps where words share a bank."""


class Accessed(NamedTuple):
    """Accesses of one initiator to one SRAM."""

    sram: SramName
    port: Port
    words: Sequence[int]
    """Accesses that each bank served, bank 0 first."""
    refused: int
    """Accesses that a bank refused because it served another."""
    of_pass: PassId | None
    """Of write-back and residual reads: the pass that they belong to."""


class EngineEvents:
    """What happens in an engine."""

    def __init__(self) -> None:
        self.program_started: Emitter[int] = Emitter()
        """The IMem word at which a program starts, in its first cycle."""
        self.program_ended: Emitter[UnitFaultError | None] = Emitter()
        """In the cycle of the interrupt: why the engine stopped early, or None."""
        self.layer_started: Emitter[LayerHeader] = Emitter()
        """In the cycle behind its last header word."""
        self.layer_ended: Emitter[int] = Emitter()
        """The tag of the layer, in the cycle behind its last write."""
        self.pass_started: Emitter[PassStarted] = Emitter()
        self.pass_fetched: Emitter[PassFetched] = Emitter()
        self.pass_handed_over: Emitter[PassId] = Emitter()
        """In the cycle h in which the requantiser takes its accumulators over."""
        self.pass_written: Emitter[PassId] = Emitter()
        """In the cycle of its last write."""
        self.accessed: Emitter[Accessed] = Emitter()


class DmaPorts(NamedTuple):
    """The ports of an SRAM for the DMA; addresses count words."""

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
        """The DMA's ports, of each SRAM."""
