"""Probes: values that a component publishes for observers that it does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tlm.core.module import Module, Part

T = TypeVar("T")


class Probe(Part, Generic[T]):
    """A value that a component publishes (its state, an address).

    Setting an unwatched probe is an attribute store. Watchers are called only when the value changes.
    """

    def __init__(self, owner: Module, name: str, initial: T) -> None:
        super().__init__(owner, name)
        self.value = initial
        """The value that the component published last."""
        self.watched = False
        """Whether anybody watches, for components that would only make a value for watchers."""
        self._observers: tuple[Callable[[Probe[T]], None], ...] = ()

    def observe(self, observer: Callable[[Probe[T]], None]) -> None:
        """Call ``observer(probe)`` in the cycle of every change."""
        self._observers += (observer,)
        self.watched = True
        self.__class__ = _WatchedProbe


class _WatchedProbe(Probe[T]):
    """What a probe becomes when it is watched: from then on its value is a property that tells of changes."""

    @property
    def value(self) -> T:
        return self.__dict__["value"]  # type: ignore[no-any-return]

    @value.setter
    def value(self, value: T) -> None:
        if value != self.__dict__["value"]:
            self.__dict__["value"] = value
            for observer in self._observers:
                observer(self)
