"""DRAM: closed forms of docs/memory.md, and random streams against rules that were written apart; in both fidelities.

In the closed forms a DRAM clock is a core cycle, and all bursts arrive in cycle 0.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, get_args

import pytest
from dram_bench import PLAYERS, chip, play_in_block, play_in_c
from dram_rules import COLUMN, Played, Request, check, check_times, commands_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import PRESETS, AddressOrder, DramConfig
from tlm.chip.kernels.buffers import KernelError
from tlm.chip.kernels.dram import DURATIONS, Dram, DramCommand

ACT, PRE, RD, WR, REF = DramCommand
Play = Callable[[ChipConfig, Sequence[Request]], Played]

both = pytest.mark.parametrize("play", PLAYERS.values(), ids=PLAYERS)
each_preset = pytest.mark.parametrize("preset", PRESETS)


def accesses(config: ChipConfig, places: Sequence[tuple[int, int, bool]], column: int = 0) -> list[Request]:
    """A burst of one access for each (row, bank, is_write); the address order is row, bank, column."""
    dram = config.dram
    size = dram.access_bytes
    row_bytes = dram.columns * dram.width_bits // 8
    return [
        Request(0, (row * dram.banks + bank) * row_bytes + index * size, size // config.bus_bytes, is_write)
        for index, (row, bank, is_write) in enumerate(places, column)
    ]


def clocks(played: Played, *kinds: DramCommand) -> list[int]:
    return [one.clock for one in commands_of(played, *kinds)]


@both
@each_preset
def test_a_stream_that_always_hits(play: Play, preset: str) -> None:
    """ACT in 0, RD k in tRCD + k tCCD; the last beat comes CL + BL/2 after the last of them, or the bus is slower."""
    config, count = chip(preset), 24
    d = config.dram
    played = play(config, accesses(config, [(3, 0, False)] * count))
    assert clocks(played, ACT) == [0]
    assert clocks(played, RD) == [d.trcd_clocks + k * d.tccd_clocks for k in range(count)]
    first, beats = d.trcd_clocks + d.cl_clocks + d.burst_clocks, d.access_bytes // 8
    last = max(first + (count - 1) * d.tccd_clocks + beats - 1, first + count * beats - 1)
    assert (played.ended[False][0], played.ended[False][-1]) == (first, last)


@both
@each_preset
def test_a_stream_that_always_misses(play: Play, preset: str) -> None:
    """One access for each of 8 closed banks: ACT k in (k div 4) max(tFAW, 4 tRRD) + (k mod 4) tRRD, RD tRCD later."""
    config = chip(preset)
    d = config.dram
    played = play(config, accesses(config, [(1, bank, False) for bank in range(8)]))
    wanted = [k // 4 * max(d.tfaw_clocks, 4 * d.trrd_clocks) + k % 4 * d.trrd_clocks for k in range(8)]
    assert clocks(played, ACT) == wanted
    assert clocks(played, RD) == [clock + d.trcd_clocks for clock in wanted]


@both
@each_preset
def test_reads_and_writes_in_turn(play: Play, preset: str) -> None:
    """RD to WR takes tRTW, WR to RD CWL + BL/2 + tWTR; in order, in one row."""
    config = chip(preset, scheduler="in_order")
    d = config.dram
    played = play(config, accesses(config, [(0, 0, index % 2 == 1) for index in range(8)]))
    turn = d.cwl_clocks + d.burst_clocks + d.twtr_clocks
    wanted, clock = [], d.trcd_clocks
    for index in range(8):
        wanted.append(clock)
        clock += turn if index % 2 else d.trtw_clocks
    assert clocks(played, RD, WR) == wanted
    assert played.ended[True][-1] == wanted[-1] + d.cwl_clocks + d.burst_clocks


@both
@each_preset
def test_two_rows_of_a_bank_in_turn(play: Play, preset: str) -> None:
    """Every max(tRAS, tRCD + tRTP) + tRP clocks one access, in order; FR-FCFS opens each row once."""
    config = chip(preset, scheduler="in_order")
    d = config.dram
    requests = accesses(config, [(index % 2, 0, False) for index in range(8)])
    period = max(d.tras_clocks, d.trcd_clocks + d.trtp_clocks) + d.trp_clocks
    assert clocks(play(config, requests), ACT) == [k * period for k in range(8)]
    assert clocks(play(config, requests), RD) == [k * period + d.trcd_clocks for k in range(8)]
    assert len(clocks(play(chip(preset), requests), ACT)) == 2


@both
@each_preset
def test_a_refresh_within_a_stream(play: Play, preset: str) -> None:
    """PRE in max(tREFI, last RD + tRTP), REF tRP later, ACT another tRFC later, RD another tRCD later."""
    config = chip(preset, trefi_clocks=1000)
    d = config.dram
    wanted = math.ceil((1000 - d.trcd_clocks) / d.tccd_clocks) + 10
    count = min(64 * 64 // d.access_bytes, wanted, d.row_accesses)
    bursts = count * d.access_bytes // 64
    late = 1000 - d.trcd_clocks - (count - 6) * d.tccd_clocks  # so that six accesses are left when it is due
    played = play(config, [Request(max(0, late), index * 64, 8, False) for index in range(bursts)])
    reads = clocks(played, RD)
    last = max(clock for clock in reads if clock < 1000)
    (precharge,), (refresh,) = clocks(played, PRE), clocks(played, REF)
    assert precharge == max(1000, last + d.trtp_clocks)
    assert refresh == precharge + d.trp_clocks
    assert clocks(played, ACT)[1] == refresh + d.trfc_clocks
    assert reads[reads.index(last) + 1] == refresh + d.trfc_clocks + d.trcd_clocks


def test_a_closed_page_is_left_when_nobody_asks_for_it() -> None:
    config = chip("lpddr3_1600_x32", page_policy="closed")
    requests = [*accesses(config, [(0, 0, False)] * 2), Request(200, 0, 4, False)]
    played = play_in_c(config, requests)
    assert [one.kind for one in played.commands] == [ACT, RD, RD, PRE, ACT, RD, PRE]
    assert clocks(played, PRE) == [34, 234]  # tRAS; the last RD is in 15 + 4 and tRTP is 6


def test_a_closed_page_is_not_left_while_somebody_asks_for_it() -> None:
    """The read of bank 0 waits for tWTR behind a write of bank 1 in clock 19, longer than tRAS."""
    config = chip("lpddr3_1600_x32", page_policy="closed", twtr_l_clocks=40)
    played = play_in_c(config, [Request(0, 4096, 4, True), Request(10, 0, 4, False)])
    assert clocks(played, ACT) == [4, 12]
    assert clocks(played, RD) == [19 + 6 + 4 + 40]


@pytest.mark.parametrize("bypasses", [0, 3, 16])
def test_the_oldest_is_overtaken_so_often_at_most(bypasses: int) -> None:
    config = chip("lpddr3_1600_x32", max_bypasses=bypasses, queue_accesses=32)
    requests = accesses(config, [(0, 0, False), (1, 0, False), *[(0, 0, False)] * 24])
    rows = [one.row for one in commands_of(play_in_c(config, requests), RD)]
    assert rows.index(1) == 1 + bypasses


def test_a_write_whose_data_are_still_coming_is_not_overtaken() -> None:
    """It goes to bank 1, and its 64 beats are there in cycle 65: reads before that count for no bypass."""
    config = chip("lpddr3_1600_x32", max_bypasses=2, queue_accesses=32)
    reads = [Request(1 + index, 32 * index, 4, False) for index in range(1, 5)]
    played = play_in_c(config, [Request(0, 0, 4, False), Request(1, 4096, 64, True), *reads])
    assert clocks(played, RD) == [15, 19, 23, 27, 31]
    assert clocks(played, WR)[0] == 65 + 15


def test_a_freed_place_counts_from_the_next_clock_on() -> None:
    """The third access, of channel 1, enters behind the second, which has its place in channel 0 after clock 15."""
    config = chip("lpddr3_1600_x32", channels=2, queue_accesses=1)
    played = play_in_c(config, [Request(0, address, 4, False) for address in (0, 64, 32)])
    assert [(one.channel, one.clock) for one in commands_of(played, RD)] == [(0, 15), (0, 19), (1, 16 + 15)]


def test_counts_are_those_of_the_commands() -> None:
    config = chip("lpddr3_1600_x32")
    dram = Dram(config)
    for one in accesses(config, [(0, 0, False), (0, 0, False), (0, 1, True), (1, 0, False)]):
        dram.request(0, one.address, one.beats, one.is_write)
    counts = dram.counts(100_000 + 200)
    assert (counts.activates, counts.precharges, counts.reads, counts.writes, counts.refreshes) == (3, 3, 3, 1, 1)
    assert (counts.row_hits, counts.row_misses, counts.row_conflicts) == (1, 2, 1)
    # from the first ACT in 0 to the second PRE of the refresh, which is in the clock behind the first
    assert (counts.active_clocks, counts.precharged_clocks) == (100_001, counts.clocks - 100_001)
    assert (counts.clocks, counts.refresh_clocks) == (100_200, 104)


def test_to_count_issues_nothing() -> None:
    """A refresh while no request is under way is still to be seen by whoever steps."""
    dram = Dram(chip("lpddr3_1600_x32"))
    assert dram.counts(200_050).refreshes == 2
    steps = [dram.step(200_049) for _ in range(3)]
    assert [one and (one.kind, one.clock) for one in steps] == [(REF, 100_000), (REF, 200_000), None]
    assert dram.counts(200_050).refreshes == 2


@pytest.mark.parametrize(("cycle", "refresh_clocks"), [(100_000, 0), (100_050, 50), (100_104, 104), (100_500, 104)])
def test_only_refresh_time_that_has_passed_counts(cycle: int, refresh_clocks: int) -> None:
    assert Dram(chip("lpddr3_1600_x32")).counts(cycle).refresh_clocks == refresh_clocks


@pytest.mark.parametrize(
    ("cycle", "address", "beats", "message"),
    [
        (-1, 0, 1, r"cycle is -1"),
        (0, -8, 1, r"address is -8"),
        (0, 0, 0, r"beats is 0, but must be in 1\.\.64"),
        (0, 0, 65, r"beats is 65, but must be in 1\.\.64"),
        (0, 24, 64, r"beats is 64, but must be in 1\.\.61"),
    ],
)
def test_a_burst_that_c_has_no_room_for_is_refused(cycle: int, address: int, beats: int, message: str) -> None:
    dram = Dram(chip("lpddr3_1600_x32"))
    with pytest.raises(KernelError, match=message):
        dram.request(cycle, address, beats, is_write=False)
    assert dram.state.arrived == 0


def test_at_most_64_bursts_of_a_direction_are_under_way() -> None:
    dram = Dram(chip("lpddr3_1600_x32"))
    for index in range(64):
        dram.request(0, 64 * index, 8, is_write=False)
    with pytest.raises(KernelError, match=r"bursts already under way is 64, but must be in 0\.\.63"):
        dram.request(0, 0, 8, is_write=False)
    dram.request(0, 0, 8, is_write=True)


def durations(draw: st.DrawFn, cl: int, burst: int) -> dict[str, int]:
    """Every one from 1 to its limit, near and far apart, as long as data stay apart on the bus."""
    most = draw(st.sampled_from((3, 40, 255)))
    keys = {name: draw(st.one_of(st.integers(1, most), st.just(most))) for name in DURATIONS}
    keys |= {"cl": cl, "tccd": max(burst, keys["tccd"]), "tccd_l": max(burst, keys["tccd_l"])}
    keys["trtw"] = max(cl + burst - keys["cwl"], keys["trtw"])
    keys["trtrs"] -= 1
    keys["trfc"] = draw(st.sampled_from((1, most, 4095)))
    longest = keys["cwl"] + burst + max(keys["twr"], keys["twtr_l"], keys["trtw"])
    keys["trefi"] = 2 * (keys["trfc"] + keys["trp"] + keys["trcd"] + keys["tras"] + longest + 32)
    return {f"{name}_clocks": value for name, value in keys.items()}


@st.composite
def chips(draw: st.DrawFn) -> ChipConfig:
    """Presets at three clocks, with other sizes, policies, orders and durations."""
    preset = draw(st.sampled_from([*PRESETS]))
    burst_length = draw(st.sampled_from((None, None, 4, 8, 16, 32))) or PRESETS[preset]["burst_length"]
    keys: dict[str, Any] = {"burst_length": burst_length, "width_bits": draw(st.sampled_from((8, 16, 32, 64)))}
    keys |= {"channels": draw(st.sampled_from((1, 1, 2, 4))), "ranks": draw(st.sampled_from((1, 1, 2, 4)))}
    keys |= {"banks": draw(st.sampled_from((1, 2, 8))), "rows": draw(st.sampled_from((2, 64, 16384)))}
    keys |= {"bank_groups": min(keys["banks"], draw(st.sampled_from((1, 2, 4))))}
    keys |= {"address_order": draw(st.sampled_from(get_args(AddressOrder)))}
    keys |= {"page_policy": draw(st.sampled_from(("open", "closed")))}
    keys |= {"scheduler": draw(st.sampled_from(("fr_fcfs", "fr_fcfs", "in_order")))}
    keys |= {"queue_accesses": draw(st.sampled_from((1, 2, 16, 32))), "max_bypasses": draw(st.sampled_from((0, 2, 16)))}
    keys |= {"columns": max(burst_length, draw(st.sampled_from((16, 64, 1024))))}
    row_bytes = keys["columns"] * keys["width_bits"] // 8 * keys["channels"] * keys["ranks"] * keys["banks"]
    keys["rows"] = max(keys["rows"], 4096 // row_bytes)
    if draw(st.booleans()):
        keys |= durations(draw, draw(st.sampled_from((1, 20, 240))), burst_length // 2)
    else:
        own = PRESETS[preset]
        burst = burst_length // 2
        keys |= {"trefi_clocks": draw(st.sampled_from((1500, 6000))), "trrd_l_clocks": 20, "twtr_l_clocks": 20}
        keys |= {"tfaw_clocks": draw(st.sampled_from((1, 100))), "tccd_clocks": max(burst, own["tccd_clocks"])}
        keys["tccd_l_clocks"] = draw(st.sampled_from((1, 2))) * keys["tccd_clocks"]
        keys["trtw_clocks"] = max(own["trtw_clocks"], own["cl_clocks"] + burst - own["cwl_clocks"])
    dram = DramConfig(preset=preset, **keys)  # type: ignore[arg-type]
    return ChipConfig(
        memory_model="dram", dram=dram, frequency_mhz=draw(st.sampled_from((534.0, 234.0, 97.123))),
        memory_bytes=min(dram.size_bytes, 1 << 16), bus_bytes=draw(st.sampled_from((4, 8, 16, 32))),
    )  # fmt: skip


@st.composite
def streams(draw: st.DrawFn, config: ChipConfig) -> list[Request]:
    """At most one arrival a cycle, in bursts of 1 to 64 bytes, to few places."""
    beats = 64 // config.bus_bytes
    requests, cycle = list[Request](), 0
    bases = draw(st.lists(st.integers(0, config.memory_bytes // 64 - 1), min_size=1, max_size=4))
    for _ in range(draw(st.integers(1, 24))):
        cycle += draw(st.sampled_from((1, 1, 1, 5, 40, 900)))
        first = draw(st.integers(0, beats - 1))
        block = (draw(st.sampled_from(bases)) + draw(st.integers(0, 2))) % (config.memory_bytes // 64)
        size = draw(st.integers(1, beats - first))
        requests.append(Request(cycle, block * 64 + first * config.bus_bytes, size, draw(st.booleans())))
    return requests


@given(data=st.data())
@settings(max_examples=40)
def test_random_streams_keep_every_rule(data: st.DataObject) -> None:
    config = data.draw(chips())
    requests = data.draw(streams(config))
    played = play_in_c(config, requests)
    check(config, requests, played)
    assert len(commands_of(played, *COLUMN)) >= len(requests)
    block = play_in_block(config, requests)
    assert block.ended == played.ended
    assert block.commands == played.commands[: len(block.commands)]


# Two ranks and bank groups, two rows of each bank, reads and writes in bursts of one access.
BUSY = DramConfig(
    ranks=2, bank_groups=2, rows=64, columns=64, tccd_clocks=5, tccd_l_clocks=6, trrd_l_clocks=11, twtr_l_clocks=9,
    tfaw_clocks=60, trefi_clocks=600, address_order="row_column_bank",
)  # fmt: skip
SHORTER = dict.fromkeys(DURATIONS, 1) | {"trefi": -100}


def check_busy_streams(played_on: DramConfig) -> None:
    """Play twelve streams and hold them against the rules of BUSY."""
    config, rng = ChipConfig(memory_model="dram", dram=BUSY, memory_bytes=1 << 15), random.Random(0)
    for _ in range(12):
        cycles = accumulate(rng.choice((1, 1, 2, 40)) for _ in range(60))
        requests = [Request(cycle, rng.randrange(1 << 10) * 32, 4, rng.random() < 0.4) for cycle in cycles]
        check(config, requests, play_in_c(replace(config, dram=played_on), requests))


def test_busy_streams_keep_every_rule() -> None:
    check_busy_streams(BUSY)


@pytest.mark.parametrize("key", SHORTER)
def test_the_checker_sees_each_duration_that_is_broken(key: str) -> None:
    broken = replace(BUSY, **{f"{key}_clocks": getattr(BUSY, f"{key}_clocks") - SHORTER[key]})
    with pytest.raises(AssertionError):
        check_busy_streams(broken)


def test_the_checker_sees_who_starves_or_comes_too_early() -> None:
    config = chip("lpddr3_1600_x32", max_bypasses=0)
    requests = [*accesses(config, [(0, 0, False)] * 3), Request(400, 0, 4, False)]
    played = play_in_c(config, requests)
    check_times(config, requests, played)
    late = [one._replace(clock=one.clock + 9000) if one.burst == 3 else one for one in played.commands]
    with pytest.raises(AssertionError, match="is served in clock 94"):
        check_times(config, requests, replace(played, commands=late))
    early = [one._replace(clock=399) if one.burst == 3 else one for one in played.commands]
    with pytest.raises(AssertionError, match="is looked at in clock 399, before 400"):
        check_times(config, requests, replace(played, commands=early))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=500)
def test_many_random_streams_keep_every_rule(data: st.DataObject) -> None:
    config = data.draw(chips())
    requests = data.draw(streams(config))
    check(config, requests, play_in_c(config, requests))
