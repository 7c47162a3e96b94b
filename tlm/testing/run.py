"""A run as a test sees it, and what it consists of: layers, their passes and transfers of the DMA.

Sentences about them read like those of an engineer: ``assert run.layer("c1").takes(cycles=73)``. Each of them is an
:class:`~tlm.testing.expectation.Expectation`. A name that does not exist, or a limit that is none, raises InputError.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

from tlm.core.errors import InputError
from tlm.observe.energy_account import Energy
from tlm.observe.passes import PassRecord
from tlm.observe.timeline import TransferSpan
from tlm.results.result import Tensor
from tlm.testing.baseline import TestBaseline
from tlm.testing.checks import Bounds, asked_bounds, counted, difference, known_name, limit, moments_of
from tlm.testing.expectation import Expectation
from tlm.testing.explain import account_lines, overrun_lines, reference_lines
from tlm.testing.order import before
from tlm.testing.simulated import Simulated
from tlm.testing.span import Span
from tlm.testing.stalls import bank_never_conflicts, no_stall
from tlm.testing.transactions import Transactions

_PJ = {"pj": 1.0, "nj": 1e3, "uj": 1e6}


class Stretch(ABC):
    """Something that a run did.

    Args:
        simulated: the run.
    """

    def __init__(self, simulated: Simulated) -> None:
        self.simulated = simulated
        self._span = span = self.find(simulated)
        self.name = span.name
        """For messages, such as "layer 'c1'"."""
        self.begin = span.first_cycle
        """Its first cycle since the first host access."""
        self.end = span.last_cycle
        """Its last cycle."""
        self.cycles = span.cycles
        """What it took."""

    @abstractmethod
    def find(self, run: Simulated) -> Span:
        """The same in any run of the network."""

    def __repr__(self) -> str:
        return f"<{self.name}: cycles {self.begin:,} .. {self.end:,}>"

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

    energy: Energy
    """What it took [A]."""

    def energy_at_most(
        self, *, pj: float | None = None, nj: float | None = None, uj: float | None = None, off_chip: bool = False
    ) -> Expectation:
        """The energy of the core [A], or of core and off-chip memory, is at most so much.

        Args:
            pj, nj, uj: the limit; give one.
            off_chip: count the off-chip memory, too.
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
        self.energy = self.figures.energy
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
        """
        return no_stall(self.simulated, kind, self.begin, self.end, f"in {self.name}", self.figures.name)


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


class Run(Powered):
    """A simulated run."""

    def __init__(self, simulated: Simulated) -> None:
        super().__init__(simulated)
        self.result = simulated.result
        """What :func:`tlm.simulate` gave."""
        self.energy = simulated.result.energy

    def find(self, run: Simulated) -> Span:
        """All of a run."""
        return run.whole

    def __repr__(self) -> str:
        layers, fidelity = len(self.result.layers), self.result.fidelity
        return f"<run of {layers} layers, {self.result.cycles:,} cycles, fidelity {fidelity}>"

    # -- what there is --------------------------------------------------------------------------------------------

    @property
    def outputs(self) -> Tensor:
        """The last layer's output; read-only, since other tests may be given the same run."""
        return self.result.outputs

    @cached_property
    def layers(self) -> dict[str, LayerRun]:
        """By name, in the order of execution."""
        return {name: LayerRun(self.simulated, name) for name in self.result.layers}

    def layer(self, name: str) -> LayerRun:
        """A layer."""
        return self.layers[known_name("layer", name, self.layers)]

    @cached_property
    def transfers(self) -> list[TransferRun]:
        """Every transfer of the DMA, in the order of time."""
        return [TransferRun(self.simulated, span) for span in self.result.timeline.transfers]

    def transfer(self, label: str) -> TransferRun:
        """The transfer of a label, such as "weights of c1"; the first one if there are several."""
        known_name("transfer", label, dict.fromkeys(one.label for one in self.transfers))
        return next(one for one in self.transfers if one.label == label)

    @property
    def trace(self) -> Transactions:
        """Every transaction of the run, as fidelity "cycle" has them; recorded in a second run when first asked for."""
        return Transactions(self.simulated)

    def at(self, socket: str) -> Transactions:
        """Transactions of a socket."""
        return self.trace.at(socket)

    # -- sentences ------------------------------------------------------------------------------------------------

    def no_stall(self, kind: str, between: tuple[int, int] | None = None) -> Expectation:
        """No cycle is counted under a cause of docs/account.md, such as "write_back" or "weights".

        Args:
            kind: the cause.
            between: moments (first cycle, last cycle), such as ``(run.layer("c1").begin, run.layer("c1").end)``; by
                default the whole run.
        """
        first, last = (self.begin, self.end) if between is None else moments_of(between)
        where = "in the run" if between is None else f"between cycles {first:,} and {last:,}"
        return no_stall(self.simulated, kind, first, last, where)

    def bank_never_conflicted(self, sram: str, bank: int | None = None) -> Expectation:
        """Nobody finds a bank of an SRAM taken, and no step has two words in it.

        Args:
            sram: "amem", "wmem" or "imem".
            bank: its number; by default all of them.
        """
        return bank_never_conflicts(self.simulated, sram, bank)

    def bandwidth_below(
        self, socket: str, bytes_per_cycle: float | None = None, *, gb_per_s: float | None = None, window_cycles: int
    ) -> Expectation:
        """In no window more goes through a socket.

        Args:
            socket: its name.
            bytes_per_cycle: the limit, either so ..
            gb_per_s: .. or in 1e9 bytes a second at the run's clock.
            window_cycles: length of a window; every position is looked at.
        """
        return self.at(socket).throughput(window_cycles).at_most(bytes_per_cycle, gb_per_s=gb_per_s)

    def matches(self, baseline: TestBaseline, name: str = "") -> Expectation:
        """Its cycles and stalls are those that the baseline file holds.

        Args:
            baseline: fixture ``tlm_baseline``.
            name: tells the runs of one test apart.
        """
        if not isinstance(baseline, TestBaseline):
            raise InputError(f"matches: {baseline!r} is no baseline; give the fixture tlm_baseline, then a name")
        return baseline.compare(self.simulated, name)
