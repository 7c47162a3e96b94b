"""Small modules for tests of transport: an initiator, a target that serves a function, and what an observer saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simpy import Event

from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Payload, Response
from tlm.core.simulation import Simulation
from tlm.core.sockets import InitiatorSocket, Phase, TargetSocket


class Initiator(Module):
    """One initiator socket, ``out``."""

    def __init__(self, name: str, parent: Module, payload_type: type[Payload] = MemoryPayload) -> None:
        super().__init__(name, parent)
        self.out: InitiatorSocket[Any] = InitiatorSocket(self, "out", payload_type)


class Target(Module):
    """One target socket, ``port``; by default it answers OK at once."""

    def __init__(
        self,
        name: str,
        parent: Module,
        transport: Callable[[Any], Activity] | None = None,
        payload_type: type[Payload] = MemoryPayload,
        **optional: Any,
    ) -> None:
        super().__init__(name, parent)
        self.port: TargetSocket[Any] = TargetSocket(self, "port", payload_type, transport or answer_ok, **optional)


def answer_ok(payload: Payload) -> None:
    payload.status = Response.OK


def pair(transport: Callable[[Any], Activity] | None = None, **optional: Any) -> tuple[Simulation, Initiator, Target]:
    """An initiator ``cpu`` bound to a target ``ram``."""
    simulation = Simulation()
    initiator, target = Initiator("cpu", simulation), Target("ram", simulation, transport, **optional)
    initiator.out.bind(target.port)
    return simulation, initiator, target


def read(address: int = 0, size_bytes: int = 8, **keywords: Any) -> MemoryPayload:
    return MemoryPayload(Command.READ, address, bytearray(size_bytes), **keywords)


def write(address: int, data: bytes, **keywords: Any) -> MemoryPayload:
    return MemoryPayload(Command.WRITE, address, data, **keywords)


def watch(socket: InitiatorSocket[Any], seen: list[Any], tag: Any = None) -> None:
    """Note (cycle, phase) of everything at a socket, or (tag, cycle, phase) where a tag is given."""

    def observer(phase: Phase, at: InitiatorSocket[Any], _: Payload) -> None:
        cycle = at.owner.clock.now
        seen.append((cycle, phase) if tag is None else (tag, cycle, phase))

    socket.observe(observer)


def wait_for(event: Event) -> Activity:
    yield event


def run_together(simulation: Simulation, *activities: Activity) -> None:
    """Run until all of the activities have ended; they start in cycle 0 in the order given."""

    def all_of() -> Activity:
        yield simulation.kernel.env.all_of([simulation.kernel.env.process(activity) for activity in activities])

    simulation.run(all_of)
