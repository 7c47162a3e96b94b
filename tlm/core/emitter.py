"""Events of a model, for listeners that the model does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Emitter(Generic[T]):
    """One kind of event. Calling it calls every listener, in the order of registration.

    A listener must not change anything in the model; its exception stops the run.
    """

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[T], None], ...] = ()

    def listen(self, listener: Callable[[T], None]) -> None:
        """Call ``listener(event)`` in the cycle of every event."""
        self._listeners += (listener,)

    def __call__(self, event: T) -> None:
        """Call every listener with ``event``."""
        for listener in self._listeners:
            listener(event)
