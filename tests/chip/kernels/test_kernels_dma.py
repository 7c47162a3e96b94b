"""The DMA's timeline in C against fidelity "cycle"'s blocks, cycle by cycle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from dma_bench import Calendar, Outcome, Start, play
from dram_cases import with_dram
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName, Transfer
from tlm.chip.kernels.dma import Channel, DmaTimeline
from tlm.chip.kernels.dram import Dram
from tlm.chip.kernels.geometry import KernelError

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
        dram = Dram(scene.config) if scene.config.uses_dram else None
        self.timeline, self.outcome = DmaTimeline(scene.config, dram), Outcome()
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
        begin = partial(self.timeline.start, channel)
        interrupt = completed_cycle + 1
        begin(
            interrupt + start.delay_cycles + 1, t.memory_offset_bytes, t.sram, t.sram_word, t.row_words, t.rows,
            t.memory_stride_bytes, t.sram_stride_words,
        )  # fmt: skip

    def _play_to(self, cycle: int | None) -> None:
        """To a cycle, or until no transfer is left."""
        while (completion := self.timeline.next_completion()) is not None:
            earliest = self.timeline.earliest_completion()
            assert earliest is not None
            assert earliest <= completion[0]
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
            words = sum(int(self.timeline.bank_accesses(channel, sram).sum()) for sram in SramName)
            refused = sum(int(self.timeline.bank_refusals(channel, sram).sum()) for sram in SramName)
            assert (self.timeline.words(channel), self.timeline.refused(channel)) == (words, refused)
            self.outcome.beats[channel] = self.timeline.beats(channel)
            for sram in SramName:
                for counts, of_banks in (
                    (self.outcome.granted, self.timeline.bank_accesses(channel, sram)),
                    (self.outcome.refused, self.timeline.bank_refusals(channel, sram)),
                ):
                    assert len(of_banks) == getattr(config, f"{sram.name.lower()}_banks")
                    for bank, count in enumerate(of_banks.tolist()):
                        counts[channel, sram, bank] += count


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
        memory_gb_per_s=draw(st.sampled_from((0.07, 0.12345678901234567, 0.4, 1.3, 3.2, 6.4, 17.1, 1000.0))),
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
def scenes(draw: st.DrawFn, uses_dram: bool = False) -> Scene:
    config = draw(configs())
    if uses_dram:
        config = draw(with_dram(config))
    starts = {}
    for channel in Channel:
        count = draw(st.sampled_from((0, 1, 1, 2, 3)))
        delay = st.sampled_from((0, 0, 1, 2, 7, 40))
        starts[channel] = [Start(draw(delay), draw(transfers(config))) for _ in range(count)]
    taken = {sram: draw(calendars(getattr(config, f"{sram.name.lower()}_banks"))) for sram in SramName}
    return Scene(config, starts, taken)


@examples(80)
@given(scenes(), st.integers(1, 9))
def test_timeline_equals_the_clear_model(scene: Scene, stride_cycles: int) -> None:
    check_scene(scene, stride_cycles)


@examples(30)
@given(scenes(uses_dram=True), st.integers(1, 9))
def test_timeline_equals_the_clear_model_beside_dram(scene: Scene, stride_cycles: int) -> None:
    check_scene(scene, stride_cycles)


@pytest.mark.slow
@settings(max_examples=150)
@given(scenes(uses_dram=True), st.integers(1, 9))
def test_timeline_equals_the_clear_model_beside_dram_in_many_scenes(scene: Scene, stride_cycles: int) -> None:
    check_scene(scene, stride_cycles)


@pytest.mark.slow
@settings(max_examples=250)
@given(scenes(), st.integers(1, 9))
def test_timeline_equals_the_clear_model_in_many_scenes(scene: Scene, stride_cycles: int) -> None:
    check_scene(scene, stride_cycles)


def check_scene(scene: Scene, stride_cycles: int) -> None:
    expected = play(scene.config, scene.starts, scene.calendars)
    assert timeline_outcome(scene) == expected
    assert timeline_outcome(scene, stride_cycles) == expected


# By hand, with the default chip [A]: 4 words of 16 bytes are a burst of 8 beats; latency ceil(60 ns x 0.534) = 33
# cycles, a beat every 8 bytes x 0.534 / 3.2 = 1.335 cycles. A burst that arrives in a has its beats in
# a + 33 + (0, 2, 3, 5, 6, 7, 9, 10), rounded up, and the DMA has them one cycle later.

FOUR_WORDS = (0, SramName.AMEM, 0, 4, 1, 0, 0)


def banks(cycles: int, value: int = 0b1111) -> npt.NDArray[np.uint8]:
    return np.full(cycles, value, np.uint8)


def test_a_load_worked_out_by_hand() -> None:
    """Asked for in 10, at the memory in 11, beats 44, 46, 47, 49, 50, 51, 53, 54: words in 47, 50, 52, 55."""
    timeline = DmaTimeline(ChipConfig())
    assert timeline.next_completion() is None
    timeline.start(Channel.LOAD, 10, *FOUR_WORDS)
    assert timeline.next_completion() == (55, Channel.LOAD)
    words = {cycle: timeline.words(Channel.LOAD) for cycle in range(70) if timeline.advance(cycle) is not None}
    assert [cycle for cycle in range(69) if words[cycle + 1] > words[cycle]] == [47, 50, 52, 55]
    assert timeline.next_completion() is None
    assert timeline.beats(Channel.LOAD) == 8
    assert timeline.bank_accesses(Channel.LOAD, SramName.AMEM).tolist() == [1, 1, 1, 1]


def test_a_store_worked_out_by_hand() -> None:
    """Reads 10 .. 13, asked for in 14 (data out a cycle after the read), at the memory in 15, last beat in 58."""
    timeline = DmaTimeline(ChipConfig())
    timeline.start(Channel.STORE, 10, *FOUR_WORDS)
    assert timeline.advance(59) == []
    assert timeline.advance(60) == [(59, Channel.STORE)]
    slow = DmaTimeline(ChipConfig(sram_read_cycles=3))
    slow.start(Channel.STORE, 10, *FOUR_WORDS)
    assert slow.next_completion() == (61, Channel.STORE)


def test_the_engine_comes_first() -> None:
    """All banks are taken until 59: the first word asks 13 times in vain, the others have waited for it."""
    timeline = DmaTimeline(ChipConfig())
    timeline.set_calendar(SramName.AMEM, 0, banks(60))
    timeline.start(Channel.LOAD, 10, *FOUR_WORDS)
    assert timeline.advance(100) == [(63, Channel.LOAD)]
    assert timeline.bank_refusals(Channel.LOAD, SramName.AMEM).tolist() == [13, 0, 0, 0]


def test_the_load_comes_first_at_a_bank() -> None:
    """With one bank, the store's reads are refused in the cycles in which the load writes."""
    timeline = DmaTimeline(ChipConfig(amem_banks=1))
    timeline.start(Channel.LOAD, 10, *FOUR_WORDS)
    timeline.start(Channel.STORE, 46, *FOUR_WORDS)
    timeline.advance(200)
    assert (timeline.refused(Channel.LOAD), timeline.refused(Channel.STORE)) == (0, 2)  # in 47 and 50


def test_both_channels_complete_in_one_cycle() -> None:
    """The load is kept from bank 3 until the store's last answer has come."""
    timeline = DmaTimeline(ChipConfig())
    timeline.start(Channel.LOAD, 10, *FOUR_WORDS)
    timeline.start(Channel.STORE, 10, 0, SramName.WMEM, 0, 4, 1, 0, 0)
    assert timeline.next_completion() == (55, Channel.LOAD)
    last = 66  # the store's burst waits for the load's: its beats begin 44 + 8 x 1.335 = 54.68, the last in 65
    timeline.set_calendar(SramName.AMEM, 0, banks(last, 0b1000))
    assert timeline.next_completion() == (last, Channel.LOAD)
    assert timeline.advance(last) == []
    assert timeline.next_completion() == (last, Channel.LOAD)
    assert timeline.advance(last + 1) == [(last, Channel.LOAD), (last, Channel.STORE)]
    assert timeline.next_completion() is None


def test_the_earliest_completion_needs_no_look_ahead() -> None:
    """100 words are 200 beats of at least a cycle each; what is left never takes less."""
    timeline = DmaTimeline(ChipConfig())
    assert timeline.earliest_completion() is None
    timeline.start(Channel.LOAD, 10, 0, SramName.WMEM, 0, 100, 1, 0, 0)
    assert timeline.earliest_completion() == 0 + 200 - 2
    completion = timeline.next_completion()
    assert completion is not None
    assert completion[0] > 250
    timeline.advance(completion[0] - 20)
    left = timeline.earliest_completion()
    assert left is not None
    assert completion[0] - 20 < left <= completion[0]
    timeline.advance(completion[0] + 1)
    assert timeline.earliest_completion() is None


def test_looking_ahead_changes_nothing() -> None:
    timeline = DmaTimeline(ChipConfig())
    timeline.start(Channel.LOAD, 10, *FOUR_WORDS)
    timeline.start(Channel.STORE, 12, *FOUR_WORDS)
    assert timeline.next_completion() == timeline.next_completion() == (55, Channel.LOAD)
    assert timeline.now == 0
    assert [timeline.words(channel) for channel in Channel] == [0, 0]
    timeline.set_calendar(SramName.AMEM, 20, banks(200))  # later news move the estimate
    assert timeline.next_completion() == (66, Channel.STORE)
    assert timeline.advance(219) == [(66, Channel.STORE)]
    assert timeline.next_completion() == (223, Channel.LOAD)


@pytest.mark.parametrize("gb_per_s", [3.2, 0.12345678901234567])
def test_times_do_not_depend_on_where_they_begin(gb_per_s: float) -> None:
    """Exact fractions, also with a denominator of 16 digits and after 2^50 cycles."""
    completions = []
    for first in (0, 1 << 50):
        timeline = DmaTimeline(ChipConfig(memory_gb_per_s=gb_per_s))
        timeline.start(Channel.LOAD, first, 0, SramName.WMEM, 0, 1000, 16, 16_000, 1000)
        completion = timeline.next_completion()
        assert completion is not None
        completions.append(completion[0] - first)
    assert completions[0] == completions[1]
    chip = ChipConfig(memory_gb_per_s=gb_per_s)
    pace = chip.memory_beat_cycles
    assert completions[0] >= 32_000 * pace  # 16,000 words of 16 bytes are 32,000 beats
    if gb_per_s < 1:  # the memory never waits: cycle 1 + latency to the first beat, and a cycle to the DMA
        assert completions[0] == 1 + 33 - (-31_999 * pace.numerator // pace.denominator) + 1


VALID: dict[str, Any] = {
    "cycle": 10,
    "memory_offset_bytes": 0,
    "sram": SramName.AMEM,
    "sram_word": 0,
    "row_words": 4,
    "rows": 2,
    "memory_stride_bytes": 64,
    "sram_stride_words": 4,
}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cycle", 9, "cycle is 9, but must be in 10.."),
        ("memory_offset_bytes", 12, "memory_offset_bytes is 12, but must be a multiple of the bus's 8 bytes"),
        ("memory_offset_bytes", -8, "memory_offset_bytes is -8"),
        ("memory_stride_bytes", 4, "memory_stride_bytes is 4"),
        ("memory_offset_bytes", (1 << 26) - 64, "off-chip byte 67108927, but there are 67108864 bytes"),
        ("row_words", 0, "row_words is 0, but must be in 1..16384"),
        ("rows", 0, "rows is 0, but must be in 1..4096"),
        ("rows", 4097, "rows is 4097, but must be in 1..4096"),
        ("sram_word", 16_381, "sram_word is 16381, but must be in 0..16380"),
        ("sram_stride_words", 16_381, "sram_stride_words is 16381, but must be in 0..16380"),
    ],
)
def test_numbers_out_of_range_are_named(key: str, value: int, message: str) -> None:
    timeline = DmaTimeline(ChipConfig())
    timeline.advance(10)
    with pytest.raises(KernelError, match=message):
        timeline.start(Channel.LOAD, **{**VALID, key: value})
    assert timeline.next_completion() is None
    timeline.start(Channel.LOAD, **VALID)


def test_strides_of_a_single_row_mean_nothing() -> None:
    timeline = DmaTimeline(ChipConfig())
    timeline.start(Channel.LOAD, **{**VALID, "rows": 1, "memory_stride_bytes": 1 << 40, "sram_stride_words": 1 << 40})
    assert timeline.next_completion() == (55, Channel.LOAD)


def test_a_busy_channel_is_not_started() -> None:
    timeline = DmaTimeline(ChipConfig())
    timeline.start(Channel.STORE, **VALID)
    with pytest.raises(KernelError, match=r"dma.store: started in cycle 12, but its transfer is not complete"):
        timeline.start(Channel.STORE, **{**VALID, "cycle": 12})
    timeline.start(Channel.LOAD, **VALID)


def test_calendars_come_in_time() -> None:
    timeline = DmaTimeline(ChipConfig())
    timeline.set_calendar(SramName.AMEM, 5, banks(20))
    with pytest.raises(KernelError, match=r"AMEM gets a new one from cycle 30 on, .* still holds until 25"):
        timeline.set_calendar(SramName.AMEM, 30, banks(1))
    timeline.set_calendar(SramName.WMEM, 30, banks(1))
    timeline.advance(25)
    timeline.set_calendar(SramName.AMEM, 30, banks(1))
    timeline.start(Channel.STORE, 25, *FOUR_WORDS)
    timeline.advance(40)
    with pytest.raises(KernelError, match=r"AMEM gets one from cycle 28 on, but the DMA has asked .* in cycle 28"):
        timeline.set_calendar(SramName.AMEM, 28, banks(1))
    timeline.set_calendar(SramName.AMEM, 29, banks(1))
    for wrong in (banks(4)[::2], banks(4).astype(np.int64), banks(4).reshape(2, 2)):
        with pytest.raises(KernelError, match=r"contiguous uint8 \(cycles,\) is needed"):
            timeline.set_calendar(SramName.AMEM, 40, wrong)
