"""Energy of DRAM from currents: on paper, against another implementation of Micron's method, and its table."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlm.observe.dram_energy import DRAM_PARTS, DramEnergy, dram_energy

PAGE = Path(__file__).parents[2] / "docs" / "energy.md"
PJ = 10**6
PARTS = tuple(DRAM_PARTS)


@dataclass(frozen=True)
class Timing:
    tck_ps: int
    tras_clocks: int
    trp_clocks: int
    burst_length: int
    width_bits: int


@dataclass(frozen=True)
class Activity:
    activates: int = 0
    reads: int = 0
    writes: int = 0
    active_clocks: int = 0
    precharged_clocks: int = 0
    refresh_clocks: int = 0


TIMINGS = {
    "lpddr3_1600_x32": Timing(1250, 34, 15, 8, 32),
    "lpddr4_3200_x16": Timing(625, 68, 29, 16, 16),
    "ddr3l_1600_x16": Timing(1250, 28, 11, 8, 16),
}


def energy(part: str, **activity: int) -> DramEnergy:
    return dram_energy(DRAM_PARTS[part], TIMINGS[part], Activity(**activity))


def test_the_worked_example_of_the_page() -> None:
    """docs/energy.md: 64 KiB read from an open LPDDR3."""
    found = energy(
        "lpddr3_1600_x32", activates=16, reads=2048, active_clocks=8400, precharged_clocks=300, refresh_clocks=208
    )
    assert found == DramEnergy(
        background=478_440 * PJ,
        activate=44_688 * PJ,
        read=2_408_448 * PJ,
        write=0,
        refresh=51_417_600_000,
        io=943_718_400_000,
    )
    assert found.total == 3_926_712 * PJ


@pytest.mark.parametrize(
    ("part", "trfc_clocks", "activate_pj", "read_pj", "write_pj", "stand_by_and_refresh_pj"),
    [
        ("lpddr3_1600_x32", 104, 19551.0, 117600.0, 37440.0, 448956.0),
        ("lpddr4_3200_x16", 288, 8432.8125, 134750.0, 39600.0, 220586.25),
        ("ddr3l_1600_x16", 208, 10702.125, 126900.0, 33480.0, 752017.5),
    ],
)
def test_another_implementation_agrees(
    part: str, trfc_clocks: int, activate_pj: float, read_pj: float, write_pj: float, stand_by_and_refresh_pj: float
) -> None:
    """What energydram 0.4.0 (on PyPI) gave for these rails: its VoltageDomain, with bursts of BL/2 clocks."""
    refresh_clocks = 3 * trfc_clocks
    found = energy(
        part,
        activates=7,
        reads=100,
        writes=40,
        active_clocks=5000,
        precharged_clocks=2000 + refresh_clocks,
        refresh_clocks=refresh_clocks,
    )
    assert found.activate == activate_pj * PJ
    assert (found.read, found.write) == (read_pj * PJ, write_pj * PJ)
    assert found.background + found.refresh == stand_by_and_refresh_pj * PJ


@given(
    part=st.sampled_from(PARTS),
    one=st.builds(Activity, *[st.integers(0, 10**9)] * 6),
    two=st.builds(Activity, *[st.integers(0, 10**9)] * 6),
)
def test_nothing_costs_nothing_and_energies_add_up(part: str, one: Activity, two: Activity) -> None:
    both = Activity(*(getattr(one, item.name) + getattr(two, item.name) for item in fields(Activity)))
    apart = [dram_energy(DRAM_PARTS[part], TIMINGS[part], some) for some in (one, two)]
    assert energy(part) == DramEnergy()
    whole = dram_energy(DRAM_PARTS[part], TIMINGS[part], both)
    for item in fields(DramEnergy):
        assert abs(getattr(whole, item.name) - sum(getattr(some, item.name) for some in apart)) <= 1, item.name
    assert whole.total == sum(getattr(whole, item.name) for item in fields(DramEnergy))


@pytest.mark.parametrize("part", PARTS)
def test_currents_are_in_the_order_that_physics_asks_for(part: str) -> None:
    for rail in DRAM_PARTS[part].rails:
        assert 0 < rail.idd2n_ma <= rail.idd3n_ma <= min(rail.idd0_ma, rail.idd4r_ma, rail.idd4w_ma, rail.idd5_ma)


def test_a_slower_clock_takes_longer() -> None:
    slow = replace(TIMINGS["ddr3l_1600_x16"], tck_ps=2500)
    activity = Activity(1, 2, 3, 4, 5, 0)
    once = dram_energy(DRAM_PARTS["ddr3l_1600_x16"], TIMINGS["ddr3l_1600_x16"], activity)
    twice = dram_energy(DRAM_PARTS["ddr3l_1600_x16"], slow, activity)
    assert twice.total - twice.io == 2 * (once.total - once.io)
    assert twice.io == once.io


def test_the_page_shows_what_an_event_costs() -> None:
    rows = {cells[0].strip("`"): cells[1:] for line in PAGE.read_text().splitlines() if len(cells := _cells(line)) == 9}
    for part, currents in DRAM_PARTS.items():
        values = [
            energy(part, activates=1).activate,
            energy(part, reads=1).read,
            energy(part, writes=1).write,
            energy(part, active_clocks=1).background,
            energy(part, precharged_clocks=1).background,
            energy(part, precharged_clocks=1, refresh_clocks=1).refresh,
        ]
        io = energy(part, reads=1).io, energy(part, writes=1).io
        assert rows[part] == [
            *(f"{value / PJ:.4g}" for value in values),
            ", ".join(f"{value / PJ:.4g}" for value in io),
            f"{currents.uncertainty_percent} %",
        ]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]
