"""What the DRAM keeps of cycles that a refresh or a row has cost: closed forms on paper, and a second derivation.

A DRAM clock is a core cycle in the closed forms, and all bursts arrive in cycle 0.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from dram_bench import PLAYERS, chip
from dram_rules import Request

from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import PRESETS, DramConfig
from tlm.chip.kernels.dram import Dram, Losses

Lost = Callable[[ChipConfig, Sequence[Request]], dict[bool, Losses]]


def _lost(fidelity: str, config: ChipConfig, requests: Sequence[Request]) -> dict[bool, Losses]:
    dram = Dram(config)
    PLAYERS[fidelity](config, requests, dram)
    return {is_write: dram.losses(is_write) for is_write in (False, True)}


LOSSES: dict[str, Lost] = {fidelity: partial(_lost, fidelity) for fidelity in PLAYERS}
"""Fidelity -> reads' and writes' losses."""

both = pytest.mark.parametrize("lost", LOSSES.values(), ids=LOSSES)
each_preset = pytest.mark.parametrize("preset", PRESETS)


def in_rows(config: ChipConfig, rows: Sequence[int], is_write: bool = False) -> list[Request]:
    """A burst of one access for each row of bank 0; the address order is row, bank, column."""
    dram = config.dram
    row_bytes = dram.columns * dram.width_bits // 8
    return [
        Request(0, row * dram.banks * row_bytes + index * dram.access_bytes, dram.access_bytes // 8, is_write)
        for index, row in enumerate(rows)
    ]


def pace(config: ChipConfig) -> int:
    """Cycles from access to access of an open row: the DRAM's, or the bus's if that is slower."""
    return max(config.dram.tccd_clocks, config.dram.access_bytes // 8)


@both
@each_preset
def test_a_row_is_opened_once(lost: Lost, preset: str) -> None:
    """Without the ACT the first data would have been there tRCD earlier; all others follow without a gap."""
    config = chip(preset)
    d = config.dram
    found = lost(config, in_rows(config, [3] * 8))[False]
    assert found == Losses(row=[(d.cl_clocks + d.burst_clocks, d.trcd_clocks + d.cl_clocks + d.burst_clocks)])


@both
@each_preset
def test_two_rows_of_a_bank_in_turn(lost: Lost, preset: str) -> None:
    """An access every max(tRAS, tRCD + tRTP) + tRP, where an open row would have given one at the pace of the bus."""
    config = chip(preset, scheduler="in_order")
    d = config.dram
    period = max(d.tras_clocks, d.trcd_clocks + d.trtp_clocks) + d.trp_clocks
    data = [d.trcd_clocks + d.cl_clocks + d.burst_clocks + k * period for k in range(6)]
    wanted = [(data[0] - d.trcd_clocks, data[0])] + [(end - period + pace(config), end) for end in data[1:]]
    assert lost(config, in_rows(config, [k % 2 for k in range(6)]))[False] == Losses(row=wanted)


@both
@each_preset
def test_a_refresh(lost: Lost, preset: str) -> None:
    """Of a read that arrives when a refresh of closed banks is due tRFC is the refresh's, and tRCD the row's."""
    config = chip(preset, trefi_clocks=1000)
    d = config.dram
    found = lost(config, [Request(1000, 0, d.access_bytes // 8, False)])[False]
    first = 1000 + d.cl_clocks + d.burst_clocks
    middle = first + d.trfc_clocks
    assert found == Losses(refresh=[(first, middle)], row=[(middle, middle + d.trcd_clocks)])


@both
@each_preset
def test_writes_lose_their_own(lost: Lost, preset: str) -> None:
    """A write is visible when all its beats have been taken; its answer is late by tRCD."""
    config = chip(preset)
    d = config.dram
    found = lost(config, in_rows(config, [1], is_write=True))
    first = d.access_bytes // 8 + d.cwl_clocks + d.burst_clocks
    assert found == {False: Losses(), True: Losses(row=[(first, first + d.trcd_clocks)])}


@both
def test_the_turn_from_rank_to_rank_is_the_bus_s(lost: Lost) -> None:
    """The other rank's row is open in time; the idle clocks of tRTRS are lost to nobody's row."""
    config = chip("lpddr3_1600_x32", ranks=2)
    d = config.dram
    requests = [Request(0, rank * d.banks * d.columns * 4, 4, False) for rank in range(2)]
    assert d.trtrs_clocks > 0
    first = d.cl_clocks + d.burst_clocks
    assert lost(config, requests)[False] == Losses(row=[(first, first + d.trcd_clocks)])


@both
def test_what_beats_still_hide_is_not_lost(lost: Lost) -> None:
    """Banks opened one by one behind a bus of half the width, whose beats take as long as tRRD, but not as tFAW."""
    dram = chip("lpddr3_1600_x32").dram
    config = ChipConfig(memory_model="dram", dram=dram, frequency_mhz=400.0, memory_bytes=1 << 20, bus_bytes=4)
    rows = [Request(0, bank * dram.columns * 4, 8, False) for bank in range(8)]
    first = dram.trcd_clocks + dram.cl_clocks + dram.burst_clocks
    assert (dram.trrd_clocks, dram.tfaw_clocks) == (8, 40)
    assert lost(config, rows)[False] == Losses(row=[(first - dram.trcd_clocks, first), (first + 32, first + 40)])


@pytest.mark.parametrize(
    "keys", [{}, {"channels": 2}, {"ranks": 2, "page_policy": "closed"}, {"scheduler": "in_order"}]
)
def test_losses_are_idle_cycles_in_order(keys: dict[str, Any]) -> None:
    """Random streams at a clock that is no multiple: both models keep the same, disjoint and ascending."""
    chance = random.Random(repr(keys))
    dram = DramConfig(preset="lpddr3_1600_x32", trefi_clocks=700, **keys)
    config = ChipConfig(memory_model="dram", dram=dram, memory_bytes=1 << 24)
    requests, cycle = [], 0
    for _ in range(60):
        cycle += chance.choice((1, 2, 40, 700))
        requests.append(Request(cycle, chance.randrange(1 << 18) * 64, 8, chance.random() < 0.3))
    one, other = (lost(config, requests) for lost in LOSSES.values())
    assert one == other
    for losses in one.values():
        spans = sorted([*losses.refresh, *losses.row])
        assert spans
        edges = [edge for span in spans for edge in span]
        assert edges == sorted(edges)
    assert one[False].refresh
    assert one[False].row
