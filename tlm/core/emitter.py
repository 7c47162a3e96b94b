"""Events of a model that others listen to without the model's knowing who does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Emitter(Generic[T]):
    """One kind of event. To call it is to tell every listener, in the order in which they came.

    A listener must not change anything in the model; its exception stops the run.
    """

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[T], None], ...] = ()

    def listen(self, listener: Callable[[T], None]) -> None:
        """Call ``listener(event)`` in the cycle of every event."""
        self._listeners += (listener,)

    def __call__(self, event: T) -> None:
        """Tell everybody who listens."""
        for listener in self._listeners:
            listener(event)
