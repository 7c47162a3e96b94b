"""Places of buffers in AMem: by their lifetimes, then by predicted cycles (engine.md, Layout).

A layer's write-back can starve if it goes to the bank that the aligner reads. So the allocator tries the lowest free
address in each bank for every output, and takes the fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

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
    """

    def __init__(self, config: ChipConfig, buffers: Sequence[Buffer]) -> None:
        self._words = config.amem_words
        self._banks = config.amem_banks
        self._buffers = sorted(buffers, key=lambda buffer: buffer.birth)
        self._contemporaries = _contemporaries(self._buffers)
        self.bases: dict[Buffer, int] = {}

    def place_all(self, cost: Cost) -> dict[Buffer, Place]:
        """Place every buffer.

        Raises:
            DoesNotFitError: no attempt finds room.
        """
        try:
            self._place_fastest(cost)
        except DoesNotFitError:
            self._place_hardest_first()
            self._improve(cost)
        return {buffer: Place(buffer.window, self.bases[buffer]) for buffer in self._buffers}

    def place_at(self, bases: Sequence[int]) -> dict[Buffer, Place]:
        """Place every buffer where an earlier compilation did.

        Raises:
            DoesNotFitError: there are too few bases or too many, or buffers would lie over each other.
        """
        if len(bases) != len(self._buffers):
            raise DoesNotFitError
        for buffer, base in zip(self._buffers, bases, strict=True):
            first, end = base, base + buffer.window.size_words
            partners = {other for other in self._partners(buffer) if self.bases[other] == base}
            taken = [self._span(other) for other in self._living(buffer) if other not in partners]
            if first < 0 or end > self._words or any(first < stop and begin < end for begin, stop in taken):
                raise DoesNotFitError
            self.bases[buffer] = base
        return {buffer: Place(buffer.window, base) for buffer, base in self.bases.items()}

    def _place_fastest(self, cost: Cost) -> None:
        """One buffer after another from the bottom, each in the bank where the runs that write it are fastest."""
        for buffer in self._buffers:
            self.bases[buffer] = self._fastest(buffer, self._candidates(buffer), cost)

    def _fastest(self, buffer: Buffer, bases: Sequence[int], cost: Cost) -> int:
        costs = [0] * len(bases)
        if len(bases) > 1:
            for run in filter(self._is_placed, buffer.writers):
                costs = [sum(pair) for pair in zip(costs, cost(run, bases, self.bases), strict=True)]
        return min(zip(costs, bases, strict=True))[1]

    def _place_hardest_first(self) -> None:
        """As low as possible, whatever the bank. A buffer that finds no room comes first in the next attempt.

        Raises:
            DoesNotFitError: after :data:`_ATTEMPTS` attempts from each of two orders.
        """
        for order in (list(self._buffers), sorted(self._buffers, key=lambda buffer: -buffer.window.size_words)):
            for _ in range(_ATTEMPTS):
                self.bases.clear()
                for buffer in order:
                    bases = self._candidates(buffer, refuse=False)
                    if not bases:
                        break
                    self.bases[buffer] = min(bases)
                else:
                    return
                order.remove(buffer)
                order.insert(0, buffer)
        raise DoesNotFitError

    def _improve(self, cost: Cost) -> None:
        """Move outputs to faster banks where the others leave room."""
        for buffer in self._buffers:
            base = self.bases[buffer]
            if buffer.writers and all(self.bases[partner] != base for partner in self._partners(buffer)):
                bases = sorted({base, *self._candidates(buffer, refuse=False)})
                self.bases[buffer] = self._fastest(buffer, bases, cost)

    def _is_placed(self, run: Run) -> bool:
        """Whether the buffers that a run reads have their places; those of later bands may have none yet."""
        return run.source in self.bases and (run.residual is None or run.residual in self.bases)

    # -- candidates -----------------------------------------------------------------------------------------------

    def _candidates(self, buffer: Buffer, refuse: bool = True) -> list[int]:
        """For each bank the lowest free base in it, and those of buffers that it may share its words with.

        Raises:
            DoesNotFitError: there are none, and ``refuse`` is set.
        """
        words = buffer.window.size_words
        living = self._living(buffer)
        bases = self._free_bases([self._span(other) for other in living], words)
        partners = self._partners(buffer)
        for base in sorted({self.bases[partner] for partner in partners} - set(bases)):
            others = (self._span(other) for other in living if other not in partners or self.bases[other] != base)
            if base + words <= self._words and all(end <= base or base + words <= first for first, end in others):
                bases.append(base)
        if refuse and not bases:
            raise DoesNotFitError
        return bases

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

    def _free_bases(self, taken: Sequence[tuple[int, int]], words: int) -> list[int]:
        """For each bank the lowest base in it at which ``words`` words are free."""
        banks, last = self._banks, self._words - words
        ends = sorted({0, *(end for _, end in taken)})
        bases: list[int] = []
        for bank in range(banks):
            found = (end + (bank - end) % banks for end in ends)
            free = (b for b in found if b <= last and all(b >= end or b + words <= first for first, end in taken))
            bases += islice(free, 1)
        return sorted(bases)


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
    one, other = output.window, residual.window
    same = (one.first_plane, one.planes, one.first_word, one.words) == (
        other.first_plane, other.planes, other.first_word, other.words,
    )  # fmt: skip
    if not same:
        return None
    first = output.writers[0].moment
    for reader in residual.readers:
        if reader.moment >= first and not (reader.output is output and reader.source is not residual):
            return None
    return residual
