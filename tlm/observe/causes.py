"""The causes of cycles (docs/account.md): one table of their order, words and colours, for all that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tlm.chip.format.driver import SramName


class Wait(NamedTuple):
    """Who waits for whom, and why."""

    waiter: str
    target: str
    reason: str


class Cause(NamedTuple):
    """How a cause is shown."""

    colour: str
    """In figures: computing is green; what keeps the array from it is red, orange or yellow, or
    blue if the DRAM does."""
    brief: str
    """What happens in such a cycle, in a few words."""
    wait: Wait | None = None
    """None if nobody waits."""


CAUSES: Mapping[str, Cause] = {
    "computing": Cause("#009e73", "steps enter the array"),
    "bank_conflict": Cause(
        "#d99000",
        "words of a step share a bank",
        Wait("engine.aligner", "engine.amem", "words of one step lie in the same bank"),
    ),
    "instruction": Cause(
        "#fff8cc",
        "pattern words without a tap",
        Wait("engine.mac_array", "engine.sequencer", "pattern words without a valid tap"),
    ),
    "pipeline": Cause(
        "#ffdd80",
        "emptied between passes",
        Wait("engine.sequencer", "aligner, mac_array and requantiser", "the pipeline empties after a pass"),
    ),
    "parameters": Cause(
        "#7a2f5a",
        "read for a new group",
        Wait("engine.mac_array", "engine.sequencer", "it reads the parameters of the next group of channels"),
    ),
    "write_back": Cause(
        "#a04a3a",
        "the pass before was not written",
        Wait("engine.mac_array", "engine.requantiser", "outputs are not yet written back to engine.amem"),
    ),
    "drain": Cause(
        "#ffdd00",
        "last pass of a layer written",
        Wait("engine.sequencer", "engine.requantiser", "it writes the last pass of the layer to engine.amem"),
    ),
    "weights": Cause(
        "#b23000",
        "loaded into WMem",
        Wait("engine", "dma.load", "weights are on their way to engine.wmem"),
    ),
    "activations": Cause(
        "#ff8fa3",
        "loaded into AMem, or stored",
        Wait("engine", "dma.load or dma.store", "activations are on their way to or from engine.amem"),
    ),
    "instructions": Cause(
        "#6b0700",
        "headers read, loaded into IMem",
        Wait("engine.mac_array", "engine.sequencer or dma.load", "headers, first parameters, or loading them"),
    ),
    "refresh": Cause(
        "#0000c3",
        "a load or store held by a refresh",
        Wait("engine", "memory", "the rows of a rank are closed and refreshed"),
    ),
    "row": Cause(
        "#5a96ff",
        "a load or store held by its row",
        Wait("engine", "memory", "the row of an access is opened, and another one closed before"),
    ),
    "host": Cause(
        "#4c001f",
        "registers and interrupts",
        Wait("engine", "host", "register accesses, and the way from an interrupt to the next instruction"),
    ),
}
"""Key of the account -> how it is shown, in the order of the account: the array's causes, then those of waits."""

WAITS: Mapping[str, Wait] = {key: cause.wait for key, cause in CAUSES.items() if cause.wait is not None}
"""The causes in which somebody waits for somebody: all but computing."""

DRAM_WAITS = ("refresh", "row")
"""The causes that only runs with DRAM have."""

FILLS: Mapping[SramName, str] = {
    SramName.WMEM: "weights", SramName.AMEM: "activations", SramName.IMEM: "instructions"
}  # fmt: skip
"""SRAM -> cause of a wait for a load into it, which is also what the SRAM holds."""


def words(key: str) -> str:
    """A cause, or another key, as text."""
    return key.replace("_", " ")
