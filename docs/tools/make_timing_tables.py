"""Makes the tables of docs/timing.md and docs/architecture.md from real runs, and writes them into the pages.

    python docs/tools/make_timing_tables.py            rewrite the pages
    python docs/tools/make_timing_tables.py --check    exit status 1 if a page is out of date

A table stands between ``<!-- table NAME -->`` and ``<!-- end NAME -->``. Every cell was observed at a socket or a
probe; nothing is computed from a formula.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from measuring import Measurement, Transaction

import tlm
from tlm.chip.payloads import BurstBeat, Work
from tlm.core.payload import Command, MemoryPayload

DOCS = Path(__file__).resolve().parents[1]
Column = tuple[str, Callable[[int], str]]


def tiny_run() -> Measurement:
    """One tile, two input and two output channels, three steps: the smallest run that shows every stage."""
    weights = np.zeros((2, 2, 1, 3), np.int8)
    weights[:, 0, 0, 0], weights[:, 0, 0, 1], weights[:, 1, 0, 0] = (1, 2), (3, -1), (2, 1)
    layer = tlm.Conv2d("tiny", weights, padding=(0, 1), shift=2)
    program = tlm.compile(tlm.Network((2, 1, 32), [layer]), tlm.ChipConfig())
    return Measurement(program, np.arange(64).reshape(2, 1, 32) % 16)


def conflict_run() -> Measurement:
    """A stride of 2 and a residual: words of a step share banks, and write-back and residual reads are in their way."""
    weights = np.ones((4, 2, 1, 1), np.int8)
    first = tlm.Conv2d("a", weights, stride=2, shift=2)
    second = tlm.Conv2d("b", weights, stride=2, input="input", residual="a", residual_multiplier=1, shift=2)
    program = tlm.compile(tlm.Network((2, 24, 12), [first, second]), tlm.ChipConfig())
    return Measurement(program, np.arange(576).reshape(2, 24, 12) % 16)


# -- cells ------------------------------------------------------------------------------------------------------------


def words(measured: Measurement, socket: str, banks: int = 0) -> Callable[[int], str]:
    """Word addresses that a socket asked for in a cycle, with their banks if ``banks`` is given."""

    def cell(cycle: int) -> str:
        texts = []
        for seen in measured.at(socket):
            if seen.begin_cycle == cycle:
                bank = f" (bank {seen.address % banks})" if banks else ""
                texts.append(f"{seen.address}{bank}{' **refused**' if seen.refused else ''}")
        return ", ".join(texts)

    return cell


def beats(measured: Measurement, socket: str) -> Callable[[int], str]:
    """Steps (their number in the pass) that passed a socket in a cycle."""

    def cell(cycle: int) -> str:
        causes = [seen.payload.origin for seen in measured.at(socket) if seen.begin_cycle == cycle]
        found = [cause.find(Work.BEAT) for cause in causes if cause is not None]
        return ", ".join(f"step {beat.index}" for beat in found if beat is not None)

    return cell


def changes(measured: Measurement, probes: Sequence[tuple[str, str]]) -> Callable[[int], str]:
    """New values of probes in a cycle: (path, text before the value)."""

    def cell(cycle: int) -> str:
        texts = []
        for path, text in probes:
            for change in measured.of(path):
                if change.cycle == cycle:
                    texts.append(text + str(getattr(change.value, "value", change.value)))
        return ", ".join(texts)

    return cell


def routing(measured: Measurement, lanes: int = 4) -> Callable[[int], str]:
    """The nibbles after each routing stage in the first ``lanes`` lanes, where the word after it changed."""

    def cell(cycle: int) -> str:
        texts = []
        for change in measured.changes:
            _, found, stage = change.path.partition("engine.aligner.stage_")
            if found and change.cycle == cycle:
                nibbles = [change.value >> 4 * lane & 15 for lane in range(lanes)]
                texts.append(f"{stage.partition('_')[0]}: {' '.join(f'{nibble:x}' for nibble in nibbles)}")
        return ", ".join(sorted(texts))

    return cell


def handovers(measured: Measurement) -> Callable[[int], str]:
    """Accumulators that change hands."""
    return lambda cycle: ", ".join(
        "handover h" for seen in measured.at("engine.mac_array.drain") if seen.end_cycle == cycle
    )


def cycle_table(first_cycle: int, last_cycle: int, origin: int, name: str, columns: Sequence[Column]) -> list[str]:
    """One row a cycle; ``origin`` is the cycle that counts 0 in the second column, called ``name``."""
    heads = ["cycle", name, *(head for head, _ in columns)]
    rows = [
        [str(cycle), f"{cycle - origin:+d}" if cycle != origin else "0", *(cell(cycle) for _, cell in columns)]
        for cycle in range(first_cycle, last_cycle + 1)
    ]
    return markdown(heads, rows)


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    return [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *(f"| {' | '.join(row)} |" for row in rows)]


# -- tables -----------------------------------------------------------------------------------------------------------


def pass_table(measured: Measurement) -> list[str]:
    """The only pass of the tiny run."""
    work = measured.at("engine.sequencer.passes")[0]
    s = work.payload.first_cycle  # type: ignore[attr-defined]
    last = measured.at("engine.requantiser.writes")[-1].begin_cycle
    requantiser = (("engine.requantiser.state", ""), ("engine.requantiser.entry", "entry "))
    return cycle_table(
        s - 1,
        last,
        s,
        "from s",
        [
            ("IMem word read", words(measured, "engine.sequencer.imem")),
            ("AMem word read", words(measured, "engine.aligner.amem")),
            ("WMem word read", words(measured, "engine.sequencer.wmem")),
            ("after routing stage: lanes 0..3", routing(measured)),
            ("at the multipliers", beats(measured, "engine.aligner.vectors")),
            ("accumulators", handovers(measured)),
            ("requantiser", changes(measured, requantiser)),
            ("AMem word written", words(measured, "engine.requantiser.writes")),
        ],
    )


def conflict_table(measured: Measurement, banks: int = 4) -> list[str]:
    """From the first handover of layer b to the end of its drain."""
    h = next(seen for seen in measured.at("engine.sequencer.passes") if in_layer(seen, 1)).end_cycle
    writes = [w for w in measured.at("engine.requantiser.writes") if in_pass(w, 0) and in_layer(w, 1)]
    state = (("engine.requantiser.state", ""),)
    return cycle_table(
        h,
        writes[-1].begin_cycle,
        h,
        "from h",
        [
            ("step begins", beats(measured, "engine.sequencer.steps")),
            ("aligner reads AMem", words(measured, "engine.aligner.amem", banks)),
            ("WMem", words(measured, "engine.sequencer.wmem")),
            ("write-back", words(measured, "engine.requantiser.writes", banks)),
            ("residual read", words(measured, "engine.requantiser.residuals", banks)),
            ("requantiser", changes(measured, state)),
        ],
    )


def burst_table(measured: Measurement) -> list[str]:
    """The transfer of the tiny run's weights: one burst of six beats, three WMem words."""
    written = [seen.begin_cycle for seen in measured.at("dma.load.wmem")]
    interrupts = [seen.begin_cycle for seen in measured.at("dma.load.interrupt")]
    interrupt = min(cycle for cycle in interrupts if cycle > written[-1])
    before = max(cycle for cycle in interrupts if cycle < written[0])
    accesses = [seen for seen in measured.at("host.bus") if seen.begin_cycle > before]
    first, last = accesses[2].begin_cycle, [a for a in accesses if a.begin_cycle > interrupt][1].end_cycle
    sockets = ("host.bus", "interconnect.to_load", "dma.load.memory", "interconnect.to_memory", "dma.load.wmem",
               "dma.load.interrupt")  # fmt: skip
    shown = [seen for seen in measured.transactions if seen.socket in sockets and first <= seen.begin_cycle <= last]
    return journey_rows(shown)


def journey_table(measured: Measurement) -> list[str]:
    """AMem word 0 of the tiny run, from the off-chip image to the output word that it helped to make, and on."""
    written = measured.at("engine.requantiser.writes")[0].address
    return journey_rows([seen for seen in measured.transactions if on_the_way(seen, written)])


def on_the_way(seen: Transaction, written: int) -> bool:
    """Does a transaction move AMem word 0, what is made of it, or the output word ``written``?"""
    payload, cause = seen.payload, seen.payload.origin
    if seen.socket == "engine.sequencer.interrupt":
        return True
    if cause is None:
        return False
    transfer, burst, beat = (cause.find(kind) for kind in (Work.TRANSFER, Work.BURST, Work.BEAT))
    if transfer is not None and burst is not None:
        if isinstance(payload, BurstBeat):  # a word is two beats; the output word is the first one stored
            is_input = seen.socket.startswith(("dma.load", "interconnect")) and transfer.index == 2
            is_output = payload.command is Command.WRITE
            return (is_input or is_output) and payload.beat < 2
        return (seen.socket, seen.address) in (("dma.load.amem", 0), ("dma.store.amem", written))
    if seen.socket == "engine.requantiser.writes":
        return seen.address == written
    in_datapath = seen.socket.startswith(("engine.sequencer", "engine.aligner", "engine.mac_array"))
    return in_datapath and "layers" not in seen.socket and (beat is None or beat.index == 0)


def in_layer(seen: Transaction, tag: int) -> bool:
    """Was it caused by the layer with this tag?"""
    link = seen.payload.origin and seen.payload.origin.find(Work.LAYER)
    return link is not None and link.index == tag


def in_pass(seen: Transaction, index: int) -> bool:
    """Was it caused by the pass of this index?"""
    link = seen.payload.origin and seen.payload.origin.find(Work.PASS)
    return link is not None and link.index == index


def journey_rows(shown: Sequence[Transaction]) -> list[str]:
    """One row a transaction: begin, end, sockets, payload."""
    rows = []
    for seen in shown:
        what = seen.payload.describe() if seen.address < 0 else sent(seen)
        cycles = str(seen.begin_cycle)
        if seen.end_cycle != seen.begin_cycle:
            cycles += f" .. {seen.end_cycle}"
        rows.append([cycles, f"`{seen.socket}` -> `{seen.target}`", what])
    return markdown(["cycles", "sockets", "payload"], rows)


def sent(seen: Transaction) -> str:
    """A memory access with the address that the initiator sent."""
    payload = seen.payload
    assert isinstance(payload, MemoryPayload)
    counts_words = seen.target.startswith(("engine.amem", "engine.wmem", "engine.imem"))
    place = f"word {seen.address}" if counts_words else f"0x{seen.address:x}"
    cause = f" for {payload.origin}" if payload.origin is not None else ""
    return f"{payload.command.value} {len(payload.data)} bytes, {place}{cause}"


# -- pages ------------------------------------------------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """Each page as it should be."""
    tiny, conflict = tiny_run(), conflict_run()
    tables = {
        "pass": pass_table(tiny),
        "conflict": conflict_table(conflict),
        "burst": burst_table(tiny),
        "journey": journey_table(tiny),
    }
    return {DOCS / page: filled(DOCS / page, tables) for page in ("timing.md", "architecture.md")}


def filled(page: Path, tables: dict[str, list[str]]) -> str:
    """A page with its tables replaced."""
    text = page.read_text(encoding="utf-8")
    for name, lines in tables.items():
        begin, end = f"<!-- table {name} -->\n", f"<!-- end {name} -->"
        if begin in text:
            before, _, rest = text.partition(begin)
            _, found, after = rest.partition(end)
            if not found:
                raise SystemExit(f"{page.name}: {begin.strip()} has no {end}")
            text = before + begin + "\n".join(lines) + "\n" + end + after
    return text


def main(arguments: Sequence[str]) -> int:
    """Rewrite the pages, or only compare."""
    check = "--check" in arguments
    stale = {page: text for page, text in pages().items() if page.read_text(encoding="utf-8") != text}
    for page, text in stale.items():
        if check:
            print(f"{page.name}: out of date; run docs/tools/make_timing_tables.py")
        else:
            page.write_text(text, encoding="utf-8")
            print(f"{page.name}: rewritten")
    return int(check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
