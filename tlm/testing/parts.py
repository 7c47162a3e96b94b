"""What a run consists of: layers, their passes, and transfers of the DMA."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from tlm.observe.energy_account import Energy
from tlm.observe.passes import PassRecord
from tlm.observe.timeline import PartSpan, TransferSpan
from tlm.results.result import LayerResult
from tlm.testing.cycles import Bounds
from tlm.testing.energy import Powered
from tlm.testing.expectation import Expectation
from tlm.testing.explain import explain_layer, explain_stretch
from tlm.testing.span import Span
from tlm.testing.stalls import no_stall
from tlm.testing.stretch import Stretch
from tlm.testing.subject import Subject


class LayerRun(Powered):
    """A layer of a run: from its first sequencer cycle to its last write."""

    def __init__(self, run: Subject, figures: LayerResult) -> None:
        super().__init__(run, f"layer {figures.name!r}", figures.start_cycle, figures.end_cycle, figures.compute_cycles)
        self.figures = figures
        """Everything that was measured of it."""

    @cached_property
    def tags(self) -> list[int]:
        """Tags of its parts."""
        return [part.tag for part in self._parts]

    @cached_property
    def passes(self) -> list[PassRun]:
        """Its passes, parts one after another."""
        records = self.run.result.passes[self.figures.name]
        return [PassRun(self.run, self.name, index, record) for index, record in enumerate(records)]

    def spans(self) -> list[Span]:
        """Each of its parts."""
        return [Span(f"layer {part.name!r}", part.first_cycle, part.last_cycle) for part in self._parts]

    def no_stall(self, kind: str) -> Expectation:
        """No cycle from its first to its last is counted under a cause of docs/account.md.

        Between its parts, if it has several, those of other layers and waits for these do not count.

        Raises:
            InputError: there is no such cause.
        """
        return no_stall(self.run, kind, self.first_cycle, self.last_cycle, f"in {self.name}", self.figures.name)

    @property
    def energy(self) -> Energy:
        """What it took [A]."""
        return self.figures.energy

    def explain_cycles(self, bounds: Bounds) -> Iterable[str]:
        """Lines that say why it takes what it takes."""
        return explain_layer(self, bounds)

    def account(self) -> dict[str, int]:
        """Cause of docs/account.md -> cycles while it computes."""
        return self.figures.account.by_cause()

    def counterpart(self, other: Any) -> Any:
        """The same layer of another run."""
        return other.layer(self.figures.name)

    @property
    def engine_only(self) -> bool:
        """The data of a layer are there before it begins."""
        return True

    @property
    def _parts(self) -> list[PartSpan]:
        return [part for part in self.run.result.timeline.parts if part.layer == self.figures.name]


class PassRun(Stretch):
    """A pass: from its first sequencer cycle to its last write."""

    def __init__(self, run: Subject, layer: str, index: int, record: PassRecord) -> None:
        super().__init__(run, f"pass {index} of {layer}", record.first_cycle, record.last_write_cycle)
        self.record = record
        """Its moments and counts."""

    def explain_cycles(self, bounds: Bounds) -> Sequence[str]:
        """Its moments."""
        one = self.record
        return [
            f"first sequencer cycle {one.first_cycle:,}, last {one.last_fetch_cycle:,}, "
            f"handover {one.handover_cycle:,}, last write {one.last_write_cycle:,}",
            f"{one.steps:,} steps fetched in {one.fetch_cycles:,} cycles, {one.refused_writes:,} writes and "
            f"{one.refused_residual_reads:,} residual reads refused",
        ]


class TransferRun(Stretch):
    """A transfer of a DMA channel: from the cycle after START to the one before its interrupt."""

    def __init__(self, run: Subject, span: TransferSpan) -> None:
        super().__init__(run, f"transfer {span.label!r}", span.first_cycle, span.last_cycle)
        self.label = span.label
        self.span = span
        """Its channel, memory and bytes."""

    def explain_cycles(self, bounds: Bounds) -> Iterable[str]:
        """What it moved."""
        span = self.span
        yield f"dma.{span.channel} moves {span.moved_bytes:,} bytes, engine.{span.sram} on the chip's side"
        yield from explain_stretch(self, bounds)

    def counterpart(self, other: Any) -> Any:
        """The transfer of the same channel and number."""
        same = [one for one in other.transfers if one.span.channel == self.span.channel]
        return same[min(self.span.index, len(same) - 1)]
