"""The host: what register accesses and interrupts cost, and what stops the driver."""

from __future__ import annotations

from typing import Any

import pytest
from transaction_bench import run_together

from tlm.chip.around.host import HostState
from tlm.chip.config import ChipConfig
from tlm.chip.format import address_map as am
from tlm.chip.format.driver import DriverStep, SramName, StartEngine, StartTransfer, Transfer, Unit, Wait
from tlm.chip.format.isa import END_WORD
from tlm.chip.format.registers import ChannelRegister, EngineRegister, Status, UnitRegister
from tlm.chip.payloads import InterruptPayload
from tlm.chip.system import System
from tlm.core.errors import DriverError
from tlm.core.kernel import Activity
from tlm.core.payload import Command, MemoryPayload
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.recorder import Recorder

LOAD = StartTransfer(Unit.LOAD, Transfer(SramName.AMEM, 0, 0, row_words=4))


class Bench:
    """A system, and (cycle, phase, command, address) of all that the host does on the bus."""

    def __init__(self, image: bytes = bytes(4096), **parameters: Any) -> None:
        self.system = System(ChipConfig(memory_bytes=1 << 16, **parameters))
        self.clock = self.system.simulation.clock
        self.system.preload(image)
        self.accesses: list[tuple[int, Phase, Command, int]] = []
        self.interrupts: list[int] = []
        self.system.host.bus.observe(self._see_access)
        for registers in (
            self.system.dma.load.registers,
            self.system.dma.store.registers,
            self.system.engine.sequencer.registers,
        ):
            registers.interrupt.observe(self._see_interrupt)

    def _see_access(self, phase: Phase, _: InitiatorSocket[Any], payload: Any) -> None:
        self.accesses.append((self.clock.now, phase, payload.command, payload.address))

    def _see_interrupt(self, phase: Phase, _: InitiatorSocket[Any], __: Any) -> None:
        if phase is Phase.BEGIN_REQ:
            self.interrupts.append(self.clock.now)

    def begins(self) -> list[tuple[int, Command, int]]:
        return [access[:1] + access[2:] for access in self.accesses if access[1] is Phase.BEGIN_REQ]

    def run(self, *steps: DriverStep) -> int:
        self.system.run(steps)
        return self.clock.now

    def load_program(self, *words: int) -> None:
        data = b"".join(word.to_bytes(8, "little") for word in words)
        self.system.sram_socket(SramName.IMEM).debug_transport(MemoryPayload(Command.WRITE, 0, data))


@pytest.mark.parametrize(("access_ns", "cycles"), [(0.0, 0), (20.0, 11), (1.0, 1), (1000.0, 534)])
def test_a_register_access_costs_its_time_and_two_crossings(access_ns: float, cycles: int) -> None:
    """Access i begins on the bus in A + i (A + 2) and is answered 2 cycles later, A = ceil(host_access_ns x f)."""
    bench = Bench(host_access_ns=access_ns)
    bench.load_program(END_WORD)
    bench.run(LOAD, StartEngine(0), Wait(Unit.ENGINE))
    writes = bench.begins()[:7]
    assert writes == [
        (cycles + i * (cycles + 2), Command.WRITE, address)
        for i, address in enumerate(
            [
                am.LOAD_BASE + ChannelRegister.MEMORY_ADDRESS,
                am.LOAD_BASE + ChannelRegister.SRAM,
                am.LOAD_BASE + ChannelRegister.ROWS,
                am.LOAD_BASE + ChannelRegister.STRIDES,
                am.LOAD_BASE + UnitRegister.START,
                am.ENGINE_BASE + EngineRegister.PROGRAM,
                am.ENGINE_BASE + UnitRegister.START,
            ]
        )
    ]
    ends = [cycle for cycle, phase, *_ in bench.accesses if phase is Phase.END_RESP]
    assert ends[:7] == [cycle + 2 for cycle, _, _ in writes]


def test_a_wait_costs_interrupt_latency_a_status_read_and_its_clearing() -> None:
    """Asleep at interrupt i: on in i + I, I = ceil(host_interrupt_ns x f), STATUS read and cleared in 2(A + 2) more."""
    bench = Bench()
    end = bench.run(LOAD, Wait(Unit.LOAD))
    (interrupt,) = bench.interrupts
    a, i = 11, 54  # ceil(20 ns x 534 MHz), ceil(100 ns x 534 MHz)
    assert bench.begins()[5:] == [
        (interrupt + i + a, Command.READ, am.LOAD_BASE + UnitRegister.STATUS),
        (interrupt + i + 2 * a + 2, Command.WRITE, am.LOAD_BASE + UnitRegister.STATUS),
    ]
    assert end == interrupt + i + 2 * (a + 2)


def test_an_interrupt_that_came_long_ago_costs_nothing() -> None:
    """The driver goes on in max(cycle of Wait, i + I): here the load's interrupt is over when the host waits for it."""
    bench = Bench(host_interrupt_ns=5.0)
    bench.load_program(END_WORD)
    other = StartTransfer(Unit.LOAD, Transfer(SramName.WMEM, 0, 0, row_words=1))
    bench.run(other, *[StartEngine(0), Wait(Unit.ENGINE)] * 5, Wait(Unit.LOAD))
    assert bench.interrupts[0] < bench.begins()[-3][0]
    cleared = bench.begins()[-3][0] + 2
    assert bench.begins()[-2] == (cleared + 11, Command.READ, am.LOAD_BASE + UnitRegister.STATUS)


def test_an_interrupt_that_came_just_now_costs_the_rest_of_its_latency() -> None:
    bench = Bench(host_interrupt_ns=5000.0, memory_latency_ns=0.0)
    bench.load_program(END_WORD)
    bench.run(LOAD, StartEngine(0), Wait(Unit.ENGINE), Wait(Unit.LOAD))
    engine, load = sorted(bench.interrupts)[::-1]
    reads = [begin for begin in bench.begins() if begin[1] is Command.READ]
    assert load < engine < load + 2670
    assert reads[0] == (engine + 2670 + 11, Command.READ, am.ENGINE_BASE + UnitRegister.STATUS)
    assert reads[1][0] == engine + 2670 + 2 * 13 + 11  # by then the load's latency is over as well


def test_sleeping_is_a_state_that_can_be_watched() -> None:
    bench = Bench()
    seen: list[tuple[int, HostState]] = []
    waits: list[Unit | None] = []
    bench.system.host.state.observe(lambda probe: seen.append((bench.clock.now, probe.value)))
    bench.system.host.waits_for.observe(lambda probe: waits.append(probe.value))
    end = bench.run(LOAD, Wait(Unit.LOAD))
    assert seen == [(65, HostState.SLEEP), (bench.interrupts[0] + 54, HostState.RUN), (end, HostState.DONE)]
    assert waits == [Unit.LOAD, None]


def test_the_engine_is_started_in_the_cycle_in_which_start_is_written() -> None:
    """START written in T: first instruction read in T + 1; a program of END alone interrupts in T + 2."""
    bench = Bench()
    bench.load_program(END_WORD)
    bench.run(StartEngine(0), Wait(Unit.ENGINE))
    start = bench.begins()[1][0] + 1
    assert bench.interrupts == [start + 2]


# -- what stops the driver ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [Unit.LOAD, Unit.STORE])
def test_starting_a_busy_channel_is_refused(unit: Unit) -> None:
    bench = Bench(memory_latency_ns=10_000.0)
    amem = bench.system.sram_socket(SramName.AMEM)
    amem.debug_transport(MemoryPayload(Command.WRITE, 0, bytes(64)))
    start = StartTransfer(unit, LOAD.transfer)
    base = am.LOAD_BASE if unit is Unit.LOAD else am.STORE_BASE
    with pytest.raises(DriverError) as error:
        bench.run(start, start)
    cycle = 10 * 13  # ten accesses of A + 2 cycles
    assert str(error.value) == (
        f"host: write of 8 bytes at 0x{base + UnitRegister.START:x} was answered with 'command error' "
        f"in cycle {cycle}; no unit takes it there and then"
    )


def test_starting_a_busy_engine_is_refused() -> None:
    bench = Bench(host_access_ns=0.0)
    bench.load_program(END_WORD)  # busy from the START of cycle 3 to the interrupt of cycle 5

    def start_again() -> Activity:
        yield bench.clock.cycles(3)
        yield from bench.system.host._write(am.ENGINE_BASE + UnitRegister.START, 1)

    with pytest.raises(DriverError, match="write of 8 bytes at 0x2040 was answered with 'command error' in cycle 5"):
        run_together(bench.system.simulation, bench.system.host.run([StartEngine(0)]), start_again())


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        (am.LOAD_BASE + 0x20, "address error"),  # a hole between the operands and START
        (am.LOAD_BASE + 0x68, "address error"),
        (am.LOAD_BASE + 0x44, "burst error"),  # half a register
        (am.ENGINE_BASE + 0x08, "address error"),
        (am.LOAD_BASE + UnitRegister.ERROR_CODE, "command error"),  # read only
        (0x7000_0000, "address error"),  # nobody's
        (am.ENGINE_BASE + 0xFFC, "address error"),  # leaves the block
    ],
)
def test_a_write_to_an_unmapped_register_stops_the_driver(address: int, answer: str) -> None:
    bench = Bench()
    with pytest.raises(DriverError, match=rf"^host: write of 8 bytes at 0x{address:x} was answered with '{answer}'"):
        bench.system.simulation.run(lambda: bench.system.host._write(address, 1))


def test_status_is_busy_then_done_and_clears_by_writing_ones() -> None:
    bench = Bench()
    host, base = bench.system.host, am.LOAD_BASE
    values: list[int] = []

    def status() -> Activity:
        values.append((yield from host._read(base + UnitRegister.STATUS)))

    def body() -> Activity:
        yield from status()
        yield from host._start_transfer(LOAD)
        yield from status()
        yield from host._write(base + UnitRegister.STATUS, 7)  # BUSY cannot be cleared
        yield from status()
        yield bench.clock.cycles(500)
        yield from status()
        yield from host._write(base + UnitRegister.STATUS, Status.DONE)
        yield from status()

    bench.system.simulation.run(body)
    assert values == [0, Status.BUSY, Status.BUSY, Status.DONE, 0]


def test_operands_can_be_read_back() -> None:
    bench = Bench()
    got: list[int] = []

    def body() -> Activity:
        yield from bench.system.host._write(am.STORE_BASE + ChannelRegister.ROWS, 0x0123_4567_89AB_CDEF)
        got.append((yield from bench.system.host._read(am.STORE_BASE + ChannelRegister.ROWS)))

    bench.system.simulation.run(body)
    assert got == [0x0123_4567_89AB_CDEF]


@pytest.mark.parametrize(
    ("words", "imem_word", "message"),
    [
        ([0], 0, "illegal instruction at IMem word 0 (0x0)"),
        ([END_WORD | 1], 0, "illegal instruction at IMem word 0 (0x0)"),  # a reserved bit of END
        ([END_WORD], 16_384, "instruction fetch outside IMem at word 16384 (0x4000)"),
    ],
)
def test_the_engine_s_errors_name_component_address_and_cycle(words: list[int], imem_word: int, message: str) -> None:
    bench = Bench()
    bench.load_program(*words)
    with pytest.raises(DriverError) as error:
        bench.run(StartEngine(imem_word), Wait(Unit.ENGINE))
    assert str(error.value) == (
        f"engine.sequencer: {message} in cycle {bench.interrupts[0]}; "
        "the driver stopped; check the program and the off-chip image"
    )


@pytest.mark.parametrize("interrupt_first", [True, False])
def test_an_interrupt_in_the_cycle_in_which_the_host_begins_to_wait_finds_it_awake(interrupt_first: bool) -> None:
    """Which comes first within a cycle is the simulator's matter: the two fidelities differ in it."""
    bench = Bench()
    recorder = Recorder(bench.system)

    def interrupt() -> Activity:
        yield from bench.system.dma.load.registers.interrupt.b_transport(InterruptPayload())

    both = bench.system.host.run([Wait(Unit.LOAD)]), interrupt()
    run_together(bench.system.simulation, *(reversed(both) if interrupt_first else both))
    spans = [(span.state, span.waits_for) for span in recorder.host_spans(bench.clock.now)]
    assert spans == [("run", "load"), ("run", None)]
