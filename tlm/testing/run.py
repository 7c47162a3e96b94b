"""A run as a test sees it: what it took, and sentences about it.

The sentences read like those of an engineer: ``assert run.layer("c1").takes(cycles=73)``. Each of them is an
:class:`~tlm.testing.expectation.Expectation`.
"""

from __future__ import annotations

from functools import cached_property

from tlm.core.errors import InputError
from tlm.observe.energy_account import Energy
from tlm.results.result import Result, Tensor
from tlm.testing.baseline import TestBaseline
from tlm.testing.checks import known_name, moments_of
from tlm.testing.expectation import Expectation
from tlm.testing.simulated import Simulated
from tlm.testing.span import Span
from tlm.testing.stalls import bank_never_conflicts, no_stall
from tlm.testing.stretch import LayerRun, Powered, TransferRun
from tlm.testing.transactions import Transactions


class Run(Powered):
    """A simulated run."""

    def find(self, run: Simulated) -> Span:
        """All of a run."""
        return run.whole

    def __repr__(self) -> str:
        layers, fidelity = len(self.result.layers), self.result.fidelity
        return f"<run of {layers} layers, {self.result.cycles:,} cycles, fidelity {fidelity}>"

    # -- what there is --------------------------------------------------------------------------------------------

    @property
    def result(self) -> Result:
        """What :func:`tlm.simulate` gave."""
        return self.simulated.result

    @property
    def outputs(self) -> Tensor:
        """The last layer's output; read-only, since other tests may be given the same run."""
        return self.result.outputs

    @cached_property
    def layers(self) -> dict[str, LayerRun]:
        """By name, in the order of execution."""
        return {name: LayerRun(self.simulated, name) for name in self.result.layers}

    def layer(self, name: str) -> LayerRun:
        """A layer.

        Raises:
            InputError: there is none of this name; with the nearest names.
        """
        return self.layers[known_name("layer", name, self.layers)]

    @cached_property
    def transfers(self) -> list[TransferRun]:
        """Every transfer of the DMA, in the order of time."""
        return [TransferRun(self.simulated, span) for span in self.result.timeline.transfers]

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
        return Transactions(self.simulated)

    def at(self, socket: str) -> Transactions:
        """Transactions of a socket.

        Raises:
            InputError: there is no such socket; with the nearest names.
        """
        return self.trace.at(socket)

    @property
    def energy(self) -> Energy:
        """What it took [A]."""
        return self.result.energy

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
        first, last = (self.begin, self.end) if between is None else moments_of(between)
        where = "in the run" if between is None else f"between cycles {first:,} and {last:,}"
        return no_stall(self.simulated, kind, first, last, where)

    def bank_never_conflicted(self, sram: str, bank: int | None = None) -> Expectation:
        """Nobody finds a bank of an SRAM taken, and no step has two words in it.

        Args:
            sram: "amem", "wmem" or "imem".
            bank: its number; by default all of them.

        Raises:
            InputError: there is no such memory or bank.
        """
        return bank_never_conflicts(self.simulated, sram, bank)

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

    def matches(self, baseline: TestBaseline, name: str = "") -> Expectation:
        """Its cycles and stalls are those that the baseline file holds.

        Args:
            baseline: fixture ``tlm_baseline``.
            name: tells the runs of one test apart.

        Raises:
            InputError: the baseline cannot be read, or is none.
        """
        if not isinstance(baseline, TestBaseline):
            raise InputError(f"matches: {baseline!r} is no baseline; give the fixture tlm_baseline, then a name")
        return baseline.compare(self.simulated, name)
