"""Colours of figures. A colour belongs to a role, in all figures; tlm.observe.causes has those of causes.

Computing is green, moving data blue, and what keeps the array from computing red, orange or yellow. They differ by
lightness too, so that colour-blind readers can tell them apart (a test works that out).
"""

from __future__ import annotations

from collections.abc import Mapping

from tlm.observe.causes import CAUSES as CAUSE_TABLE

CAUSES: Mapping[str, str] = {key: cause.colour for key, cause in CAUSE_TABLE.items()}
"""Cause of the account -> colour, in the order in which bars are stacked."""

SRAMS: Mapping[str, str] = {"wmem": "#08519c", "amem": "#4292c6", "imem": "#9ecae1"}
"""Memory that data move to or from -> colour."""

COMPONENTS: Mapping[str, str] = {
    "mac_array": "#009e73",
    "aligner": "#66c9a8",
    "requantiser": "#d8f5c8",
    "clock": "#606060",
    "leakage": "#d9d9d9",
    "amem": SRAMS["amem"],
    "wmem": SRAMS["wmem"],
    "imem": SRAMS["imem"],
    "interconnect": "#6a6fc9",
}
"""Component of the core's energy -> colour, in the order in which bars are stacked."""

CORE, OFF_CHIP = "#1f7f8f", "#1a2a6c"
"""Of the core as a whole, and of off-chip memory."""

HOST_RUNS = "#404040"
SLEEPS: Mapping[str, str] = {"engine": "#d5ece4", "load": "#d6e6f4", "store": "#b9c9e8"}
"""Unit that the host sleeps for -> colour."""

LAYERS = ("#00614a", "#2fb58d", "#008763", "#86d3b8")
"""Of layers on the engine in turn, so that neighbours differ."""

_LIGHT = 150


def ink_on(colour: str) -> str:
    """Black or white, whichever can be read on a colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < _LIGHT else "#202020"
