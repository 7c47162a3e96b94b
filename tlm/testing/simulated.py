"""A simulated run, and how it is made: again, recorded, with a waveform, or on another chip."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.core.errors import InputError, SimulationError, TlmError
from tlm.network.network import Network
from tlm.observe.cause_spans import CauseSpan, cause_spans
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.faults import BitFlip
from tlm.observe.watched import Watched
from tlm.results.result import Result
from tlm.runs.simulate import Observer, simulate
from tlm.testing.recording import Recording
from tlm.testing.span import Span
from tlm.traces.trace_options import TraceOptions

T = TypeVar("T")


class Kept(Generic[T]):
    """What was made last, by key, as long as there is room.

    Args:
        room: for how much; the last one is kept even if it takes more.
        size: how much one takes.
    """

    def __init__(self, room: int, size: Callable[[T], int] = lambda _: 1) -> None:
        self._room = room
        self._size = size
        self._kept: OrderedDict[object, T] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def of(self, key: object, make: Callable[[], T]) -> T:
        """What has this key; made, if it is not there."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(map(self._size, self._kept.values())) > self._room:
            self._kept.popitem(last=False)
        return self._kept[key]


@dataclass(frozen=True, eq=False, kw_only=True)
class Recipe:
    """The arguments of :func:`tlm.simulate`; a run is a function of them."""

    source: Network | Program
    """What the test gave."""
    program: Program
    """The same, compiled."""
    identity: object
    """Equal for equal networks and inputs."""
    activations: npt.NDArray[Any]
    chip: ChipConfig
    fidelity: str | None
    faults: tuple[BitFlip, ...] = ()
    energy: EnergyConfig | None = None

    @property
    def key(self) -> object:
        """Equal for recipes whose runs are equal, at whatever fidelity."""
        return self.identity, self.program.config, self.chip, self.faults, self.energy

    def simulate(
        self, fidelity: str | None = None, trace: TraceOptions | None = None, observers: Sequence[Observer] = ()
    ) -> Result:
        """Run it, perhaps at another fidelity than its own.

        Raises:
            TlmError: as of :func:`tlm.simulate`.
        """
        return simulate(
            self.program,
            self.activations,
            chip=self.chip,
            fidelity=fidelity or self.fidelity,
            trace=trace,
            faults=self.faults,
            energy=self.energy,
            observers=observers,
        )

    def on(self, chip: ChipConfig) -> Recipe:
        """The same on another chip, in the fast fidelity; a program is not compiled again.

        Raises:
            InputError, CompileError: it does not fit that chip.
        """
        if isinstance(self.source, Program):
            self.program.check_chip(chip)
            return replace(self, chip=chip, fidelity="pass")
        return replace(self, chip=chip, program=compile_network(self.source, chip), fidelity="pass")


class Attempt:
    """An observer that keeps the system of a run that is being made, in case it fails."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.watched: Watched | None = None

    def __call__(self, watched: Watched) -> None:
        """Note the system."""
        self.watched = watched


class Simulated:
    """A run: its recipe, what came out, and where its cycles went.

    Args:
        attempt: the recipe, and what is told of its run.
        recorder: makes the transactions of a recipe when they are asked for.
        trace: files to write.

    Raises:
        TlmError: as of :func:`tlm.simulate`.
    """

    def __init__(self, attempt: Attempt, recorder: Recorder, trace: TraceOptions | None = None) -> None:
        self.recipe = attempt.recipe
        self.result = self.recipe.simulate(trace=trace, observers=[attempt])
        assert attempt.watched is not None
        self.cause_spans: list[CauseSpan] = cause_spans(attempt.watched.recorder, self.result.chip)
        """The account as a sequence."""
        self._recorder = recorder

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
        """Its transactions, as fidelity "cycle" has them; recorded in a second run when first asked for.

        Raises:
            InputError: there are more than the limit.
        """
        return self._recorder.recording_of(self.recipe, self.result.cycles)

    def place_of(self, span: CauseSpan) -> str:
        """Where in the network cycles belong, in words; headed by a comma."""
        if span.of_pass is not None:
            name, index = self._places[span.of_pass.first_cycle]
            return f", pass {index} of layer {name!r} (group {span.of_pass.group}, tile {span.of_pass.tile})"
        after = next((part for part in self.result.timeline.parts if part.first_cycle >= span.end_cycle), None)
        return ", behind the last layer" if after is None else f", before layer {after.layer!r}"

    def layer_at(self, cycle: int) -> str | None:
        """The layer that is computed in a cycle, or next; None behind the last one. Parts never overlap."""
        parts = self.result.timeline.parts
        index = bisect_left(parts, cycle, key=lambda part: part.last_cycle)
        return parts[index].layer if index < len(parts) else None

    @cached_property
    def _places(self) -> dict[int, tuple[str, int]]:
        """First cycle of a pass -> its layer and which one of that layer it is."""
        return {
            one.first_cycle: (name, index)
            for name, passes in self.result.passes.items()
            for index, one in enumerate(passes)
        }

    def on(self, changes: dict[str, Any]) -> Simulated | None:
        """The run on another chip, in the fast fidelity; None if it cannot be made.

        Args:
            changes: key -> value of what differs from the default chip.
        """
        try:
            return Simulated(Attempt(self.recipe.on(ChipConfig(**changes))), self._recorder)
        except TlmError:
            return None


class Recorder:
    """Records runs, each once, at fidelity "cycle".

    Args:
        limit: transactions that a recording may hold; all that are kept together hold twice as many at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: Kept[Recording] = Kept(2 * limit, len)

    def recording_of(self, recipe: Recipe, cycles: int) -> Recording:
        """The transactions of a run that took so many cycles.

        Raises:
            InputError: there are more transactions than the limit.
            SimulationError: it took other cycles when it was recorded.
        """
        return self._kept.of(recipe.key, lambda: self._record(recipe, cycles))

    def _record(self, recipe: Recipe, cycles: int) -> Recording:
        recording = Recording(self._limit)
        again = recipe.simulate(fidelity="cycle", observers=[recording])
        recording.close()
        if again.cycles != cycles:
            raise SimulationError(
                f"trace: the run took {cycles} cycles, but {again.cycles} when it was recorded at fidelity 'cycle'; "
                "the models must agree, please report it"
            )
        if recording.cut_cycle is not None:
            raise InputError(
                f"trace: cycle {recording.cut_cycle:,} of {cycles:,} brings more than {self._limit:,} transactions, "
                "which are all that are recorded; test a smaller network, or raise --tlm-trace-limit"
            )
        return recording


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
