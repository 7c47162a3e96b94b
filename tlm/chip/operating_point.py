"""Voltage and frequency: the two published points and the curve through them."""

from __future__ import annotations

PUBLISHED_POINTS_MHZ = {1.1: 534.0, 0.8: 234.0}
"""Core supply in volts -> clock in MHz [P]."""

MIN_VOLTAGE_V, MAX_VOLTAGE_V = 0.75, 1.2
"""Core supply range [P]."""

ALPHA = 1.3
"""Exponent of the alpha-power law, f = k (V - Vt)^alpha / V (Sakurai and Newton 1990); 1.3 is usual at 40 nm [A]."""


def max_frequency_mhz(voltage_v: float) -> float:
    """The clock that a core supply allows, in MHz, rounded down to 1 kHz.

    Exactly the published figures at 0.8 V and 1.1 V [P]; between and beyond them the alpha-power law through
    both points [A]: with ALPHA chosen, the threshold Vt (0.587 V) and k follow.

    Args:
        voltage_v: 0.75..1.2.
    """
    if voltage_v in PUBLISHED_POINTS_MHZ:
        return PUBLISHED_POINTS_MHZ[voltage_v]
    (high_v, high_mhz), (low_v, low_mhz) = PUBLISHED_POINTS_MHZ.items()
    ratio = (high_mhz * high_v / (low_mhz * low_v)) ** (1 / ALPHA)
    threshold_v = (ratio * low_v - high_v) / (ratio - 1)
    k = high_mhz * high_v / (high_v - threshold_v) ** ALPHA
    khz = int(1000 * k * (voltage_v - threshold_v) ** ALPHA / voltage_v)
    return khz / 1000
