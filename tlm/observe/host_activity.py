"""The host's activity, from its probes."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.chip.format.driver import Unit
from tlm.chip.states import HostState
from tlm.chip.system import System
from tlm.core.probe import Probe
from tlm.observe.timeline import HostSpan


class HostRecorder:
    """Notes what the host does; subscribes to a system before it runs."""

    def __init__(self, system: System) -> None:
        self._clock = system.simulation.clock
        self._host = system.host
        self._changes: list[tuple[int, HostState, Unit | None]] = [(0, system.host.state.value, None)]
        system.host.state.observe(self._see)
        system.host.waits_for.observe(self._see)

    @property
    def done(self) -> bool:
        """Whether its program has come to its end."""
        return self._changes[-1][1] is HostState.DONE

    def _see(self, _: Probe[HostState] | Probe[Unit | None]) -> None:
        now = self._clock.now
        if self._changes[-1][0] == now:  # the last word of a cycle counts
            self._changes.pop()
        self._changes.append((now, self._host.state.value, self._host.waits_for.value))

    def spans(self, cycles: int) -> Iterator[HostSpan]:
        """What it did in a run of so many cycles."""
        ends = [first for first, _, _ in self._changes[1:]]
        for (first, state, unit), end in zip(self._changes, [*ends, cycles], strict=True):
            end = min(end, cycles)
            if first < end and state is not HostState.DONE:
                yield HostSpan(state.value, None if unit is None else unit.value, first, end - 1)
