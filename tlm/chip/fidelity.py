"""The existing models of engine and DMA, named by what one transaction stands for."""

from __future__ import annotations

import enum


class Fidelity(enum.Enum):
    """The detail of the models of engine and DMA; cycles and values are the same in all."""

    CYCLE = "cycle"
    """Every access, step, drained word and bus beat is a transaction."""
    PASS = "pass"
    """A pass and a transfer are one transaction each, or a layer, where nobody watches passes."""
    RTL = "rtl"
    """The engine is a circuit, compiled by Verilator; the DMA is that of "cycle"."""


class DataFlow(enum.Enum):
    """How values move through the data path in fidelity "pass"; cycles, values and counts are the same in all."""

    PASSES = "passes"
    """Pass by pass, each at its time: what observers of passes, and flipped bits, need."""
    LAYERS = "layers"
    """All of a layer at once: read when its first pass starts, written in the cycle of its last write."""
    NONE = "none"
    """Not at all: there are only cycles."""


_FORMER_NAMES = {"beat": Fidelity.CYCLE, "burst": Fidelity.PASS}


def renamed(name: object) -> str:
    """A hint for the error message if ``name`` is a fidelity's former name; empty for any other."""
    former = _FORMER_NAMES.get(name) if isinstance(name, str) else None
    return "" if former is None else f"; what was called {name!r} is {former.value!r} now"
