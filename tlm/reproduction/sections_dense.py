"""Sections: what is taken over, calibrated and agreeing: array, memories, dense steady state."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from tlm.chip.config import ChipConfig
from tlm.chip.operating_point import PUBLISHED_POINTS_MHZ, PUBLISHED_POWER_MW
from tlm.core.labels import Label
from tlm.observe.energy_table import CALIBRATION_STEPS
from tlm.reproduction.dense import SteadyState
from tlm.reproduction.document import Section, Table, figure_table
from tlm.reproduction.figures import Figure, Fit, percent
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
    pass_lengths,
    share_of_peak,
)

_MBIT = 1 << 20
POINTS_V = (FAST_V, FRUGAL_V)


def calibrated_figures(measured: Measurements) -> list[Figure]:
    """Power and efficiency of the pass for which the table of energies was scaled, and of 3x3 ones nearly as long."""
    found = []
    for state in _benchmarks(measured):
        direct = state.layer.is_calibrated
        near = f"{state.steps} steps share one write-back and one emptied pipeline instead of {CALIBRATION_STEPS}"
        found.append(
            Figure(
                name=f"power at {state.voltage_v} V, {state.frequency_mhz:g} MHz, passes of {state.steps} steps",
                unit="mW",
                label=Label.CALIBRATED,
                fit=Fit.POWER if direct else Fit.TABLE,
                simulated=state.power_mw,
                published=PUBLISHED_POWER_MW[state.voltage_v],
                published_digits=0,
                why="the table of energies was scaled to this figure, for this very pass (docs/energy.md)"
                if direct
                else f"the table was scaled to this figure for passes of {CALIBRATION_STEPS} steps; {near}",
            )
        )
    for state in _benchmarks(measured):
        found.append(
            Figure(
                name=f"efficiency at {state.voltage_v} V, unpruned, passes of {state.steps} steps",
                unit="TOPS/W",
                label=Label.CALIBRATED,
                fit=Fit.TABLE,
                simulated=state.tops_per_w,
                published=float(TOPS_PER_W[state.voltage_v]),
                why="the throughput, to which nothing was fitted, over the power, which is calibrated: "
                f"{percent(state.share_of_peak)} of the peak",
            )
        )
    return found


def agreeing_figures(measured: Measurements) -> list[Figure]:
    """Throughput of the same passes."""
    return [_throughput(state) for state in _benchmarks(measured)]


def _throughput(state: SteadyState) -> Figure:
    name = f"sustained throughput at {state.voltage_v} V, passes of {state.steps} steps"
    why = f"{state.steps} of {state.cycles} cycles start a step; {float(state.overhead_cycles):g} cycles a pass [A]"
    if state.voltage_v == FAST_V:
        return Figure(
            name=name, unit="TOPS", label=Label.AGREES, simulated=state.tops, published=float(TOPS), digits=3,
            published_digits=2, why=f"{why} fit the published figures, and so would others",
        )  # fmt: skip
    published = float(TOPS_PER_W[state.voltage_v]) * PUBLISHED_POWER_MW[state.voltage_v] / 1000
    return Figure(
        name=name, unit="TOPS", label=Label.AGREES, simulated=state.tops, published=published, digits=3,
        reference=Label.DERIVED, why=f"{why}; no TOPS is published here: TOPS/W times mW stands in for it",
    )  # fmt: skip


def _benchmarks(measured: Measurements) -> list[SteadyState]:
    """The passes that stand beside the published dense figures."""
    return [*_states(measured, calibrated=True), *_states(measured, steps=576)]


def _states(measured: Measurements, calibrated: bool = False, steps: int | None = None) -> Iterator[SteadyState]:
    """In the order of the operating points, the faster first."""
    for volts in POINTS_V:
        for state in measured.dense:
            wanted = state.layer.is_calibrated if calibrated else steps in (None, state.steps)
            if wanted and state.voltage_v == volts:
                yield state


def parameters_section(measured: Measurements) -> Section:
    """Array, memories and arithmetic peak."""
    chip = ChipConfig()
    figures = [
        Figure(
            name="MAC array", unit="multipliers", label=Label.PUBLISHED, simulated=chip.peak_macs_per_cycle,
            published=MULTIPLIERS, digits=0, why="a parameter; 32 lanes x 32 columns",
        )
    ]  # fmt: skip
    words = {
        "amem": (chip.amem_words, chip.amem_word_bytes),
        "wmem": (chip.wmem_words, chip.wmem_word_bytes),
        "imem": (chip.imem_words, chip.imem_word_bytes),
    }
    for key, (count, size) in words.items():
        figures.append(
            Figure(
                name=f"{key[0].upper()}Mem", unit="Mbit", label=Label.PUBLISHED, simulated=count * size * 8 / _MBIT,
                published=MEMORY_MBIT[key], digits=0,
                why=f"a parameter: {count:,} words of {8 * size} bit; Mbit = 2^20 bit",
            )
        )  # fmt: skip
    figures.append(
        Figure(
            name="SRAM in total", unit="Mbit", label=Label.PUBLISHED, digits=0, why="the three memories together",
            simulated=sum(count * size for count, size in words.values()) * 8 / _MBIT, published=TOTAL_MBIT,
        )
    )  # fmt: skip
    for volts in POINTS_V:
        figures.append(
            Figure(
                name=f"clock at {volts} V", unit="MHz", label=Label.PUBLISHED, digits=0,
                simulated=ChipConfig.at(volts).clock_khz / 1000, published=PUBLISHED_POINTS_MHZ[volts],
                why="a parameter; the curve between the points and beyond is assumed [A] (docs/energy.md)",
            )
        )  # fmt: skip
    for state in _states(measured, calibrated=True):
        peak = 2 * chip.peak_macs_per_cycle * PUBLISHED_POINTS_MHZ[state.voltage_v] / 1e6
        figures.append(
            Figure(
                name=f"arithmetic peak at {state.voltage_v} V", unit="TOPS", label=Label.DERIVED,
                simulated=state.peak_tops, published=peak, reference=Label.DERIVED, digits=4,
                why="operations that a step executes, at a step a cycle and the published clock",
            )
        )  # fmt: skip
    return Section("Parameters: array, memories, peak", (figure_table("Taken over from the publication", figures),))


def dense_section(measured: Measurements) -> Section:
    """How the length of a pass decides the dense figures, and what the published ones allow."""
    states = sorted(_states(measured), key=lambda one: (-one.voltage_v, one.steps))
    by_layer: dict[str, dict[float, SteadyState]] = {}
    for state in states:
        by_layer.setdefault(state.layer.name, {})[state.voltage_v] = state
    rows = []
    for name, at in by_layer.items():
        one = at[FAST_V]
        rows.append(
            (
                name, f"{one.steps}", f"{float(one.overhead_cycles):g}", percent(one.share_of_peak), f"{one.tops:.3f}",
                *(f"{at[volts].power_mw:.1f}" for volts in POINTS_V),
                *(f"{at[volts].tops_per_w:.2f}" for volts in POINTS_V),
                (Fit.POWER if one.layer.is_calibrated else Fit.TABLE).value,
            )
        )  # fmt: skip
    table = Table(
        f"Steady state by length of a pass. Cycles and TOPS [S]: they agree at {_range(measured)} steps and are "
        "predicted elsewhere. mW and TOPS/W [A]: the fit that reaches them stands in the last column",
        ("layer", "steps a pass", "more cycles", "of the peak", "TOPS, 1.1 V", "mW, 1.1 V", "mW, 0.8 V",
         "TOPS/W, 1.1 V", "TOPS/W, 0.8 V", "fit that reaches mW and TOPS/W"),
        tuple(rows),
        frozenset({0, 9}),
    )  # fmt: skip
    return Section(
        "Dense layers: what the published figures fix, and what they leave open", (*_readings(measured), table)
    )


def _overhead(measured: Measurements) -> Fraction:
    return next(_states(measured, calibrated=True)).overhead_cycles


def _range(measured: Measurements) -> str:
    low, high = pass_lengths(_overhead(measured), share_of_peak(FAST_V).by_all)
    return f"{low} to {high}"


def _readings(measured: Measurements) -> Iterator[str]:
    fast, frugal = share_of_peak(FAST_V), share_of_peak(FRUGAL_V)
    overhead = float(_overhead(measured))
    reading = Fraction(ROUNDED_MACS, ChipConfig().peak_macs_per_cycle)
    yield (
        "Published TOPS/W times published power, over the arithmetic peak, lies in "
        f"{_span(fast.by_efficiency)} at {FAST_V} V and in {_span(frugal.by_efficiency)} at {FRUGAL_V} V [D], "
        f"counting the rounding of every published figure; with the published {TOPS} TOPS, {_span(fast.by_all)} "
        "remain [D]. The sources do not say what ran."
    )
    yield (
        f"Two readings fit. First: a real overhead; our {overhead:g} cycles a pass [A] are within it for passes of "
        f"{_range(measured)} steps, taking the unrounded ends (469 to 605 in docs/chip.md). Second: 32 x 32 "
        f"multipliers counted as {ROUNDED_MACS:,}, which is {percent(float(reading), 2)} [D] without any overhead. So "
        f"the {overhead:g} cycles agree with the publication; they are no evidence for it, nor it for them."
    )


def _span(interval: tuple[Fraction, Fraction]) -> str:
    low, high = interval
    return f"{100 * float(low):.1f} to {100 * float(high):.1f} %"
