"""Steps, cycles against the ideal 10 : 4 : 2, and the formula of a pass."""

from __future__ import annotations

from collections.abc import Mapping

from tlm.chip.config import ChipConfig
from tlm.reproduction.causes import DENSE_TAPS, OF_BLOCKS, OF_CYCLES, Split
from tlm.reproduction.counts import LARGE_AMEM_WORDS, MOST_EXCESS
from tlm.reproduction.figures import percent, signed, table
from tlm.reproduction.measure import BLOCK_NAMES, NETWORK, SHOWN_TAPS, Measurements

_RUNS = (NETWORK, *BLOCK_NAMES)
_LEVELS = [f"{taps}/{DENSE_TAPS}" for taps in SHOWN_TAPS]


def cycle_values(measured: Measurements) -> dict[str, str]:
    """Steps, and cycles by cause, of the whole network and of each block; parts against the formula."""
    unit = measured.breakdowns[BLOCK_NAMES[0]][DENSE_TAPS].unit
    tables = [
        f"{name}: cycles in units; the ideal is [D], all others [S]: predicted:\n\n"
        f"{_breakdown(measured.breakdowns[name])}"
        for name in _RUNS
    ]
    ratios = [(name, *_ratios(measured.breakdowns[name])) for name in _RUNS]
    return {
        "most_excess": percent(MOST_EXCESS, 0),
        "table_counts": _counts(measured),
        "unit_cycles": f"{unit.numerator:,}" if unit.denominator == 1 else f"{float(unit):,.1f}",
        "breakdowns": "\n\n".join(tables),
        "table_ratios": table(("run", "whole run", "two layers of each block alone"), ratios),
        **_formula(measured),
    }


def _counts(measured: Measurements) -> str:
    rows = [
        (one.network, f"{one.derived:,}", f"{one.large:,}", f"{one.published:,}", f"+{percent(one.excess, 2)}")
        for one in measured.counts
    ]
    large, small = f"AMem of {LARGE_AMEM_WORDS:,} words", f"AMem of {ChipConfig().amem_words:,} words"
    return table(("network", "from the shapes [S]", f"{large} [S]", f"{small} [P], steps [S]", "excess"), rows)


def _formula(measured: Measurements) -> dict[str, str]:
    """Every part of every block against engine.md's formula."""
    rows, differing = [], []
    for name in BLOCK_NAMES:
        for taps, level in zip(SHOWN_TAPS, _LEVELS, strict=True):
            parts = measured.parts[name][taps]
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


def _breakdown(of_taps: Mapping[int, Split]) -> str:
    shown = [of_taps[taps] for taps in SHOWN_TAPS]
    dense, *pruned = shown

    def cells(cause: str | None) -> list[str]:
        units = [f"{float(one.units(cause)):.3f}" for one in shown]
        return units + [signed(float(one.beyond(dense, cause)), 3) for one in pruned]

    rows = [
        (cause.replace("_", " "), *cells(cause), meaning)
        for cause, meaning in OF_CYCLES.items()
        if any(one.parts[cause] for one in shown)
    ]
    rows.append(("total", *cells(None), ", ".join(f"{one.total:,}" for one in shown) + " cycles"))
    beyond = [f"{taps}/{DENSE_TAPS} beyond {1 + taps}/10" for taps in SHOWN_TAPS[1:]]
    head = ("cause", *_LEVELS, *beyond, "what it is")
    return table(head, rows, left=(0, len(head) - 1))


def _ratios(of_taps: Mapping[int, Split]) -> tuple[str, str]:
    """9/9 : 3/9 : 1/9, the last one being 2: of the whole run, and of the blocks' own layers."""
    whole = [float(of_taps[taps].units()) for taps in SHOWN_TAPS]
    own = [float(sum(of_taps[taps].units(cause) for cause in OF_BLOCKS)) for taps in SHOWN_TAPS]
    first, second = (" : ".join(f"{2 * value / units[-1]:.2f}" for value in units) for units in (whole, own))
    return first, second
