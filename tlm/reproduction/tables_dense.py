"""Figures and tables of what is taken over, calibrated and agreeing: array, memories, dense steady state."""

from __future__ import annotations

from tlm.chip.config import ChipConfig
from tlm.chip.operating_point import PUBLISHED_POINTS_MHZ, PUBLISHED_POWER_MW
from tlm.core.labels import Label
from tlm.observe.energy_table import CALIBRATION_STEPS
from tlm.reproduction.dense import SteadyState
from tlm.reproduction.figures import Figure, Fit, percent, table
from tlm.reproduction.measure import Measurements
from tlm.reproduction.published import (
    FAST_V,
    FRUGAL_V,
    MEMORY_MBIT,
    MULTIPLIERS,
    ROUNDED_MACS,
    TOPS,
    TOPS_PER_W,
    TOTAL_MBIT,
    Interval,
    pass_lengths,
    share_of_peak,
)  # fmt: skip

_MBIT = 1 << 20
_POINTS_V = (FAST_V, FRUGAL_V)
_SHORT_OF_CALIBRATED = 576
"""Steps of the 3x3 passes that stand beside those that were calibrated."""


def calibrated_figures(measured: Measurements) -> list[Figure]:
    """Power and efficiency of the pass for which the table of energies was scaled, and of 3x3 ones nearly as long."""
    states = _benchmarks(measured)
    return [*map(_power, states), *map(_efficiency, states)]


def agreeing_figures(measured: Measurements) -> list[Figure]:
    """Throughput of the same passes."""
    return [_throughput(state) for state in _benchmarks(measured)]


def parameter_figures(measured: Measurements) -> list[Figure]:
    """Array, memories, clocks and arithmetic peak."""
    chip = ChipConfig()
    words = {
        "amem": (chip.amem_words, chip.amem_word_bytes),
        "wmem": (chip.wmem_words, chip.wmem_word_bytes),
        "imem": (chip.imem_words, chip.imem_word_bytes),
    }
    total = sum(count * size for count, size in words.values())
    return [
        _parameter("MAC array", "multipliers", chip.peak_macs_per_cycle, MULTIPLIERS,
                   "a parameter; 32 lanes x 32 columns"),
        *(
            _parameter(f"{key[0].upper()}Mem", "Mbit", count * size * 8 / _MBIT, MEMORY_MBIT[key],
                       f"a parameter: {count:,} words of {8 * size} bit; Mbit = 2^20 bit")
            for key, (count, size) in words.items()
        ),
        _parameter("SRAM in total", "Mbit", total * 8 / _MBIT, TOTAL_MBIT, "the three memories together"),
        *(
            _parameter(f"clock at {volts} V", "MHz", ChipConfig.at(volts).clock_khz / 1000, PUBLISHED_POINTS_MHZ[volts],
                       "a parameter; the curve between the points and beyond is assumed [A] (docs/energy.md)")
            for volts in _POINTS_V
        ),
        *(
            Figure(
                name=f"arithmetic peak at {state.voltage_v} V", unit="TOPS", label=Label.DERIVED,
                simulated=state.peak_tops, published_label=Label.DERIVED, digits=4,
                published=2 * chip.peak_macs_per_cycle * PUBLISHED_POINTS_MHZ[state.voltage_v] / 1e6,
                why="operations that a step executes, at a step a cycle and the published clock",
            )
            for state in _calibrated(measured)
        ),
    ]  # fmt: skip


def dense_values(measured: Measurements) -> dict[str, str]:
    """How the length of a pass decides the dense figures, and what the published ones allow."""
    fast, frugal = share_of_peak(FAST_V), share_of_peak(FRUGAL_V)
    overhead_cycles = _calibrated(measured)[0].overhead_cycles
    low, high = pass_lengths(overhead_cycles, fast.by_all)
    return {
        "share_fast": _span(fast.by_efficiency),
        "share_frugal": _span(frugal.by_efficiency),
        "share_with_tops": _span(fast.by_all),
        "overhead_cycles": f"{float(overhead_cycles):g}",
        "pass_lengths": f"{low} to {high}",
        "rounded_share": percent(ROUNDED_MACS / ChipConfig().peak_macs_per_cycle, 2),
        "table_dense": _dense_table(measured),
    }


def _power(state: SteadyState) -> Figure:
    why = "the table of energies was scaled to this figure, for this very pass (docs/energy.md)"
    if not state.layer.is_calibrated:
        why = (
            f"the table was scaled to this figure for passes of {CALIBRATION_STEPS} steps; {state.steps} steps share "
            f"one write-back and one emptied pipeline instead of {CALIBRATION_STEPS}"
        )
    return Figure(
        name=f"power at {state.voltage_v} V, {state.frequency_mhz:g} MHz, passes of {state.steps} steps", unit="mW",
        label=Label.CALIBRATED, fit=_fit(state), simulated=state.power_mw,
        published=PUBLISHED_POWER_MW[state.voltage_v], published_digits=0, why=why,
    )  # fmt: skip


def _efficiency(state: SteadyState) -> Figure:
    return Figure(
        name=f"efficiency at {state.voltage_v} V, unpruned, passes of {state.steps} steps", unit="TOPS/W",
        label=Label.CALIBRATED, fit=Fit.TABLE, simulated=state.tops_per_w,
        published=float(TOPS_PER_W[state.voltage_v]),
        why="the throughput, to which nothing was fitted, over the power, which is calibrated: "
        f"{percent(state.share_of_peak)} of the peak",
    )  # fmt: skip


def _throughput(state: SteadyState) -> Figure:
    published, published_label, digits = float(TOPS), Label.PUBLISHED, 2
    meaning = " fit the published figures, and so would others"
    if state.voltage_v != FAST_V:
        published = float(TOPS_PER_W[state.voltage_v]) * PUBLISHED_POWER_MW[state.voltage_v] / 1000
        published_label, digits = Label.DERIVED, 3
        meaning = "; no TOPS is published here: TOPS/W times mW stands in for it"
    overhead = f"{float(state.overhead_cycles):g} cycles a pass [A]"
    return Figure(
        name=f"sustained throughput at {state.voltage_v} V, passes of {state.steps} steps", unit="TOPS",
        label=Label.AGREES, simulated=state.tops, digits=3, published=published, published_digits=digits,
        published_label=published_label,
        why=f"{state.steps} of {state.cycles} cycles start a step; {overhead}{meaning}",
    )  # fmt: skip


def _parameter(name: str, unit: str, simulated: float, published: float, why: str) -> Figure:
    return Figure(
        name=name, unit=unit, label=Label.PUBLISHED, simulated=simulated, published=published, digits=0, why=why
    )


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
                *(f"{at[volts].power_mw:.1f}" for volts in _POINTS_V),
                *(f"{at[volts].tops_per_w:.2f}" for volts in _POINTS_V),
                _fit(one).value,
            )
        )  # fmt: skip
    head = (
        "layer", "steps a pass", "more cycles", "of the peak", "TOPS, 1.1 V", "mW, 1.1 V", "mW, 0.8 V",
        "TOPS/W, 1.1 V", "TOPS/W, 0.8 V", "fit that reaches mW and TOPS/W",
    )  # fmt: skip
    return table(head, rows, left=(0, len(head) - 1))


def _fit(state: SteadyState) -> Fit:
    return Fit.POWER if state.layer.is_calibrated else Fit.TABLE


def _calibrated(measured: Measurements) -> list[SteadyState]:
    """The pass that was calibrated, at both operating points, the faster first."""
    return sorted((one for one in measured.dense if one.layer.is_calibrated), key=lambda one: -one.voltage_v)


def _benchmarks(measured: Measurements) -> list[SteadyState]:
    """The passes that stand beside the published dense figures."""
    near = [one for one in measured.dense if one.steps == _SHORT_OF_CALIBRATED]
    return [*_calibrated(measured), *sorted(near, key=lambda one: -one.voltage_v)]


def _span(interval: Interval) -> str:
    low, high = (100 * float(end) for end in interval)
    return f"{low:.1f} to {high:.1f} %"
