"""What an event costs: the table of energies, where each entry comes from, and how their sum is calibrated.

Two figures are published [P]: 352 mW at 1.1 V and 534 MHz, 88 mW at 0.8 V and 234 MHz. The energy of a busy cycle is
fitted to them (calibrated). Its split over events is an assumption [A]: each entry is an estimate from the source that
it names, and one common factor scales their sum, over a dense pass, to the fit (docs/energy.md).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from tlm.chip.config import ChipConfig
from tlm.chip.operating_point import power_fit
from tlm.core.arguments import expect, shown
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
_LEAKAGE = "leakage_ma"


class EnergyEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of energy_table.toml, which says what the fields mean."""

    key: str = ""
    """Name in :class:`EnergyConfig` and in scenario files; it ends in the unit."""
    component: str
    estimate: float = 0.0
    event: str
    scales_with: Literal["", "lanes", "columns", "array", "stages", "multipliers"] = ""
    source: str

    @property
    def is_normalised(self) -> bool:
        """Dynamic energy of the core: what the calibration scales."""
        return self.key.endswith("_pj") and self.component != OFF_CHIP

    @property
    def label(self) -> Label:
        """Where the default comes from."""
        return Label.CALIBRATED if self.key == _LEAKAGE else Label.ASSUMED


def _entries() -> Iterator[EnergyEntry]:
    text = Path(__file__).with_name("energy_table.toml").read_text(encoding="utf-8")
    for key, entry in msgspec.toml.decode(text, type=dict[str, EnergyEntry]).items():
        estimate = round(float(power_fit().leakage_ma), 6) if key == _LEAKAGE else entry.estimate
        yield replace(entry, key=key, estimate=estimate)


ENTRIES: tuple[EnergyEntry, ...] = tuple(_entries())
"""The table."""

_PUBLISHED = ChipConfig()


def _size(entry: EnergyEntry, chip: ChipConfig) -> Fraction:
    """What an event on this chip costs relative to the table's entry."""
    sizes: dict[str, Callable[[ChipConfig], int]] = {
        "lanes": lambda one: one.lanes,
        "columns": lambda one: one.columns,
        "array": lambda one: one.peak_macs_per_cycle,
        "stages": lambda one: one.lanes * (one.routing_stages + 1),
    }
    if entry.scales_with == "multipliers":
        return Fraction(chip.peak_macs_per_cycle)
    size = sizes.get(entry.scales_with)
    return Fraction(1) if size is None else Fraction(size(chip), size(_PUBLISHED))


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


_FACTOR = normalisation()
_DEFAULTS: Mapping[str, float] = {
    entry.key: round(float(Fraction(str(entry.estimate)) * (_FACTOR if entry.is_normalised else 1)), 6)
    for entry in ENTRIES
}


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
        limits = f"0..{MAX_VALUE:g}"
        for item in fields(self):
            key, value = f"energy.{item.name}", getattr(self, item.name)
            expect(key, value, (int, float), f"give one in {limits}")
            if not 0 <= value <= MAX_VALUE:
                raise InputError(f"{key}: {shown(value)} is outside {limits}")
            object.__setattr__(self, item.name, float(value))

    def per_event_aj(self, chip: ChipConfig) -> dict[str, int]:
        """Key -> energy of one event on this chip, in whole attojoules (1e-18 J), so that sums are exact.

        Events of ``leakage_ma`` and ``off_chip_background_mw`` are cycles. Off-chip entries are 0 if the off-chip
        memory is DRAM, whose energy follows from its currents (dram_energy.py).
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
            found[entry.key] = 0 if chip.uses_dram and entry.component == OFF_CHIP else round(value)
        return found

    def labels(self) -> dict[str, str]:
        """For each key: "calibrated", "assumed", or "chosen" where the value differs from the default."""
        return {
            entry.key: entry.label.name.lower() if getattr(self, entry.key) == _DEFAULTS[entry.key] else "chosen"
            for entry in ENTRIES
        }
