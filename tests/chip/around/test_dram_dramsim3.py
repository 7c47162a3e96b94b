"""DRAM against DRAMsim3, which others wrote: what it made of the same accesses (docs/dram-trace.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from dram_bench import play_in_c
from dram_rules import Request, commands_of

from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import DramConfig
from tlm.chip.kernels.dram import DramCommand

SPREAD = 2654435761  # scatters what it multiplies: a prime near 2^32 / 1.618
PLACES = 1 << 22
ROWS_APART = 512  # banks of a row times 64 rows


def streams(row_accesses: int) -> dict[str, Sequence[tuple[int, bool, int]]]:
    """Name -> (number of the access, whether it writes, DRAM clock of its arrival)."""
    two_rows = (i % 2 * ROWS_APART * row_accesses + i // 2 % 8 * row_accesses + i // 16 for i in range(1000))
    return {
        "reads": [(i, False, 0) for i in range(4000)],
        "writes": [(i, True, 0) for i in range(4000)],
        "scattered": [(i * SPREAD % PLACES, False, 0) for i in range(1500)],
        "scattered in time": [(i * SPREAD % PLACES, i % 3 == 0, 45 * i) for i in range(1500)],
        "a copy": [(i // 2 + i % 2 * (1 << 17), i % 2 == 1, 0) for i in range(4000)],
        "two rows of each bank": [(place, i % 5 == 0, 0) for i, place in enumerate(two_rows)],
    }


DRAMSIM3 = {
    ("lpddr3_1600_x32", "reads"): (16752, 38, 5),
    ("lpddr3_1600_x32", "writes"): (16783, 37, 5),
    ("lpddr3_1600_x32", "scattered"): (15806, 1509, 5),
    ("lpddr3_1600_x32", "scattered in time"): (67503, 1507, 21),
    ("lpddr3_1600_x32", "a copy"): (21799, 164, 6),
    ("lpddr3_1600_x32", "two rows of each bank"): (5642, 404, 1),
    ("lpddr4_3200_x16", "reads"): (33928, 68, 5),
    ("lpddr4_3200_x16", "writes"): (33990, 69, 5),
    ("lpddr4_3200_x16", "scattered"): (25656, 1507, 4),
    ("lpddr4_3200_x16", "scattered in time"): (67551, 1506, 10),
    ("lpddr4_3200_x16", "a copy"): (44368, 197, 7),
    ("lpddr4_3200_x16", "two rows of each bank"): (11008, 414, 1),
    ("ddr3l_1600_x16", "reads"): (16495, 34, 2),
    ("ddr3l_1600_x16", "writes"): (16521, 34, 2),
    ("ddr3l_1600_x16", "scattered"): (12247, 1500, 1),
    ("ddr3l_1600_x16", "scattered in time"): (67494, 1503, 10),
    ("ddr3l_1600_x16", "a copy"): (20808, 159, 3),
    ("ddr3l_1600_x16", "two rows of each bank"): (4710, 408, 0),
}
"""DRAMsim3's clock of the last data, ACT and REF, with one queue of 16 accesses."""


@pytest.mark.parametrize(("preset", "name"), DRAMSIM3)
def test_total_time_and_commands_are_those_of_dramsim3(preset: str, name: str) -> None:
    """Where few rows change nearly in the clock; the order in which two rows of a bank are served is policy."""
    wanted_end, wanted_activates, wanted_refreshes = DRAMSIM3[preset, name]
    dram = DramConfig(preset=preset, tck_ps=2500)  # type: ignore[arg-type]
    d, size = dram, dram.access_bytes
    config = replace(  # a cycle is a DRAM clock, and the bus moves a whole access in it
        ChipConfig(memory_model="dram", dram=dram), frequency_mhz=400.0, bus_bytes=size
    )
    requests = [Request(clock, place * size, 1, writes) for place, writes, clock in streams(d.row_accesses)[name]]
    played = play_in_c(config, requests)
    moved = commands_of(played, DramCommand.RD, DramCommand.WR)
    end = max(one.clock + (d.cwl_clocks if one.is_write else d.cl_clocks) for one in moved) + d.burst_clocks
    activates = len(commands_of(played, DramCommand.ACT))
    refreshes = sum(one.clock < end for one in commands_of(played, DramCommand.REF))
    assert end == pytest.approx(wanted_end, rel=0.04 if name == "two rows of each bank" else 0.005)
    assert activates == pytest.approx(wanted_activates, abs=10)
    assert refreshes == wanted_refreshes
    assert len(moved) == len(requests)
