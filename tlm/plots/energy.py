"""Energy: a bar for each layer, the core stacked by component, off-chip memory apart on the same scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from tlm.observe.causes import words
from tlm.plots.chart import Chart, Panel, stacked
from tlm.plots.colours import COMPONENTS, OFF_CHIP
from tlm.plots.sources import Source
from tlm.results.result_json import EnergyRecord

OUTSIDE = "(outside layers)"
"""The host's register accesses, and what lies behind the last layer."""

_AJ_PER_PJ = 10**6
_UNITS = (("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3), ("pJ", 1.0))
_OFF_CHIP = "off_chip"
_LOOKS = {key: (words(key), colour) for key, colour in COMPONENTS.items()}
_OFF_CHIP_LOOKS = {_OFF_CHIP: ("off-chip memory", OFF_CHIP)}


def energy_of(source: Source) -> Chart:
    """The layers of a result and what lies outside them; together they are the run.

    Raises:
        InputError: its energies contradict each other.
    """
    run = source.stored.energy
    names = [layer.name for layer in source.stored.layers]
    rows = [
        {**_aj(one.energy.components_pj), **_aj({_OFF_CHIP: one.energy.off_chip_pj})} for one in source.stored.layers
    ]
    rest = {**_aj(run.components_pj), **_aj({_OFF_CHIP: run.off_chip_pj})}
    for row in rows:
        rest = {key: whole - row.get(key, 0) for key, whole in rest.items()}
    outside = _aj({"core": run.outside_layers_pj, _OFF_CHIP: run.outside_layers_off_chip_pj})
    if min(rest.values()) < 0 or _core(rest) != outside["core"]:
        raise source.edited("energy: its components are not those of the layers and outside_layers_pj in sum")
    if rest[_OFF_CHIP] != outside[_OFF_CHIP]:
        raise source.edited("energy.off_chip_pj: is not that of the layers in sum")
    if any(rest.values()):
        names, rows = [*names, OUTSIDE], [*rows, rest]
    return Chart(source.title, names, _panels(rows, run.total_pj, run.off_chip_pj))


def energy_unit(largest_pj: float) -> tuple[str, float]:
    """Name and pJ of the unit in which the largest energy has few digits."""
    return next(((name, size_pj) for name, size_pj in _UNITS if largest_pj >= size_pj), _UNITS[-1])


def _panels(rows_aj: Sequence[Mapping[str, int]], core_pj: float, off_chip_pj: float) -> list[Panel]:
    largest_pj = max(max(_core(row), row[_OFF_CHIP]) for row in rows_aj) / _AJ_PER_PJ
    unit, unit_pj = energy_unit(largest_pj)
    rows = [{key: value / _AJ_PER_PJ / unit_pj for key, value in row.items()} for row in rows_aj]
    return [
        Panel(
            f"{name}, {unit} [A]",
            unit,
            stacked(rows, looks),
            largest_pj / unit_pj or 1,
            [_total(sum(row.get(key, 0) for key in looks), whole_pj / unit_pj) for row in rows],
            f"share of {whole_pj / unit_pj:,.2f} {unit}",
        )
        for name, looks, whole_pj in (
            ("core", _LOOKS, core_pj), ("off-chip memory", _OFF_CHIP_LOOKS, off_chip_pj)
        )
    ]  # fmt: skip


def _total(energy: float, whole: float) -> str:
    return f"{energy:,.2f}  {100 * energy / whole:.1f} %" if energy else "0"


def _core(energies_aj: Mapping[str, int]) -> int:
    return sum(energies_aj.values()) - energies_aj[_OFF_CHIP]


def _all_aj(energy: EnergyRecord) -> dict[str, int]:
    return _aj({**energy.components_pj, _OFF_CHIP: energy.off_chip_pj})


def _aj(energies_pj: Mapping[str, float]) -> dict[str, int]:
    """Every energy of a result is a whole number of attojoules (docs/result.md), so sums are exact."""
    return {key: round(Fraction(energy_pj) * _AJ_PER_PJ) for key, energy_pj in energies_pj.items()}
