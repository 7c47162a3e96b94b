"""A run as a test sees it: what it was made of, what it took, and sentences about it.

The sentences read like those of an engineer: ``assert run.layer("c1").takes(cycles=73)``. Each of them is an
:class:`~tlm.testing.expectation.Expectation`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError, TlmError
from tlm.observe.cause_spans import CauseSpan
from tlm.observe.energy_account import Energy
from tlm.results.result import Result, Tensor
from tlm.testing.causes import causes_of, cycle_by_cycle
from tlm.testing.cycles import Bounds
from tlm.testing.energy import Powered
from tlm.testing.expectation import Expectation
from tlm.testing.explain import explain_run
from tlm.testing.limits import moments_of
from tlm.testing.names import known_name
from tlm.testing.parts import LayerRun, TransferRun
from tlm.testing.recipe import Recipe
from tlm.testing.recordings import Recordings
from tlm.testing.stalls import bank_never_conflicts, no_stall
from tlm.testing.transactions import Transactions, everything

if TYPE_CHECKING:
    from tlm.testing.baseline import TestBaseline


class Run(Powered):
    """A simulated run.

    Args:
        recipe: how to make it again.
        result: what :func:`tlm.simulate` gave.
        recordings: where its transactions are kept, or recorded when they are asked for.
    """

    def __init__(self, recipe: Recipe, result: Result, recordings: Recordings) -> None:
        super().__init__(self, "the run", 0, result.cycles - 1)
        self.recipe = recipe
        self.result = result
        self._recordings = recordings

    def __repr__(self) -> str:
        layers, fidelity = len(self.result.layers), self.result.fidelity
        return f"<run of {layers} layers, {self.result.cycles:,} cycles, fidelity {fidelity}>"

    # -- what there is --------------------------------------------------------------------------------------------

    @property
    def outputs(self) -> Tensor:
        """The last layer's output; read-only, since other tests may be given the same run."""
        return self.result.outputs

    @cached_property
    def layers(self) -> dict[str, LayerRun]:
        """By name, in the order of execution."""
        return {name: LayerRun(self, layer) for name, layer in self.result.layers.items()}

    def layer(self, name: str) -> LayerRun:
        """A layer.

        Raises:
            InputError: there is none of this name; with the nearest names.
        """
        return self.layers[known_name("layer", name, self.layers)]

    @cached_property
    def transfers(self) -> list[TransferRun]:
        """Every transfer of the DMA, in the order of time."""
        return [TransferRun(self, span) for span in self.result.timeline.transfers]

    def transfer(self, label: str) -> TransferRun:
        """The transfer of a label, such as "weights of c1"; the first one if there are several.

        Raises:
            InputError: there is none; with the nearest labels.
        """
        known_name("transfer", label, dict.fromkeys(one.label for one in self.transfers))
        return next(one for one in self.transfers if one.label == label)

    @property
    def trace(self) -> Transactions:
        """Every transaction of the run, as fidelity "cycle" has them; recorded in a second run when first asked for.

        Raises:
            InputError: there are more than the limit.
        """
        return everything(self, self._recordings.of(self.recipe, self.result.cycles))

    def at(self, socket: str) -> Transactions:
        """Transactions of a socket.

        Raises:
            InputError: there is no such socket; with the nearest names.
        """
        return self.trace.at(socket)

    # -- sentences ------------------------------------------------------------------------------------------------

    def no_stall(self, kind: str, between: tuple[int, int] | None = None) -> Expectation:
        """No cycle is counted under a cause of docs/account.md, such as "write_back" or "weights".

        Args:
            kind: the cause.
            between: moments (first cycle, last cycle), such as ``(run.layer("c1").begin, run.layer("c1").end)``; by
                default the whole run.

        Raises:
            InputError: there is no such cause, or these are no moments of the run, the earlier one first.
        """
        first, last = (0, self.last_cycle) if between is None else moments_of(between)
        where = "in the run" if between is None else f"between cycles {first:,} and {last:,}"
        return no_stall(self, kind, first, last, where)

    def bank_never_conflicted(self, sram: str, bank: int | None = None) -> Expectation:
        """Nobody finds a bank of an SRAM taken, and no step has two words in it.

        Args:
            sram: "amem", "wmem" or "imem".
            bank: its number; by default all of them.

        Raises:
            InputError: there is no such memory or bank.
        """
        return bank_never_conflicts(self, sram, bank)

    def bandwidth_below(
        self, socket: str, bytes_per_cycle: float | None = None, *, gb_per_s: float | None = None, window_cycles: int
    ) -> Expectation:
        """In no window more goes through a socket.

        Args:
            socket: its name.
            bytes_per_cycle: the limit, either so ..
            gb_per_s: .. or in 1e9 bytes a second at the run's clock.
            window_cycles: length of a window; every position is looked at.

        Raises:
            InputError: there is no such socket; not exactly one limit.
        """
        return self.at(socket).throughput(window_cycles).at_most(bytes_per_cycle, gb_per_s=gb_per_s)

    @property
    def energy(self) -> Energy:
        """What it took [A]."""
        return self.result.energy

    def matches(self, baseline: TestBaseline, name: str = "") -> Expectation:
        """Its cycles and stalls are those that the baseline file holds.

        Args:
            baseline: fixture ``tlm_baseline``.
            name: tells the runs of one test apart.

        Raises:
            InputError: the baseline cannot be read, or is none.
        """
        from tlm.testing.baseline import TestBaseline

        if not isinstance(baseline, TestBaseline):
            raise InputError(f"matches: {baseline!r} is no baseline; give the fixture tlm_baseline, then a name")
        return baseline.compare(self, name)

    # -- where its cycles went ------------------------------------------------------------------------------------

    def account(self) -> dict[str, int]:
        """Cause of docs/account.md -> cycles of the whole run."""
        return self.result.account.by_cause()

    @cached_property
    def cause_spans(self) -> list[CauseSpan]:
        """The account as a sequence."""
        return causes_of(self.recipe)

    @cached_property
    def cause_cycles(self) -> list[CauseSpan]:
        """The same with the cycles within passes told apart; needs the transactions."""
        return cycle_by_cycle(self.cause_spans, self.trace.recording)

    @cached_property
    def order_of_parts(self) -> list[int]:
        """Tags of all parts of layers in the order of execution."""
        return [part.tag for part in self.result.timeline.parts]

    def place_of(self, span: CauseSpan) -> str:
        """Where in the network cycles belong, in words; headed by a comma."""
        if span.of_pass is not None:
            name, index = self._places[span.of_pass.first_cycle]
            return f", pass {index} of layer {name!r} (group {span.of_pass.group}, tile {span.of_pass.tile})"
        after = next((part for part in self.result.timeline.parts if part.first_cycle >= span.end_cycle), None)
        return ", behind the last layer" if after is None else f", before layer {after.layer!r}"

    def layer_at(self, cycle: int) -> str | None:
        """The layer that is computed in a cycle, or next; None behind the last one. Parts never overlap."""
        index = bisect_left(self._ends_of_parts, cycle)
        parts = self.result.timeline.parts
        return parts[index].layer if index < len(parts) else None

    @cached_property
    def _ends_of_parts(self) -> list[int]:
        return [part.last_cycle for part in self.result.timeline.parts]

    @cached_property
    def _places(self) -> dict[int, tuple[str, int]]:
        """First cycle of a pass -> its layer and which one of that layer it is."""
        return {
            one.first_cycle: (name, index)
            for name, passes in self.result.passes.items()
            for index, one in enumerate(passes)
        }

    def explain_cycles(self, bounds: Bounds) -> Iterable[str]:
        """Lines that say why it takes what it takes."""
        return explain_run(self, bounds)

    def on(self, changes: dict[str, Any]) -> Run | None:
        """The run on another chip, in the fast fidelity; None if it cannot be made.

        Args:
            changes: key -> value of what differs from the default chip.
        """
        try:
            recipe = self.recipe.on(ChipConfig(**changes))
            return Run(recipe, recipe.simulate(fidelity="pass"), self._recordings)
        except TlmError:
            return None
