"""A simulated run, and how it is made: again, recorded, with a waveform, or on another chip."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeAlias

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.core.errors import TlmError
from tlm.network.network import Network
from tlm.observe.cause_spans import CauseSpan, cause_spans
from tlm.observe.watched import Watched
from tlm.results.result import Result
from tlm.runs.simulate import simulate
from tlm.testing.recording import Recording
from tlm.testing.span import Span
from tlm.traces.trace_options import TraceOptions


@dataclass(frozen=True, eq=False)
class Recipe:
    """What a run is made of; the run is a function of it."""

    source: Network | Program
    """What the test gave."""
    program: Program
    """The same, compiled."""
    chip: ChipConfig
    identity: object
    """Equal for equal networks, inputs, faults and energies."""
    arguments: dict[str, Any]
    """The other arguments of :func:`tlm.simulate`."""

    @property
    def key(self) -> object:
        """Equal for recipes whose runs are equal, at whatever fidelity."""
        return self.identity, self.program.config, self.chip

    def simulate(self, **others: Any) -> Result:
        """Run it, perhaps with other arguments of :func:`tlm.simulate`."""
        return simulate(self.program, chip=self.chip, **self.arguments | others)

    def on(self, chip: ChipConfig) -> Recipe:
        """The same on another chip, in fidelity "pass"; a program is not compiled again."""
        program = self.program if isinstance(self.source, Program) else compile_network(self.source, chip)
        return replace(self, program=program, chip=chip, arguments=self.arguments | {"fidelity": "pass"})


class Attempt(NamedTuple):
    """A run that is being made."""

    recipe: Recipe
    watched: list[Watched]
    """Its system, when it has started; kept in case it fails."""


Record: TypeAlias = Callable[[Recipe, int], Recording]
"""Gives the transactions of the run of a recipe, which took so many cycles."""


class Simulated:
    """A run: its recipe, what came out, and where its cycles went.

    Args:
        attempt: the recipe, and what is told of its run.
        record: called when its transactions are asked for.
        trace: files to write.
    """

    def __init__(self, attempt: Attempt, record: Record, trace: TraceOptions | None = None) -> None:
        self.recipe = attempt.recipe
        self.result = self.recipe.simulate(trace=trace, observers=[attempt.watched.append])
        self.cause_spans: list[CauseSpan] = cause_spans(attempt.watched[0].recorder, self.result.chip)
        """The account as a sequence."""
        self._record = record

    @property
    def last_cycle(self) -> int:
        """The cycle of its last interrupt."""
        return self.result.cycles - 1

    @property
    def whole(self) -> Span:
        """All of it."""
        return Span("the run", 0, self.last_cycle, account=self.result.account.by_cause())

    @property
    def recording(self) -> Recording:
        """Its transactions, as fidelity "cycle" has them; recorded in a second run when first asked for."""
        return self._record(self.recipe, self.result.cycles)

    def layer_at(self, cycle: int) -> str | None:
        """The layer that is computed in a cycle, or next; None after the last one. Parts never overlap."""
        parts = self.result.timeline.parts
        index = bisect_left(parts, cycle, key=lambda part: part.last_cycle)
        return parts[index].layer if index < len(parts) else None

    def place_of(self, span: CauseSpan) -> str:
        """Where in the network cycles belong, in words; headed by a comma."""
        layer, one = self.layer_at(span.first_cycle), span.of_pass
        if layer is None:
            return ", after the last layer"
        if one is None:
            return f", before layer {layer!r}"
        index = [record.first_cycle for record in self.result.passes[layer]].index(one.first_cycle)
        return f", pass {index} of layer {layer!r} (group {one.group}, tile {one.tile})"

    def on(self, changes: dict[str, Any]) -> Simulated | None:
        """The run on another chip, in fidelity "pass"; None if it cannot be made.

        Args:
            changes: key -> value of what differs from the default chip.
        """
        try:
            return Simulated(Attempt(self.recipe.on(ChipConfig(**changes)), []), self._record)
        except TlmError:
            return None


def chip_changes(chip: ChipConfig) -> dict[str, Any]:
    """Key -> value of what differs from the default chip; a clock that follows from the voltage is left out."""
    default, same_voltage = ChipConfig(), ChipConfig(voltage_v=chip.voltage_v)
    values = {item.name: getattr(chip, item.name) for item in fields(ChipConfig)}
    usual = {key: getattr(default if key == "voltage_v" else same_voltage, key) for key in values}
    return {key: value for key, value in values.items() if value != usual[key]}


def changed_text(changes: dict[str, Any]) -> str:
    """Such changes in words."""
    default = ChipConfig()
    return ", ".join(f"{key} = {value} (default {getattr(default, key)})" for key, value in changes.items())
