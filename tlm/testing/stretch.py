"""Stretches of a run: layers, their passes and transfers of the DMA, which can be timed and ordered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

from tlm.core.errors import InputError
from tlm.observe.energy_account import Energy
from tlm.observe.passes import PassRecord
from tlm.observe.timeline import TransferSpan
from tlm.testing.bounds import Bounds, asked_bounds, counted, difference
from tlm.testing.checks import limit
from tlm.testing.comparison import reference_lines
from tlm.testing.expectation import Expectation
from tlm.testing.explain import account_lines, overrun_lines
from tlm.testing.order import before
from tlm.testing.simulated import Simulated
from tlm.testing.span import Span
from tlm.testing.stalls import no_stall

_PJ = {"pj": 1.0, "nj": 1e3, "uj": 1e6}


class Stretch(ABC):
    """Something that a run did.

    Args:
        simulated: the run.
    """

    def __init__(self, simulated: Simulated) -> None:
        self.simulated = simulated
        self._span = self.find(simulated)

    @abstractmethod
    def find(self, run: Simulated) -> Span:
        """The same in any run of the network."""

    def __repr__(self) -> str:
        return f"<{self.name}: cycles {self.begin:,} .. {self.end:,}>"

    @property
    def name(self) -> str:
        """For messages, such as "layer 'c1'"."""
        return self._span.name

    @property
    def cycles(self) -> int:
        """What it took."""
        return self._span.cycles

    @property
    def begin(self) -> int:
        """Its first cycle since the first host access."""
        return self._span.first_cycle

    @property
    def end(self) -> int:
        """Its last cycle."""
        return self._span.last_cycle

    def spans(self) -> list[Span]:
        """The cycles in which it was under way."""
        return [self._span]

    def account(self) -> dict[str, int]:
        """Cause of docs/account.md -> cycles, where that is known of it."""
        return dict(self._span.account)

    def takes(
        self,
        cycles: int | None = None,
        within: int = 0,
        *,
        within_percent: float = 0.0,
        at_most: int | None = None,
        at_least: int | None = None,
    ) -> Expectation:
        """It takes so many cycles.

        Args:
            cycles: exactly so many, or about so many with one of the next two.
            within: cycles that it may be away from that, up or down.
            within_percent: the same as a share of ``cycles``.
            at_most: instead of ``cycles``.
            at_least: instead of ``cycles``.

        Raises:
            InputError: not exactly one of ``cycles``, ``at_most`` and ``at_least``.
        """
        bounds = asked_bounds(cycles, within, within_percent, at_most, at_least)
        excess = bounds.excess(self.cycles)
        claim = f"{self.name} takes {counted(self.cycles)}, expected {bounds.text}{difference(excess)}"
        moment = self.end if excess <= 0 else max(self.begin, self.end - int(excess) + 1)
        return Expectation(self.simulated, not excess, claim, moment, lambda one: self._explain(bounds, one))

    def _explain(self, bounds: Bounds, expectation: Expectation) -> Iterator[str]:
        run, span = self.simulated, self._span
        yield from span.about
        yield from reference_lines(run, self.find, bounds, expectation)
        yield from overrun_lines(run, span, bounds)
        if span.account:
            yield from account_lines(run, span)

    def before(self, other: object) -> Expectation:
        """It has ended before anything of ``other`` begins (:func:`tlm.testing.before`)."""
        return before(self, other)


class Powered(Stretch):
    """A stretch whose energy is known."""

    @property
    @abstractmethod
    def energy(self) -> Energy:
        """What it took [A]."""

    def energy_at_most(
        self, *, pj: float | None = None, nj: float | None = None, uj: float | None = None, off_chip: bool = False
    ) -> Expectation:
        """The energy of the core [A], or of core and off-chip memory, is at most so much.

        Args:
            pj, nj, uj: the limit; give one.
            off_chip: count the off-chip memory, too.

        Raises:
            InputError: not exactly one limit, or one that is no number.
        """
        given = {unit: value for unit, value in (("pj", pj), ("nj", nj), ("uj", uj)) if value is not None}
        if len(given) != 1:
            raise InputError(f"energy: give one of {', '.join(_PJ)}; here: {' and '.join(given) or 'none'}")
        ((unit, most),) = given.items()
        limit(unit, most)
        shares_pj = self.energy.core.by_component_pj()
        spent_pj = self.energy.total_pj
        if off_chip:
            shares_pj = shares_pj | {"off-chip memory": self.energy.off_chip_pj}
            spent_pj += self.energy.off_chip_pj
        spent, written = spent_pj / _PJ[unit], unit[0] + "J"
        where = "core and off-chip memory" if off_chip else "the core"
        claim = f"{self.name} takes {spent:,.3f} {written} in {where}, expected at most {most:,g} {written}"
        if spent > most > 0:
            claim += f": {100 * (spent - most) / most:,.1f} % too much"
        return Expectation(self.simulated, spent <= most, claim, None, lambda _: _share_lines(shares_pj, spent_pj))


def _share_lines(shares_pj: dict[str, float], spent_pj: float) -> Iterator[str]:
    yield "the largest shares:"
    for component, pj in sorted(shares_pj.items(), key=lambda one: -one[1])[:5]:
        yield f"  {component:<16}{pj / 1e3:>14,.3f} nJ  {100 * pj / spent_pj:5.1f} %"


class LayerRun(Powered):
    """A layer of a run: from its first sequencer cycle to its last write."""

    def __init__(self, simulated: Simulated, name: str) -> None:
        self.figures = simulated.result.layers[name]
        """Everything that was measured of it."""
        super().__init__(simulated)

    def find(self, run: Simulated) -> Span:
        """The layer in any run of the network."""
        name = self.figures.name
        one = run.result.layers[name]
        account = one.account.by_cause()
        return Span(f"layer {name!r}", one.start_cycle, one.end_cycle, one.compute_cycles, name, account)

    @cached_property
    def passes(self) -> list[PassRun]:
        """Its passes, parts one after another."""
        count = len(self.simulated.result.passes[self.figures.name])
        return [PassRun(self.simulated, self.figures.name, index) for index in range(count)]

    def spans(self) -> list[Span]:
        """Each of its parts."""
        parts = self.simulated.result.timeline.parts
        own = [part for part in parts if part.layer == self.figures.name]
        return [Span(f"layer {part.name!r}", part.first_cycle, part.last_cycle) for part in own]

    def no_stall(self, kind: str) -> Expectation:
        """No cycle from its first to its last is counted under a cause of docs/account.md.

        Between its parts, if it has several, those of other layers and waits for these do not count.

        Raises:
            InputError: there is no such cause.
        """
        return no_stall(self.simulated, kind, self.begin, self.end, f"in {self.name}", self.figures.name)

    @property
    def energy(self) -> Energy:
        """What it took [A]."""
        return self.figures.energy


class PassRun(Stretch):
    """A pass: from its first sequencer cycle to its last write."""

    def __init__(self, simulated: Simulated, layer: str, index: int) -> None:
        self._layer = layer
        self._index = index
        self.record: PassRecord = simulated.result.passes[layer][index]
        """Its moments and counts."""
        super().__init__(simulated)

    def find(self, run: Simulated) -> Span:
        """The pass of this number, or the last one, of the layer in any run of the network."""
        passes = run.result.passes[self._layer]
        index = min(self._index, len(passes) - 1)
        one = passes[index]
        about = (
            f"first sequencer cycle {one.first_cycle:,}, last {one.last_fetch_cycle:,}, "
            f"handover {one.handover_cycle:,}, last write {one.last_write_cycle:,}",
            f"{one.steps:,} steps fetched in {one.fetch_cycles:,} cycles, {one.refused_writes:,} writes and "
            f"{one.refused_residual_reads:,} residual reads refused",
        )
        name = f"pass {index} of layer {self._layer!r}"
        return Span(name, one.first_cycle, one.last_write_cycle, layer=self._layer, about=about)


class TransferRun(Stretch):
    """A transfer of a DMA channel: from the cycle after START to the one before its interrupt."""

    def __init__(self, simulated: Simulated, span: TransferSpan) -> None:
        self.label = span.label
        self.span = span
        """Its channel, memory and bytes."""
        super().__init__(simulated)

    def find(self, run: Simulated) -> Span:
        """The transfer of the same channel and number, or its last one, in any run of the network."""
        same = [one for one in run.result.timeline.transfers if one.channel == self.span.channel]
        one = same[min(self.span.index, len(same) - 1)]
        about = f"dma.{one.channel} moves {one.moved_bytes:,} bytes, engine.{one.sram} on the chip's side"
        return Span(f"transfer {one.label!r}", one.first_cycle, one.last_cycle, about=(about,))
