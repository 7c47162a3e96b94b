"""What sentences need of a run, of a piece of it and of chosen transactions; the classes stand above the sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tlm.observe.cause_spans import CauseSpan
from tlm.results.result import LayerResult, Result
from tlm.testing.recipe import Recipe


class Subject(Protocol):
    """A run (:class:`tlm.testing.run.Run`)."""

    recipe: Recipe
    result: Result
    last_cycle: int

    @property
    def trace(self) -> Any:
        """All transactions."""

    @property
    def cause_spans(self) -> list[CauseSpan]:
        """The account as a sequence."""

    @property
    def cause_cycles(self) -> list[CauseSpan]:
        """The same with the cycles within passes told apart."""

    @property
    def transfers(self) -> Sequence[Any]:
        """Every transfer of the DMA."""

    @property
    def order_of_parts(self) -> list[int]:
        """Tags of all parts of layers in the order of execution."""

    def layer(self, name: str) -> Any:
        """A layer."""

    def account(self) -> dict[str, int]:
        """Cause -> cycles of the whole run."""

    def place_of(self, span: CauseSpan) -> str:
        """Where in the network cycles belong, in words."""

    def layer_at(self, cycle: int) -> str | None:
        """The layer that is computed in a cycle, or next."""

    def on(self, changes: dict[str, Any]) -> Any:
        """The run on another chip, or None."""


class Piece(Protocol):
    """Something that a run did (:class:`tlm.testing.stretch.Stretch`)."""

    run: Any
    name: str
    first_cycle: int
    last_cycle: int

    @property
    def cycles(self) -> int:
        """What it took."""

    @property
    def engine_only(self) -> bool:
        """Only the engine decides what it takes."""

    def account(self) -> dict[str, int]:
        """Cause -> cycles."""

    def counterpart(self, other: Any) -> Any:
        """The same of another run."""


class WholeRun(Subject, Piece, Protocol):
    """A run is a piece of itself."""


class Layer(Piece, Protocol):
    """A layer of a run."""

    figures: LayerResult
