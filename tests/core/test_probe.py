"""Observation: phases at sockets, changes of probes, and observers that fail."""

from __future__ import annotations

import pytest
from transaction_bench import Initiator, pair, read, wait_for, watch

from tlm.core.errors import InputError
from tlm.core.payload import Response
from tlm.core.probe import Probe
from tlm.core.simulation import Simulation
from tlm.core.sockets import Phase


def test_phases_come_in_order_with_end_request_when_the_target_accepts() -> None:
    def transport(payload):
        yield simulation.clock.cycles(3)
        ram.port.accept(payload)
        yield simulation.clock.cycles(4)
        payload.status = Response.OK

    simulation, cpu, ram = pair(transport)
    seen: list[object] = []
    watch(cpu.out, seen)
    simulation.run(lambda: cpu.out.b_transport(read()))
    assert seen == [(0, Phase.BEGIN_REQ), (3, Phase.END_REQ), (7, Phase.BEGIN_RESP), (7, Phase.END_RESP)]


def test_end_request_comes_with_the_answer_if_the_target_never_said_it() -> None:
    def transport(payload):
        yield simulation.clock.cycles(7)
        payload.status = Response.OK

    simulation, cpu, _ = pair(transport)
    seen: list[object] = []
    watch(cpu.out, seen)
    simulation.run(lambda: cpu.out.b_transport(read()))
    assert seen == [(0, Phase.BEGIN_REQ), (7, Phase.END_REQ), (7, Phase.BEGIN_RESP), (7, Phase.END_RESP)]


def test_every_observer_sees_the_socket_and_the_payload() -> None:
    simulation, cpu, _ = pair()
    seen = []
    for who in "ab":
        cpu.out.observe(lambda phase, socket, payload, who=who: seen.append((who, phase, socket, payload)))
    payload = read()
    simulation.run(lambda: cpu.out.b_transport(payload))
    assert seen == [(who, phase, cpu.out, payload) for phase in Phase for who in "ab"]


@pytest.mark.parametrize("phase", list(Phase))
def test_an_observers_exception_stops_the_run(phase: Phase) -> None:
    simulation, cpu, _ = pair()

    def observer(now: Phase, *_: object) -> None:
        if now is phase:
            raise InputError("the trace file is full")

    cpu.out.observe(observer)

    def body():
        while True:  # a run that only the observer can end
            yield from cpu.out.b_transport(read())
            yield simulation.clock.cycles(1)

    cpu.add_process(body)
    with pytest.raises(InputError, match="the trace file is full"):
        simulation.run(lambda: wait_for(simulation.kernel.env.event()))


def test_a_probe_calls_only_on_change() -> None:
    simulation = Simulation()
    probe = Probe(Initiator("cpu", simulation), "state", 0)
    seen: list[int] = []
    probe.observe(lambda p: seen.append(p.value))
    for value in (0, 1, 1, 2, 2, 1):
        probe.value = value
    assert seen == [1, 2, 1]
    assert probe.value == 1


def test_a_probes_observer_that_fails_stops_the_run() -> None:
    simulation, cpu, _ = pair()
    probe = Probe(cpu, "state", 0)

    def observer(_: Probe[int]) -> None:
        raise InputError("disk full")

    probe.observe(observer)

    def body():
        yield simulation.clock.cycles(2)
        probe.value = 1

    with pytest.raises(InputError, match="disk full"):
        simulation.run(body)
    assert simulation.clock.now == 2
