"""How much goes through a socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor

import numpy as np

from tlm.core.errors import InputError
from tlm.testing.checks import is_whole, limit, nearest_rank
from tlm.testing.expectation import Expectation
from tlm.testing.explain import moment_lines
from tlm.testing.recording import Transaction
from tlm.testing.simulated import Simulated


class Throughput:
    """Bytes per window of cycles; a transaction counts in the cycle of its answer.

    Args:
        run: whose transactions they are.
        served: the transactions; all were served.
        title: what they are, for messages.
        interval: where the first window begins, and where the last one ends.
        window_cycles: length of a window; by default all of it is one window.

    Raises:
        InputError: a window that is no length, or longer than the whole.
    """

    def __init__(
        self,
        run: Simulated,
        served: Sequence[Transaction],
        title: str,
        interval: tuple[int, int],
        window_cycles: int | None,
    ) -> None:
        self._first_cycle, last_cycle = interval
        whole = last_cycle - self._first_cycle + 1
        window = whole if window_cycles is None else window_cycles
        if not is_whole(window) or not 1 <= window <= whole:
            raise InputError(
                f"window_cycles: {window!r} is not allowed; {title} are {whole:,} cycles, "
                f"give a whole number, 1..{whole}"
            )
        self._run = run
        self._served = served
        self._title = title
        self.window_cycles = window
        moved = np.zeros(whole + 1, np.int64)
        for one in served:
            moved[one.end_cycle - self._first_cycle + 1] += one.size_bytes
        total = np.cumsum(moved)
        self._bytes = total[window:] - total[:-window]
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
        most = self._limit(bytes_per_cycle, gb_per_s)
        outside = np.flatnonzero(self._bytes > floor(most * self.window_cycles))
        return self._judge(int(np.argmax(self._bytes)), outside.tolist(), "fullest", f"at most {self._text(most)}")

    def at_least(self, bytes_per_cycle: float | None = None, *, gb_per_s: float | None = None) -> Expectation:
        """No window has less; arguments as of :meth:`at_most`."""
        least = self._limit(bytes_per_cycle, gb_per_s)
        outside = np.flatnonzero(self._bytes < ceil(least * self.window_cycles))
        return self._judge(int(np.argmin(self._bytes)), outside.tolist(), "emptiest", f"at least {self._text(least)}")

    def _judge(self, worst: int, outside: list[int], which: str, expected: str) -> Expectation:
        """Of windows by their first cycle: the worst, and those that are not as expected."""
        claim = (
            f"throughput {self._title} is {self._text(self._rate(int(self._bytes[worst])))} in the {which} window of "
            f"{self.window_cycles:,} cycles, expected {expected}"
        )
        moment = self._first_cycle + outside[0] if outside else None
        return Expectation(self._run, not outside, claim, moment, lambda _: self._explain(worst, outside))

    def _explain(self, worst: int, outside: list[int]) -> Iterator[str]:
        begin = self._first_cycle + outside[0]
        end = begin + self.window_cycles - 1
        yield f"{len(outside):,} of {len(self._bytes):,} windows are outside"
        yield f"the first is cycles {begin:,} .. {end:,} with {int(self._bytes[outside[0]]):,} bytes"
        yield f"the worst begins in cycle {self._first_cycle + worst:,} with {int(self._bytes[worst]):,} bytes"
        inside = [one for one in self._served if begin <= one.begin_cycle <= end]
        if inside:
            yield f"in the first window {len(inside):,} transactions begin, the first of them:"
            yield f"  {inside[0]}"
        else:
            yield "no transaction begins in the first window"
        yield from moment_lines(self._run, begin)

    def _rate(self, moved_bytes: int) -> Fraction:
        return Fraction(moved_bytes, self.window_cycles)

    def _limit(self, bytes_per_cycle: float | None, gb_per_s: float | None) -> Fraction:
        if (bytes_per_cycle is None) == (gb_per_s is None):
            raise InputError("throughput: give one of bytes_per_cycle and gb_per_s")
        if bytes_per_cycle is not None:
            return _exact(limit("bytes_per_cycle", bytes_per_cycle))
        return _exact(limit("gb_per_s", gb_per_s or 0.0)) * 10**6 / self._run.result.chip.clock_khz

    def _text(self, rate: Fraction) -> str:
        gb_per_s = float(rate * self._run.result.chip.clock_khz / 10**6)
        return f"{float(rate):.3f} bytes a cycle ({gb_per_s:.3f} GB/s)"


def _exact(number: float) -> Fraction:
    """As it is written: 3.2 is 16/5."""
    return Fraction(str(float(number)))
