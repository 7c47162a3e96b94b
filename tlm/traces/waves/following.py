"""How signals of every cycle follow probes and sockets."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from tlm.chip.format.driver import Unit
from tlm.chip.payloads import Work
from tlm.core.payload import Payload
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, Phase, TargetSocket
from tlm.traces.waves.dump import Dump, Signal, State
from tlm.traces.waves.variables import Value

T = TypeVar("T")
S = TypeVar("S", bound=enum.Enum)


def follow(probe: Probe[T], signal: Signal, convert: Callable[[T], Value]) -> None:
    """The signal shows the probe, from its next change on."""
    probe.observe(lambda changed: signal.set(convert(changed.value)))


def follow_number(dump: Dump, probe: Probe[int], name: str) -> None:
    """A signal of this name beside the probe's owner shows its number."""
    signal = dump.integer(probe.owner.path, name, probe.value)
    probe.observe(lambda changed: signal.set(changed.value))


def follow_state(
    dump: Dump,
    probe: Probe[S],
    ends: Collection[tuple[S, S]] = (),
    idle: Collection[S] = (),
    names: Mapping[S, str] | None = None,
) -> State:
    """``state`` by name; with ``idle`` also ``busy``, 0 in those states.

    Args:
        dump: where.
        probe: the state.
        ends: changes that show a cycle later.
        idle: states in which the block is not busy.
        names: state -> its name here, where it is not its value.
    """
    scope, before, names = probe.owner.path, probe.value, names or {}
    state = dump.state(scope, "state", names.get(before, before.value))
    busy = dump.bits(scope, "busy", init=before not in idle) if idle else None

    def see(changed: Probe[S]) -> None:
        nonlocal before
        late = (before, changed.value) in ends
        before = changed.value
        state.set(names.get(before, before.value), late)
        if busy is not None:
            busy.set(int(before not in idle), late)

    probe.observe(see)
    return state


def follow_open(signal: Signal, socket: InitiatorSocket[Any]) -> None:
    """The signal counts the socket's open transactions; the cycles of request and answer belong to it."""
    count = 0

    def see(phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        nonlocal count
        if phase is Phase.BEGIN_REQ:
            count += 1
            signal.set(count)
        else:
            count -= 1
            signal.set(count, late=True)

    socket.observe(see, (Phase.BEGIN_REQ, Phase.END_RESP))


def on(phase: Phase, socket: InitiatorSocket[Any], act: Callable[[Any], None]) -> None:
    """Call ``act(payload)`` at one phase of the socket's transactions."""
    socket.observe(lambda _, __, payload: act(payload), (phase,))


def initiator_of(port: TargetSocket[Any]) -> InitiatorSocket[Any]:
    """Who is bound to a port."""
    assert isinstance(port.peer, InitiatorSocket)  # the system is bound
    return port.peer


def watch_interrupt(dump: Dump, scope: str, socket: InitiatorSocket[Any], unit: Unit) -> None:
    """``irq`` at the unit, and ``irq_UNIT`` at the host."""
    irq = dump.event(scope, "irq")
    irq.alias("host", f"irq_{unit.value}")
    on(Phase.BEGIN_REQ, socket, lambda _: irq.set(1))


def pass_of(payload: Payload) -> int | None:
    """The pass that a payload belongs to."""
    found = None if payload.cause is None else payload.cause.find(Work.PASS)
    return None if found is None else found.index
