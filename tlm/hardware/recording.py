"""What happens on the engine's ports in a run, cycle by cycle: a testbench's stimulus and what it has to find.

The run is made in fidelity "cycle", whose engine shares nothing with the circuit. Everything is heard at sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy.typing as npt

from tlm.chip.cycle.engine import CycleEngine
from tlm.chip.fidelity import Fidelity
from tlm.chip.format.driver import SramName
from tlm.compiler.program import Program
from tlm.core.errors import DriverError
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.faults import BitFlip
from tlm.observe.watched import Watched
from tlm.runs.simulate import Observer, simulate


class RegisterAccess(NamedTuple):
    """The host writes or reads a register, and is answered in the same cycle."""

    cycle: int
    write: bool
    answer: Response
    offset_bytes: int
    data: int
    """Written, or found."""


class WordAccess(NamedTuple):
    """A DMA channel asks to write (load channel) or read (store channel) an SRAM word."""

    cycle: int
    sram: SramName
    load: bool
    granted: bool
    word: int
    data: int
    """Written, or found if the access was granted."""


class Interrupt(NamedTuple):
    """The engine raises its interrupt."""

    cycle: int


Event = RegisterAccess | WordAccess | Interrupt


class Recording:
    """Events in the order of their cycles, and what the SRAMs hold at the end.

    Args:
        watched: a run that has not started, in fidelity "cycle".
    """

    def __init__(self, watched: Watched) -> None:
        self.events: list[Event] = []
        self.contents: dict[SramName, dict[int, int]] = {sram: {} for sram in SramName}
        """Word -> data of every word that was written."""
        system = watched.system
        self._clock = system.simulation.clock
        assert isinstance(system.engine, CycleEngine)
        _listen(system.interconnect.targets["engine"], self._register)
        _listen(system.engine.interrupt, lambda _: self.events.append(Interrupt(self._clock.now)))
        _listen(system.engine.requantiser.writes, partial(self._written, SramName.AMEM))
        for sram in SramName:
            for channel, load in ((system.dma.load, True), (system.dma.store, False)):
                _listen(channel.srams[sram], partial(self._word, sram, load))

    def _register(self, payload: MemoryPayload) -> None:
        write = payload.command is Command.WRITE
        event = RegisterAccess(self._clock.now, write, payload.status, payload.address, _number(payload))
        self.events.append(event)

    def _word(self, sram: SramName, load: bool, payload: MemoryPayload) -> None:
        granted = payload.status is Response.OK
        data = _number(payload) if load or granted else 0
        self.events.append(WordAccess(self._clock.now, sram, load, granted, payload.address, data))
        if load:
            self._written(sram, payload)

    def _written(self, sram: SramName, payload: MemoryPayload) -> None:
        if payload.status is Response.OK:
            self.contents[sram][payload.address] = _number(payload)

    def read_back(self, first_cycle: int) -> Iterator[WordAccess]:
        """Reads of every word that was written, a word of each SRAM in a cycle."""
        for sram, words in self.contents.items():
            for cycle, (word, data) in enumerate(sorted(words.items()), first_cycle):
                yield WordAccess(cycle, sram, load=False, granted=True, word=word, data=data)


def _listen(socket: InitiatorSocket[Any], heard: Callable[[Any], None]) -> None:
    socket.observe(lambda phase, socket, payload: heard(payload), (Phase.END_RESP,))


def _number(payload: MemoryPayload) -> int:
    return int.from_bytes(payload.data, "little")


def record(program: Program, activations: npt.ArrayLike, faults: Sequence[BitFlip] = ()) -> Recording:
    """Run a program and record it, up to the driver's end or to the error that stops the driver.

    Args:
        program: compiled.
        activations: int array (C, H, W), the network's input.
        faults: bits of the off-chip memory to flip; those of SRAMs would flip unseen.

    Raises:
        SimulationError: the engine did what no register shows, such as reading a word that nobody has written.
    """
    recordings: list[Recording] = []
    own: Observer = lambda watched: recordings.append(Recording(watched))  # noqa: E731
    with suppress(DriverError):  # the host has read what went wrong, and so will the testbench
        simulate(program, activations, fidelity=Fidelity.CYCLE.value, faults=faults, observers=[own])
    return recordings[0]
