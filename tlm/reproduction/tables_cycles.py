"""Tables: steps, cycles against the ideal 10 : 4 : 2, and the formula of a pass."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from tlm.chip.config import ChipConfig
from tlm.core.errors import SimulationError
from tlm.reproduction.breakdown import CAUSES
from tlm.reproduction.counts import LARGE_AMEM_WORDS, MOST_EXCESS
from tlm.reproduction.figures import percent, signed, table
from tlm.reproduction.measure import BLOCK_NAMES, NETWORK, SHOWN_TAPS, Measurements
from tlm.reproduction.split import DENSE_TAPS, Split


def counts_values(measured: Measurements) -> dict[str, str]:
    """Steps with a large AMem, which are the derived ones, and with the published AMem.

    Raises:
        SimulationError: unsplit steps are not the derived ones, or the excess is 3 % or more.
    """
    rows = []
    for count in measured.counts:
        if not count.derived == count.unsplit == count.large:
            raise SimulationError(
                f"reproduction: {count.network}: {count.large} steps with an AMem of {LARGE_AMEM_WORDS} words and "
                f"{count.unsplit} unsplit ones, but the shapes give {count.derived}"
            )
        if not 0 <= count.excess < MOST_EXCESS:
            raise SimulationError(
                f"reproduction: {count.network}: {count.published} steps with the published AMem exceed "
                f"{count.unsplit} by {percent(count.excess, 2)}, which must stay under {percent(MOST_EXCESS, 0)}"
            )
        steps = (count.derived, count.large, count.published)
        rows.append((count.network, *(f"{value:,}" for value in steps), f"+{percent(count.excess, 2)}"))
    large, small = f"AMem of {LARGE_AMEM_WORDS:,} words", f"AMem of {ChipConfig().amem_words:,} words"
    head = ("network", "from the shapes [S]", f"{large} [S]", f"{small} [P], steps [S]", "excess")
    return {"most_excess": percent(MOST_EXCESS, 0), "table_counts": table(head, rows)}


def breakdown_values(measured: Measurements) -> dict[str, str]:
    """Cycles by cause against 10 : 4 : 2, of the whole network and of each block."""
    unit = measured.breakdowns[BLOCK_NAMES[0]][DENSE_TAPS].unit
    captions = {name: f"{name}: cycles in units; the ideal is [D], all others [S]: predicted:" for name in _RUNS}
    tables = [f"{captions[name]}\n\n{_breakdown(measured.breakdowns[name])}" for name in _RUNS]
    return {
        "unit_cycles": f"{unit.numerator:,}" if unit.denominator == 1 else f"{float(unit):,.1f}",
        "breakdowns": "\n\n".join(tables),
        "table_ratios": table(
            ("run", "whole run", "two layers of each block alone"),
            [(name, *_ratios(measured.breakdowns[name])) for name in _RUNS],
        ),
    }


def formula_values(measured: Measurements) -> dict[str, str]:
    """Every part of every block against engine.md's formula."""
    rows, differing = [], []
    for name in BLOCK_NAMES:
        for taps in SHOWN_TAPS:
            parts, level = measured.parts[name][taps], f"{taps}/{DENSE_TAPS}"
            more = [one for one in parts if one.measured != one.formula]
            cycles = [sum(one.formula for one in parts), sum(one.measured for one in parts)]
            counts = (len(parts), len(parts) - len(more), *cycles)
            rows.append((f"{name}, {level}", *(f"{count:,}" for count in counts)))
            differing += [
                f"{one.part} at {level} +{one.measured - one.formula:,} cycles ({one.refused:,} accesses refused [S])"
                for one in more
            ]
    told = "Every part takes exactly that."
    if differing:
        told = (
            "Parts that are refused nothing take exactly that. The others take more, and there the model of every "
            f"single access (fidelity cycle) is what they equal: {'; '.join(differing)}."
        )
    head = ("block", "parts", "equal", "formula, cycles", "run, cycles")
    return {"formula_parts": told, "table_formula": table(head, rows)}


_RUNS = (NETWORK, *BLOCK_NAMES)


def _breakdown(of_taps: Mapping[int, Split]) -> str:
    shown = [of_taps[taps] for taps in SHOWN_TAPS]
    dense, *pruned = shown

    def cells(cause: str | None) -> list[str]:
        units = [f"{float(one.units(cause)):.3f}" for one in shown]
        return units + [signed(float(one.beyond(dense, cause)), 3) for one in pruned]

    rows = [
        (cause.replace("_", " "), *cells(cause), meaning)
        for cause, meaning in CAUSES.items()
        if any(one.parts[cause] for one in shown)
    ]
    rows.append(("total", *cells(None), ", ".join(f"{one.total:,}" for one in shown) + " cycles"))
    levels = [f"{taps}/{DENSE_TAPS}" for taps in SHOWN_TAPS]
    beyond = [f"{taps}/{DENSE_TAPS} beyond {1 + taps}/10" for taps in SHOWN_TAPS[1:]]
    head = ("cause", *levels, *beyond, "what it is")
    return table(head, rows, left=(0, len(head) - 1))


def _ratios(of_taps: Mapping[int, Split]) -> list[str]:
    """9/9 : 3/9 : 1/9, the last one being 2: of the whole run, and of the blocks' own layers."""
    causes = list(CAUSES)
    own = causes[: causes.index("projections")]
    found = []
    for units in (Split.units, lambda one: sum((one.units(cause) for cause in own), Fraction(0))):
        all_units = [units(of_taps[taps]) for taps in SHOWN_TAPS]
        found.append(" : ".join(f"{float(2 * value / all_units[-1]):.2f}" for value in all_units))
    return found
