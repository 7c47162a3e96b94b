"""Published figures [P] (docs/chip.md: poster and press release), and what their rounding allows [D].

Supply voltage, clock and power of both operating points are in :mod:`tlm.chip.operating_point`, the sizes of array and
memories are defaults of :class:`tlm.chip.config.ChipConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from tlm.chip.config import ChipConfig
from tlm.chip.operating_point import PUBLISHED_POINTS_MHZ, PUBLISHED_POWER_MW

FAST_V, FRUGAL_V = 1.1, 0.8
"""Core supply of the two published operating points, V [P]."""

TOPS = "1.07"
"""At 1.1 V [P]; none is published for 0.8 V."""

TOPS_PER_W: Mapping[float, str] = {FAST_V: "3.03", FRUGAL_V: "5.30"}
"""Core supply in volts -> TOPS/W, unpruned [P]; digits as published, since they say how it was rounded."""

SPARSE_TOPS_PER_W = "26.5"
"""At 0.8 V, "assuming the model is pruned to 1/9" [P]."""

MULTIPLIERS = 32 * 32
"""Of the MAC array [P]."""

GATES_K = 746
"""Gates of the logic, thousands [P]."""

LOGIC_MM2 = "0.9"
"""Area of the logic [P]."""

MEMORY_MBIT: Mapping[str, int] = {"amem": 2, "wmem": 2, "imem": 1}
"""Memory -> capacity, Mb of 2^20 bit [P]; 5 Mb together [P]."""

PRUNED_SHARE = "0.88"
"""Of "a randomly pruned model (after 88% pruning)" [P]."""

CAPACITY_CHANGE = "-88"
"""Weight capacity against the base ResNet-18, % [P]."""

ROUNDED_MACS = 1000
"""The other reading of the published figures: 32 x 32 multipliers counted as 1,000 (docs/chip.md)."""


class Interval(NamedTuple):
    """Closed interval of exact values."""

    low: Fraction
    high: Fraction

    def __contains__(self, value: object) -> bool:
        """Whether a number lies in it, ends included."""
        assert isinstance(value, (int, float, Fraction))
        return bool(self.low <= value <= self.high)


def rounded(digits: str) -> Interval:
    """What a published figure may stand for: half a unit of its last digit to either side."""
    _, _, decimals = digits.partition(".")
    half = Fraction(1, 2 * 10 ** len(decimals))
    return Interval(Fraction(digits) - half, Fraction(digits) + half)


class ShareOfPeak(NamedTuple):
    """Share of the arithmetic peak that the published figures of one operating point allow [D], 0..1."""

    by_efficiency: Interval
    """TOPS/W times power over the peak."""
    by_all: Interval
    """With the published TOPS as well, where there is one."""


def share_of_peak(voltage_v: float) -> ShareOfPeak:
    """From the published TOPS/W, mW, MHz and TOPS of a point, each within its rounding (docs/chip.md, Derived)."""
    operations = Fraction(2 * ChipConfig().peak_macs_per_cycle, 10**6)
    mhz, tops = rounded(f"{PUBLISHED_POINTS_MHZ[voltage_v]:g}"), rounded(TOPS)
    low_peak, high_peak = operations * mhz.low, operations * mhz.high  # TOPS
    efficiency, mw = rounded(TOPS_PER_W[voltage_v]), rounded(f"{PUBLISHED_POWER_MW[voltage_v]:g}")
    low = efficiency.low * mw.low / 1000 / high_peak
    high = efficiency.high * mw.high / 1000 / low_peak
    by_efficiency = by_all = Interval(low, high)
    if voltage_v == FAST_V:
        by_all = Interval(max(low, tops.low / high_peak), min(high, tops.high / low_peak))
    return ShareOfPeak(by_efficiency, by_all)


def pass_lengths(overhead_cycles: Fraction, share: Interval) -> tuple[int, int]:
    """Fewest and most steps that, with so many cycles more, keep to a share a of the peak: o a / (1 - a)."""
    low, high = (overhead_cycles * end / (1 - end) for end in share)
    return -int(-low // 1), int(high // 1)


def ideal_gain(taps: int) -> Fraction:
    """What pruning to ``taps`` of 9 saves in a PW-DW-PW block: 10 / (1 + taps) (docs/chip.md, Derived [D])."""
    return Fraction(10, 1 + taps)


def ideal_tops_per_w(taps: int, voltage_v: float) -> float:
    """Ideal arithmetic [D]: the published unpruned TOPS/W times the gain; 26.5 at 0.8 V and one tap."""
    return float(Fraction(TOPS_PER_W[voltage_v]) * ideal_gain(taps))
