"""The off-chip memory behind its controller, with a fixed latency and bandwidth.

Request flow: bursts of bus beats, reads and writes alike, in the order in which their first beats arrive.
Timing: a burst's first beat is served ``memory_latency_ns`` (rounded up to cycles) after its arrival, but not
before the bursts ahead of it are served; beats follow each other at the memory's bandwidth, at most one per cycle.
Beat times are kept in whole parts of a cycle and rounded up to the cycle, so no bandwidth is lost to rounding.
Constraints: beats are aligned to the bus width; reading a beat that was never written is an error.
"""

from __future__ import annotations

from collections import deque

from simpy import Event

from tlm.chip.base.memory import Memory
from tlm.chip.config import ChipConfig
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import MemoryPayload


class OffChipMemory(Memory):
    """``config.memory_bytes`` bytes, addressed from 0."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent, config)
        self._beat_parts, self._parts = config.memory_beat_cycles.as_integer_ratio()
        """A beat takes so many of the parts into which a cycle is divided."""
        self._latency_cycles = config.cycles_of_ns(config.memory_latency_ns)
        self._queue: deque[Event] = deque()
        self._free_from_parts = 0
        """When the next beat can be served."""

    def wait_for_beat(self, payload: MemoryPayload, beat: int, beats: int) -> Activity:
        """Until it is the burst's turn, and the memory is ready for the beat."""
        if beat == 0:
            yield from self._wait_for_turn()
        wait_cycles = -(-self._free_from_parts // self._parts) - self.clock.now
        if wait_cycles > 0:
            yield self.clock.cycles(wait_cycles)
        self._free_from_parts += self._beat_parts
        if beat == beats - 1:
            self._next_burst()

    def _wait_for_turn(self) -> Activity:
        arrival = self.clock.now
        turn = Event(self.clock.env)
        self._queue.append(turn)
        self.busy.value = True
        if self._queue[0] is turn:
            turn.succeed()
        yield turn
        self._free_from_parts = max(self._free_from_parts, (arrival + self._latency_cycles) * self._parts)

    def _next_burst(self) -> None:
        self._queue.popleft()
        if self._queue:
            self._queue[0].succeed()
        else:
            self.busy.value = False
