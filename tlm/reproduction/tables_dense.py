"""What is taken over, calibrated or agrees: array, memories, and the steady state of dense layers."""

from __future__ import annotations

from tlm.chip.config import ChipConfig
from tlm.chip.operating_point import PUBLISHED_POINTS_MHZ, PUBLISHED_POWER_MW
from tlm.reproduction.dense import SteadyState
from tlm.reproduction.figures import compared, percent, table
from tlm.reproduction.measure import Measurements
from tlm.reproduction.published import (
    FAST_V,
    FRUGAL_V,
    MEMORY_MBIT,
    MULTIPLIERS,
    ROUNDED_MACS,
    TOPS,
    TOPS_PER_W,
    Interval,
    pass_lengths,
    share_of_peak,
)  # fmt: skip

_MBIT = 1 << 20
_POINTS = {FAST_V: "fast", FRUGAL_V: "frugal"}
_NEAR_CALIBRATED = 576
"""Steps of the 3x3 passes that stand beside the calibrated ones."""


def dense_values(measured: Measurements) -> dict[str, str]:
    """How the length of a pass decides the dense figures, and what the published ones allow."""
    calibrated = next(one for one in measured.dense if one.layer.is_calibrated)
    fast, frugal = share_of_peak(FAST_V), share_of_peak(FRUGAL_V)
    low, high = pass_lengths(calibrated.overhead_cycles, fast.by_all)
    values = {
        "share_fast": _span(fast.by_efficiency),
        "share_frugal": _span(frugal.by_efficiency),
        "share_with_tops": _span(fast.by_all),
        "overhead_cycles": f"{float(calibrated.overhead_cycles):g}",
        "pass_lengths": f"{low} to {high}",
        "rounded_share": percent(ROUNDED_MACS / ChipConfig().peak_macs_per_cycle, 2),
        "table_dense": _dense_table(measured),
    }
    for state in measured.dense:
        if state.layer.is_calibrated or state.steps == _NEAR_CALIBRATED:
            values |= _beside_published(state)
    return values


def parameter_values() -> dict[str, str]:
    """Array, memories and clocks."""
    chip = ChipConfig()
    values = {"array": compared(MULTIPLIERS, chip.peak_macs_per_cycle, "multipliers", digits=0)}
    total = 0.0
    for memory, published in MEMORY_MBIT.items():
        words, word_bytes = getattr(chip, f"{memory}_words"), getattr(chip, f"{memory}_word_bytes")
        size_mbit = words * word_bytes * 8 / _MBIT
        total += size_mbit
        values[memory] = compared(published, size_mbit, "Mbit", digits=0)
        values[f"{memory}_words"] = f"{words:,} words of {8 * word_bytes} bit"
    values["sram"] = compared(sum(MEMORY_MBIT.values()), total, "Mbit", digits=0)
    for volts, point in _POINTS.items():
        clock_mhz = ChipConfig.at(volts).clock_khz / 1000
        values[f"clock_{point}"] = compared(PUBLISHED_POINTS_MHZ[volts], clock_mhz, "MHz", digits=0)
    return values


def _beside_published(state: SteadyState) -> dict[str, str]:
    """The figures of a pass at one operating point beside the published ones."""
    volts, case = state.voltage_v, f"{state.steps}_{_POINTS[state.voltage_v]}"
    power_mw, tops_per_w, mhz = PUBLISHED_POWER_MW[volts], float(TOPS_PER_W[volts]), PUBLISHED_POINTS_MHZ[volts]
    peak = 2 * ChipConfig().peak_macs_per_cycle * mhz / 1e6
    if volts == FAST_V:
        throughput = compared(float(TOPS), state.tops, "TOPS", digits=3, published_digits=2)
    else:
        throughput = compared(tops_per_w * power_mw / 1000, state.tops, "TOPS", label="[D]", digits=3)
    return {
        f"power_{case}": compared(power_mw, state.power_mw, "mW", published_digits=0),
        f"efficiency_{case}": compared(tops_per_w, state.tops_per_w, "TOPS/W"),
        f"throughput_{case}": throughput,
        f"peak_{_POINTS[volts]}": compared(peak, state.peak_tops, "TOPS", label="[D]", digits=4),
        f"cycles_{state.steps}": str(state.cycles),
        f"share_{state.steps}": percent(state.share_of_peak),
    }


def _dense_table(measured: Measurements) -> str:
    of_layer: dict[str, dict[float, SteadyState]] = {}
    for state in sorted(measured.dense, key=lambda one: one.steps):
        of_layer.setdefault(state.layer.name, {})[state.voltage_v] = state
    rows = []
    for name, at in of_layer.items():
        one = at[FAST_V]
        rows.append(
            (
                name, f"{one.steps}", f"{float(one.overhead_cycles):g}", percent(one.share_of_peak), f"{one.tops:.3f}",
                *(f"{at[volts].power_mw:.1f}" for volts in _POINTS),
                *(f"{at[volts].tops_per_w:.2f}" for volts in _POINTS),
                "both powers, " + ("directly" if one.layer.is_calibrated else "by way of the table of energies"),
            )
        )  # fmt: skip
    head = (
        "layer", "steps a pass", "more cycles", "of the peak", "TOPS, 1.1 V", "mW, 1.1 V", "mW, 0.8 V",
        "TOPS/W, 1.1 V", "TOPS/W, 0.8 V", "fit that reaches mW and TOPS/W",
    )  # fmt: skip
    return table(head, rows, left=(0, len(head) - 1))


def _span(interval: Interval) -> str:
    low, high = (100 * float(end) for end in interval)
    return f"{low:.1f} to {high:.1f} %"
