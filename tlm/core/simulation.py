"""A simulation: the root of the modules, and its one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tlm.core.errors import ElaborationError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.probe import Probe
from tlm.core.sockets import Socket


class Simulation(Module):
    """Owns one model and runs it once.

    Modules are made under it and bound to each other; :meth:`run` checks that every socket is bound and
    freezes the topology.
    """

    def __init__(self) -> None:
        super().__init__("", None)
        self._ran = False

    def modules(self) -> Iterator[Module]:
        """Every module, parents first."""
        for child in self.children.values():
            yield from child.walk()

    def sockets(self) -> Iterator[Socket]:
        """Every socket of every module."""
        for module in self.modules():
            yield from (part for part in module.parts.values() if isinstance(part, Socket))

    def probes(self) -> Iterator[Probe[Any]]:
        """Every probe of every module."""
        for module in self.modules():
            yield from (part for part in module.parts.values() if isinstance(part, Probe))

    def elaborate(self) -> None:
        """Check that every socket is bound, and freeze the topology."""
        for socket in self.sockets():
            if socket.peer is None:
                raise ElaborationError(f"{socket.path}: this {socket.direction} socket is not bound to anything")
        self.kernel.start()

    def run(self, until: Callable[[], Activity]) -> None:
        """Run every process until the process ``until()`` ends.

        Raises:
            ElaborationError: a socket is not bound, or this simulation has run before.
            DeadlockError: no event is left, but ``until`` has not ended.
            TlmError: whatever a component raised.
        """
        if self._ran:
            raise ElaborationError("this simulation has run already; build the model anew for another run")
        self._ran = True
        self.elaborate()
        self.kernel.run(until)
