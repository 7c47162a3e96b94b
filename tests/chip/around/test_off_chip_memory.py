"""The off-chip memory: latency, pacing in exact fractions, order of bursts, errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from transaction_bench import Initiator, read, run_together, write

from tlm.chip.around.off_chip_memory import OffChipMemory
from tlm.chip.config import ChipConfig
from tlm.chip.payloads import BurstBeat
from tlm.core.errors import UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.payload import Command, Response
from tlm.core.simulation import Simulation

MEMORY_BYTES = 1 << 16


class Bench:
    """A memory whose socket takes any number of bursts at once, as behind an interconnect."""

    def __init__(self, **parameters: object) -> None:
        self.config = ChipConfig(memory_bytes=MEMORY_BYTES, **parameters)  # type: ignore[arg-type]
        self.simulation = Simulation()
        self.memory = OffChipMemory("memory", self.simulation, self.config)
        self.socket = Initiator("cpu", self.simulation).out
        self.socket.bind(self.memory.port)
        self.socket.debug_transport(write(0, bytes(i % 251 for i in range(MEMORY_BYTES // 2))))

    def burst(
        self, beats: int, served: list[int], start: int = 0, address: int = 0, command: Command = Command.READ
    ) -> Activity:
        """Beats one after another, each asked for in the cycle after its predecessor was served."""
        size = self.config.bus_bytes
        yield self.simulation.clock.cycles(start)
        for i in range(beats):
            beat = BurstBeat(command, address + i * size, bytearray(size), i, beats)
            yield from self.socket.b_transport(beat)
            assert beat.status is Response.OK
            served.append(self.simulation.clock.now)
            yield self.simulation.clock.cycles(1)


@pytest.mark.parametrize(
    ("voltage_v", "latency_ns", "cycles"),
    [
        (1.1, 60.0, 33),  # 32.04
        (0.8, 60.0, 15),  # 14.04
        (0.8, 0.0, 0),
        (0.8, 4.2, 1),  # 0.98
        (1.1, 500.0, 267),  # 267 exactly: not rounded up once more
        (1.1, 500.001, 268),
    ],
)
def test_latency_is_rounded_up_to_whole_cycles(voltage_v: float, latency_ns: float, cycles: int) -> None:
    """L = ceil(memory_latency_ns x f); a burst that arrives in t has its first beat in t + L."""
    bench = Bench(voltage_v=voltage_v, memory_latency_ns=latency_ns)
    served: list[int] = []
    run_together(bench.simulation, bench.burst(1, served, start=7))
    assert served == [7 + cycles]


@pytest.mark.parametrize(
    ("gb_per_s", "beat_cycles"),
    [
        (3.2, Fraction(8 * 534, 3200)),  # 1.335 cycles
        (1.0, Fraction(8 * 534, 1000)),  # 4.272 cycles
        (0.1, Fraction(8 * 534, 100)),  # 42.72 cycles
        (4.272, Fraction(1)),  # as fast as the bus
        (100.0, Fraction(1)),  # the bus is the limit
    ],
)
def test_no_bandwidth_is_lost_to_rounding_over_1000_beats(gb_per_s: float, beat_cycles: Fraction) -> None:
    """Beat k of a burst is served in ceil(t + L + k x b), b = max(1, bus_bytes x f / bandwidth)."""
    bench = Bench(memory_gb_per_s=gb_per_s)
    served: list[int] = []
    run_together(bench.simulation, bench.burst(1000, served))
    assert served == [33 + math.ceil(k * beat_cycles) for k in range(1000)]
    assert served[-1] - served[0] == math.ceil(999 * beat_cycles)


def test_pacing_goes_on_exactly_from_burst_to_burst() -> None:
    """Back to back, beat k of all bursts together is served in ceil(t + L + k x b)."""
    bench = Bench()
    served: list[int] = []
    run_together(bench.simulation, *(bench.burst(8, served) for _ in range(100)))
    assert served == [33 + math.ceil(k * Fraction(8 * 534, 3200)) for k in range(800)]


def test_a_burst_waits_for_those_ahead_but_its_latency_runs_meanwhile() -> None:
    """First beat of burst i in max(arrival_i + L, end of the pacing of burst i-1)."""
    bench = Bench(memory_gb_per_s=100.0)
    first, second, third = [], [], []  # type: ignore[var-annotated]
    run_together(
        bench.simulation,
        bench.burst(8, first),
        bench.burst(2, second, start=3),  # ready in 36, but the first is served in 33..40
        bench.burst(1, third, start=20),  # ready in 53, the memory is idle by then
    )
    assert (first, second, third) == ([*range(33, 41)], [41, 42], [53])


def test_an_idle_memory_does_not_save_up_bandwidth() -> None:
    bench = Bench(memory_gb_per_s=1.0)
    early, late = [], []  # type: ignore[var-annotated]
    run_together(bench.simulation, bench.burst(2, early), bench.burst(2, late, start=1000))
    assert late == [1033, 1033 + 5]  # 4.272 cycles a beat, from a whole cycle on


@pytest.mark.parametrize("commands", [(Command.READ, Command.WRITE), (Command.WRITE, Command.READ)], ids=str)
def test_bursts_are_served_in_the_order_of_arrival_reads_and_writes_alike(commands: Sequence[Command]) -> None:
    bench = Bench(memory_latency_ns=0.0, memory_gb_per_s=100.0)
    lists: list[list[int]] = [[], [], []]
    run_together(
        bench.simulation,
        bench.burst(4, lists[0], command=commands[0]),
        bench.burst(4, lists[1], command=commands[1]),
        bench.burst(4, lists[2], command=commands[0]),
    )
    assert lists == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_busy_from_arrival_to_the_last_beat() -> None:
    bench = Bench()
    seen: list[tuple[int, bool]] = []
    bench.memory.busy.observe(lambda probe: seen.append((bench.simulation.clock.now, probe.value)))
    run_together(bench.simulation, bench.burst(1, [], start=5), bench.burst(2, [], start=6))
    # 38 for the first burst; 39.335 -> 40 and 40.67 -> 41 for the other
    assert seen == [(5, True), (41, False)]


@pytest.mark.parametrize("bus_bytes", [4, 8, 16, 32])
def test_what_is_written_is_read_back(bus_bytes: int) -> None:
    bench = Bench(bus_bytes=bus_bytes, burst_bytes=64)
    data = bytes(range(100, 100 + bus_bytes))
    first = MEMORY_BYTES - 2 * bus_bytes  # never preloaded
    got = read(first, bus_bytes)

    def body() -> Activity:
        yield from bench.socket.b_transport(write(first, data))
        yield from bench.socket.b_transport(got)

    bench.simulation.run(body)
    assert got.data == data


def beat(address: int, size: int = 8, beats: int = 1) -> BurstBeat:
    return BurstBeat(Command.READ, address, bytearray(size), 0, beats)


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (beat(4), Response.BURST_ERROR),  # misaligned
        (beat(1), Response.BURST_ERROR),
        (beat(0, size=16), Response.BURST_ERROR),  # wider than the bus
        (beat(MEMORY_BYTES), Response.ADDRESS_ERROR),
        (beat(-8), Response.ADDRESS_ERROR),
        (beat(MEMORY_BYTES - 16, beats=3), Response.ADDRESS_ERROR),  # its last beat lies outside
    ],
)
def test_a_bad_burst_is_answered_at_once_and_blocks_nobody(payload: BurstBeat, status: Response) -> None:
    bench = Bench(memory_latency_ns=0.0)
    served: list[int] = []
    run_together(bench.simulation, bench.socket.b_transport(payload), bench.burst(1, served))
    assert payload.status is status
    assert served == [0]


def test_the_last_burst_of_the_memory_is_within_it() -> None:
    bench = Bench()
    served: list[int] = []
    run_together(bench.simulation, bench.burst(2, served, address=MEMORY_BYTES - 16, command=Command.WRITE))
    assert len(served) == 2


def test_reading_a_never_written_byte_names_address_and_cycle() -> None:
    bench = Bench()
    with pytest.raises(UnwrittenReadError, match=r"^memory: byte 0x9000 was read in cycle 33, but was never written;"):
        run_together(bench.simulation, bench.socket.b_transport(beat(0x9000)))


@pytest.mark.parametrize(("address", "size"), [(-1, 4), (MEMORY_BYTES - 3, 4), (MEMORY_BYTES, 1)])
def test_debug_transport_outside_moves_nothing(address: int, size: int) -> None:
    bench = Bench()
    payload = read(address, size)
    assert bench.socket.debug_transport(payload) == 0
    assert payload.status is Response.ADDRESS_ERROR


def test_debug_transport_moves_any_range() -> None:
    bench = Bench()
    assert bench.socket.debug_transport(write(0x9003, b"hello")) == 5
    payload = read(0x9001, 8)
    assert bench.socket.debug_transport(payload) == 8
    assert payload.data == b"\0\0hello\0"
