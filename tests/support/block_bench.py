"""A bench for one block: every socket of it is bound to an initiator or a target of the bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np
from transaction_bench import Initiator, Target, answer_ok

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import decode_header, header_word_count
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.format.registers import EngineRegister, UnitRegister
from tlm.chip.payloads import LayerPayload, Work
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Origin, Payload
from tlm.core.simulation import Simulation
from tlm.core.sockets import InitiatorSocket, TargetSocket

CHIP = ChipConfig(lanes=8, columns=8)
"""A small array: 3 routing stages, 4 AMem banks."""

Answer = Callable[[Any], Activity | None]
"""What the bench does with a payload that the block sends: a plain function, or a generator that takes time."""


class BlockBench:
    """A block alone.

    Args:
        make: makes the block under the simulation.
        answers: initiator socket of the block -> what the bench answers; by default OK at once.
        direct: initiator socket -> the view that its target grants.
    """

    def __init__(
        self,
        make: Callable[[Simulation], Module],
        answers: Mapping[str, Answer] | None = None,
        direct: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        self.simulation = Simulation()
        self.block = make(self.simulation)
        self.to: dict[str, InitiatorSocket[Any]] = {}
        """Target socket of the block -> the bench's socket that is bound to it."""
        self.sent: dict[str, list[tuple[int, Any]]] = {}
        """Initiator socket of the block -> (cycle, payload) of all that it sent."""
        for name, part in list(self.block.parts.items()):
            if isinstance(part, TargetSocket):
                initiator = Initiator(f"to_{name}", self.simulation, part.payload_type)
                initiator.out.bind(part)
                self.to[name] = initiator.out
            elif isinstance(part, InitiatorSocket):
                serve = self._noting(name, (answers or {}).get(name, answer_ok))
                granted = (direct or {}).get(name)
                part.bind(Target(f"from_{name}", self.simulation, serve, part.payload_type, direct=granted).port)

    @property
    def now(self) -> int:
        return self.simulation.clock.now

    def at(self, cycle: int, socket: str, payload: Payload, answered: list[int] | None = None) -> Activity:
        """Send a payload to the block in a cycle; the cycle of the answer is noted."""
        yield self.simulation.clock.cycles(cycle - self.now)
        yield from self.to[socket].b_transport(payload)
        if answered is not None:
            answered.append(self.now)

    def run(self, *activities: Activity, cycles: int = 0) -> None:
        """Run until all have ended, and so many cycles longer."""
        env = self.simulation.kernel.env

        def whole() -> Activity:
            yield env.all_of([env.process(activity) for activity in activities])
            yield self.simulation.clock.cycles(cycles)

        self.simulation.run(whole)

    def start(self) -> int:
        """Start the unit's program at IMem word 0 in cycle 0; the value of its status register at the interrupt."""

        def body() -> Activity:
            for register, value in ((EngineRegister.PROGRAM, 0), (UnitRegister.START, 1)):
                write = MemoryPayload(Command.WRITE, register, value.to_bytes(8, "little"))
                yield from self.to["registers"].b_transport(write)
            while not self.cycles("interrupt"):
                yield self.simulation.clock.cycles(1)

        self.run(body())
        return self.register(UnitRegister.STATUS)

    def register(self, offset: UnitRegister) -> int:
        """The value of one of the unit's registers."""
        data = bytearray(8)
        self.to["registers"].debug_transport(MemoryPayload(Command.READ, offset, data))
        return int.from_bytes(data, "little")

    def cycles(self, socket: str) -> list[int]:
        """When the block sent something there."""
        return [cycle for cycle, _ in self.sent.get(socket, [])]

    def _noting(self, name: str, answer: Answer) -> Any:
        def note(payload: Payload) -> None:
            self.sent.setdefault(name, []).append((self.now, copy(payload)))  # its sender may use it again

        def timed(payload: Any) -> Activity:
            note(payload)
            taking = answer(payload)
            if taking is not None:
                yield from taking

        def untimed(payload: Any) -> None:
            note(payload)
            answer_ok(payload)

        return untimed if answer is answer_ok else timed


def of_pass(group: int = 0, tile: int = 0, tiles: int = 1, tag: int = 0) -> Origin:
    """Where a transaction of a pass comes from."""
    layer = Origin(Work.LAYER, tag)
    return Origin(Work.PASS, group * tiles + tile, Origin(Work.GROUP, group, layer))


def layer_words(network: tlm.Network, chip: ChipConfig = CHIP) -> list[int]:
    """The IMem words of a network that runs as one job, END included."""
    (job,) = tlm.compile(network, chip).jobs
    return [int(word) for word in job.instructions]


def header_of(network: tlm.Network, chip: ChipConfig = CHIP) -> LayerHeader:
    """The header of the first layer."""
    words = layer_words(network, chip)
    return decode_header(words[: header_word_count(words[0])], chip)


def layer_payload(network: tlm.Network, chip: ChipConfig = CHIP) -> LayerPayload:
    return LayerPayload(header_of(network, chip), origin=Origin(Work.LAYER, 0))


def convolution(weights: Any, shape: tuple[int, int, int], **keys: Any) -> tlm.Network:
    """A network of one convolution, ``c``."""
    return tlm.Network(shape, [tlm.Conv2d("c", np.asarray(weights), **keys)])
