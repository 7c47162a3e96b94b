"""Draws the timelines of docs/stalls.md from real runs, and writes them into the page.

    python docs/tools/make_stall_timelines.py            rewrite the page
    python docs/tools/make_stall_timelines.py --check    exit status 1 if it is out of date

Each character is a cycle, or several: then what most of them were. What the blocks did was observed at sockets and
probes (fidelity cycle); the cause of each cycle is worked out from it here, and its sums must equal the run's account.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from make_timing_tables import DOCS, filled
from measuring import Measurement

import tlm
from tlm.chip.format.driver import Unit
from tlm.chip.states import HostState, SequencerState
from tlm.observe.passes import PassRecord
from tlm.results.result import Result

MARKS = {
    "computing": "#", "bank_conflict": "b", "instruction": "i", "pipeline": "p", "parameters": "P", "write_back": "w",
    "drain": "d", "weights": "W", "activations": "A", "instructions": "I", "host": "h",
}  # fmt: skip
WAIT_OF_SRAM = {"amem": "activations", "wmem": "weights", "imem": "instructions"}


@dataclass(frozen=True)
class Example:
    """A run, and the part of it that shows the stall."""

    network: tlm.Network
    chip: tlm.ChipConfig
    cause: str
    before_cycles: int = 4
    """Drawn before the first cycle of the cause."""
    cycles: int = 96
    """Drawn in all, at most."""
    scale: int = 1
    """Cycles of a character."""


class Run:
    """One example's run: observed, and reported."""

    def __init__(self, example: Example) -> None:
        program = tlm.compile(example.network, example.chip)
        values = np.arange(np.prod(example.network.input_shape)).reshape(example.network.input_shape) % 16
        self.measured = Measurement(program, values)
        self.result: Result = tlm.simulate(program, values)
        self.config = example.chip
        self.causes = self._causes()
        sums = {cause: self.causes.count(cause) for cause in MARKS}
        account = {cause: count for cause, count in self.result.account.by_cause().items() if count}
        if account != {cause: count for cause, count in sums.items() if count}:
            raise SystemExit(f"the drawing says {sums}, but the account {account}")

    def _causes(self) -> list[str]:
        """The cause of every cycle."""
        causes = ["host"] * self.result.cycles
        self._mark_waits(causes)
        self._mark_engine(causes)
        for name in self.result.layers:
            self._mark_layer(causes, list(self.result.passes[name]))
        return causes

    def _mark_waits(self, causes: list[str]) -> None:
        """Cycles in which the host sleeps on a channel, up to the channel's interrupt."""
        waits = {change.cycle: change.value for change in self.measured.of("host.waits_for")}
        for change in self.measured.of("host.state"):
            unit = next((waits[c] for c in sorted(waits, reverse=True) if c <= change.cycle), None)
            if change.value is HostState.SLEEP and unit in (Unit.LOAD, Unit.STORE):
                end = min(c for c in self._interrupts(unit) if c >= change.cycle)
                self._mark(causes, change.cycle, end - 1, self._filled_by(unit, end))

    def _interrupts(self, unit: Unit) -> list[int]:
        return [seen.begin_cycle for seen in self.measured.at(f"dma.{unit.value}.interrupt")]

    def _filled_by(self, unit: Unit, end: int) -> str:
        if unit is Unit.STORE:
            return "activations"
        last = max(
            (seen for sram in WAIT_OF_SRAM for seen in self.measured.at(f"dma.load.{sram}") if seen.end_cycle < end),
            key=lambda seen: seen.end_cycle,
        )
        return WAIT_OF_SRAM[last.socket.rpartition(".")[2]]

    def _mark_engine(self, causes: list[str]) -> None:
        """Cycles in which the sequencer runs a program: headers, parameters, END, unless a layer computes."""
        busy = False
        changes = {change.cycle: change.value for change in self.measured.of("engine.sequencer.state")}
        for cycle in range(self.result.cycles):
            busy = changes.get(cycle, SequencerState.STEPS if busy else SequencerState.IDLE) is not SequencerState.IDLE
            if busy:
                causes[cycle] = "instructions"

    def _mark_layer(self, causes: list[str], passes: list[PassRecord]) -> None:
        fetches = [s for s in self.measured.at("engine.sequencer.steps") if s.payload.is_step]  # type: ignore[attr-defined]
        ends = {seen.end_cycle for seen in fetches}
        busy = {cycle for seen in fetches for cycle in range(seen.begin_cycle, seen.end_cycle + 1)}
        for index, one in enumerate(passes):
            for cycle in range(one.first_cycle, one.last_fetch_cycle + 1):
                fetch = "computing" if cycle in ends else "bank_conflict"
                causes[cycle] = fetch if cycle in busy else "instruction"
            full = one.last_fetch_cycle + self.config.pipeline_cycles
            self._mark(causes, one.last_fetch_cycle + 1, full, "pipeline")
            self._mark(causes, full + 1, one.handover_cycle - 1, "write_back")
            causes[one.handover_cycle] = "pipeline"
            following = passes[index + 1] if index + 1 < len(passes) else None
            last_of_part = following is None or following.first_cycle > one.last_write_cycle + self.config.columns
            gap = self.config.requantiser_cycles if last_of_part else self.config.pass_gap_cycles
            end = one.last_write_cycle if last_of_part or following is None else following.first_cycle - 1
            self._mark(causes, one.handover_cycle + 1, one.handover_cycle + gap, "pipeline")
            self._mark(causes, one.handover_cycle + gap + 1, end, "drain" if last_of_part else "parameters")

    @staticmethod
    def _mark(causes: list[str], first: int, last: int, cause: str) -> None:
        causes[first : last + 1] = [cause] * (last + 1 - first)

    # -- rows -----------------------------------------------------------------------------------------------------

    def accesses(self, sockets: Sequence[str]) -> dict[int, str]:
        """Cycle -> ``o`` for an access, ``x`` for a refused one."""
        marks: dict[int, str] = {}
        for socket in sockets:
            for seen in self.measured.at(socket):
                marks[seen.end_cycle] = "x" if seen.refused else "o"
        return marks

    def registers(self) -> dict[int, str]:
        """Cycles in which the host is at a register."""
        return {c: "o" for s in self.measured.at("host.bus") for c in range(s.begin_cycle, s.end_cycle + 1)}


def draw(example: Example) -> list[str]:
    """The lines of an example's timeline."""
    run = Run(example)
    start = max(0, run.causes.index(example.cause) - example.before_cycles)
    stop = min(run.result.cycles, start + example.cycles)
    load = run.accesses([f"dma.load.{sram}" for sram in WAIT_OF_SRAM])
    rows: dict[str, dict[int, str]] = {
        "AMem fetch": run.accesses(["engine.aligner.amem"]),
        "write-back": run.accesses(["engine.requantiser.writes"]),
        "residual": run.accesses(["engine.requantiser.residuals"]),
        "IMem fetch": run.accesses(["engine.sequencer.imem"]),
        "DMA load": load,
        "DMA store": run.accesses([f"dma.store.{sram}" for sram in WAIT_OF_SRAM]),
        "registers": run.registers(),
        "cause": {cycle: MARKS[cause] for cycle, cause in enumerate(run.causes)},
    }
    lines = ["```text", f"{'cycle':<11}{ruler(start, stop, example.scale)}"]
    for name, marks in rows.items():
        text = "".join(bucket(marks, at, example.scale) for at in range(start, stop, example.scale))
        if text.strip(" ."):
            lines.append(f"{name:<11}{text}")
    whole = ", ".join(f"{cause} {count}" for cause, count in run.result.account.by_cause().items() if count)
    scale = "" if example.scale == 1 else f"; a character is {example.scale} cycles"
    return [*lines, "```", "", f"The whole run: {whole}; {run.result.cycles} cycles{scale}."]


def ruler(start: int, stop: int, scale: int) -> str:
    """Cycle numbers, one every ten characters."""
    return "".join(f"{at:<10}" for at in range(start, stop, 10 * scale)).rstrip()


def bucket(marks: dict[int, str], at: int, scale: int) -> str:
    """One character for ``scale`` cycles: a refusal if there is one, else the most frequent mark, else a dot."""
    found = [marks[cycle] for cycle in range(at, at + scale) if cycle in marks]
    if "x" in found:
        return "x"
    return Counter(found).most_common(1)[0][0] if found else "."


# -- examples ---------------------------------------------------------------------------------------------------------


def layer(name: str, shape: tuple[int, int, int, int], **keys: Any) -> tlm.Conv2d:
    """Weights of 1 everywhere, or as given."""
    weights = keys.pop("weights", np.ones(shape, np.int8))
    return tlm.Conv2d(name, weights, shift=6, **keys)


def holes() -> np.ndarray[Any, np.dtype[np.int8]]:
    """130 input channels of which the second sixty have no valid tap: an empty pattern word."""
    weights = np.ones((4, 130, 1, 1), np.int8)
    weights[:, 60:120] = 0
    return weights


def by_group() -> np.ndarray[Any, np.dtype[np.int8]]:
    """Three groups of output channels whose weights differ: equal ones would be loaded once."""
    return np.repeat(np.arange(1, 4, dtype=np.int8), 32)[:, None, None, None] * np.ones((96, 32, 3, 3), np.int8)


EXAMPLES = {
    "bank_conflict": Example(
        tlm.Network((6, 24, 12), [layer("c", (4, 6, 1, 1), stride=2)]), tlm.ChipConfig(), "bank_conflict", cycles=56
    ),
    "instruction": Example(
        tlm.Network((130, 4, 8), [layer("c", (4, 130, 1, 1), weights=holes())]), tlm.ChipConfig(), "instruction", 12, 48
    ),
    "pipeline": Example(tlm.Network((8, 8, 8), [layer("c", (4, 8, 1, 1))]), tlm.ChipConfig(), "pipeline", 10, 56),
    "parameters": Example(
        tlm.Network((40, 4, 8), [layer("c", (48, 40, 1, 1))]), tlm.ChipConfig(), "parameters", 24, 90
    ),
    "write_back": Example(
        tlm.Network((6, 8, 8), [layer("c", (32, 6, 1, 1))]), tlm.ChipConfig(amem_banks=1), "write_back", 34, 96
    ),
    "drain": Example(tlm.Network((8, 4, 8), [layer("c", (24, 8, 1, 1))]), tlm.ChipConfig(), "drain", 30, 64),
    "weights": Example(
        tlm.Network((32, 6, 6), [layer("c", (96, 32, 3, 3), weights=by_group(), padding=1)]),
        tlm.ChipConfig(wmem_words=640),
        "weights", 64, 9600, 100,
    ),
    "activations": Example(
        tlm.Network((32, 6, 6), [layer("c", (8, 32, 1, 1))]), tlm.ChipConfig(), "activations", 400, 2400, 25
    ),
    "host": Example(tlm.Network((2, 4, 4), [layer("c", (2, 2, 1, 1))]), tlm.ChipConfig(), "host", 0, 1200, 12),
}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Rewrite the page, or only compare."""
    page = DOCS / "stalls.md"
    text = filled(page, {name: draw(example) for name, example in EXAMPLES.items()})
    stale = page.read_text(encoding="utf-8") != text
    if stale and "--check" in arguments:
        print(f"{page.name}: out of date; run docs/tools/make_stall_timelines.py")
        return 1
    if stale:
        page.write_text(text, encoding="utf-8")
        print(f"{page.name}: rewritten")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
