"""The DMA's timeline in C against the clear model's blocks, cycle by cycle."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from dma_bench import Calendar, Outcome, Start, play
from hypothesis import given, settings
from hypothesis import strategies as st

from tlm.chip.config import ChipConfig
from tlm.chip.dma_timeline import Channel, DmaTimeline
from tlm.chip.driver import SramName, Transfer

WORDS, MEMORY_BYTES = 256, 1 << 14


@dataclass(frozen=True)
class Scene:
    """Transfers of both channels beside an engine."""

    config: ChipConfig
    starts: Mapping[Channel, Sequence[Start]]
    calendars: Mapping[SramName, Sequence[Calendar]]


def timeline_outcome(scene: Scene, stride_cycles: int | None = None) -> Outcome:
    """The same scene played on a timeline; time is also advanced every stride_cycles if given."""
    return Player(scene, stride_cycles).outcome


class Player:
    """Plays a scene: in the cycle in which something becomes known, it is made known to the timeline."""

    def __init__(self, scene: Scene, stride_cycles: int | None) -> None:
        self.timeline, self.outcome = DmaTimeline(scene.config), Outcome()
        self._stride_cycles = stride_cycles
        self._left = {channel: iter(starts) for channel, starts in scene.starts.items()}
        for channel in Channel:
            self._start_next(channel, -1)
        news = [(one.first_cycle, sram, one) for sram, many in scene.calendars.items() for one in many]
        for cycle, sram, calendar in sorted(news, key=lambda item: item[:2]):
            self._play_to(cycle)
            self.timeline.set_calendar(sram, calendar.first_cycle, calendar.banks)
        self._play_to(None)
        self._count(scene.config)

    def _start_next(self, channel: Channel, completed_cycle: int) -> None:
        start = next(self._left[channel], None)
        if start is None:
            return
        t = start.transfer
        begin = self.timeline.start_load if channel is Channel.LOAD else self.timeline.start_store
        interrupt = completed_cycle + 1
        begin(
            interrupt + start.delay_cycles + 1, t.memory_offset_bytes, t.sram, t.sram_word, t.row_words, t.rows,
            t.memory_stride_bytes, t.sram_stride_words,
        )  # fmt: skip

    def _play_to(self, cycle: int | None) -> None:
        """To a cycle, or until no transfer is left."""
        while (completion := self.timeline.next_completion()) is not None:
            if cycle is not None and completion[0] >= cycle:
                break
            completed = self._advance(completion[0] + 1)
            assert completed[0] == completion
            assert [done for done, _ in completed] == [completion[0]] * len(completed)
            for done, channel in completed:
                self.outcome.completed[channel].append(done)
                self._start_next(channel, done)
        if cycle is not None:
            assert self._advance(cycle) == []

    def _advance(self, until: int) -> list[tuple[int, Channel]]:
        if self._stride_cycles is not None:
            for step in range(self.timeline.now, until, self._stride_cycles):
                assert self.timeline.advance(step) == []
        return self.timeline.advance(until)

    def _count(self, config: ChipConfig) -> None:
        for channel in Channel:
            self.outcome.beats[channel] = self.timeline.beats(channel)
            for sram in SramName:
                for counts, of_banks in (
                    (self.outcome.granted, self.timeline.bank_accesses(channel, sram)),
                    (self.outcome.refused, self.timeline.bank_refusals(channel, sram)),
                ):
                    assert len(of_banks) == getattr(config, f"{sram.name.lower()}_banks")
                    for bank, count in enumerate(of_banks.tolist()):
                        counts[channel, sram, bank] += count


def totals(timeline: DmaTimeline) -> Iterator[tuple[int, int]]:
    for channel in Channel:
        accesses = sum(int(timeline.bank_accesses(channel, sram).sum()) for sram in SramName)
        refusals = sum(int(timeline.bank_refusals(channel, sram).sum()) for sram in SramName)
        yield timeline.words(channel) - accesses, timeline.refused(channel) - refusals


@st.composite
def configs(draw: st.DrawFn) -> ChipConfig:
    size, banks = st.sampled_from((8, 16, 32, 64)), st.sampled_from((1, 2, 4, 8))
    return ChipConfig(
        lanes=draw(size),
        columns=draw(size),
        amem_words=WORDS,
        wmem_words=WORDS,
        imem_words=WORDS,
        amem_banks=draw(banks),
        wmem_banks=draw(banks),
        imem_banks=draw(banks),
        sram_read_cycles=draw(st.integers(1, 4)),
        bus_bytes=draw(st.sampled_from((4, 8, 16, 32))),
        burst_bytes=draw(st.sampled_from((32, 64, 128, 256))),
        dma_bursts_in_flight=draw(st.integers(1, 8)),
        frequency_mhz=draw(st.sampled_from((534.0, 233.333, 97.1))),
        memory_gb_per_s=draw(st.sampled_from((0.07, 0.4, 1.3, 3.2, 6.4, 17.1, 1000.0))),
        memory_latency_ns=draw(st.sampled_from((0.0, 1.0, 7.3, 60.0, 300.0))),
        memory_bytes=MEMORY_BYTES,
    )


@st.composite
def transfers(draw: st.DrawFn, config: ChipConfig) -> Transfer:
    sram = draw(st.sampled_from(SramName))
    row_words = draw(st.integers(1, 40))
    rows = draw(st.sampled_from((1, 1, 2, 5))) if row_words <= 12 else draw(st.integers(1, 2))
    sram_stride = draw(st.integers(0, row_words + 3))
    span = (rows - 1) * sram_stride + row_words
    bus = config.bus_bytes
    return Transfer(
        sram=sram,
        sram_word=draw(st.integers(0, min(9, WORDS - span))),
        memory_offset_bytes=bus * draw(st.integers(0, 20)),
        row_words=row_words,
        rows=rows,
        memory_stride_bytes=bus * draw(st.integers(0, 25)),
        sram_stride_words=sram_stride,
    )


@st.composite
def calendars(draw: st.DrawFn, banks: int) -> list[Calendar]:
    """Up to three, one after the other, from empty to full."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    several, end = [], 0
    for _ in range(draw(st.integers(0, 3))):
        first = end + draw(st.sampled_from((0, 0, 1, 30)))
        length, density = draw(st.integers(1, 120)), draw(st.sampled_from((0.2, 0.7, 0.95, 1.0)))
        bits = rng.random((length, banks)) < density
        several.append(Calendar(first, (bits << np.arange(banks)).sum(axis=1).astype(np.uint8)))
        end = first + length
    return several


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    config = draw(configs())
    starts = {}
    for channel in Channel:
        count = draw(st.sampled_from((0, 1, 1, 2, 3)))
        delay = st.sampled_from((0, 0, 1, 2, 7, 40))
        starts[channel] = [Start(draw(delay), draw(transfers(config))) for _ in range(count)]
    taken = {sram: draw(calendars(getattr(config, f"{sram.name.lower()}_banks"))) for sram in SramName}
    return Scene(config, starts, taken)


@settings(max_examples=300)
@given(scenes(), st.integers(1, 9))
def test_timeline_equals_the_clear_model(scene: Scene, stride_cycles: int) -> None:
    expected = play(scene.config, scene.starts, scene.calendars)
    assert timeline_outcome(scene) == expected
    assert timeline_outcome(scene, stride_cycles) == expected
