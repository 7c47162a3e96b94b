"""Signals of a dump by themselves: one settled value a cycle, exact time, nothing twice."""

from __future__ import annotations

import io

import pytest
import simpy

from tlm.core.clock import Clock
from tlm.traces.waves.dump import SAMPLE_CYCLES, Dump, Frame, Gate, Sample
from tlm.traces.waves.signal_kinds import Kind, Signal, clock_signals, start_ps, state
from tlm.traces.waves.writer import Writer

SIGNALS = [
    *clock_signals("ruler", "cycle"),
    state("clock.trace", None, init="recording"),
    Signal("a.bit", Kind.BITS),
    Signal("a.number", Kind.NUMBER),
    Signal("a.word", Kind.TEXT, init="-"),
    Signal("a.event", Kind.EVENT),
    Signal("a.mean", Kind.REAL, init=0.0),
]


class Bench:
    """A dump of 1 GHz whose clock a test moves by hand: cycle c begins at 1000 c ps."""

    def __init__(
        self,
        stream: io.StringIO | None = None,
        limit_bytes: int = 1 << 40,
        gate: Gate | None = None,
        sample: Sample | None = None,
    ) -> None:
        self.stream = stream or io.StringIO()
        self._clock = Clock(simpy.Environment())
        self.dump = Dump(self._clock, 1_000_000, limit_bytes, gate, sample)
        self.dump.writer = Writer(self.stream, "test", SIGNALS)

    def go_to(self, cycle: int) -> None:
        self._clock.now = cycle

    def close(self) -> None:
        self.dump.close()

    def values(self, name: str) -> list[tuple[int, str]]:
        """(cycle, value as it is written) of a signal, after closing the dump."""
        lines = self.stream.getvalue().splitlines()
        ident = next(line.split()[3] for line in lines if line.startswith("$var") and line.split()[4] == name)
        found, cycle = [], 0
        for line in lines[lines.index("$enddefinitions $end") :]:
            if line.startswith("#"):
                cycle = int(line[1:]) // 1000
            elif line.endswith(ident) and not line.startswith("$"):
                found.append((cycle, line.removesuffix(ident).strip()))
        return found


def test_a_pulse_falls_back_and_adjacent_pulses_join() -> None:
    bench = Bench()
    for cycle in (2, 3, 7):
        bench.go_to(cycle)
        bench.dump.pulse("a.bit")
    bench.go_to(9)
    bench.close()
    assert bench.values("bit") == [(0, "0"), (2, "1"), (4, "0"), (7, "1"), (8, "0")]


def test_the_last_value_of_a_cycle_counts() -> None:
    bench = Bench()
    bench.go_to(1)
    for value in (5, 6, 7):
        bench.dump.set("a.number", value)
    bench.go_to(2)
    bench.dump.set("a.number", 1)
    bench.dump.set("a.number", 7)
    bench.close()
    assert bench.values("number") == [(0, "b0"), (1, "b111")]


def test_a_late_value_shows_in_the_next_cycle_unless_overruled() -> None:
    bench = Bench()
    bench.go_to(1)
    bench.dump.set("a.word", "one", late=True)
    bench.go_to(5)
    bench.dump.set("a.word", "never", late=True)
    bench.dump.set("a.word", "five")
    bench.go_to(8)
    bench.dump.set("a.word", "never", late=True)
    bench.go_to(9)
    bench.dump.set("a.word", "nine")
    bench.close()
    assert bench.values("word") == [(0, "s-"), (2, "sone"), (5, "sfive"), (9, "snine")]


def test_an_event_shows_every_time() -> None:
    bench = Bench()
    for cycle in (1, 2, 5):
        bench.go_to(cycle)
        bench.dump.set("a.event", 1)
    bench.close()
    assert [cycle for cycle, _ in bench.values("event")] == [1, 2, 5]


class InterruptedStream(io.StringIO):
    """Ctrl-C arrives while the text of one write is on its way."""

    def __init__(self, interrupted_write: int) -> None:
        super().__init__()
        self._left = interrupted_write

    def write(self, text: str, /) -> int:
        written = super().write(text)
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
        return written


@pytest.mark.parametrize("interrupted_write", [*range(12, 32), 150, 300])
def test_ctrl_c_within_a_write_repeats_nothing(interrupted_write: int) -> None:
    bench = Bench(InterruptedStream(interrupted_write), sample=lambda first, end: {"a.mean": first + end})

    def play() -> None:
        for cycle in range(1, 200):
            bench.go_to(cycle)
            bench.dump.set("a.event", 1)
            bench.dump.set("a.number", cycle)

    with pytest.raises(KeyboardInterrupt):
        play()
    bench.close()
    means = [cycle for cycle, _ in bench.values("mean")[1:]]  # behind its initial value
    for cycles in (
        means,
        *([cycle for cycle, _ in bench.values(name)] for name in ("event", "number", "cycle", "ruler")),
    ):
        assert cycles == sorted(set(cycles))


@pytest.mark.parametrize(("gap", "counted"), [(500, True), (5000, False)])
def test_the_cycle_counter_runs_on_for_a_while_and_then_says_that_it_does_not_know(gap: int, counted: bool) -> None:
    bench = Bench()
    bench.go_to(10)
    bench.dump.set("a.bit", 1)
    bench.go_to(10 + gap)
    bench.dump.set("a.bit", 0)
    bench.close()
    cycles = bench.values("cycle")
    known = [(cycle, value) for cycle, value in cycles if value != "bx"]
    assert all(int(value[1:], 2) == cycle for cycle, value in known)
    assert (len(known) == len(cycles) == 10 + gap + 1) is counted
    assert len(cycles) < 2000
    assert bench.values("bit") == [(0, "0"), (10, "1"), (10 + gap, "0")]


@pytest.mark.parametrize("clock_khz", [534_000, 234_000, 1_000, 5_000_000, 333_333])
def test_cycles_begin_at_exact_times(clock_khz: int) -> None:
    for cycle in (0, 1, 2, 999, 10**9 + 7):
        exact_times_khz = cycle * 10**9
        assert start_ps(cycle, clock_khz) * clock_khz <= exact_times_khz < (start_ps(cycle, clock_khz) + 1) * clock_khz


def test_a_value_for_a_cycle_to_come_shows_then_unless_overruled() -> None:
    bench = Bench()
    bench.go_to(2)
    bench.dump.set_at(5, "a.number", 50)
    bench.dump.set_at(9, "a.number", 90)
    bench.dump.set_at(4000, "a.number", 4)
    bench.go_to(7)
    bench.dump.set_at(7, "a.number", 70)
    bench.go_to(8)
    bench.dump.set("a.number", 80)  # and nothing else is to come
    bench.go_to(4500)
    bench.close()
    assert [(cycle, int(value[1:], 2)) for cycle, value in bench.values("number")] == [
        (0, 0),
        (5, 50),
        (7, 70),
        (8, 80),
    ]


def test_averages_show_from_the_beginning_of_their_span_and_cover_everything() -> None:
    spans: list[tuple[int, int]] = []

    def sample(first: int, end: int) -> Frame:
        spans.append((first, end))
        return {"a.mean": float(len(spans))}

    bench = Bench(sample=sample)
    for cycle in (1, SAMPLE_CYCLES - 1, SAMPLE_CYCLES + 3, 10 * SAMPLE_CYCLES + 5):
        bench.go_to(cycle)
        bench.dump.pulse("a.bit")
    bench.close()
    edges = [edge for span in spans for edge in span]
    assert (edges[0], edges[-1]) == (0, 10 * SAMPLE_CYCLES + 6)
    assert edges[1:-1:2] == edges[2::2]
    assert all(first % SAMPLE_CYCLES == 0 for first, _ in spans)
    assert [cycle for cycle, _ in bench.values("mean")[1:]] == [first for first, _ in spans]  # behind the initial value


def test_outside_its_window_a_dump_shows_nothing_and_within_it_everything() -> None:
    bench = Bench(gate=lambda cycle: 10 <= cycle < 20)
    for cycle in range(1, 30):
        bench.go_to(cycle)
        bench.dump.set("a.number", cycle)
        if cycle == 5:
            bench.dump.set("a.word", "five")
    bench.close()
    shown = [(cycle, int(value[1:], 2)) for cycle, value in bench.values("number") if value.strip("bx")]
    assert shown == [(0, 0), *((cycle, cycle) for cycle in range(10, 20))]
    assert [cycle for cycle, value in bench.values("number") if value == "bx"] == [0, 20]
    assert (10, "sfive") in bench.values("word")
    assert (bench.dump.first_recorded_cycle, bench.dump.recorded_cycles) == (10, 10)


def test_a_dump_ends_at_its_limit_and_says_where() -> None:
    bench = Bench(limit_bytes=2000)
    for cycle in range(1, 2000):
        bench.go_to(cycle)
        bench.dump.set("a.number", cycle)
    bench.close()
    cut = bench.dump.cut_cycle
    assert cut is not None
    assert 2000 < len(bench.stream.getvalue()) < 2200
    shown = [cycle for cycle, value in bench.values("number") if value != "bx"]
    assert shown == list(range(cut))
