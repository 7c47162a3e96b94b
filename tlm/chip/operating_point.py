"""Voltage, frequency and power: the two published points and the curves through them."""

from __future__ import annotations

from fractions import Fraction

from msgspec import Struct

PUBLISHED_POINTS_MHZ = {1.1: 534.0, 0.8: 234.0}
"""Core supply in volts -> clock in MHz [P]."""

PUBLISHED_POWER_MW = {1.1: 352.0, 0.8: 88.0}
"""Core supply in volts -> power at the clock above, mW [P]."""

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


class PowerFit(Struct, frozen=True):
    """P = C V^2 f + I V, exact fractions (chip.md, Derived)."""

    switched_pf: Fraction
    """C: capacitance that a busy chip switches in a cycle, pF."""
    leakage_ma: Fraction
    """I: leakage current, taken as the same at every supply, mA."""

    def power_mw(self, voltage_v: float, frequency_mhz: float) -> float:
        """Power of the busy chip in mW, leakage included."""
        volts = Fraction(str(voltage_v))
        return float(self.switched_pf * volts**2 * Fraction(str(frequency_mhz)) / 1000 + self.leakage_ma * volts)


def power_fit() -> PowerFit:
    """The fit through both published points (calibrated; its form is assumed [A]): 524.7 pF and 11.8 mA.

    P / V is a straight line over V f: its slope is C, its value at 0 is I.
    """
    (high_v, high_mw), (low_v, low_mw) = (
        (Fraction(str(volts)), Fraction(str(power))) for volts, power in PUBLISHED_POWER_MW.items()
    )
    high_mhz, low_mhz = (Fraction(str(PUBLISHED_POINTS_MHZ[volts])) for volts in PUBLISHED_POWER_MW)
    slope = (high_mw / high_v - low_mw / low_v) / (high_v * high_mhz - low_v * low_mhz)
    return PowerFit(switched_pf=1000 * slope, leakage_ma=low_mw / low_v - slope * low_v * low_mhz)
