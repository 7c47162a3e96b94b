"""A mapped netlist as Yosys writes it (BLIF with gates), and the longest path through it.

A path starts at a flip-flop's clock, an input or an SRAM macro's output, and ends at a flip-flop's data, an output or a
macro's input. Each cell on it takes its arc's delay (``liberty``); a wire takes nothing, and no buffer is added.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tlm.core.errors import SimulationError
from tlm.hardware.liberty import Library


@dataclass
class Model:
    """One module: cells, instances of other modules, and nets that are one another."""

    name: str
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    gates: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Cell or module, and the net of each pin."""
    joined: list[tuple[str, str]] = field(default_factory=list)
    """Source and sink."""


def read_blif(text: str) -> dict[str, Model]:
    """Module -> contents, in the file's order."""
    models: dict[str, Model] = {}
    for line in text.replace("\\\n", " ").splitlines():
        words = line.split()
        if line.startswith(".model"):
            model = models[words[1]] = Model(words[1])
        elif line.startswith(".inputs"):
            model.inputs += words[1:]
        elif line.startswith(".outputs"):
            model.outputs += words[1:]
        elif line.startswith((".gate", ".subckt")):
            model.gates.append((words[1], dict(pin.split("=", 1) for pin in words[2:])))
        elif line.startswith(".conn"):
            model.joined.append((words[1], words[2]))
    return models


def count_cells(models: Mapping[str, Model], module: str, library: Library) -> Counter[str]:
    """How often each cell of a library is in a module and in the modules inside it."""
    kinds = Counter(kind for kind, _ in models[module].gates)
    cells = Counter({kind: count for kind, count in kinds.items() if kind in library.cells})
    for kind in kinds.keys() & models.keys():
        inner = count_cells(models, kind, library)
        cells += Counter({cell: kinds[kind] * count for cell, count in inner.items()})
    return cells


class Path(NamedTuple):
    """The longest way: its delay in the library's unit, and where it starts and ends."""

    delay: float
    start: str
    end: str


def longest_path(models: Mapping[str, Model], top: str, library: Library) -> Path:
    """Of a module with all that is in it.

    Raises:
        SimulationError: a combinational loop.
    """
    graph = _Graph(library)
    graph.add(models, models[top], "", {})
    return graph.longest(models[top].outputs)


class _Graph:
    """Nets and the arcs between them."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.arcs: dict[str, list[tuple[str, float]]] = {}
        self.waits: Counter[str] = Counter()
        """Net -> arcs that lead to it."""
        self.starts: dict[str, float] = {}
        """Net of a flip-flop's output -> delay from the clock."""
        self.ends: list[tuple[str, str]] = []
        """Net that a path ends at, and what is there."""

    def add(self, models: Mapping[str, Model], model: Model, prefix: str, bound: Mapping[str, str]) -> None:
        """A module's contents, its ports bound to nets of the one around it."""

        def net(name: str) -> str:
            return bound.get(name) or prefix + name

        for source, sink in model.joined:
            self._arc(net(source), net(sink), 0.0)
        for number, (kind, pins) in enumerate(model.gates):
            nets = {pin: net(name) for pin, name in pins.items()}
            cell = self.library.cells.get(kind)
            if cell is None and kind in models:
                inner = models[kind]
                place = f"{prefix}{number}/"
                self.add(models, inner, place, {port: nets.get(port, place + port) for port in _ports(inner)})
            elif cell is None:
                self.ends += [(name, f"{kind} {_word(pin)}") for pin, name in nets.items()]
            else:
                for (source, sink), delay in cell.arcs.items():
                    if sink in nets and cell.is_flip_flop:
                        self.starts[nets[sink]] = max(delay, self.starts.get(nets[sink], 0.0))
                        self.ends += [
                            (name, _word(nets[sink])) for pin, name in nets.items() if pin not in (source, sink)
                        ]
                    elif sink in nets and source in nets:
                        self._arc(nets[source], nets[sink], delay)

    def _arc(self, source: str, sink: str, delay: float) -> None:
        self.arcs.setdefault(source, []).append((sink, delay))
        self.waits[sink] += 1

    def longest(self, outputs: list[str]) -> Path:
        """Arrival times in topological order."""
        arrival = dict.fromkeys(self.arcs, 0.0) | self.starts
        origin = {net: net for net in arrival}
        waits = self.waits.copy()
        ready = [net for net in self.arcs if not waits[net]]
        done = 0
        while ready:
            net = ready.pop()
            for sink, delay in self.arcs.get(net, ()):
                done += 1
                if arrival[net] + delay >= arrival.get(sink, 0.0):
                    arrival[sink], origin[sink] = arrival[net] + delay, origin[net]
                waits[sink] -= 1
                if not waits[sink]:
                    ready.append(sink)
        if done < self.waits.total():
            raise SimulationError("synthesis: the circuit has a combinational loop")
        ends = [*self.ends, *((net, _word(net)) for net in outputs)]
        found = max(((arrival.get(net, 0.0), net, name) for net, name in ends), default=(0.0, "", ""))
        return Path(found[0], _word(origin.get(found[1], found[1])), found[2])


def _ports(model: Model) -> Iterator[str]:
    yield from model.inputs
    yield from model.outputs


def _word(net: str) -> str:
    """A bit's whole signal, without where it is instantiated."""
    return re.sub(r"\[\d+\]$", "", net.rpartition("/")[2].lstrip("\\$"))
