"""Energy of off-chip DRAM from its supply currents, after Micron's technical notes TN-41-01 and TN-46-12.

A pure function of what the DRAM did (docs/energy.md, Off-chip DRAM). Energies are whole attojoules.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from tlm.chip.dram_config import DramConfig
from tlm.chip.kernels.dram import DramCounts
from tlm.observe.energy_table import AJ_PER_PJ

_AJ_PER_MA_V_PS = 1000
"""mA x V x ps = 1e-15 J."""


class Rail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A supply of a device and its currents, as dram_currents.toml explains them."""

    volts: float
    idd0_ma: float
    idd2n_ma: float
    idd3n_ma: float
    idd4r_ma: float
    idd4w_ma: float
    idd5_ma: float


class DramPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of dram_currents.toml, which says what the fields mean."""

    part: str
    source: str
    uncertainty_percent: int
    uncertainty: str
    io_read_pj_per_bit: float
    io_write_pj_per_bit: float
    io_source: str
    rails: tuple[Rail, ...]


@cache
def dram_parts() -> Mapping[str, DramPart]:
    """Preset of the DRAM model -> currents of a part."""
    text = Path(__file__).with_name("dram_currents.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=dict[str, DramPart])


class DramEnergy(Struct, frozen=True, kw_only=True):
    """Where a DRAM's energy went, attojoules (1e-18 J)."""

    background: int = 0
    """Stand-by, with a row open or without."""
    activate: int = 0
    """Opening and closing rows, above stand-by."""
    read: int = 0
    """Bursts read, above stand-by."""
    write: int = 0
    """Bursts written, above stand-by."""
    refresh: int = 0
    """Above stand-by without an open row."""
    io: int = 0
    """Drivers and termination of the data bus."""

    @property
    def total(self) -> int:
        """Sum of all, attojoules."""
        return sum(getattr(self, name) for name in self.__struct_fields__)

    def by_kind_pj(self) -> dict[str, float]:
        """Kind -> pJ, in the order of the fields; each is a whole multiple of 1e-6 pJ."""
        return {name: getattr(self, name) / AJ_PER_PJ for name in self.__struct_fields__}


def dram_energy(config: DramConfig, counts: DramCounts) -> DramEnergy:
    """What a DRAM took.

    For each rail, with I in mA, V in volts and t in clocks (TN-41-01, "DDR3 Power Calculations")::

        background = V (IDD3N t_active + IDD2N t_precharged)
        activate   = V (IDD0 tRC - IDD3N tRAS - IDD2N tRP) for each ACT, tRC = tRAS + tRP
        read       = V (IDD4R - IDD3N) BL/2                for each RD; write likewise
        refresh    = V (IDD5 - IDD2N) t_refresh

    The note takes IDD3N as the background of a refresh, and IDD5 - IDD3N for it; the sum of both is the same.

    Args:
        config: the preset's currents count, with these timings: a rank is one device.
        counts: what it did.
    """
    part, tras, trp, burst = dram_parts()[config.preset], config.tras_clocks, config.trp_clocks, config.burst_clocks
    background = activate = read = write = refresh = Fraction()
    for rail in part.rails:
        volts = Fraction(str(rail.volts))
        idd0, idd2n, idd3n, idd4r, idd4w, idd5 = (
            volts * Fraction(str(one))
            for one in (rail.idd0_ma, rail.idd2n_ma, rail.idd3n_ma, rail.idd4r_ma, rail.idd4w_ma, rail.idd5_ma)
        )
        background += idd3n * counts.active_clocks + idd2n * counts.precharged_clocks
        activate += (idd0 * (tras + trp) - idd3n * tras - idd2n * trp) * counts.activates
        read += (idd4r - idd3n) * burst * counts.reads
        write += (idd4w - idd3n) * burst * counts.writes
        refresh += (idd5 - idd2n) * counts.refresh_clocks
    read_io, write_io = Fraction(str(part.io_read_pj_per_bit)), Fraction(str(part.io_write_pj_per_bit))
    io = (read_io * counts.reads + write_io * counts.writes) * 8 * config.access_bytes
    aj_per_clock = config.tck_ps * _AJ_PER_MA_V_PS
    return DramEnergy(
        background=round(background * aj_per_clock),
        activate=round(activate * aj_per_clock),
        read=round(read * aj_per_clock),
        write=round(write * aj_per_clock),
        refresh=round(refresh * aj_per_clock),
        io=round(io * AJ_PER_PJ),
    )
