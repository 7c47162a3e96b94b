"""The run: its end, its errors, and the report of a standstill."""

from __future__ import annotations

import enum

import pytest
from transaction_bench import Initiator, Target, pair, read, wait_for, write

from tlm.core.errors import DeadlockError, ElaborationError, SimulationError
from tlm.core.payload import Origin
from tlm.core.simulation import Simulation


class Level(enum.Enum):
    PASS = "pass"


def test_a_deadlock_names_every_open_transaction_with_phase_and_age() -> None:
    simulation = Simulation()
    outer = Initiator("outer", simulation)
    cpu, ram = Initiator("cpu", outer), Target("ram", outer, lambda payload: stuck(payload, True))
    dma, disk = Initiator("dma", simulation), Target("disk", simulation, lambda payload: stuck(payload, False))
    cpu.out.bind(ram.port)
    dma.out.bind(disk.port)
    outer.out.bind(Target("done", simulation).port)

    def stuck(payload, accepts: bool):
        yield simulation.clock.cycles(2)
        if accepts:
            ram.port.accept(payload)
        yield simulation.kernel.env.event()  # nobody will ever trigger it

    def late():
        yield simulation.clock.cycles(10)
        yield from dma.out.b_transport(write(0x80, b"abcd"))

    dma.add_process(late)

    def goal():
        yield from outer.out.b_transport(read())  # answered: not in the report
        yield from cpu.out.b_transport(read(0x40, origin=Origin(Level.PASS, 5)))

    with pytest.raises(DeadlockError) as error:
        simulation.run(goal)
    assert str(error.value).splitlines() == [
        "deadlock in cycle 12: nothing can happen any more, but the work is not finished",
        "  outer.cpu.out -> outer.ram.port: read of 8 bytes at 0x40 for pass 5, accepted, open for 12 cycles",
        "  dma.out -> disk.port: write of 4 bytes at 0x80, not accepted, open for 2 cycles",
    ]


def test_a_deadlock_without_transactions_says_so() -> None:
    simulation = Simulation()
    with pytest.raises(DeadlockError, match="no transaction is open"):
        simulation.run(lambda: wait_for(simulation.kernel.env.event()))


def test_a_component_s_own_runtime_error_is_no_deadlock() -> None:
    simulation = Simulation()

    def body():
        yield simulation.clock.cycles(1)
        raise RuntimeError("a fault in a component")

    with pytest.raises(RuntimeError, match="a fault in a component"):
        simulation.run(body)


def test_an_error_in_any_process_stops_the_run_in_its_cycle() -> None:
    simulation, cpu, _ = pair()

    def faulty():
        yield simulation.clock.cycles(3)
        raise SimulationError("cpu: broken in cycle 3")

    cpu.add_process(faulty)
    with pytest.raises(SimulationError, match="cpu: broken in cycle 3"):
        simulation.run(lambda: wait_for(simulation.clock.cycles(100)))
    assert simulation.clock.now == 3


def test_a_run_ends_with_its_goal_whatever_the_others_do() -> None:
    simulation, cpu, _ = pair()

    def forever():
        while True:
            yield simulation.clock.cycles(1)

    cpu.add_process(forever)

    def goal():
        yield simulation.clock.cycles(8)

    simulation.run(goal)
    assert simulation.clock.now == 8


def test_a_simulation_runs_once() -> None:
    simulation, cpu, _ = pair()
    simulation.run(lambda: cpu.out.b_transport(read()))
    with pytest.raises(ElaborationError, match="has run already; build the model anew"):
        simulation.run(lambda: cpu.out.b_transport(read()))


def test_answered_transactions_are_not_open() -> None:
    simulation, cpu, _ = pair()

    def body():
        for _ in range(3):
            yield from cpu.out.b_transport(read())
        assert list(simulation.kernel.open_transactions) == []

    simulation.run(body)
