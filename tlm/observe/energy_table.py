"""What an event costs: the table of energies, where each entry comes from, and how their sum is calibrated.

Two figures are published [P]: 352 mW at 1.1 V and 534 MHz, 88 mW at 0.8 V and 234 MHz. The energy of a busy cycle is
fitted to them (calibrated). Its split over events is an assumption [A]: each entry is an estimate from the source that
it names, and one common factor scales their sum, over a dense pass, to the fit (docs/energy.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from tlm.chip.config import ChipConfig
from tlm.chip.operating_point import power_fit
from tlm.core.arguments import shown
from tlm.core.errors import InputError
from tlm.core.labels import Label

REFERENCE_V = 1.1
"""Core supply for which the table holds; energies of the core go with V^2 [A]."""

MAX_VALUE = 1_000_000.0
"""Of any entry: nothing on a chip comes near."""

CALIBRATION_STEPS = 512
"""Steps of the pass that is calibrated: a point-wise layer of 512 input channels, r = 1 (engine.md, Energy)."""

OFF_CHIP = "off_chip"
"""What lies beside the core: reported apart, and not scaled with the core's supply."""

AJ_PER_PJ = 10**6
"""Energies are added up in whole attojoules and shown in picojoules."""

_AJ_PER_UJ = 10**12


@dataclass(frozen=True, slots=True)
class EnergyEntry:
    """An entry of the table."""

    key: str
    """Name in :class:`EnergyConfig` and in scenario files; it ends in the unit."""
    component: str
    """What it is added to: a field of :class:`tlm.observe.energy_account.EnergyAccount`, or OFF_CHIP."""
    estimate: float
    """Before normalisation, in the key's unit, for the published chip at REFERENCE_V."""
    event: str
    """What one of it is."""
    scales_with: str
    """What an event's energy is proportional to, relative to the published chip: "lanes", "columns", "array" (lanes x
    columns), "stages" (lanes x aligner stages), "" (nothing); "multipliers" where the entry is that of one of them."""
    source: str
    """Where the estimate comes from."""
    label: Label = Label.ASSUMED

    @property
    def is_normalised(self) -> bool:
        """Dynamic energy of the core: what the calibration scales."""
        return self.key.endswith("_pj") and self.component != OFF_CHIP


_HOROWITZ = "Horowitz, ISSCC 2014, 45 nm at 0.9 V, times (1.1/0.9)^2"
_CACTI = "CACTI, 40 nm LSTP, 1.1 V"

ENTRIES: tuple[EnergyEntry, ...] = (
    EnergyEntry(
        "multiply_pj", "mac_array", 0.0747,
        "step of a convolution and multiplier: a 4 x 4-bit product", "multipliers",
        f"{_HOROWITZ}: a quarter of its 8-bit multiplication, 0.2 pJ",
    ),
    EnergyEntry(
        "accumulate_pj", "mac_array", 0.1145,
        "step of a convolution and multiplier: a 24-bit addition", "multipliers",
        f"{_HOROWITZ}: between its 8-bit addition, 0.03 pJ, and its 32-bit one, 0.1 pJ",
    ),
    EnergyEntry(
        "broadcast_pj", "mac_array", 25.0,
        "step of a convolution: activations and weights to all multipliers", "array",
        "assumption: 256 wires of 1 mm at 0.2 pF/mm with 32 inputs of 2 fF each, charged in 3 of 10 steps",
    ),
    EnergyEntry(
        "compare_pj", "mac_array", 4.45, "step of max pooling: a word with one row of accumulators", "lanes",
        "assumption: 32 comparisons, each as one of accumulate_pj's additions, and a 32nd of broadcast_pj: the other "
        "rows and the weights' wires stand still",
    ),
    EnergyEntry(
        "align_pj", "aligner", 11.5, "AMem word fetched for a step: through all routing stages and the mask", "stages",
        "assumption: 6 stages of 128 bits, 15 fJ for the multiplexers and the register of a bit",
    ),
    EnergyEntry(
        "amem_read_pj", "amem", 38.0, "AMem word read: step or residual or DMA", "lanes",
        f"{_CACTI}: 128 bits from 256 kB, 28 to 51 pJ; their geometric mean",
    ),
    EnergyEntry(
        "amem_write_pj", "amem", 102.0, "AMem word written: write-back or DMA", "lanes",
        f"{_CACTI}: 128 bits into 256 kB, 77 to 136 pJ; their geometric mean",
    ),
    EnergyEntry(
        "wmem_read_pj", "wmem", 38.0, "WMem word read", "columns",
        "as amem_read_pj: the same geometry",
    ),
    EnergyEntry(
        "wmem_write_pj", "wmem", 102.0, "WMem word written by DMA", "columns",
        "as amem_write_pj: the same geometry",
    ),
    EnergyEntry(
        "imem_read_pj", "imem", 14.5, "IMem word read", "",
        f"{_CACTI}: 64 bits from 128 kB",
    ),
    EnergyEntry(
        "imem_write_pj", "imem", 39.0, "IMem word written by DMA", "",
        "assumption: as much more than its read as in AMem",
    ),
    EnergyEntry(
        "requantise_pj", "requantiser", 77.0, "word written back: all lanes of one output channel or plane", "lanes",
        f"{_HOROWITZ}: 32 lanes with 25/32 x 16/32 of its 32-bit multiplication, 3.1 pJ, and four 32-bit additions' "
        "worth of bias, residual, rounding and shift",
    ),
    EnergyEntry(
        "clock_pj", "clock", 185.0, "cycle in which the engine runs a program", "array",
        "assumption: 37,000 flip-flops (24-bit sums, products, aligner, requantiser), 5 fJ each with their part of the "
        "clock tree",
    ),
    EnergyEntry(
        "idle_clock_pj", "clock", 5.8, "cycle in which it runs none", "",
        "assumption: the engine's clock is gated, and a 32nd of clock_pj remains: root of the tree, DMA, registers",
    ),
    EnergyEntry(
        "transfer_pj", "interconnect", 4.0, "byte moved by DMA", "",
        "assumption: 8 wires of 3 mm at 0.2 pF/mm, charged in every second beat, 2.9 pJ, and registers, 1.1 pJ",
    ),
    EnergyEntry(
        "register_access_pj", "interconnect", 32.0, "register access of the host", "",
        "assumption: as 8 bytes of transfer_pj",
    ),
    EnergyEntry(
        "leakage_ma", "leakage", round(float(power_fit().leakage_ma), 6), "current, always", "",
        "I of the fit P = C V^2 f + I V through both published points", Label.CALIBRATED,
    ),
    EnergyEntry(
        "off_chip_read_pj", OFF_CHIP, 162.5, "byte read from off-chip memory", "",
        "Horowitz, ISSCC 2014: DRAM 1.3 to 2.6 nJ for 64 bits; the lower end, for a low-power DRAM nearby",
    ),
    EnergyEntry(
        "off_chip_write_pj", OFF_CHIP, 162.5, "byte written to off-chip memory", "",
        "as off_chip_read_pj",
    ),
    EnergyEntry(
        "off_chip_background_mw", OFF_CHIP, 0.0, "power, always", "",
        "assumption: refresh and stand-by are left out; they depend on the part",
    ),
)  # fmt: skip
"""The table."""

_PUBLISHED = ChipConfig()


def _size(entry: EnergyEntry, chip: ChipConfig) -> Fraction:
    """What an event on this chip costs relative to the table's entry."""
    match entry.scales_with:
        case "lanes":
            return Fraction(chip.lanes, _PUBLISHED.lanes)
        case "columns":
            return Fraction(chip.columns, _PUBLISHED.columns)
        case "array":
            return Fraction(chip.peak_macs_per_cycle, _PUBLISHED.peak_macs_per_cycle)
        case "multipliers":
            return Fraction(chip.peak_macs_per_cycle)
        case "stages":
            published = _PUBLISHED.lanes * (_PUBLISHED.routing_stages + 1)
            return Fraction(chip.lanes * (chip.routing_stages + 1), published)
    return Fraction(1)


def dense_pass_events() -> dict[str, int]:
    """Key -> events of one pass of the calibration's steady state, on the published chip.

    The pass of a point-wise layer of 512 channels with r = 1: 512 steps in S + 13 = 525 cycles, its 9 pattern words of
    60 channels read again, 32 words requantised and written (engine.md, A pass). No transfer runs beside it.
    """
    chip, steps = _PUBLISHED, CALIBRATION_STEPS
    of_step = dict.fromkeys(
        ("multiply_pj", "accumulate_pj", "broadcast_pj", "align_pj", "amem_read_pj", "wmem_read_pj"), steps
    )
    return of_step | {
        "imem_read_pj": -(-steps // 60),
        "requantise_pj": chip.columns,
        "amem_write_pj": chip.columns,
        "clock_pj": steps + chip.pipeline_cycles + 1 + chip.pass_gap_cycles,
    }


def normalisation() -> Fraction:
    """Factor from the estimates to the fit (calibrated): C V^2 times the pass's cycles over its events' sum."""
    events = dense_pass_events()
    estimated = sum(
        Fraction(str(entry.estimate)) * _size(entry, _PUBLISHED) * events.get(entry.key, 0) for entry in ENTRIES
    )
    return power_fit().switched_pf * Fraction(str(REFERENCE_V)) ** 2 * events["clock_pj"] / estimated


def _defaults() -> dict[str, float]:
    factor = normalisation()
    return {
        entry.key: round(float(Fraction(str(entry.estimate)) * (factor if entry.is_normalised else 1)), 6)
        for entry in ENTRIES
    }


_DEFAULTS: Mapping[str, float] = _defaults()


@dataclass(frozen=True)
class EnergyConfig:
    """Energies of events on the published chip at a core supply of 1.1 V, normalised; immutable and picklable.

    A value that is given replaces the normalised one as it is: nothing is normalised again, so the sum then differs
    from the published power. Energies of the core go with V^2; those of words, aligner, array and clock with their
    sizes, if the chip has others than the published ones.

    Raises:
        InputError: a value that is no finite number, negative or above MAX_VALUE.
    """

    multiply_pj: float = _DEFAULTS["multiply_pj"]
    """One multiplier's 4 x 4-bit product in a step of a convolution, pJ [A]."""
    accumulate_pj: float = _DEFAULTS["accumulate_pj"]
    """One multiplier's 24-bit addition in a step of a convolution, pJ [A]."""
    broadcast_pj: float = _DEFAULTS["broadcast_pj"]
    """Activations and weights of a step of a convolution to all multipliers, pJ [A]."""
    compare_pj: float = _DEFAULTS["compare_pj"]
    """A step of max pooling in the array: a word compared with one row of accumulators, pJ [A]."""
    align_pj: float = _DEFAULTS["align_pj"]
    """A word through the aligner, pJ [A]."""
    amem_read_pj: float = _DEFAULTS["amem_read_pj"]
    """AMem word read, pJ [A]."""
    amem_write_pj: float = _DEFAULTS["amem_write_pj"]
    """AMem word written, pJ [A]."""
    wmem_read_pj: float = _DEFAULTS["wmem_read_pj"]
    """WMem word read, pJ [A]."""
    wmem_write_pj: float = _DEFAULTS["wmem_write_pj"]
    """WMem word written, pJ [A]."""
    imem_read_pj: float = _DEFAULTS["imem_read_pj"]
    """IMem word read, pJ [A]."""
    imem_write_pj: float = _DEFAULTS["imem_write_pj"]
    """IMem word written, pJ [A]."""
    requantise_pj: float = _DEFAULTS["requantise_pj"]
    """A word of output through the requantiser, pJ [A]."""
    clock_pj: float = _DEFAULTS["clock_pj"]
    """Clock tree and registers in a cycle in which the engine runs a program, pJ [A]."""
    idle_clock_pj: float = _DEFAULTS["idle_clock_pj"]
    """What is left of that in a cycle in which it runs none, pJ [A]."""
    transfer_pj: float = _DEFAULTS["transfer_pj"]
    """A byte through DMA and interconnect, pJ [A]."""
    register_access_pj: float = _DEFAULTS["register_access_pj"]
    """A register access of the host, pJ [A]."""
    leakage_ma: float = _DEFAULTS["leakage_ma"]
    """Leakage current of the core at every supply, mA (calibrated)."""
    off_chip_read_pj: float = _DEFAULTS["off_chip_read_pj"]
    """A byte read from off-chip memory, pJ, whatever the core's supply [A]."""
    off_chip_write_pj: float = _DEFAULTS["off_chip_write_pj"]
    """A byte written to off-chip memory, pJ, whatever the core's supply [A]."""
    off_chip_background_mw: float = _DEFAULTS["off_chip_background_mw"]
    """Power of the off-chip memory without any access, mW [A]."""

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item.name, getattr(self, item.name)))

    def per_event_aj(self, chip: ChipConfig) -> dict[str, int]:
        """Key -> energy of one event on this chip, in whole attojoules (1e-18 J), so that sums are exact.

        Events of ``leakage_ma`` and ``off_chip_background_mw`` are cycles.
        """
        volts = Fraction(str(chip.voltage_v))
        with_supply = (volts / Fraction(str(REFERENCE_V))) ** 2
        found = {}
        for entry in ENTRIES:
            value = Fraction(str(getattr(self, entry.key))) * _size(entry, chip)
            if entry.key.endswith("_ma"):
                value *= volts * _AJ_PER_UJ / chip.clock_khz  # mA V = mW, and mW/kHz = uJ
            elif entry.key.endswith("_mw"):
                value *= Fraction(_AJ_PER_UJ, chip.clock_khz)
            else:
                value *= AJ_PER_PJ * (with_supply if entry.component != OFF_CHIP else 1)
            found[entry.key] = round(value)
        return found

    def labels(self) -> dict[str, str]:
        """For each key: "calibrated", "assumed", or "chosen" where the value differs from the default."""
        return {
            entry.key: entry.label.name.lower() if getattr(self, entry.key) == _DEFAULTS[entry.key] else "chosen"
            for entry in ENTRIES
        }


def _checked(key: str, value: Any) -> float:
    infinite = isinstance(value, float) and not math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or infinite:
        raise InputError(f"energy.{key}: {shown(value)} is not a finite number; give one in 0..{MAX_VALUE:g}")
    if not 0 <= value <= MAX_VALUE:
        raise InputError(f"energy.{key}: {shown(value)} is outside 0..{MAX_VALUE:g}")
    return float(value)
