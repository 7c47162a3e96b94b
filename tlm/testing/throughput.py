"""How much goes through a socket."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from tlm.core.errors import InputError
from tlm.testing.expectation import Expectation, Verdict
from tlm.testing.explain import moment_lines
from tlm.testing.limits import is_whole, limit, nearest_rank
from tlm.testing.recording import Column


class Throughput:
    """Bytes per window of cycles; a transaction counts in the cycle of its answer.

    Args:
        of: transactions that were served.
        first_cycle: where the first window begins.
        last_cycle: where the last window ends.
        window_cycles: its length; by default all of it is one window.

    Raises:
        InputError: a window that is no length, or longer than the whole.
    """

    def __init__(self, of: Any, first_cycle: int, last_cycle: int, window_cycles: int | None) -> None:
        whole = last_cycle - first_cycle + 1
        window = whole if window_cycles is None else window_cycles
        if not is_whole(window) or not 1 <= window <= whole:
            raise InputError(
                f"window_cycles: {window!r} is not allowed; {of.title} are {whole:,} cycles, "
                f"give a whole number, 1..{whole}"
            )
        self._of = of
        self._first_cycle = first_cycle
        self.window_cycles = window
        moved = np.zeros(whole + 1, np.int64)
        np.add.at(moved, of.recording.end_cycle[of.rows] - first_cycle + 1, of.recording.size_bytes[of.rows])
        total = np.cumsum(moved)
        self._bytes: Column = total[window:] - total[:-window]
        """Of each window, by its first cycle."""

    @property
    def max_bytes_per_cycle(self) -> float:
        """In the fullest window."""
        return float(self._rate(int(self._bytes.max())))

    @property
    def min_bytes_per_cycle(self) -> float:
        """In the emptiest window."""
        return float(self._rate(int(self._bytes.min())))

    def percentile_bytes_per_cycle(self, percent: float) -> float:
        """What ``percent`` of the windows do not exceed (nearest rank)."""
        return float(self._rate(int(np.sort(self._bytes)[nearest_rank(percent, len(self._bytes))])))

    def at_most(self, bytes_per_cycle: float | None = None, *, gb_per_s: float | None = None) -> Expectation:
        """No window has more.

        Args:
            bytes_per_cycle: the limit, either so ..
            gb_per_s: .. or in 1e9 bytes a second at the run's clock.
        """
        limit = self._limit(bytes_per_cycle, gb_per_s)
        return self._judge(int(np.argmax(self._bytes)), limit, above=True)

    def at_least(self, bytes_per_cycle: float | None = None, *, gb_per_s: float | None = None) -> Expectation:
        """No window has less; arguments as of :meth:`at_most`."""
        limit = self._limit(bytes_per_cycle, gb_per_s)
        return self._judge(int(np.argmin(self._bytes)), limit, above=False)

    def _judge(self, worst: int, limit: Fraction, above: bool) -> Expectation:
        rate = self._rate(int(self._bytes[worst]))
        holds = rate <= limit if above else rate >= limit
        bound = float(limit * self.window_cycles)
        outside = np.flatnonzero(self._bytes > bound if above else self._bytes < bound)
        begin = self._first_cycle + (int(outside[0]) if len(outside) else worst)
        claim = (
            f"throughput {self._of.title} is {self._text(rate)} in the {'fullest' if above else 'emptiest'} window of "
            f"{self.window_cycles:,} cycles, expected {'at most' if above else 'at least'} {self._text(limit)}"
        )
        verdict = Verdict(holds, claim, begin, lambda: self._explain(begin, worst, len(outside)))
        return Expectation(self._of.run, verdict)

    def _explain(self, begin: int, worst: int, outside: int) -> Iterator[str]:
        moved = int(self._bytes[begin - self._first_cycle])
        end = begin + self.window_cycles - 1
        yield f"{outside:,} of {len(self._bytes):,} windows are outside"
        yield f"the first is cycles {begin:,} .. {end:,} with {moved:,} bytes"
        yield f"the worst begins in cycle {self._first_cycle + worst:,} with {int(self._bytes[worst]):,} bytes"
        inside = self._of.between(begin, end)
        if len(inside):
            yield f"in the first window {len(inside):,} transactions begin, the first of them:"
            yield f"  {inside[0]}"
        else:
            yield "no transaction begins in the first window"
        yield from moment_lines(self._of.run, begin)

    def _rate(self, moved_bytes: int) -> Fraction:
        return Fraction(moved_bytes, self.window_cycles)

    def _limit(self, bytes_per_cycle: float | None, gb_per_s: float | None) -> Fraction:
        if (bytes_per_cycle is None) == (gb_per_s is None):
            raise InputError("throughput: give one of bytes_per_cycle and gb_per_s")
        if bytes_per_cycle is not None:
            return _exact(limit("bytes_per_cycle", bytes_per_cycle))
        clock_khz: int = self._of.run.result.chip.clock_khz
        return _exact(limit("gb_per_s", gb_per_s or 0.0)) * 10**6 / clock_khz

    def _text(self, rate: Fraction) -> str:
        gb_per_s = float(rate * self._of.run.result.chip.clock_khz / 10**6)
        return f"{float(rate):.3f} bytes a cycle ({gb_per_s:.3f} GB/s)"


def _exact(number: float) -> Fraction:
    """As it is written: 3.2 is 16/5."""
    return Fraction(str(float(number)))
