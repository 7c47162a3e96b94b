"""Signals of a dump by themselves: one settled value a cycle, exact time, nothing twice."""

from __future__ import annotations

import io

import pytest
import simpy

from tlm.core.clock import Clock
from tlm.traces.waves.dump import SAMPLE_CYCLES, Dump
from tlm.traces.waves.variables import start_ps


class Bench:
    """A dump of 1 GHz whose clock a test moves by hand: cycle c begins at 1000 c ps."""

    def __init__(self, stream: io.StringIO | None = None, limit_bytes: int = 1 << 40) -> None:
        self.stream = stream or io.StringIO()
        self._env = simpy.Environment()
        self.dump = Dump(self.stream, Clock(self._env), 1_000_000, "test", limit_bytes)

    def go_to(self, cycle: int) -> None:
        self._env.run(until=cycle)

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
    signal = bench.dump.bits("a", "s")
    for cycle in (2, 3, 7):
        bench.go_to(cycle)
        signal.pulse()
    bench.go_to(9)
    bench.close()
    assert bench.values("s") == [(0, "0"), (2, "1"), (4, "0"), (7, "1"), (8, "0")]


def test_the_last_value_of_a_cycle_counts() -> None:
    bench = Bench()
    signal = bench.dump.integer("a", "s")
    bench.go_to(1)
    for value in (5, 6, 7):
        signal.set(value)
    bench.go_to(2)
    signal.set(1)
    signal.set(7)
    bench.close()
    assert bench.values("s") == [(0, "b0"), (1, "b111")]


def test_a_late_value_shows_in_the_next_cycle_unless_overruled() -> None:
    bench = Bench()
    signal = bench.dump.text("a", "s")
    bench.go_to(1)
    signal.set("one", late=True)
    bench.go_to(5)
    signal.set("never", late=True)
    signal.set("five")
    bench.go_to(8)
    signal.set("never", late=True)
    bench.go_to(9)
    signal.set("nine")
    bench.close()
    assert bench.values("s") == [(0, "s-"), (2, "sone"), (5, "sfive"), (9, "snine")]


def test_an_event_shows_every_time() -> None:
    bench = Bench()
    event = bench.dump.event("a", "s")
    for cycle in (1, 2, 5):
        bench.go_to(cycle)
        event.set(1)
    bench.close()
    assert [cycle for cycle, _ in bench.values("s")] == [1, 2, 5]


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
    bench = Bench(InterruptedStream(interrupted_write))
    event, number = bench.dump.event("a", "s"), bench.dump.integer("a", "n")
    mean = bench.dump.variables.real("a", "mean")
    bench.dump.average(lambda first, end: {mean: first + end})
    bench.dump.start()

    def play() -> None:
        for cycle in range(1, 200):
            bench.go_to(cycle)
            event.set(1)
            number.set(cycle)

    with pytest.raises(KeyboardInterrupt):
        play()
    bench.close()
    means = [cycle for cycle, _ in bench.values("mean")[1:]]  # behind its initial value
    for cycles in (means, *([cycle for cycle, _ in bench.values(name)] for name in ("s", "n", "cycle", "ruler"))):
        assert cycles == sorted(set(cycles))


@pytest.mark.parametrize(("gap", "counted"), [(500, True), (5000, False)])
def test_the_cycle_counter_runs_on_for_a_while_and_then_says_that_it_does_not_know(gap: int, counted: bool) -> None:
    bench = Bench()
    signal = bench.dump.bits("a", "s")
    bench.go_to(10)
    signal.set(1)
    bench.go_to(10 + gap)
    signal.set(0)
    bench.close()
    cycles = bench.values("cycle")
    known = [(cycle, value) for cycle, value in cycles if value != "bx"]
    assert all(int(value[1:], 2) == cycle for cycle, value in known)
    assert (len(known) == len(cycles) == 10 + gap + 1) is counted
    assert len(cycles) < 2000
    assert bench.values("s") == [(0, "0"), (10, "1"), (10 + gap, "0")]


@pytest.mark.parametrize("clock_khz", [534_000, 234_000, 1_000, 5_000_000, 333_333])
def test_cycles_begin_at_exact_times(clock_khz: int) -> None:
    for cycle in (0, 1, 2, 999, 10**9 + 7):
        exact_times_khz = cycle * 10**9
        assert start_ps(cycle, clock_khz) * clock_khz <= exact_times_khz < (start_ps(cycle, clock_khz) + 1) * clock_khz


def test_a_value_for_a_cycle_to_come_shows_then_unless_overruled() -> None:
    bench = Bench()
    signal = bench.dump.integer("a", "s")
    bench.go_to(2)
    signal.set_at(5, 50)
    signal.set_at(9, 90)
    signal.set_at(4000, 4)
    bench.go_to(7)
    signal.set_at(7, 70)
    bench.go_to(8)
    signal.set(80)  # and nothing else is to come
    bench.go_to(4500)
    bench.close()
    assert [(cycle, int(value[1:], 2)) for cycle, value in bench.values("s")] == [(0, 0), (5, 50), (7, 70), (8, 80)]


def test_averages_show_from_the_beginning_of_their_span_and_cover_everything() -> None:
    bench = Bench()
    signal, mean = bench.dump.bits("a", "s"), bench.dump.variables.real("a", "mean")
    spans: list[tuple[int, int]] = []

    def sample(first: int, end: int) -> dict[object, float]:
        spans.append((first, end))
        return {mean: float(len(spans))}

    bench.dump.average(sample)  # type: ignore[arg-type]
    for cycle in (1, SAMPLE_CYCLES - 1, SAMPLE_CYCLES + 3, 10 * SAMPLE_CYCLES + 5):
        bench.go_to(cycle)
        signal.pulse()
    bench.close()
    edges = [edge for span in spans for edge in span]
    assert (edges[0], edges[-1]) == (0, 10 * SAMPLE_CYCLES + 6)
    assert edges[1:-1:2] == edges[2::2]
    assert all(first % SAMPLE_CYCLES == 0 for first, _ in spans)
    assert [cycle for cycle, _ in bench.values("mean")] == [first for first, _ in spans]


def test_outside_its_window_a_dump_shows_nothing_and_within_it_everything() -> None:
    bench = Bench()
    number, word = bench.dump.integer("a", "n"), bench.dump.text("a", "w")
    bench.dump.start(lambda cycle: 10 <= cycle < 20)
    for cycle in range(1, 30):
        bench.go_to(cycle)
        number.set(cycle)
        if cycle == 5:
            word.set("five")
    bench.close()
    shown = [(cycle, int(value[1:], 2)) for cycle, value in bench.values("n") if value.strip("bx")]
    assert shown == [(0, 0), *((cycle, cycle) for cycle in range(10, 20))]
    assert [cycle for cycle, value in bench.values("n") if value == "bx"] == [0, 20]
    assert (10, "sfive") in bench.values("w")
    assert (bench.dump.first_recorded_cycle, bench.dump.recorded_cycles) == (10, 10)


def test_a_dump_ends_at_its_limit_and_says_where() -> None:
    bench = Bench(limit_bytes=2000)
    number = bench.dump.integer("a", "n")
    for cycle in range(1, 2000):
        bench.go_to(cycle)
        number.set(cycle)
    bench.close()
    cut = bench.dump.cut_cycle
    assert cut is not None
    assert 2000 < len(bench.stream.getvalue()) < 2200
    shown = [cycle for cycle, value in bench.values("n") if value != "bx"]
    assert shown == list(range(cut))
