"""Every parameter of the chip, with the published chip as the default.

Labels: [P] published, [A] assumed by this project (docs/chip.md, docs/timing.md). All durations outside the
clock domain are nanoseconds and become cycles in one place, :meth:`ChipConfig.cycles_of_ns`.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from operator import attrgetter
from typing import Any, Literal, Self, TypeAlias, get_args

from tlm.chip.dram_config import DramConfig
from tlm.chip.operating_point import MAX_VOLTAGE_V, MIN_VOLTAGE_V, max_frequency_mhz
from tlm.core.arguments import expect, shown
from tlm.core.errors import InputError

_SIZES = (8, 16, 32, 64)
_BANKS = (1, 2, 4, 8)
MemoryModel: TypeAlias = Literal["fixed", "dram"]
_OF_FIXED_MEMORY = ("memory_gb_per_s", "memory_latency_ns")
_ADDRESS_LIMIT_WORDS = 1 << 20  # instruction fields for SRAM addresses have 20 bits

MAX_BURST_ACCESSES = 16
"""Column commands of a burst of the bus (kernels/dram.h)."""

# key -> (allowed values) or (lowest, highest)
_CHOICES: dict[str, tuple[int, ...]] = {
    "lanes": _SIZES,
    "columns": _SIZES,
    "amem_banks": _BANKS,
    "wmem_banks": _BANKS,
    "imem_banks": _BANKS,
    "bus_bytes": (4, 8, 16, 32),
    "burst_bytes": (32, 64, 128, 256),
}
_RANGES: dict[str, tuple[float, float]] = {
    "amem_words": (8, _ADDRESS_LIMIT_WORDS),
    "wmem_words": (8, _ADDRESS_LIMIT_WORDS),
    "imem_words": (8, _ADDRESS_LIMIT_WORDS),
    "sram_read_cycles": (1, 16),
    "mask_cycles": (1, 16),
    "multiply_cycles": (1, 16),
    "accumulate_cycles": (1, 16),
    "pass_gap_cycles": (1, 64),
    "requantiser_cycles": (1, 16),
    "voltage_v": (MIN_VOLTAGE_V, MAX_VOLTAGE_V),
    "frequency_mhz": (1.0, 5000.0),
    "memory_gb_per_s": (0.001, 1000.0),
    "memory_latency_ns": (0.0, 100_000.0),
    "memory_bytes": (4096, 1 << 31),
    "dma_bursts_in_flight": (1, 64),
    "host_access_ns": (0.0, 100_000.0),
    "host_interrupt_ns": (0.0, 100_000.0),
}


def allowed_values(key: str) -> tuple[int, ...] | None:
    """The allowed values of a key of ChipConfig, if they are a list of numbers."""
    return _CHOICES.get(key)


def allowed_range(key: str) -> tuple[float, float] | None:
    """Lowest and highest value of a key of ChipConfig, if its values are a range."""
    return _RANGES.get(key)


@dataclass(frozen=True)
class ChipConfig:
    """Parameters of the chip and its surroundings; immutable, hashable, picklable.

    Raises:
        InputError: a key is out of range; names key, value, allowed values and remedy.
    """

    lanes: int = 32
    """Activations per AMem word and rows of the MAC array [P]."""
    columns: int = 32
    """Output channels per WMem word and columns of the MAC array [P]."""
    amem_words: int = 16_384
    """AMem capacity in words of lanes x 4 bits [P]."""
    wmem_words: int = 16_384
    """WMem capacity in words of columns x 4 bits [P]."""
    imem_words: int = 16_384
    """IMem capacity in words of 64 bits [P]."""
    amem_banks: int = 4
    """Banks of AMem [A]."""
    wmem_banks: int = 4
    """Banks of WMem [A]."""
    imem_banks: int = 2
    """Banks of IMem [A]."""
    sram_read_cycles: int = 1
    """From the access of an SRAM word to its data, cycles [A]."""
    mask_cycles: int = 1
    """Aligner's last stage, after the log2(lanes) routing stages, cycles [A]."""
    multiply_cycles: int = 1
    """Cycles of a multiplication [A]."""
    accumulate_cycles: int = 1
    """Cycles of an accumulation [A]."""
    pass_gap_cycles: int = 3
    """Idle cycles between a pass's handover and the next pass's first cycle [A]."""
    requantiser_cycles: int = 3
    """From a channel's entry into the requantiser to its AMem write, cycles [A]."""
    voltage_v: float = 1.1
    """Core supply, V [P]."""
    frequency_mhz: float | None = None
    """Core clock, MHz; by default what the supply allows: 534 MHz at 1.1 V, 234 MHz at 0.8 V [P]."""
    bus_bytes: int = 8
    """Interconnect width: bytes per core cycle [A]."""
    memory_gb_per_s: float = 3.2
    """Off-chip memory bandwidth, 1e9 bytes per second [A]."""
    memory_latency_ns: float = 60.0
    """From a burst's arrival at the off-chip memory to its first beat, ns [A]."""
    memory_bytes: int = 1 << 26
    """Off-chip memory capacity, bytes [A]."""
    memory_model: MemoryModel = "fixed"
    """Off-chip memory with memory_latency_ns and memory_gb_per_s, or DRAM as chip.dram says [A]."""
    dram: DramConfig = field(default_factory=DramConfig, repr=False)
    """The DRAM, if memory_model is "dram" [A]."""
    burst_bytes: int = 64
    """Longest burst, bytes; bursts never cross a multiple of it [A]."""
    dma_bursts_in_flight: int = 2
    """Bursts in flight of each DMA channel [A]."""
    host_access_ns: float = 20.0
    """What the host spends on a register access before it enters the interconnect, ns [A]."""
    host_interrupt_ns: float = 100.0
    """From an interrupt to the driver's next instruction, ns [A]."""

    def __post_init__(self) -> None:
        for item in fields(self):
            self._check(item.name, getattr(self, item.name))
        limit_mhz = max_frequency_mhz(self.voltage_v)
        if self.frequency_mhz is None:
            object.__setattr__(self, "frequency_mhz", limit_mhz)
        elif self.frequency_mhz > limit_mhz:
            raise InputError(
                f"chip.frequency_mhz: {self.frequency_mhz:g} MHz is more than the {limit_mhz:g} MHz that "
                f"chip.voltage_v = {self.voltage_v:g} V allows; leave frequency_mhz out or raise the voltage"
            )
        for key in ("amem", "wmem", "imem"):
            words, banks = getattr(self, f"{key}_words"), getattr(self, f"{key}_banks")
            if words % banks:
                raise InputError(
                    f"chip.{key}_words: {words} is not a multiple of chip.{key}_banks = {banks}; round it to one"
                )
        if self.burst_bytes < self.bus_bytes:
            raise InputError(f"chip.burst_bytes: {self.burst_bytes} is less than chip.bus_bytes = {self.bus_bytes}")
        if self.uses_dram:
            self._check_dram()
        self._check_memory_keys()

    def _check_memory_keys(self) -> None:
        """Refuse what the other model of the off-chip memory alone would use."""
        if self.uses_dram:
            keys = [key for key in _OF_FIXED_MEMORY if getattr(self, key) != getattr(ChipConfig, key)]
            other, remedy = "fixed", "it"
        else:
            keys = [key for key, label in self.dram.labels().items() if label == "chosen"]
            other, remedy = "dram", "chip.dram"
        if keys:
            raise InputError(
                f"chip.{keys[0]}: {shown(attrgetter(keys[0])(self))} has no effect with chip.memory_model = "
                f"{shown(self.memory_model)}; give {other!r} there, or leave {remedy} out"
            )

    @classmethod
    def at(cls, voltage_v: float, **overrides: Any) -> Self:
        """The default chip at another supply voltage, with the highest clock that it allows."""
        return cls(voltage_v=voltage_v, **overrides)

    def plain(self) -> dict[str, Any]:
        """Key -> value, as a file holds them; ``memory_model`` and ``dram`` only where the memory is DRAM."""
        values = asdict(self)
        return values if self.uses_dram else {key: values[key] for key in values if key not in ("memory_model", "dram")}

    @property
    def clock_khz(self) -> int:
        """Core clock in kHz, an integer so that arithmetic on time is exact."""
        assert self.frequency_mhz is not None  # set in __post_init__
        return round(self.frequency_mhz * 1000)

    @property
    def amem_word_bytes(self) -> int:
        """Bytes of an AMem word."""
        return self.lanes // 2

    @property
    def wmem_word_bytes(self) -> int:
        """Bytes of a WMem word."""
        return self.columns // 2

    @property
    def imem_word_bytes(self) -> int:
        """Bytes of an IMem word: always 8."""
        return 8

    @property
    def routing_stages(self) -> int:
        """Stages of the aligner's routing networks: log2(lanes)."""
        return self.lanes.bit_length() - 1

    @property
    def pipeline_cycles(self) -> int:
        """From a pass's last sequencer cycle e to its last accumulation: 9 with the defaults (engine.md, A pass)."""
        return (
            self.sram_read_cycles
            + self.routing_stages
            + self.mask_cycles
            + self.multiply_cycles
            + self.accumulate_cycles
        )

    @property
    def peak_macs_per_cycle(self) -> int:
        """lanes x columns."""
        return self.lanes * self.columns

    def cycles_of_ns(self, nanoseconds: float) -> int:
        """Whole core cycles that cover a duration: ceil(ns x MHz / 1000), computed exactly.

        This is the only rounding rule, at every operating point.
        """
        return math.ceil(Fraction(str(nanoseconds)) * self.clock_khz / 1_000_000)

    @property
    def uses_dram(self) -> bool:
        """Whether the off-chip memory is DRAM."""
        return self.memory_model == "dram"

    @property
    def dram_clock_cycles(self) -> Fraction:
        """Core cycles of a DRAM clock, exactly."""
        return Fraction(self.dram.tck_ps * self.clock_khz, 10**9)

    @property
    def memory_beat_cycles(self) -> Fraction:
        """Core cycles between two beats of the off-chip memory, at least 1 (the bus carries one beat per cycle).

        Of DRAM at its peak.
        """
        bytes_per_s = self.dram.peak_bytes_per_s if self.uses_dram else Fraction(str(self.memory_gb_per_s)) * 10**9
        return max(Fraction(1), Fraction(self.bus_bytes * self.clock_khz * 1000) / bytes_per_s)

    def time_us(self, cycles: int) -> float:
        """Duration of a number of core cycles in microseconds."""
        return cycles * 1000 / self.clock_khz

    def _check_dram(self) -> None:
        access_bytes, size_bytes = self.dram.access_bytes, self.dram.size_bytes
        if self.burst_bytes > MAX_BURST_ACCESSES * access_bytes:
            raise InputError(
                f"chip.burst_bytes: {self.burst_bytes} is more than {MAX_BURST_ACCESSES} accesses of the DRAM's "
                f"{access_bytes} bytes; give fewer, or more chip.dram.width_bits or burst_length"
            )
        if self.memory_bytes > size_bytes:
            raise InputError(
                f"chip.memory_bytes: {self.memory_bytes} is more than the DRAM's {size_bytes}; give fewer, "
                "or more chip.dram.rows"
            )

    def _check(self, key: str, value: Any) -> None:
        if key == "frequency_mhz" and value is None:
            return
        if key == "memory_model":
            if not isinstance(value, str) or value not in get_args(MemoryModel):
                raise InputError(f"chip.{key}: {shown(value)} is not one of {', '.join(get_args(MemoryModel))}")
            return
        if key == "dram":
            expect("chip.dram", value, DramConfig)
            return
        real = key.endswith(("_v", "_mhz", "_ns", "_gb_per_s"))
        kinds = (int, float) if real else (int,)
        infinite = isinstance(value, float) and not math.isfinite(value)
        if isinstance(value, bool) or not isinstance(value, kinds) or infinite:
            raise InputError(f"chip.{key}: {shown(value)} is not {'a finite number' if real else 'an integer'}")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise InputError(f"chip.{key}: {shown(value)} is not one of {', '.join(map(str, _CHOICES[key]))}")
        if key in _RANGES and not _RANGES[key][0] <= value <= _RANGES[key][1]:
            raise InputError(f"chip.{key}: {shown(value)} is outside {_RANGES[key][0]:g}..{_RANGES[key][1]:g}")
        if real:
            object.__setattr__(self, key, float(value))


def compared(chips: Sequence[ChipConfig]) -> list[dict[str, Any]]:
    """Key -> value of each chip, to be held against the others.

    Of DRAM only where there is one, and only keys that one of the chips has chosen: a preset's values follow from it.
    """
    chosen = {key for chip in chips if chip.uses_dram for key, label in chip.dram.labels().items() if label == "chosen"}
    found = [asdict(chip) for chip in chips]
    for chip, values in zip(chips, found, strict=True):
        dram = values.pop("dram")
        if chip.uses_dram:
            values["dram"] = {key: dram[key] for key in dram if f"dram.{key}" in chosen}
    return found
