"""The off-chip DRAM behind its controller: every command an observable transaction.

Request flow: bursts of bus beats arrive at ``port``; each command that the controller issues is a transaction of
``commands``. Which command is issued when is worked out in C (kernels/dram.h), as in the other fidelities.
Timing: docs/memory.md. A burst's accesses enter the queue in its cycle of arrival, a write's after its last beat.
Beats of reads are served in order of arrival, one a cycle; beats of writes are taken one a cycle, and the last one is
answered when the burst's data have crossed the DRAM's bus, in order, too.
Constraints: beats are aligned to the bus width; reading a beat that was never written is an error. While no burst is
under way, refreshes are issued later than they happen: when the next burst arrives. Their payloads say when it was.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct
from simpy import Event

from tlm.chip.base.memory import Memory
from tlm.chip.config import ChipConfig
from tlm.chip.kernels.dram import Dram, IssuedCommand
from tlm.chip.payloads import DramCommandPayload
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK, READ, WRITE, Command, MemoryPayload, Origin
from tlm.core.sockets import InitiatorSocket, TargetSocket

_PLAY_SLOT = 8
"""Behind every slot of the interconnect: all that arrives in a cycle has arrived."""


class _Burst(Struct, eq=False):
    """A burst under way."""

    origin: Origin | None
    beats: int
    left: int
    """Beats that have not ended."""
    first_cycle: int
    """In which its first beat is taken, if it writes."""
    waiting: Event
    """For the next beat of a read, or the answer to a write."""


class DramMemory(Memory):
    """``config.memory_bytes`` bytes, addressed from 0.

    Args:
        name: of the module.
        parent: the system.
        config: for sizes.
        dram: the banks and their controller.
    """

    def __init__(self, name: str, parent: Module, config: ChipConfig, dram: Dram) -> None:
        super().__init__(name, parent, config)
        self._dram = dram
        self._open: dict[Command, deque[_Burst]] = {command: deque() for command in Command}
        """Bursts that are not finished, in order of arrival."""
        self._finished = dict.fromkeys(Command, 0)
        self._taking: deque[_Burst] = deque()
        """Writes of which not every beat has been taken."""
        self._arrived = Event(self.clock.env)
        self.commands = InitiatorSocket(self, "commands", DramCommandPayload)
        self.device = TargetSocket(self, "device", DramCommandPayload, _accept)
        self.commands.bind(self.device)
        self.add_process(self._control)

    def wait_for_beat(self, payload: MemoryPayload, beat: int, beats: int) -> Activity:
        """Until the beat is read or taken, of a write's last one until the answer."""
        if beat == 0:
            self._arrive(payload, beats)
        yield from self._take(beat) if payload.command is WRITE else self._read(beat)

    def _arrive(self, payload: MemoryPayload, beats: int) -> None:
        is_write = payload.command is WRITE
        first_cycle = self._dram.request(self.clock.now, payload.address, beats, is_write)
        origin = payload.origin and payload.origin.parent
        burst = _Burst(origin, beats, beats, first_cycle, Event(self.clock.env))
        self._open[payload.command].append(burst)
        if is_write:
            self._taking.append(burst)
        self.busy.value = True
        if not self._arrived.triggered:
            self._arrived.succeed()

    def _take(self, beat: int) -> Activity:
        """A beat of a write; its last one waits for the answer."""
        burst = self._taking[0] if beat else self._taking[-1]
        wait_cycles = burst.first_cycle + beat - self.clock.now
        if wait_cycles > 0:
            yield self.clock.cycles(wait_cycles)
        if beat == burst.beats - 1:
            self._taking.popleft()
            yield burst.waiting

    def _read(self, beat: int) -> Activity:
        """A beat of a read: the first of the youngest burst, or a further one of the oldest."""
        burst = self._open[READ][0 if beat else -1]
        yield burst.waiting

    def _control(self) -> Activity:
        """Issue the commands, and end beats, in the cycles that C has found."""
        while True:
            if self._arrived.triggered:
                self._arrived = Event(self.clock.env)
            if not any(self._open.values()):
                self.busy.value = False
                yield self._arrived
                continue
            wait_cycles = self._dram.next_cycle() - self.clock.now
            if wait_cycles > 0:
                yield self.clock.cycles(wait_cycles) | self._arrived
                continue
            yield self.clock.slot(_PLAY_SLOT)
            while command := self._dram.step(self.clock.now):
                yield from self.commands.b_transport(DramCommandPayload(command, origin=self._origin(command)))
            for direction in Command:
                self._end(direction)

    def _origin(self, command: IssuedCommand) -> Origin | None:
        if command.burst is None:
            return None
        direction = WRITE if command.is_write else READ
        return self._open[direction][command.burst - self._finished[direction]].origin

    def _end(self, direction: Command) -> None:
        """What ends in this cycle: a beat of a read, or a write."""
        beats = self._dram.serve(self.clock.now, direction is WRITE)
        if not beats:
            return
        burst = self._open[direction][0]
        burst.waiting.succeed()
        burst.left -= beats
        if burst.left:
            burst.waiting = Event(self.clock.env)
        else:
            self._open[direction].popleft()
            self._finished[direction] += 1


def _accept(payload: DramCommandPayload) -> None:
    """What the chips do with a command: their times are the controller's already."""
    payload.status = OK
