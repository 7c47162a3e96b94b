"""Operations and energy of runs, so that several of them can be added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tlm.observe.energy_account import priced, tops_per_w
from tlm.observe.energy_table import AJ_PER_PJ
from tlm.reproduction.uncertainty import energy_range_aj
from tlm.results.result import Result


@dataclass(frozen=True)
class Work:
    """Dense-equivalent operations, and the events that they took (docs/energy.md)."""

    dense_macs: int
    """Of the unpruned network."""
    events: Mapping[str, int]
    """Key of the table of energies -> how many."""
    per_event_aj: Mapping[str, int]

    @property
    def core_aj(self) -> int:
        """Energy of the core, attojoules."""
        return priced(self.events, self.per_event_aj)[0].total

    @property
    def off_chip_aj(self) -> int:
        """Of the off-chip memory, apart."""
        return priced(self.events, self.per_event_aj)[1]

    @property
    def tops_per_w(self) -> float:
        """Of the core."""
        return self._tops_per_w(self.core_aj)

    @property
    def span(self) -> tuple[float, float]:
        """Least and most of it that the split over events allows (:mod:`tlm.reproduction.uncertainty`)."""
        least, most = energy_range_aj(self.events, self.per_event_aj)
        return self._tops_per_w(most), self._tops_per_w(least)

    @property
    def with_off_chip(self) -> float:
        """TOPS/W of core and off-chip memory."""
        return self._tops_per_w(self.core_aj + self.off_chip_aj)

    def _tops_per_w(self, energy_aj: int | Fraction) -> float:
        return tops_per_w(self.dense_macs, float(energy_aj) / AJ_PER_PJ)


@dataclass(frozen=True)
class Efficiency:
    """What runs took at one operating point."""

    cycles: int
    time_us: float
    within: Work
    """While layers computed."""
    whole: Work
    """With waits, DMA, interconnect and host."""

    @property
    def power_mw(self) -> float:
        """Average of the core over the whole run, mW."""
        return self.whole.core_aj * 1e-9 / self.time_us


def efficiency_of(result: Result) -> Efficiency:
    """Of one run."""
    per_event_aj = result.energy_table.per_event_aj(result.chip)
    counts = result.counts.run
    within, whole = (Work(result.dense_macs, events, per_event_aj) for events in (counts.compute, counts.total))
    return Efficiency(result.cycles, result.time_us, within, whole)


def together(runs: Sequence[Efficiency]) -> Efficiency:
    """Of several runs at one operating point, one after the other."""
    within, whole = _added([run.within for run in runs]), _added([run.whole for run in runs])
    return Efficiency(sum(run.cycles for run in runs), sum(run.time_us for run in runs), within, whole)


def _added(works: Sequence[Work]) -> Work:
    events = sum((Counter(work.events) for work in works), Counter[str]())
    return Work(sum(work.dense_macs for work in works), events, works[0].per_event_aj)
