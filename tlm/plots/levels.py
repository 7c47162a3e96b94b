"""Several results side by side: cycles (time, where clocks differ) and energy by pruning level, or by scenario."""

from __future__ import annotations

from collections.abc import Sequence

from tlm.plots.chart import Chart, Panel, stacked
from tlm.plots.colours import CAUSES, CORE, OFF_CHIP
from tlm.plots.energy import energy_unit
from tlm.plots.sources import Source, names, operating_point, tap_levels

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
    taps = tap_levels(sources)
    unit, cycles_in_unit, axis = _cycles_unit(sources)
    unit_of_energy, unit_pj = energy_unit(
        max(one.stored.energy.total_pj + one.stored.energy.off_chip_pj for one in sources)
    )
    cycles, energies = [], []
    for stored in (source.stored for source in sources):
        computing = stored.account.causes.get("computing", 0)
        counts = {
            "computing": computing,
            "stalled": stored.compute_cycles - computing,
            "waiting": stored.cycles - stored.compute_cycles,
        }
        size = cycles_in_unit or stored.chip.clock_khz / 1000
        cycles.append({key: count / size for key, count in counts.items()})
        energies.append({"core": stored.energy.total_pj / unit_pj, "off_chip": stored.energy.off_chip_pj / unit_pj})
    if taps is None:
        title = f"{'Cycles' if cycles_in_unit else 'Time'} and energy of {len(sources)} results"
        title, rows = title if cycles_in_unit else f"{title}, whose clocks differ", names(sources)
    else:
        title = f"Cycles and energy by pruning level at {operating_point(sources[0].stored)}"
        kernel_taps = int(sources[0].stored.settings.get("network", {}).get("kernel", 3)) ** 2
        all_levels = range(min(taps), max(taps) + 1)
        levels = all_levels if len(all_levels) <= _MOST_LEVELS else sorted(taps)
        rows = [f"{level} of {kernel_taps} taps" for level in levels]
        cycles = [cycles[taps.index(level)] if level in taps else {} for level in levels]
        energies = [energies[taps.index(level)] if level in taps else {} for level in levels]
    totals = [sum(row.values()) for row in cycles]
    left = Panel(axis, unit, stacked(cycles, _CYCLES), max(totals), [_number("", one) for one in totals])
    most_energy = max(sum(row.values()) for row in energies)
    bars = stacked(energies, _ENERGIES, _number)  # each with its number, for the two have no sum (docs/energy.md)
    axis = f"energy of core and off-chip memory, {unit_of_energy} [A]"
    return Chart(title, rows, [left, Panel(axis, unit_of_energy, bars, most_energy)])


def _cycles_unit(sources: Sequence[Source]) -> tuple[str, int, str]:
    """Unit, how many cycles that is, and the axis; of clocks that differ microseconds, whose cycles differ."""
    if len({one.stored.chip.clock_khz for one in sources}) > 1:
        return "time, µs", 0, "time, µs [S]"
    most = max(one.stored.cycles for one in sources)
    sizes = (("million cycles", 10**6), ("thousand cycles", 10**3))
    unit, size = next(((name, size) for name, size in sizes if most >= size), ("cycles", 1))
    return unit, size, f"{unit} of the whole run [S]"


def _number(_: str, value: float) -> str:
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}" if value else ""
