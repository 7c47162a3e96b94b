"""What happened in a run, counted by the events of the energy table; and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from tlm.observe.dram_energy import DramEnergy
from tlm.observe.energy_account import Energy, priced

EventCounts = Mapping[str, int]
"""Key of the table -> how many such events."""


class Events(NamedTuple):
    """Event counts apart for the three accounts of :class:`Energy`."""

    compute: EventCounts
    waits: EventCounts
    transfers: EventCounts

    @property
    def total(self) -> Counter[str]:
        """Of all three."""
        found = Counter[str]()
        for kind in self:
            found.update(kind)
        return found

    def energy(self, per_event_aj: Mapping[str, int]) -> Energy:
        """What they cost."""
        (compute, *off_chip), (waits, *more), (transfers, *rest) = (priced(kind, per_event_aj) for kind in self)
        return Energy(compute=compute, waits=waits, transfers=transfers, off_chip=sum([*off_chip, *more, *rest]))


class RunEnergy(Struct, frozen=True, kw_only=True):
    """Energy of a whole run and of its parts; the parts add up to the run."""

    layers: tuple[Energy, ...]
    """Of each layer's share: its parts, the waits before them, its transfers."""
    outside_layers: Energy
    """Of what belongs to no layer: after the last one, the host's register accesses."""
    run: Energy
    """From the totals of the run alone."""


class RunEvents(Struct, frozen=True, kw_only=True):
    """The events of a whole run and of its parts; the parts add up to the run."""

    layers: tuple[Events, ...] = ()
    """Of each layer's share."""
    layer_bytes: tuple[int, ...] = ()
    """What DMA moved for each layer."""
    outside_layers: Events = field(default_factory=lambda: Events({}, {}, {}))
    """Of what belongs to no layer."""
    run: Events = field(default_factory=lambda: Events({}, {}, {}))
    """The run's totals."""
    moved_bytes: int = 0
    """What DMA moved in the run."""
    dram: DramEnergy | None = None
    """The run's off-chip energy, if the memory is DRAM. A layer's is in proportion to its bytes, the rest rounding."""

    def energy(self, per_event_aj: Mapping[str, int]) -> RunEnergy:
        """What they cost.

        Args:
            per_event_aj: see :meth:`tlm.observe.energy_table.EnergyConfig.per_event_aj`.
        """
        layers = [one.energy(per_event_aj) for one in self.layers]
        outside, run = self.outside_layers.energy(per_event_aj), self.run.energy(per_event_aj)
        if self.dram is not None:
            moved, total = max(1, self.moved_bytes), self.dram.total
            off_chip = [total * own // moved for own in self.layer_bytes]
            layers = [replace(one, off_chip=aj) for one, aj in zip(layers, off_chip, strict=True)]
            outside = replace(outside, off_chip=total - sum(off_chip))
            run = replace(run, off_chip=total)
        return RunEnergy(layers=tuple(layers), outside_layers=outside, run=run)
