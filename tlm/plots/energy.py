"""Energy: a bar for each layer, the core stacked by component, off-chip memory apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from tlm.plots import style
from tlm.plots.sources import Source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUTSIDE = "(outside layers)"
"""The host's register accesses, and what lies behind the last layer."""

_AJ_PER_PJ = 10**6
_UNITS = (("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3), ("pJ", 1.0))
_ROW_INCHES, _REST_INCHES = 0.2, 1.75
_CORE_INCHES, _OFF_CHIP_INCHES, _TEXT_INCHES = 4.2, 2.8, 1.1
"""Widths of the panels, about, and what the text behind a bar takes of them."""


@dataclass(frozen=True)
class EnergyBar:
    """What a layer took; whole attojoules, so that sums are exact."""

    name: str
    components_aj: tuple[tuple[str, int], ...]
    """Component and energy, in the order of the stack."""
    off_chip_aj: int

    @property
    def core_pj(self) -> float:
        """All components."""
        return sum(energy for _, energy in self.components_aj) / _AJ_PER_PJ

    @property
    def off_chip_pj(self) -> float:
        """Off-chip memory."""
        return self.off_chip_aj / _AJ_PER_PJ


@dataclass(frozen=True)
class EnergyBars:
    """All that the figure shows."""

    title: str
    bars: tuple[EnergyBar, ...]
    total_pj: float
    off_chip_pj: float


def energy_of(source: Source) -> EnergyBars:
    """The layers of a result and what lies outside them; together they are the run.

    Raises:
        InputError: the result says nothing of energy, or contradicts itself.
    """
    run, layers = source.energy, source.layer_energies
    bars = [
        _bar(layer.name, _components_aj(energy.components_pj), _aj(energy.off_chip_pj))
        for layer, energy in zip(source.stored.layers, layers, strict=True)
    ]
    rest = _components_aj(run.components_pj)
    for bar in bars:
        for component, energy_aj in bar.components_aj:
            rest[component] = rest.get(component, 0) - energy_aj
    outside = _bar(OUTSIDE, rest, _aj(run.outside_layers_off_chip_pj))
    _check(source, bars, outside)
    shown = [*bars, outside] if outside.core_pj or outside.off_chip_aj else bars
    return EnergyBars(source.title, tuple(shown), run.total_pj, run.off_chip_pj)


def draw(shown: EnergyBars) -> Figure:
    """The figure; to be called within :func:`tlm.plots.style.style`."""
    labels = [bar.name for bar in shown.bars]
    unit, unit_pj = energy_unit(max(max(bar.core_pj, bar.off_chip_pj) for bar in shown.bars))
    figure = style.new_figure(_ROW_INCHES * len(labels) + _REST_INCHES, labels)
    figure.suptitle(shown.title, x=0.01, ha="left")
    core, off_chip = figure.subplots(1, 2, sharey=True, width_ratios=[_CORE_INCHES, _OFF_CHIP_INCHES])
    for axes in (core, off_chip):
        style.rows(axes, labels)
    for index, bar in enumerate(shown.bars):
        start = 0.0
        for component, energy_aj in bar.components_aj:
            width = energy_aj / _AJ_PER_PJ / unit_pj
            core.barh(index, width, left=start, height=0.74, color=style.COMPONENTS.get(component, "#000000"))
            start += width
        off_chip.barh(index, bar.off_chip_pj / unit_pj, height=0.74, color=style.OFF_CHIP)
        _label(core, index, bar.core_pj, unit_pj, shown.total_pj)
        _label(off_chip, index, bar.off_chip_pj, unit_pj, shown.off_chip_pj)
    _scales(core, off_chip, shown, unit, unit_pj)
    present = {component for bar in shown.bars for component, energy_aj in bar.components_aj if energy_aj}
    colours = {style.words(key): colour for key, colour in style.COMPONENTS.items() if key in present}
    style.legend(figure, colours | {"off-chip memory": style.OFF_CHIP}, 5)
    return figure


def energy_unit(largest_pj: float) -> tuple[str, float]:
    """Name and pJ of the unit in which the largest energy has few digits."""
    return next(((name, size_pj) for name, size_pj in _UNITS if largest_pj >= size_pj), _UNITS[-1])


def _bar(name: str, components_aj: Mapping[str, int], off_chip_aj: int) -> EnergyBar:
    order = [*style.COMPONENTS, *(key for key in components_aj if key not in style.COMPONENTS)]
    return EnergyBar(name, tuple((key, components_aj[key]) for key in order if key in components_aj), off_chip_aj)


def _components_aj(components_pj: Mapping[str, float]) -> dict[str, int]:
    return {component: _aj(energy_pj) for component, energy_pj in components_pj.items()}


def _aj(energy_pj: float) -> int:
    """Every energy of a result is a whole number of attojoules (docs/result.md)."""
    return round(Fraction(energy_pj) * _AJ_PER_PJ)


def _check(source: Source, bars: list[EnergyBar], outside: EnergyBar) -> None:
    run = source.energy
    core = sum(energy for _, energy in outside.components_aj)
    if core != _aj(run.outside_layers_pj) or min(energy for _, energy in outside.components_aj) < 0:
        raise source.edited("energy: its components are not those of the layers and outside_layers_pj in sum")
    if sum(bar.off_chip_aj for bar in [*bars, outside]) != _aj(run.off_chip_pj):
        raise source.edited("energy.off_chip_pj: is not that of the layers in sum")


def _label(axes: Axes, index: int, energy_pj: float, unit_pj: float, whole_pj: float) -> None:
    share = f"  {100 * energy_pj / whole_pj:.1f} %" if whole_pj else ""
    text = f"{energy_pj / unit_pj:,.2f}{share}" if energy_pj else "0"
    style.value(axes, text, (energy_pj / unit_pj, index))


def _scales(core: Axes, off_chip: Axes, shown: EnergyBars, unit: str, unit_pj: float) -> None:
    """One scale for both, so that lengths can be compared across them."""
    per_inch = max(
        max(bar.core_pj for bar in shown.bars) / (_CORE_INCHES - _TEXT_INCHES),
        max(bar.off_chip_pj for bar in shown.bars) / (_OFF_CHIP_INCHES - _TEXT_INCHES),
    )
    for axes, inches, name, total_pj in (
        (core, _CORE_INCHES, "core", shown.total_pj),
        (off_chip, _OFF_CHIP_INCHES, "off-chip", shown.off_chip_pj),
    ):
        style.plain_numbers(axes.xaxis)
        axes.set_xlim(0, (per_inch or 1) * inches / unit_pj)
        axes.set_xlabel(f"{name}, {unit} [A]; share of {total_pj / unit_pj:,.2f} {unit}")
    off_chip.tick_params(labelleft=False)
