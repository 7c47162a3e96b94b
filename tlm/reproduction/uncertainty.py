"""How far the assumed split of energy over events moves a figure, the published points staying as they are.

Each dynamic entry of the table is varied on its own between bounds, and all of them are normalised again, so that the
dense pass keeps its published power. A run's energy is then a quotient of two sums that are linear in the entries; its
extremes lie where each entry is at one of its bounds, and those that rise are the ones whose share of the run is
largest against their share of the dense pass. So the extremes are exact, and few cases have to be tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from tlm.observe.energy_table import ENTRIES, OFF_CHIP, dense_pass_events

FACTOR = 2
"""Every entry may be so many times smaller or larger [A]. CACTI's figures for the SRAMs are uncertain by a factor of 2
to 4 from end to end (docs/energy.md); the other entries are estimates that are no better."""

BOUNDS = (Fraction(1, FACTOR), Fraction(FACTOR))

_VARIED = tuple(entry.key for entry in ENTRIES if entry.is_normalised)
_FIXED = tuple(entry.key for entry in ENTRIES if not entry.is_normalised and entry.component != OFF_CHIP)


def energy_range_aj(events: Mapping[str, int], per_event_aj: Mapping[str, int]) -> tuple[Fraction, Fraction]:
    """Least and most energy of the core that events may take, attojoules.

    Args:
        events: key of the table -> how many.
        per_event_aj: what one takes as the table stands, at the run's operating point, on the published chip.
    """
    dense = dense_pass_events()
    of_run = {key: events.get(key, 0) * per_event_aj[key] for key in _VARIED}
    of_dense = {key: dense.get(key, 0) * per_event_aj[key] for key in _VARIED}
    fixed = sum(events.get(key, 0) * per_event_aj[key] for key in _FIXED)
    rising = sorted(_VARIED, key=lambda key: of_run[key] / of_dense[key] if of_dense[key] else math.inf)

    def energy(first: int, below: Fraction, above: Fraction) -> Fraction:
        """With the entries before ``first`` at one bound, the others at the other one."""
        factors = {key: below if index < first else above for index, key in enumerate(rising)}
        run, whole = (sum(part[key] * factors[key] for key in rising) for part in (of_run, of_dense))
        return Fraction(sum(of_dense.values())) * run / whole + fixed

    cuts = range(len(rising) + 1)
    low, high = BOUNDS
    return min(energy(cut, high, low) for cut in cuts), max(energy(cut, low, high) for cut in cuts)
