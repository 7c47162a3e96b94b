"""A module: a named part of the model that owns sockets, probes, processes and other modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from tlm.core.errors import ElaborationError
from tlm.core.kernel import Activity, Kernel

Named = TypeVar("Named", "Module", "Part")


class Part:
    """A socket or a probe: the visible part of a module.

    Args:
        owner: the module.
        name: unique among the owner's parts.
    """

    def __init__(self, owner: Module, name: str) -> None:
        self.owner = owner
        self.name = name
        self.path = f"{owner.path}.{name}"
        """Hierarchical name, such as ``dma.load.state``."""
        owner.add_part(self)


class Module:
    """Base of every component.

    Args:
        name: unique among the siblings.
        parent: the module that contains this one; only the simulation has none.
    """

    def __init__(self, name: str, parent: Module | None) -> None:
        self.name = name
        self.kernel: Kernel = Kernel() if parent is None else parent.kernel
        self.clock = self.kernel.clock
        self.path: str = f"{parent.path}.{name}" if parent is not None and parent.path else name
        self.children: dict[str, Module] = {}
        self.parts: dict[str, Part] = {}
        if parent is not None:
            parent.add_child(self)

    def add_child(self, child: Module) -> None:
        """Called by a child's constructor."""
        self._add(self.children, child)

    def add_part(self, part: Part) -> None:
        """Called by a socket's or probe's constructor."""
        self._add(self.parts, part)

    def add_process(self, body: Callable[[], Activity]) -> None:
        """Have ``body()`` run as a process from cycle 0 on."""
        self.kernel.check_not_started(f"{self.path}: a process" if self.path else "a process")
        self.kernel.add_process(body)

    def walk(self) -> Iterator[Module]:
        """This module and everything below it, in order of construction."""
        yield self
        for child in self.children.values():
            yield from child.walk()

    def _add(self, where: dict[str, Named], item: Named) -> None:
        self.kernel.check_not_started(item.path)
        if item.name in where:
            raise ElaborationError(
                f"{self.path or 'simulation'}: there is already something called {item.name!r} in this module; "
                "choose another name"
            )
        where[item.name] = item
