"""Sockets: what binds to what, transport with and without time, debug transport, direct memory."""

from __future__ import annotations

import pytest
from transaction_bench import Initiator, Target, answer_ok, pair, read, watch

from tlm.core.errors import ElaborationError, ProtocolError
from tlm.core.kernel import Activity
from tlm.core.payload import MemoryPayload, Payload, Response
from tlm.core.probe import Probe
from tlm.core.simulation import Simulation
from tlm.core.sockets import DirectMemory, InitiatorSocket, Phase, TargetSocket


class Ping(Payload, eq=False):
    """Another protocol."""


class LongMemoryPayload(MemoryPayload, eq=False):
    """A subclass is another protocol too."""


def test_an_initiator_does_not_bind_to_an_initiator() -> None:
    simulation = Simulation()
    a, b = Initiator("a", simulation), Initiator("b", simulation)
    with pytest.raises(ElaborationError, match=r"a\.out: cannot bind to <initiator socket b\.out of MemoryPayload>"):
        a.out.bind(b.out)  # type: ignore[arg-type]


@pytest.mark.parametrize("other", [Ping, LongMemoryPayload])
def test_both_ends_must_speak_the_same_protocol(other: type[Payload]) -> None:
    simulation = Simulation()
    cpu, ram = Initiator("cpu", simulation, other), Target("ram", simulation)
    with pytest.raises(
        ElaborationError, match=rf"cpu\.out: carries {other.__name__}, but ram\.port serves MemoryPayload"
    ):
        cpu.out.bind(ram.port)


def test_each_end_binds_once() -> None:
    simulation, cpu, ram = pair()
    other_cpu, other_ram = Initiator("cpu2", simulation), Target("ram2", simulation)
    with pytest.raises(ElaborationError, match=r"cpu\.out: is already bound to ram\.port"):
        cpu.out.bind(other_ram.port)
    with pytest.raises(ElaborationError, match=r"ram\.port: is already bound to cpu\.out"):
        other_cpu.out.bind(ram.port)
    assert other_cpu.out.peer is None  # a refused bind leaves nothing behind
    assert other_ram.port.peer is None


@pytest.mark.parametrize(("kind", "name"), [(Initiator, "out"), (Target, "port")])
def test_a_socket_left_unbound_stops_the_start(kind, name: str) -> None:
    simulation, cpu, _ = pair()
    kind("lonely", simulation)
    with pytest.raises(ElaborationError, match=rf"lonely\.{name}: this \w+ socket is not bound to anything"):
        simulation.run(lambda: cpu.out.b_transport(read()))


def test_an_unbound_socket_has_no_debug_transport() -> None:
    with pytest.raises(ElaborationError, match=r"cpu\.out: is not bound to anything"):
        Initiator("cpu", Simulation()).out.debug_transport(read())


LATE_ADDITIONS = {
    "bind": lambda cpu, ram: cpu.out.bind(ram.port),
    "initiator socket": lambda cpu, ram: InitiatorSocket(cpu, "late", MemoryPayload),
    "target socket": lambda cpu, ram: TargetSocket(ram, "late", MemoryPayload, answer_ok),
    "probe": lambda cpu, ram: Probe(cpu, "late", 0),
    "submodule": lambda cpu, ram: Initiator("late", cpu),
    "process of a module": lambda cpu, ram: cpu.add_process(lambda: iter(())),
    "process of the simulation": lambda cpu, ram: cpu.kernel.add_process(lambda: iter(())),
}


@pytest.mark.parametrize("addition", LATE_ADDITIONS.values(), ids=LATE_ADDITIONS.keys())
def test_the_topology_is_frozen_once_the_simulation_runs(addition) -> None:
    simulation, cpu, ram = pair()

    def body():
        yield simulation.clock.cycles(1)
        addition(cpu, ram)

    with pytest.raises(ElaborationError, match="the topology is frozen since the simulation started"):
        simulation.run(body)


@pytest.mark.parametrize("what", ["socket", "probe", "module"])
def test_names_are_unique_among_siblings(what: str) -> None:
    simulation = Simulation()
    cpu = Initiator("cpu", simulation)
    Probe(cpu, "state", 0)
    Initiator("core", cpu)
    again = {
        "socket": lambda: InitiatorSocket(cpu, "out", MemoryPayload),
        "probe": lambda: Probe(cpu, "state", 1),
        "module": lambda: Initiator("core", cpu),
    }
    with pytest.raises(ElaborationError, match=r"cpu: there is already something called"):
        again[what]()
    with pytest.raises(ElaborationError, match=r"there is already something called 'cpu'"):
        Initiator("cpu", simulation)


def test_names_are_hierarchical() -> None:
    simulation = Simulation()
    core = Initiator("core", Initiator("cpu", simulation))
    assert core.path == "cpu.core"
    assert core.out.path == "cpu.core.out"
    assert Probe(core, "state", 0).path == "cpu.core.state"
    assert [module.path for module in simulation.modules()] == ["cpu", "cpu.core"]


def fill(payload: MemoryPayload) -> int:
    payload.data[:] = b"\x5a" * len(payload.data)
    payload.status = Response.OK
    return len(payload.data)


def test_debug_transport_takes_no_time_and_is_not_observed() -> None:
    simulation, cpu, _ = pair(debug=fill)
    seen: list[object] = []
    watch(cpu.out, seen)
    payload = read(size_bytes=3)

    def body():
        yield simulation.clock.cycles(5)
        assert cpu.out.debug_transport(payload) == 3
        assert simulation.clock.now == 5

    simulation.run(body)
    assert payload.data == b"\x5a\x5a\x5a"
    assert seen == []
    assert not list(simulation.kernel.open_transactions)


def test_debug_transport_works_before_the_start() -> None:
    _, cpu, _ = pair(debug=fill)
    assert cpu.out.debug_transport(read(size_bytes=2)) == 2


def test_a_target_without_debug_or_direct_memory_says_so() -> None:
    _, cpu, _ = pair()
    with pytest.raises(ProtocolError, match=r"ram\.port: has no debug transport"):
        cpu.out.debug_transport(read())
    with pytest.raises(ProtocolError, match=r"ram\.port: grants no direct memory interface"):
        cpu.out.direct_memory()


def test_a_direct_view_is_live_read_only_and_revocable() -> None:
    memory, written = bytearray(8), bytearray(2)
    _, cpu, _ = pair(direct=lambda: DirectMemory("ram", memoryview(memory), memoryview(written)))
    direct = cpu.out.direct_memory()
    memory[3], written[1] = 7, 1
    assert direct.valid
    assert direct.view[3] == 7
    assert list(direct.written) == [0, 1]
    with pytest.raises(TypeError, match="read-only"):
        direct.view[0] = 1
    with pytest.raises(TypeError, match="read-only"):
        direct.written[0] = 1
    direct.revoke()
    assert not direct.valid
    with pytest.raises(
        ProtocolError, match="ram: a direct memory view was used after it had been revoked; ask for a new one"
    ):
        _ = direct.view
    assert cpu.out.direct_memory().view[3] == 7


def test_a_payload_is_accepted_at_most_once() -> None:
    def serve(payload: MemoryPayload) -> None:
        ram.port.accept(payload)
        ram.port.accept(payload)

    simulation, cpu, ram = pair(serve)
    with pytest.raises(ProtocolError, match=r"ram\.port: read of 8 bytes at 0x0 was accepted twice"):
        simulation.run(lambda: cpu.out.b_transport(read()))


def serving(simulation: Simulation, cycles: int):
    """A transport that answers at once, or after some cycles: a plain function that decides when it is called."""

    def serve(payload: MemoryPayload) -> Activity | None:
        if cycles:
            return later(payload)
        payload.status = Response.OK
        return None

    def later(payload: MemoryPayload) -> Activity:
        yield simulation.clock.cycles(cycles)
        payload.status = Response.OK

    return serve


@pytest.mark.parametrize("cycles", [0, 3])
def test_a_plain_function_may_answer_at_once_or_leave_the_rest_to_a_generator(cycles: int) -> None:
    simulation = Simulation()
    cpu, ram = Initiator("cpu", simulation), Target("ram", simulation, serving(simulation, cycles))
    cpu.out.bind(ram.port)
    seen: list[object] = []
    watch(cpu.out, seen)
    payload = read()
    simulation.run(lambda: cpu.out.b_transport(payload))
    assert payload.status is Response.OK
    assert seen == [
        (0, Phase.BEGIN_REQ), (cycles, Phase.END_REQ), (cycles, Phase.BEGIN_RESP), (cycles, Phase.END_RESP)
    ]  # fmt: skip


@pytest.mark.parametrize("timed", [False, True])
def test_a_function_that_cannot_wait_sends_to_a_target_that_takes_no_time(timed: bool) -> None:
    def generator(payload: MemoryPayload) -> Activity:
        payload.status = Response.OK
        yield from ()

    simulation, cpu, _ = pair(generator if timed else None)
    seen: list[object] = []
    watch(cpu.out, seen)
    payload = read()
    cpu.out.transport(payload)
    assert payload.status is Response.OK
    assert [phase for _, phase in seen] == list(Phase)
    assert not list(simulation.kernel.open_transactions)


def test_a_function_that_cannot_wait_is_told_that_its_target_takes_time() -> None:
    simulation = Simulation()
    cpu, ram = Initiator("cpu", simulation), Target("ram", simulation, serving(simulation, 3))
    cpu.out.bind(ram.port)
    with pytest.raises(ProtocolError, match=r"cpu\.out: read of 8 bytes at 0x0 takes time, but its sender cannot wait"):
        cpu.out.transport(read())
