"""Places of buffers in AMem: by their lifetimes, then by predicted cycles (engine.md, Layout).

A layer's write-back can starve if it goes to the bank that the aligner reads. So the allocator tries the lowest free
address in each bank for every output, and takes the fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from msgspec.structs import replace

from tlm.chip.config import ChipConfig
from tlm.compiler.operations import Buffer, Run
from tlm.compiler.places import Place

Cost = Callable[[Run, Sequence[int], Mapping[Buffer, int]], Sequence[int]]
"""cost(run, candidate bases of its output buffer, bases of placed buffers) -> predicted cycles of each."""


_ATTEMPTS = 48
"""Orders of placement that are tried before a plan is given up."""


class DoesNotFitError(Exception):
    """No order that this allocator tries finds room for every buffer."""


class Allocator:
    """Gives each buffer a base address.

    Args:
        config: AMem's words and banks.
        buffers: with their lifetimes, in the order in which they come to be.
        circular: keep what the first run needs beside what the last one leaves, for the next image of a batch.
    """

    def __init__(self, config: ChipConfig, buffers: Sequence[Buffer], circular: bool = False) -> None:
        self._words = config.amem_words
        self._banks = config.amem_banks
        self._buffers = sorted(buffers, key=lambda buffer: buffer.birth)
        self._contemporaries = _contemporaries(self._buffers)
        if circular:
            self._close_circle()
        self.bases: dict[Buffer, int] = {}

    def place_all(self, cost: Cost) -> dict[Buffer, Place]:
        """Place every buffer.

        Raises:
            DoesNotFitError: no attempt finds room.
        """
        if self._place(self._buffers, lambda buffer, bases: self._fastest(buffer, bases, cost)):
            self._place_hardest_first()
            self._improve(cost)
        return {buffer: Place(buffer.window, self.bases[buffer]) for buffer in self._buffers}

    def _close_circle(self) -> None:
        """The first run's buffers and those of the last one become contemporaries, if they are not."""
        end = max(buffer.death for buffer in self._buffers)
        last = [buffer for buffer in self._buffers if buffer.death == end]
        for buffer in (one for one in self._buffers if one.birth == 0):
            for other in last:
                if other is not buffer and other not in self._contemporaries[buffer]:
                    self._contemporaries[buffer].append(other)
                    self._contemporaries[other].append(buffer)

    def place_at(self, bases: Sequence[int]) -> dict[Buffer, Place]:
        """Place every buffer where an earlier compilation did.

        Raises:
            DoesNotFitError: there are too few bases or too many, or buffers would lie over each other.
        """
        if len(bases) != len(self._buffers):
            raise DoesNotFitError
        for buffer, base in zip(self._buffers, bases, strict=True):
            if base < 0 or not self._may_lie(buffer, base):
                raise DoesNotFitError
            self.bases[buffer] = base
        return {buffer: Place(buffer.window, base) for buffer, base in self.bases.items()}

    def _place(self, order: Sequence[Buffer], choose: Callable[[Buffer, Sequence[int]], int]) -> Buffer | None:
        """Place buffers one after another; returns the first that finds no room."""
        self.bases.clear()
        for buffer in order:
            bases = self._candidates(buffer)
            if not bases:
                return buffer
            self.bases[buffer] = choose(buffer, bases)
        return None

    def _fastest(self, buffer: Buffer, bases: Sequence[int], cost: Cost) -> int:
        """The base with which the runs that write a buffer are fastest.

        Runs of later bands do not count whose inputs have no places yet.
        """
        costs = [0] * len(bases)
        if len(bases) > 1:
            for run in buffer.writers:
                if run.source in self.bases and (run.residual is None or run.residual in self.bases):
                    costs = [sum(pair) for pair in zip(costs, cost(run, bases, self.bases), strict=True)]
        return min(zip(costs, bases, strict=True))[1]

    def _place_hardest_first(self) -> None:
        """As low as possible, whatever the bank. A buffer that finds no room comes first in the next attempt.

        Raises:
            DoesNotFitError: after :data:`_ATTEMPTS` attempts from each of two orders.
        """
        for order in (list(self._buffers), sorted(self._buffers, key=lambda buffer: -buffer.window.size_words)):
            for _ in range(_ATTEMPTS):
                homeless = self._place(order, lambda _, bases: min(bases))
                if homeless is None:
                    return
                order.remove(homeless)
                order.insert(0, homeless)
        raise DoesNotFitError

    def _improve(self, cost: Cost) -> None:
        """Move outputs to faster banks where the others leave room."""
        for buffer in self._buffers:
            base = self.bases[buffer]
            if buffer.writers and all(self.bases[partner] != base for partner in self._partners(buffer)):
                self.bases[buffer] = self._fastest(buffer, sorted({base, *self._candidates(buffer)}), cost)

    # -- candidates -----------------------------------------------------------------------------------------------

    def _candidates(self, buffer: Buffer) -> list[int]:
        """For each bank the lowest free base in it, and those of buffers that it may share its words with."""
        words, banks = buffer.window.size_words, self._banks
        taken = sorted([self._span(other) for other in self._living(buffer)])
        ends = [0, *accumulate([end for _, end in taken], max)]  # behind each, up to where the next begins, is a gap
        gaps = [
            (end, first - words)
            for end, (first, _) in zip(ends, [*taken, (self._words, 0)], strict=True)
            if first - end >= words
        ]
        bases: set[int] = set()
        for bank in range(banks):
            for end, last in gaps:
                base = end + (bank - end) % banks
                if base <= last:
                    bases.add(base)
                    break
        shared = {self.bases[partner] for partner in self._partners(buffer)}
        return sorted(bases | {base for base in shared if self._may_lie(buffer, base)})

    def _may_lie(self, buffer: Buffer, base: int) -> bool:
        """Whether a buffer may have a base: words that nothing else needs, or those of its partners there."""
        end, partners = base + buffer.window.size_words, self._partners(buffer)
        return end <= self._words and all(
            end <= first or stop <= base or (first == base and other in partners)
            for other in self._living(buffer)
            for first, stop in [self._span(other)]
        )

    def _living(self, buffer: Buffer) -> list[Buffer]:
        """Placed buffers that are needed when this one is."""
        return [other for other in self._contemporaries[buffer] if other in self.bases]

    def _span(self, buffer: Buffer) -> tuple[int, int]:
        return self.bases[buffer], self.bases[buffer] + buffer.window.size_words

    def _partners(self, buffer: Buffer) -> set[Buffer]:
        """Placed buffers that this one may lie over, or that may lie over it."""
        outputs = {run.output for run in buffer.readers if run.residual is buffer}
        partners = {other for other in outputs if overlaid(other) is buffer} | {overlaid(buffer)}
        return {partner for partner in partners if partner in self.bases}


def _contemporaries(buffers: Sequence[Buffer]) -> dict[Buffer, list[Buffer]]:
    """For each buffer those that are needed at some time when it is; ``buffers`` are in the order of their births."""
    found: dict[Buffer, list[Buffer]] = {buffer: [] for buffer in buffers}
    alive: list[Buffer] = []
    for buffer in buffers:
        alive = [other for other in alive if other.death >= buffer.birth]
        for other in alive:
            found[other].append(buffer)
        found[buffer] += alive
        alive.append(buffer)
    return found


def overlaid(output: Buffer) -> Buffer | None:
    """The residual's buffer, if the runs that write this one may write over it.

    They must consume exactly the words that they write, and no other run may read these words from then on.
    """
    residuals = {run.residual for run in output.writers}
    if len(residuals) != 1:
        return None
    residual = residuals.pop()
    if residual is None or residual.drained or output.filled:
        return None
    if replace(output.window, tensor=residual.window.tensor) != residual.window:
        return None
    first = output.writers[0].moment
    for reader in residual.readers:
        if reader.moment >= first and not (reader.output is output and reader.source is not residual):
            return None
    return residual
