"""What can be watched, without the watched component knowing: phases at sockets and values of probes."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from tlm.core.module import Module
    from tlm.core.payload import Payload
    from tlm.core.sockets import InitiatorSocket

T = TypeVar("T")


class Phase(enum.Enum):
    """TLM-2.0's four moments of a transaction, seen at the socket where it starts."""

    BEGIN_REQ = "begin request"
    """The initiator has sent the payload."""
    END_REQ = "end request"
    """The target has accepted it; at the latest just before BEGIN_RESP."""
    BEGIN_RESP = "begin response"
    """The target has answered."""
    END_RESP = "end response"
    """The initiator has the answer."""


PhaseObserver: TypeAlias = "Callable[[Phase, InitiatorSocket[Any], Payload], None]"
"""Called in the cycle of the phase. An observer must not change anything; its exception stops the run."""


class Probe(Generic[T]):
    """A value that a component publishes (its state, an address) for whoever watches.

    Setting an unwatched probe costs an attribute store. Watchers are called only when the value changes.
    """

    __slots__ = ("_observers", "_value", "name", "owner")

    def __init__(self, owner: Module, name: str, initial: T) -> None:
        self.owner = owner
        self.name = name
        self._value = initial
        self._observers: tuple[Callable[[Probe[T]], None], ...] = ()
        owner.add_probe(self)

    @property
    def path(self) -> str:
        """Hierarchical name, such as ``chip.dma.load.state``."""
        return f"{self.owner.path}.{self.name}"

    @property
    def value(self) -> T:
        """What the component published last."""
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        if value != self._value:
            self._value = value
            for observer in self._observers:
                observer(self)

    def observe(self, observer: Callable[[Probe[T]], None]) -> None:
        """Call ``observer(probe)`` in the cycle of every change."""
        self._observers += (observer,)
