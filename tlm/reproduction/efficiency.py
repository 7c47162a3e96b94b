"""Operations and energy of runs, so that several of them can be added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tlm.core.errors import SimulationError
from tlm.observe.energy_account import tops_per_w
from tlm.observe.energy_table import AJ_PER_PJ
from tlm.reproduction.uncertainty import energy_range_aj
from tlm.results.result import Result

STEM = "conv1"
FIRST_PW, SECOND_PW, PROJECTION = ".pw1", ".dwpw2", ".shortcut"

BLOCKS = "blocks"
BESIDE_BLOCKS = ("projections", "stem", "max pooling", "average pooling", "classifier")
"""Parts of a PW-DW-PW network beside its blocks, in the order of reports."""


def group_of(name: str, kind: str) -> str:
    """Which part of a PW-DW-PW network a layer is: BLOCKS or one of BESIDE_BLOCKS.

    Args:
        name: as :mod:`tlm.networks.resnet18` and :mod:`tlm.networks.blocks` give it.
        kind: see :func:`tlm.results.result.layer_kind`.

    Raises:
        SimulationError: a layer of another network, which would be in no sum.
    """
    if name.endswith((FIRST_PW, SECOND_PW)):
        return BLOCKS
    if name.endswith(PROJECTION):
        return "projections"
    groups = {"max-pool": "max pooling", "average-pool": "average pooling", "linear": "classifier"}
    if name == STEM or kind in groups:
        return "stem" if name == STEM else groups[kind]
    raise SimulationError(f"reproduction: layer {name!r} ({kind}) belongs to no part of a PW-DW-PW network")


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """What runs took at one operating point for their dense-equivalent operations (docs/energy.md)."""

    dense_macs: int
    """Of the unpruned network."""
    cycles: int
    time_us: float
    within_aj: int
    """The engine's, while layers computed; attojoules."""
    total_aj: int
    """All of the core: waits, DMA, interconnect and host too."""
    off_chip_aj: int
    """Of the off-chip memory, in neither of the others."""
    within_events: Mapping[str, int]
    """Key of the table of energies -> how many events ``within_aj`` consists of."""
    events: Mapping[str, int]
    """The same of ``total_aj``."""
    per_event_aj: Mapping[str, int]
    """What an event took."""

    @property
    def within(self) -> float:
        """Dense-equivalent TOPS/W within layers."""
        return tops_per_w(self.dense_macs, self.within_aj / AJ_PER_PJ)

    @property
    def whole(self) -> float:
        """The same of the whole run."""
        return tops_per_w(self.dense_macs, self.total_aj / AJ_PER_PJ)

    @property
    def within_range(self) -> tuple[float, float]:
        """Least and most of ``within`` that the split over events allows (:mod:`tlm.reproduction.uncertainty`)."""
        return self._range(self.within_events)

    @property
    def whole_range(self) -> tuple[float, float]:
        """The same of ``whole``."""
        return self._range(self.events)

    def _range(self, events: Mapping[str, int]) -> tuple[float, float]:
        least, most = energy_range_aj(events, self.per_event_aj)
        low, high = (tops_per_w(self.dense_macs, float(one) / AJ_PER_PJ) for one in (most, least))
        return low, high

    @property
    def with_off_chip(self) -> float:
        """The same with the off-chip memory's energy."""
        return tops_per_w(self.dense_macs, (self.total_aj + self.off_chip_aj) / AJ_PER_PJ)

    @property
    def power_mw(self) -> float:
        """Average of the core over the whole run, mW."""
        return self.total_aj * 1e-9 / self.time_us


def efficiency_of(result: Result) -> Efficiency:
    """Of one run."""
    return Efficiency(
        dense_macs=result.dense_macs,
        cycles=result.cycles,
        time_us=result.time_us,
        within_aj=result.energy.compute.total,
        total_aj=result.energy.core.total,
        off_chip_aj=result.energy.off_chip,
        within_events=result.compute_events,
        events=result.events,
        per_event_aj=result.energy_table.per_event_aj(result.chip),
    )


def together(runs: Iterable[Efficiency]) -> Efficiency:
    """Of several runs at one operating point, one after the other."""
    found = list(runs)
    within: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for run in found:
        within.update(run.within_events)
        events.update(run.events)
    return Efficiency(
        dense_macs=sum(run.dense_macs for run in found),
        cycles=sum(run.cycles for run in found),
        time_us=sum(run.time_us for run in found),
        within_aj=sum(run.within_aj for run in found),
        total_aj=sum(run.total_aj for run in found),
        off_chip_aj=sum(run.off_chip_aj for run in found),
        within_events=within,
        events=events,
        per_event_aj=found[0].per_event_aj,
    )
