"""Several results side by side: cycles (time, where clocks differ) and energy by pruning level, or by scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tlm.plots.chart import Chart, Panel, stacked
from tlm.plots.colours import CAUSES, CORE, OFF_CHIP
from tlm.plots.energy import energy_unit
from tlm.plots.sources import Source, kernel_taps, names, operating_point, tap_levels

_CYCLES = {
    "computing": ("layers: a step starts", CAUSES["computing"]),
    "stalled": ("layers: stalled", CAUSES["bank_conflict"]),
    "waiting": ("between layers: waits", CAUSES["weights"]),
}
_ENERGIES = {"core": ("core", CORE), "off_chip": ("off-chip memory", OFF_CHIP)}
_MOST_LEVELS = 12
"""So many pruning levels have a row each, also where no result lies between two."""


def levels_of_each(sources: Sequence[Source]) -> Chart:
    """By pruning level if the results differ in it alone, else by name in the order given."""
    taps, differ = tap_levels(sources), _clocks_differ(sources)
    if taps is None:
        title = f"{'Time' if differ else 'Cycles'} and energy of {len(sources)} results"
        return _chart(f"{title}, whose clocks differ" if differ else title, names(sources), sources)
    found = dict(zip(taps, sources, strict=True))
    first, last = min(found), max(found)
    levels = range(first, last + 1) if last - first < _MOST_LEVELS else sorted(found)
    title = f"Cycles and energy by pruning level at {operating_point(sources[0].stored)}"
    rows = [f"{level} of {kernel_taps(sources[0])} taps" for level in levels]
    return _chart(title, rows, [found.get(level) for level in levels])


def _chart(title: str, rows: Sequence[str], sources: Sequence[Source | None]) -> Chart:
    given = [source for source in sources if source is not None]
    unit, cycles_in_unit = _cycles_unit(given)
    unit_of_energy, unit_pj = energy_unit(
        max(one.stored.energy.total_pj + one.stored.energy.off_chip_pj for one in given)
    )
    cycles = [
        {} if one is None else _cycles(one, cycles_in_unit or one.stored.chip.clock_khz / 1000) for one in sources
    ]
    energies = [{} if one is None else _energies(one, unit_pj) for one in sources]
    totals = [sum(row.values()) for row in cycles]
    return Chart(
        title,
        rows,
        [
            Panel(f"{unit} [S]", unit, stacked(cycles, _CYCLES), max(totals), [_number(one) for one in totals]),
            Panel(
                f"energy, {unit_of_energy} [A]",
                unit_of_energy,
                stacked(energies, _ENERGIES, lambda _, energy: _number(energy)),  # the two have no sum (docs/energy.md)
                max(sum(row.values()) for row in energies),
            ),
        ],
    )


def _clocks_differ(sources: Sequence[Source]) -> bool:
    return len({one.stored.chip.clock_khz for one in sources}) > 1


def _cycles_unit(sources: Sequence[Source]) -> tuple[str, int]:
    """What the axis counts, and how many cycles that is; of clocks that differ microseconds, whose cycles differ."""
    if _clocks_differ(sources):
        return "time, µs", 0
    most = max(one.stored.cycles for one in sources)
    sizes = (("million cycles", 10**6), ("thousand cycles", 10**3))
    return next(((name, size) for name, size in sizes if most >= size), ("cycles", 1))


def _cycles(source: Source, unit: float) -> dict[str, float]:
    stored = source.stored
    computing = stored.account.causes.get("computing", 0)
    counts = {
        "computing": computing,
        "stalled": stored.compute_cycles - computing,
        "waiting": stored.cycles - stored.compute_cycles,
    }
    return {key: count / unit for key, count in counts.items()}


def _energies(source: Source, unit_pj: float) -> Mapping[str, float]:
    return {"core": source.stored.energy.total_pj / unit_pj, "off_chip": source.stored.energy.off_chip_pj / unit_pj}


def _number(value: float) -> str:
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}" if value else ""
