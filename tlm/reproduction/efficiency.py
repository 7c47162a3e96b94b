"""Operations and energy of runs, so that several of them can be added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from tlm.core.errors import SimulationError
from tlm.observe.energy_account import priced, tops_per_w
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
    within_events: Mapping[str, int]
    """Key of the table of energies -> how many events while layers computed."""
    events: Mapping[str, int]
    """The same of the whole run."""
    per_event_aj: Mapping[str, int]
    """What an event took."""

    @property
    def within_aj(self) -> int:
        """The engine's energy while layers computed; attojoules."""
        return priced(self.within_events, self.per_event_aj)[0].total

    @property
    def total_aj(self) -> int:
        """All of the core: waits, DMA, interconnect and host too."""
        return priced(self.events, self.per_event_aj)[0].total

    @property
    def off_chip_aj(self) -> int:
        """Of the off-chip memory, in neither of the others."""
        return priced(self.events, self.per_event_aj)[1]

    @property
    def within(self) -> float:
        """Dense-equivalent TOPS/W within layers."""
        return self._tops_per_w(self.within_aj)

    @property
    def whole(self) -> float:
        """The same of the whole run."""
        return self._tops_per_w(self.total_aj)

    @property
    def with_off_chip(self) -> float:
        """The same with the off-chip memory's energy."""
        return self._tops_per_w(self.total_aj + self.off_chip_aj)

    @property
    def off_chip_share(self) -> float:
        """The off-chip memory's share of all energy."""
        return self.off_chip_aj / (self.total_aj + self.off_chip_aj)

    @property
    def within_range(self) -> tuple[float, float]:
        """Least and most of ``within`` that the split over events allows (:mod:`tlm.reproduction.uncertainty`)."""
        return self._range(self.within_events)

    @property
    def whole_range(self) -> tuple[float, float]:
        """The same of ``whole``."""
        return self._range(self.events)

    @property
    def power_mw(self) -> float:
        """Average of the core over the whole run, mW."""
        return self.total_aj * 1e-9 / self.time_us

    def _range(self, events: Mapping[str, int]) -> tuple[float, float]:
        least, most = energy_range_aj(events, self.per_event_aj)
        return self._tops_per_w(most), self._tops_per_w(least)

    def _tops_per_w(self, energy_aj: int | Fraction) -> float:
        return tops_per_w(self.dense_macs, float(energy_aj) / AJ_PER_PJ)


def efficiency_of(result: Result) -> Efficiency:
    """Of one run."""
    return Efficiency(
        dense_macs=result.dense_macs,
        cycles=result.cycles,
        time_us=result.time_us,
        within_events=result.compute_events,
        events=result.events,
        per_event_aj=result.energy_table.per_event_aj(result.chip),
    )


def together(runs: Iterable[Efficiency]) -> Efficiency:
    """Of several runs at one operating point, one after the other."""
    found = list(runs)
    return Efficiency(
        dense_macs=sum(run.dense_macs for run in found),
        cycles=sum(run.cycles for run in found),
        time_us=sum(run.time_us for run in found),
        within_events=sum((Counter(run.within_events) for run in found), Counter()),
        events=sum((Counter(run.events) for run in found), Counter()),
        per_event_aj=found[0].per_event_aj,
    )
