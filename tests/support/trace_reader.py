"""A trace for timeline viewers, read back: nothing but what stands in the file."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class Trace:
    """Events of a file, checked to be strict JSON with an event a line and the form that the format asks for."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("ascii")
        content = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
        self.head: Json = content["otherData"]
        assert content["displayTimeUnit"] == "ns"
        self.events: list[Json] = content["traceEvents"]
        lines = text.splitlines()
        assert [json.loads(line.rstrip(",")) for line in lines[1:-1]] == self.events
        assert (lines[0][-1], lines[-1]) == ("[", "]}")
        self.track_names = {e["tid"]: e["args"]["name"] for e in self.of("M") if e["name"] == "thread_name"}
        timed = [event for event in self.events if event["ph"] != "M"]
        assert [e["ts"] for e in timed] == sorted(e["ts"] for e in timed)
        self.count = len(timed)

    def of(self, phase: str) -> list[Json]:
        """Events of a kind."""
        return [event for event in self.events if event["ph"] == phase]

    def slices(self, track: str, level: str | None = None) -> list[Json]:
        """Of a track, in the order of time, the outer first."""
        return [e for e in self.of("X") if self.track_names[e["tid"]] == track and level in (None, e["cat"])]

    def parts(self) -> list[Json]:
        """Parts of layers on the engine's track."""
        return [event for event in self.slices("engine", "layer") if "layer" in event["args"]]

    def passes(self) -> list[Json]:
        """Passes on the engine's track that ended."""
        return [event for event in self.slices("engine", "pass") if "steps" in event["args"]]

    def counter(self, name: str) -> list[tuple[int, float]]:
        """(cycle, value) of a counter's changes."""
        (key,) = {key for e in self.of("C") if e["name"] == name for key in e["args"]}
        return [(self.cycle(e["ts"]), e["args"][key]) for e in self.of("C") if e["name"] == name]

    def cycle(self, ts: float) -> int:
        """The cycle that begins at a time in microseconds."""
        return -(-ns(ts) * self.head["clock_khz"] // 10**6)

    def causes(self, span: range | None = None) -> Counter[str]:
        """Cause -> cycles of the slices on its track, or of those within a span."""
        total: Counter[str] = Counter()
        for event in self.slices("cause of each cycle"):
            if span is None or event["args"]["first_cycle"] in span:
                total.update(event["args"]["causes"])
        return total

    def check(self) -> None:
        """Time, nesting and arrows of every track."""
        khz = self.head["clock_khz"]
        for event in self.of("X"):
            first, end = event["args"]["first_cycle"], event["args"]["last_cycle"] + 1
            assert 0 <= first < end <= self.head["cycles"], event
            assert event["args"]["cycles"] == end - first
            assert (ns(event["ts"]), ns(event["ts"]) + ns(event["dur"])) == (first * 10**6 // khz, end * 10**6 // khz)
        for name in self.track_names.values():
            self._check_nesting(self.slices(name))
        self._check_causes()
        self._check_arrows()

    @staticmethod
    def _check_nesting(slices: list[Json]) -> None:
        """Each begins inside those that are open, and ends before they do: in cycles and in ns."""
        open_slices: list[tuple[int, int]] = []
        for event in slices:
            first, end = event["args"]["first_cycle"], event["args"]["last_cycle"] + 1
            begin_ns, end_ns = ns(event["ts"]), ns(event["ts"]) + ns(event["dur"])
            while open_slices and open_slices[-1][0] <= first:
                assert open_slices.pop()[1] <= begin_ns
            assert not open_slices or (open_slices[-1][0] >= end and open_slices[-1][1] >= end_ns), event
            open_slices.append((end, end_ns))

    def _check_causes(self) -> None:
        """In sum each slice's cycles; and every cycle of the run has a slice, unless a pass did not end in it."""
        covered = 0
        for event in self.slices("cause of each cycle"):
            args = event["args"]
            assert sum(args["causes"].values()) == args["cycles"], event
            assert all(count > 0 for count in args["causes"].values()), event
            assert args["first_cycle"] >= covered
            gap = range(covered, args["first_cycle"])
            assert not gap or any(self._explains(event, gap) for event in self.slices("engine")), gap
            covered = args["last_cycle"] + 1
        assert covered == self.head["cycles"] or not self.head["finished"] or self.head["left_out"]

    def _explains(self, event: Json, gap: range) -> bool:
        """Why cycles have no cause: a pass that did not end, or a trace without passes."""
        whole = event["args"]["first_cycle"] == gap.start and event["args"]["last_cycle"] == gap.stop - 1
        return whole and ("not ended" in event["name"] or "pass" in self.head["left_out"])

    def _check_arrows(self) -> None:
        starts = {event["id"]: event for event in self.of("s")}
        ends = {event["id"]: event for event in self.of("f")}
        assert len(starts) == len(self.of("s"))
        assert len(ends) == len(self.of("f"))
        assert starts.keys() == ends.keys()
        for index, start in starts.items():
            end = ends[index]
            assert (start["name"], start["cat"], end["bp"]) == (end["name"], end["cat"], "e")
            assert start["ts"] < end["ts"]
            for event in (start, end):  # a reader knows a slice only when it has seen it
                assert self.events.index(self.innermost(event)) < self.events.index(event)

    def innermost(self, event: Json) -> Json:
        """The slice that an arrow's end binds to."""
        covering = [
            one
            for one in self.slices(self.track_names[event["tid"]])
            if ns(one["ts"]) <= ns(event["ts"]) < ns(one["ts"]) + ns(one["dur"])
        ]
        return covering[-1]


def ns(us: float) -> int:
    """Whole nanoseconds."""
    value = round(us * 1000)
    assert value / 1000 == us
    return value


def levels(counter: list[tuple[int, float]], end_cycle: int) -> Iterator[tuple[int, int, float]]:
    """(first cycle, end cycle, value) of each step of a counter."""
    for (first, value), (end, _) in zip(counter, [*counter[1:], (end_cycle, 0.0)], strict=True):
        yield first, end, value


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    assert len(found) == len(pairs), f"a key twice: {pairs}"
    return found
