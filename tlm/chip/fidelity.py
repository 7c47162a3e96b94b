"""The models of engine and DMA that exist, named by what is one transaction."""

from __future__ import annotations

import enum


class Fidelity(enum.Enum):
    """How finely the engine and the DMA are modelled; cycles and values are the same."""

    CYCLE = "cycle"
    """Every access, step, drained word and bus beat is a transaction: the clear model."""
    PASS = "pass"
    """A pass and a transfer are one transaction each: the fast model."""


_FORMER_NAMES = {"beat": Fidelity.CYCLE, "burst": Fidelity.PASS}


def renamed(name: object) -> str:
    """What to add to a refusal of a name that a fidelity had before; empty for any other."""
    former = _FORMER_NAMES.get(name) if isinstance(name, str) else None
    return "" if former is None else f"; what was called {name!r} is {former.value!r} now"
