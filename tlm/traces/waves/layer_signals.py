"""A scope for each layer: when it was on the engine, and its figures as they grow. A reader needs nothing else.

The scopes are numbered in the order of execution, since viewers sort them by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vcd.writer import Variable

from tlm.compiler.program import Program
from tlm.traces.waves.variables import Variables

SCOPE = "layers"


@dataclass(frozen=True, slots=True)
class LayerSignals:
    """The variables of one layer."""

    active: Variable[Any]
    """From s_0 of a part to its last write."""
    passes: Variable[Any]
    """Passes that have been handed over."""
    steps: Variable[Any]
    """Their steps: cycles in which the array got work."""
    bank_conflict_cycles: Variable[Any]
    """Cycles beyond one a step that their fetches took."""
    load_bytes: Variable[Any]
    """Of the transfers for it that have ended."""
    store_bytes: Variable[Any]


def layer_scope(index: int, name: str) -> str:
    """Scope of a layer: its number and its name, as far as a scope can hold it."""
    return f"{SCOPE}.L{index:02d}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"


def layer_signals(variables: Variables, program: Program) -> list[LayerSignals]:
    """Declare the variables of all layers, in the order of the network."""
    found = []
    for index, layer in enumerate(program.network.layers):
        scope = layer_scope(index, layer.name)
        variables.text(scope, "name", layer.name)
        counters = [
            variables.integer(scope, key)
            for key in ("passes", "steps", "bank_conflict_cycles", "load_bytes", "store_bytes")
        ]
        found.append(LayerSignals(variables.bits(scope, "active"), *counters))
    return found
