"""What the fixtures give: callables that make runs for one test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.compiler.program import Program
from tlm.core.errors import InputError
from tlm.network.network import Network
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.faults import BitFlip
from tlm.testing.expectation import Expectation
from tlm.testing.limits import is_whole
from tlm.testing.recipe import chip_of
from tlm.testing.run import Run
from tlm.testing.session import Attempt, Simulator
from tlm.testing.transactions import Transactions
from tlm.traces.trace_options import TraceOptions


class CycleLimitError(AssertionError):
    """A run took more cycles than the marker ``max_cycles`` allows.

    Args:
        limit: of the marker.
        expectation: that is not met.
    """

    def __init__(self, limit: int, expectation: Expectation) -> None:
        super().__init__(f"marker max_cycles({limit}): {expectation.explanation}")
        self.expectation = expectation


@dataclass(eq=False, repr=False)
class TestRuns:
    """The runs of one test.

    Args:
        simulator: of the session.
        fidelity: of the test's parameter, if it has one.
        chip_defaults: what the project's chip differs in from the default one.
        max_cycles: that a run may take.
    """

    __test__ = False  # no class of tests, whatever its name says

    simulator: Simulator
    fidelity: str | None
    chip_defaults: Mapping[str, Any]
    max_cycles: int | None = None
    runs: list[Run] = field(default_factory=list)
    attempt: Attempt | None = None
    """The last run, if it failed."""
    own_chip: Callable[[], ChipConfig] | None = None
    """Makes the chip of a run that names none: the fixture ``tlm_chip``, which a project may override."""

    def __repr__(self) -> str:
        return f"<{len(self.runs)} runs of this test>"

    def chip(self, **overrides: Any) -> ChipConfig:
        """The project's chip with other values of some keys: ``tlm_chip(amem_banks=8)``.

        Raises:
            InputError: an unknown key or a value that is not allowed.
        """
        if not isinstance(self.chip_defaults, Mapping):
            raise InputError(
                f"tlm_chip_overrides: it gives a {type(self.chip_defaults).__name__}; "
                "let it return what differs from the default chip, such as {'amem_banks': 8}"
            )
        return chip_of(dict(self.chip_defaults), overrides)

    def simulate(
        self,
        network: Network | Program,
        activations: npt.ArrayLike,
        chip: ChipConfig | None = None,
        fidelity: str | None = None,
        trace: TraceOptions | None = None,
        faults: Sequence[BitFlip] = (),
        energy: EnergyConfig | None = None,
    ) -> Run:
        """A run, with the arguments of :func:`tlm.simulate`.

        Args:
            chip: by default the project's, ``tlm_chip()``; for a program the one that it was compiled for.
            fidelity: by default the test's parameter (marker ``fidelity``), else "pass".

        Raises:
            TlmError: as of :func:`tlm.simulate`.
            CycleLimitError: it took more cycles than the marker ``max_cycles`` allows.
        """
        if not isinstance(network, (Network, Program)):
            raise InputError(
                f"network: a {type(network).__name__} is none; give a network or a program, then the activations"
            )
        if chip is None and not isinstance(network, Program):
            chip = self.chip() if self.own_chip is None else self.own_chip()
        if not isinstance(chip, (ChipConfig, NoneType)):
            raise InputError(f"chip: a {type(chip).__name__} is none; give tlm_chip(amem_banks=8) or a tlm.ChipConfig")
        return self._make(network, activations, chip, fidelity, trace=trace, faults=faults, energy=energy)

    def scenario(self, directory: Path, file: str | Path, *overrides: str, fidelity: str | None = None) -> Run:
        """A run of a scenario file.

        Args:
            directory: of the test file; a relative path begins there.
            file: a path, or the name of a scenario that comes with the package.
            overrides: such as "chip.voltage_v=0.8", as for ``tlm run --set``.
            fidelity: by default the test's parameter, else the scenario's.

        Raises:
            TlmError: anything wrong with the file, or as of :func:`tlm.simulate`.
            CycleLimitError: it took more cycles than the marker ``max_cycles`` allows.
        """
        job = self.simulator.scenario(directory, file, overrides)
        return self._make(
            job.network, job.activations, job.chip, fidelity, energy=job.energy, title=job.name, scenario=job.fidelity
        )

    @property
    def last(self) -> Run:
        """The run that was made last.

        Raises:
            InputError: there is none.
        """
        if not self.runs:
            raise InputError("tlm_trace: this test has made no run yet; call tlm_simulate or tlm_scenario first")
        return self.runs[-1]

    def _make(
        self,
        source: Network | Program,
        activations: npt.ArrayLike,
        chip: ChipConfig | None,
        fidelity: str | None,
        *,
        scenario: str | None = None,
        **others: Any,
    ) -> Run:
        wanted = fidelity or self.fidelity or scenario
        run = self.simulator.run(source, activations, chip, wanted, attempted=self._note, **others)
        self.attempt = None  # it has come to an end, perhaps in an earlier test
        self.runs.append(run)
        if self.max_cycles is not None:
            within = run.takes(at_most=self.max_cycles)
            if not within.verdict.holds:
                raise CycleLimitError(self.max_cycles, within)
        return run

    def _note(self, attempt: Attempt) -> None:
        self.attempt = attempt


@dataclass(eq=False, repr=False)
class TestTrace:
    """Recorded transactions of the last run of a test: fixture ``tlm_trace``."""

    __test__ = False

    _runs: TestRuns

    @property
    def transactions(self) -> Transactions:
        """All of them."""
        return self._runs.last.trace

    def at(self, socket: str) -> Transactions:
        """As :meth:`Transactions.at`."""
        return self.transactions.at(socket)

    def of_layer(self, name: str) -> Transactions:
        """As :meth:`Transactions.of_layer`."""
        return self.transactions.of_layer(name)

    def of_pass(self, index: int) -> Transactions:
        """As :meth:`Transactions.of_pass`."""
        return self.transactions.of_pass(index)

    def between(self, first_cycle: int, last_cycle: int) -> Transactions:
        """As :meth:`Transactions.between`."""
        return self.transactions.between(first_cycle, last_cycle)


def limit_of(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> int:
    """What the marker ``max_cycles`` says.

    Args:
        arguments: of the marker.
        keywords: it takes none.

    Raises:
        InputError: not one number of cycles.
    """
    if len(arguments) != 1 or keywords or not is_whole(arguments[0]) or arguments[0] < 1:
        given = (
            ", ".join([*map(repr, arguments), *(f"{key}={value!r}" for key, value in keywords.items())]) or "nothing"
        )
        raise InputError(
            f"max_cycles: {given} is no limit; give one number of cycles, 1 or more, such as max_cycles(5000)"
        )
    return int(arguments[0])
