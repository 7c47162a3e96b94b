"""Energy: a bar for each layer, the core stacked by component, off-chip memory apart on the same scale."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from tlm.observe.causes import words
from tlm.plots.chart import Chart, Panel, stacked
from tlm.plots.colours import COMPONENTS, OFF_CHIP
from tlm.plots.sources import Source
from tlm.results.result_json import EnergyRecord

OUTSIDE = "(outside layers)"
"""The host's register accesses, and what lies after the last layer."""

_UNITS = (("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3), ("pJ", 1.0))
_PANELS = {
    "core": {key: (words(key), colour) for key, colour in COMPONENTS.items()},
    "off-chip memory": {"off_chip": ("off-chip memory", OFF_CHIP)},
}
"""What a panel shows -> key of an energy -> name and colour."""


def energy_of(source: Source) -> Chart:
    """The layers of a result and what lies outside them; together they are the run.

    Raises:
        InputError: its energies contradict each other.
    """
    run = source.stored.energy
    names = [layer.name for layer in source.stored.layers]
    rows = [_energies_aj(layer.energy) for layer in source.stored.layers]
    rest = _energies_aj(run)
    for row in rows:
        rest.subtract(row)
    core_aj = sum(rest.values()) - rest["off_chip"]
    if min(rest.values()) < 0 or core_aj != _whole_aj(run.outside_layers_pj):
        raise source.edited("energy: its components are not those of the layers and outside_layers_pj in sum")
    if rest["off_chip"] != _whole_aj(run.outside_layers_off_chip_pj):
        raise source.edited("energy.off_chip_pj: is not that of the layers in sum")
    if any(rest.values()):
        names, rows = [*names, OUTSIDE], [*rows, rest]
    largest_pj = max(max(sum(row.values()) - row["off_chip"], row["off_chip"]) for row in rows) / 10**6
    unit, unit_pj = energy_unit(largest_pj)
    panels = []
    for (name, looks), whole_pj in zip(_PANELS.items(), (run.total_pj, run.off_chip_pj), strict=True):
        whole = whole_pj / unit_pj
        shown = [{key: row[key] / 10**6 / unit_pj for key in looks} for row in rows]
        totals = [_total(sum(row.values()), whole) for row in shown]
        axis, note = f"{name}, {unit} [A]", f"share of {whole:,.2f} {unit}"
        panels.append(Panel(axis, unit, stacked(shown, looks), largest_pj / unit_pj or 1, totals, note))
    return Chart(source.title, names, panels)


def energy_unit(largest_pj: float) -> tuple[str, float]:
    """Name and pJ of the unit in which the largest energy has few digits."""
    return next(((name, size_pj) for name, size_pj in _UNITS if largest_pj >= size_pj), _UNITS[-1])


def _energies_aj(energy: EnergyRecord) -> Counter[str]:
    """Component, or "off_chip" -> attojoules."""
    energies = {**energy.components_pj, "off_chip": energy.off_chip_pj}
    return Counter({key: _whole_aj(energy_pj) for key, energy_pj in energies.items()})


def _whole_aj(energy_pj: float) -> int:
    """Every energy of a result is a whole number of attojoules (docs/result.md), so sums are exact."""
    return round(Fraction(energy_pj) * 10**6)


def _total(energy: float, whole: float) -> str:
    return f"{energy:,.2f}  {100 * energy / whole:.1f} %" if energy else "0"
