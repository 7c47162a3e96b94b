"""The parameters of off-chip DRAM (``chip.memory_model = "dram"``), and presets of real parts.

Sources of every value: docs/memory.md. Durations count DRAM clocks: a data sheet's nanoseconds, rounded up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Literal, TypeAlias, cast, get_args

from tlm.core.arguments import shown
from tlm.core.errors import InputError

Preset: TypeAlias = Literal["lpddr3_1600_x32", "lpddr4_3200_x16", "ddr3l_1600_x16"]
AddressOrder: TypeAlias = Literal[
    "row_bank_column", "row_column_bank", "bank_row_column", "bank_column_row", "column_row_bank", "column_bank_row"
]
PagePolicy: TypeAlias = Literal["open", "closed"]
Scheduler: TypeAlias = Literal["fr_fcfs", "in_order"]

PRESETS: Mapping[str, Mapping[str, int]] = {
    "lpddr3_1600_x32": {
        "channels": 1, "ranks": 1, "banks": 8, "bank_groups": 1, "rows": 16_384, "columns": 1024, "width_bits": 32,
        "burst_length": 8, "tck_ps": 1250, "trcd_clocks": 15, "trp_clocks": 15, "tras_clocks": 34, "cl_clocks": 12,
        "cwl_clocks": 6, "tccd_clocks": 4, "tccd_l_clocks": 4, "trrd_clocks": 8, "trrd_l_clocks": 8,
        "tfaw_clocks": 40, "twr_clocks": 12, "twtr_clocks": 6, "twtr_l_clocks": 6, "trtp_clocks": 6,
        "trtw_clocks": 16, "trtrs_clocks": 2, "trfc_clocks": 104, "trefi_clocks": 3120,
    },
    "lpddr4_3200_x16": {
        "channels": 1, "ranks": 1, "banks": 8, "bank_groups": 1, "rows": 32_768, "columns": 1024, "width_bits": 16,
        "burst_length": 16, "tck_ps": 625, "trcd_clocks": 29, "trp_clocks": 29, "tras_clocks": 68, "cl_clocks": 28,
        "cwl_clocks": 14, "tccd_clocks": 8, "tccd_l_clocks": 8, "trrd_clocks": 16, "trrd_l_clocks": 16,
        "tfaw_clocks": 64, "twr_clocks": 29, "twtr_clocks": 16, "twtr_l_clocks": 16, "trtp_clocks": 12,
        "trtw_clocks": 30, "trtrs_clocks": 2, "trfc_clocks": 288, "trefi_clocks": 6246,
    },
    "ddr3l_1600_x16": {
        "channels": 1, "ranks": 1, "banks": 8, "bank_groups": 1, "rows": 32_768, "columns": 1024, "width_bits": 16,
        "burst_length": 8, "tck_ps": 1250, "trcd_clocks": 11, "trp_clocks": 11, "tras_clocks": 28, "cl_clocks": 11,
        "cwl_clocks": 8, "tccd_clocks": 4, "tccd_l_clocks": 4, "trrd_clocks": 6, "trrd_l_clocks": 6,
        "tfaw_clocks": 32, "twr_clocks": 12, "twtr_clocks": 6, "twtr_l_clocks": 6, "trtp_clocks": 6,
        "trtw_clocks": 9, "trtrs_clocks": 2, "trfc_clocks": 208, "trefi_clocks": 6240,
    },
}  # fmt: skip
"""Preset -> its values; the first is the default."""

DRAM_CHOICES: Mapping[str, tuple[int, ...]] = {
    "channels": (1, 2, 4),
    "ranks": (1, 2, 4),
    "banks": (1, 2, 4, 8, 16),
    "bank_groups": (1, 2, 4),
    "rows": tuple(1 << bits for bits in range(1, 19)),
    "columns": tuple(1 << bits for bits in range(4, 13)),
    "width_bits": (8, 16, 32, 64),
    "burst_length": (4, 8, 16, 32),
}
"""Key -> allowed values: powers of two, since bits of the address choose."""
_CLOCKS = (1, 255)
DRAM_RANGES: Mapping[str, tuple[int, int]] = {
    "tck_ps": (100, 10_000),
    **{f"t{name}_clocks": _CLOCKS for name in ("rcd", "rp", "ras", "rrd", "rrd_l", "faw", "wr", "wtr", "wtr_l", "rtp")},
    **{f"{name}_clocks": _CLOCKS for name in ("cl", "cwl", "tccd", "tccd_l", "trtw")},
    "trtrs_clocks": (0, 255),
    "trfc_clocks": (1, 4095),
    "trefi_clocks": (16, 1_000_000),
    "queue_accesses": (1, 32),
    "max_bypasses": (0, 1000),
}
"""Key -> lowest and highest value."""
_TEXTS: Mapping[str, tuple[str, ...]] = {
    "preset": get_args(Preset),
    "address_order": get_args(AddressOrder),
    "page_policy": get_args(PagePolicy),
    "scheduler": get_args(Scheduler),
}
_BANKS_LIMIT = 32
"""Banks of all ranks of a channel in kernels/dram.h."""
_OF_PRESET = cast(int, None)
"""The default of keys that the preset fills."""


@dataclass(frozen=True)
class DramConfig:
    """Parameters of the off-chip DRAM and its controller; a key that is left out has the preset's value.

    Raises:
        InputError: a key is out of range, or keys contradict each other; names key, value and what is allowed.
    """

    preset: Preset = "lpddr3_1600_x32"
    """The part whose values hold where no other is given."""
    channels: int = _OF_PRESET
    """Independent channels, each with a command bus and a data bus [A]."""
    ranks: int = _OF_PRESET
    """Ranks of a channel, which share its buses [A]."""
    banks: int = _OF_PRESET
    """Banks of a rank."""
    bank_groups: int = _OF_PRESET
    """Bank groups of a rank; 1 for parts without them."""
    rows: int = _OF_PRESET
    """Rows of a bank."""
    columns: int = _OF_PRESET
    """Columns of a row, each width_bits wide."""
    width_bits: int = _OF_PRESET
    """Data bus of a channel, bits."""
    burst_length: int = _OF_PRESET
    """Transfers on the data bus of one column command, two a clock."""
    tck_ps: int = _OF_PRESET
    """tCK: a DRAM clock, ps."""
    trcd_clocks: int = _OF_PRESET
    """tRCD: from ACT to a column command of the bank."""
    trp_clocks: int = _OF_PRESET
    """tRP: from PRE to ACT of the bank."""
    tras_clocks: int = _OF_PRESET
    """tRAS: from ACT to PRE of the bank."""
    cl_clocks: int = _OF_PRESET
    """CL (RL): from RD to its first data."""
    cwl_clocks: int = _OF_PRESET
    """CWL (WL): from WR to its first data."""
    tccd_clocks: int = _OF_PRESET
    """tCCD (tCCD_S): between two RD, or two WR, of a rank."""
    tccd_l_clocks: int = _OF_PRESET
    """tCCD_L: the same within a bank group."""
    trrd_clocks: int = _OF_PRESET
    """tRRD (tRRD_S): between two ACT of a rank."""
    trrd_l_clocks: int = _OF_PRESET
    """tRRD_L: the same within a bank group."""
    tfaw_clocks: int = _OF_PRESET
    """tFAW: any five ACT of a rank span at least so many."""
    twr_clocks: int = _OF_PRESET
    """tWR: from a write's last data to PRE of the bank."""
    twtr_clocks: int = _OF_PRESET
    """tWTR (tWTR_S): from a write's last data to RD of the rank."""
    twtr_l_clocks: int = _OF_PRESET
    """tWTR_L: the same within a bank group."""
    trtp_clocks: int = _OF_PRESET
    """tRTP: from RD to PRE of the bank."""
    trtw_clocks: int = _OF_PRESET
    """tRTW: from RD to WR of the channel, so that the data bus can turn."""
    trtrs_clocks: int = _OF_PRESET
    """tRTRS: idle clocks of the data bus between two ranks [A]."""
    trfc_clocks: int = _OF_PRESET
    """tRFC: from REF to the next command of the rank."""
    trefi_clocks: int = _OF_PRESET
    """tREFI: from refresh to refresh of a rank."""
    address_order: AddressOrder = "row_bank_column"
    """Fields of an address, highest first; ranks stand above banks, channels below all [A]."""
    page_policy: PagePolicy = "open"
    """Rows stay open until another is needed, or are closed when no queued access asks for them [A]."""
    scheduler: Scheduler = "fr_fcfs"
    """What may be issued comes first, open rows before others, then the oldest; or strictly in order [A]."""
    queue_accesses: int = 16
    """Accesses that a channel's queue holds [A]."""
    max_bypasses: int = 16
    """How many younger accesses may overtake the oldest of a queue [A]."""

    def __post_init__(self) -> None:
        for key, allowed in _TEXTS.items():
            if getattr(self, key) not in allowed:
                raise InputError(f"chip.dram.{key}: {shown(getattr(self, key))} is not one of {', '.join(allowed)}")
        for key, value in PRESETS[self.preset].items():
            if getattr(self, key) is None:
                object.__setattr__(self, key, value)
        for item in fields(self):
            if item.name not in _TEXTS:
                _check(item.name, getattr(self, item.name))
        self._check_together()

    @property
    def access_bytes(self) -> int:
        """Bytes of one column command."""
        return self.width_bits * self.burst_length // 8

    @property
    def burst_clocks(self) -> int:
        """Clocks that a column command takes the data bus: two transfers a clock."""
        return self.burst_length // 2

    @property
    def row_accesses(self) -> int:
        """Column commands that a row holds."""
        return self.columns // self.burst_length

    @property
    def size_bytes(self) -> int:
        """Of all channels and ranks."""
        return self.channels * self.ranks * self.banks * self.rows * self.columns * self.width_bits // 8

    @property
    def peak_bytes_per_s(self) -> Fraction:
        """Of all data buses, exactly."""
        return Fraction(self.channels * self.width_bits * 10**12, 4 * self.tck_ps)

    def labels(self) -> dict[str, str]:
        """Of every key, as "dram.KEY": "assumed" for the preset's value, otherwise "chosen".

        A preset's values follow the standards named in docs/memory.md, but were not compared with a copy of them.
        """
        same = DramConfig(self.preset)
        labels = {"dram.preset": "assumed" if self.preset == DramConfig().preset else "chosen"}
        for item in fields(self)[1:]:
            unchanged = getattr(self, item.name) == getattr(same, item.name)
            labels[f"dram.{item.name}"] = "assumed" if unchanged else "chosen"
        return labels

    def _check_together(self) -> None:
        def refuse(key: str, why: str) -> None:
            raise InputError(f"chip.dram.{key}: {getattr(self, key)} {why}")

        if self.banks % self.bank_groups:
            refuse("bank_groups", f"is more than chip.dram.banks = {self.banks}; give at most so many")
        if self.ranks * self.banks > _BANKS_LIMIT:
            refuse("banks", f"in {self.ranks} ranks are more than {_BANKS_LIMIT} in a channel; give fewer")
        if self.columns < self.burst_length:
            refuse("columns", f"is less than chip.dram.burst_length = {self.burst_length}; give more")
        for key in ("tccd", "tccd_l"):
            if getattr(self, f"{key}_clocks") < self.burst_clocks:
                refuse(f"{key}_clocks", f"is less than the {self.burst_clocks} clocks that a burst takes; give more")
        turn = self.cl_clocks + self.burst_clocks - self.cwl_clocks
        if self.trtw_clocks < turn:
            refuse("trtw_clocks", f"is less than the {turn} (CL + burst - CWL) that keep data apart; give more")
        work = self.trfc_clocks + self.trp_clocks + self.trcd_clocks + self.tras_clocks + self.banks
        work += max(self.trtw_clocks, self.cwl_clocks + self.burst_clocks + max(self.twr_clocks, self.twtr_l_clocks))
        if self.trefi_clocks < 2 * work:
            refuse("trefi_clocks", f"is less than {2 * work}, twice a refresh and one access; give more")


def _check(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"chip.dram.{key}: {shown(value)} is not an integer")
    if key in DRAM_CHOICES and value not in DRAM_CHOICES[key]:
        raise InputError(f"chip.dram.{key}: {value} is not one of {', '.join(map(str, DRAM_CHOICES[key]))}")
    if key in DRAM_RANGES and not DRAM_RANGES[key][0] <= value <= DRAM_RANGES[key][1]:
        raise InputError(f"chip.dram.{key}: {value} is outside {DRAM_RANGES[key][0]}..{DRAM_RANGES[key][1]}")
