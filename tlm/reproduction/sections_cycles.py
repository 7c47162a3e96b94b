"""Sections: steps, cycles against the ideal 10 : 4 : 2, and the formula of a pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from tlm.chip.config import ChipConfig
from tlm.core.errors import SimulationError
from tlm.reproduction.breakdown import CAUSES, DENSE_TAPS, Breakdown
from tlm.reproduction.counts import LARGE_AMEM_WORDS, MOST_EXCESS
from tlm.reproduction.document import Section, Table
from tlm.reproduction.figures import percent
from tlm.reproduction.formula import PartCycles
from tlm.reproduction.measure import BLOCK_NAMES, NETWORK, SHOWN_TAPS, Measurements
from tlm.reproduction.published import FRUGAL_V


def counts_section(measured: Measurements) -> Section:
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
    table = Table(
        "Steps of all layers but pooling and classifier; predicted",
        ("network", "from the shapes [S]", f"AMem of {LARGE_AMEM_WORDS:,} words [S]",
         f"AMem of {ChipConfig().amem_words:,} words [P], steps [S]", "excess"),
        tuple(rows),
    )  # fmt: skip
    return Section(
        "Steps on the array",
        (
            "A step is 32 pixels of one input channel and tap times 32 output channels. With an AMem that holds every "
            "tensor whole the simulated steps are those that follow from the shapes, exactly. With the published AMem "
            "some layers run in bands of rows, and rows that two bands read (the halo) are computed twice where layers "
            f"run band by band: an excess that stays under {percent(MOST_EXCESS, 0)}.",
            table,
        ),
    )


def breakdown_section(measured: Measurements) -> Section:
    """Cycles by cause against 10 : 4 : 2, of the whole network and of each block."""
    unit = measured.breakdowns[BLOCK_NAMES[0]][DENSE_TAPS].unit_cycles
    tables = [_table(measured.breakdowns[name]) for name in (NETWORK, *BLOCK_NAMES)]
    return Section(
        f"The distance from the ideal {' : '.join(str(1 + taps) for taps in SHOWN_TAPS)}",
        (
            "A block's unit is one point-wise layer at its output's resolution on a full array: "
            f"{_number(unit)} cycles [D] for each block of ResNet-18, eight times that for the network. Ideally a "
            "block takes 1 + k units. What it takes more is split by the account of cycles (docs/account.md) until "
            "nothing is left: each column of units adds up to the run's cycles exactly, or the command ends with an "
            "error. The last two columns say what keeps the ratio from being ideal: units beyond 4/10 and 2/10 of what "
            f"the unpruned run takes for the same cause. All at {FRUGAL_V} V; a block alone runs with its loads and "
            "stores, which nothing else hides.",
            *tables,
            _ratios(measured),
        ),
    )


def _table(of_taps: Mapping[int, Breakdown]) -> Table:
    shown = [of_taps[taps] for taps in SHOWN_TAPS]
    dense, *pruned = shown
    rows = []
    for cause, meaning in CAUSES.items():
        if any(one.parts[cause] for one in shown):
            cells = [_units(one.units(cause)) for one in shown] + [_signed(one.beyond(dense, cause)) for one in pruned]
            rows.append((cause.replace("_", " "), *cells, meaning))
    totals = [_units(one.units()) for one in shown] + [_signed(one.beyond(dense)) for one in pruned]
    rows.append(("total", *totals, ", ".join(f"{one.cycles:,}" for one in shown) + " cycles"))
    head = (
        "cause",
        *(f"{taps}/{DENSE_TAPS}" for taps in SHOWN_TAPS),
        *(f"{taps}/{DENSE_TAPS} beyond {1 + taps}/10" for taps in SHOWN_TAPS[1:]),
        "what it is",
    )
    last = len(head) - 1
    caption = f"{dense.name}: cycles in units; the ideal is [D], all others [S]: predicted"
    return Table(caption, head, tuple(rows), frozenset({0, last}))


def _ratios(measured: Measurements) -> Table:
    rows = []
    for name in (NETWORK, *BLOCK_NAMES):
        of_taps = measured.breakdowns[name]
        last = of_taps[SHOWN_TAPS[-1]]
        whole = [2 * of_taps[taps].units() / last.units() for taps in SHOWN_TAPS]
        within = [2 * _in_layers(of_taps[taps]) / _in_layers(last) for taps in SHOWN_TAPS]
        rows.append((name, *(" : ".join(f"{float(value):.2f}" for value in ratio) for ratio in (whole, within))))
    head = ("run", "whole run", "two layers of each block alone")
    return Table("The ratio 9/9 : 3/9 : 1/9, ideally 10 : 4 : 2 [D]; simulated [S]: predicted", head, tuple(rows))


def _in_layers(one: Breakdown) -> Fraction:
    """Units of the blocks' own layers."""
    causes = list(CAUSES)
    return sum((one.units(cause) for cause in causes[: causes.index("projections")]), Fraction(0))


def formula_section(measured: Measurements) -> Section:
    """Every part of every block against engine.md's formula."""
    rows, differing = [], []
    for name in BLOCK_NAMES:
        for taps in SHOWN_TAPS:
            parts = measured.parts[name][taps]
            more = [one for one in parts if one.measured != one.formula]
            rows.append(
                (
                    f"{name}, {taps}/{DENSE_TAPS}",
                    f"{len(parts)}",
                    f"{len(parts) - len(more)}",
                    f"{sum(one.formula for one in parts):,}",
                    f"{sum(one.measured for one in parts):,}",
                )
            )
            differing += [f"{one.part} at {taps}/{DENSE_TAPS} {_more(one)}" for one in more]
    table = Table(
        "Compute cycles of the blocks part by part [S]: by the formula, and by running it; predicted",
        ("block", "parts", "equal", "formula, cycles", "run, cycles"),
        tuple(rows),
    )
    return Section("Blocks against engine.md's formula", (_formula_text(differing), table))


def _formula_text(differing: Iterable[str]) -> str:
    more = "; ".join(differing)
    text = (
        "The formula (engine.md, A pass) gives a part's cycles from the valid patterns of its weights and the shapes, "
        "if no access is refused and no words of a step share a bank."
    )
    if not more:
        return f"{text} Every part takes exactly that."
    return (
        f"{text} Parts that are refused nothing take exactly that. The others take more, and there the model of every "
        f"single access (fidelity cycle) is what they equal: {more}."
    )


def _more(part: PartCycles) -> str:
    return f"+{part.measured - part.formula:,} cycles ({part.refused:,} accesses refused [S])"


def _units(value: Fraction) -> str:
    return f"{float(value):.3f}"


def _signed(value: Fraction) -> str:
    text = f"{float(value):+.3f}"
    return text.lstrip("+-") if float(text) == 0 else text


def _number(value: Fraction) -> str:
    return f"{value.numerator:,}" if value.denominator == 1 else f"{float(value):,.1f}"
