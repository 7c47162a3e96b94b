"""A module: a named part of the model that owns sockets, probes, processes and other modules."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from simpy import Event

from tlm.core.errors import ElaborationError
from tlm.core.observation import Probe

if TYPE_CHECKING:
    from tlm.core.simulation import Simulation
    from tlm.core.sockets import Socket

T = TypeVar("T")

Activity: TypeAlias = Generator[Event, Any, None]
"""A process or a blocking transport: a generator of SimPy events."""

ActivityOf: TypeAlias = Generator[Event, Any, T]
"""A piece of a process that gives back a value: ``value = yield from ...``."""


class Module:
    """Base of every component.

    Args:
        name: unique among the siblings.
        parent: the module that this one is a part of, or the simulation itself.
    """

    def __init__(self, name: str, parent: Module | Simulation) -> None:
        self.name = name
        self.simulation: Simulation = parent.simulation
        self.path: str = f"{parent.path}.{name}" if parent.path else name
        self.children: dict[str, Module] = {}
        self.sockets: dict[str, Socket] = {}
        self.probes: dict[str, Probe[Any]] = {}
        parent.add_child(self)

    def add_child(self, child: Module) -> None:
        """Called by a child's constructor."""
        self._add(self.children, child.name, child)

    def add_socket(self, socket: Socket) -> None:
        """Called by a socket's constructor."""
        self._add(self.sockets, socket.name, socket)

    def add_probe(self, probe: Probe[Any]) -> None:
        """Called by a probe's constructor."""
        self._add(self.probes, probe.name, probe)

    def add_process(self, body: Callable[[], Activity]) -> None:
        """Have ``body()`` run as a process from cycle 0 on."""
        self.simulation.check_not_started(f"{self.path}: a process")
        self.simulation.add_process(body)

    def walk(self) -> Iterator[Module]:
        """This module and everything below it, in order of construction."""
        yield self
        for child in self.children.values():
            yield from child.walk()

    def _add(self, where: dict[str, Any], name: str, item: Any) -> None:
        self.simulation.check_not_started(f"{self.path}.{name}")
        if name in where:
            raise ElaborationError(
                f"{self.path}: there is already something called {name!r} in this module; choose another name"
            )
        where[name] = item
