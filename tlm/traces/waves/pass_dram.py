"""The off-chip DRAM in a waveform of passes: the bursts of a run, given to its controller's model once more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tlm.chip.config import ChipConfig
from tlm.chip.kernels.dram import Dram, IssuedCommand
from tlm.traces.dram_trace import DmaBurst
from tlm.traces.waves.dram_signals import CommandChanges
from tlm.traces.waves.signal_kinds import Value


def dram_changes(config: ChipConfig, bursts: Iterable[DmaBurst], cycles: int) -> Iterator[tuple[int, str, Value]]:
    """(cycle, signal, value), of two for the same the later one counts.

    Args:
        config: of a chip with DRAM.
        bursts: all of the run, in the order of arrival.
        cycles: how long it took.
    """
    changes = CommandChanges(config)
    for command in _commands(config, bursts, cycles):
        for cycle, name, value in changes.of(command, command.cycle):
            if cycle < cycles:
                yield cycle, name, value


def _commands(config: ChipConfig, bursts: Iterable[DmaBurst], cycles: int) -> Iterator[IssuedCommand]:
    dram, bus = Dram(config), config.bus_bytes
    for burst in bursts:
        yield from _played(dram, burst.cycle)
        dram.request(burst.cycle, burst.address, -(-(burst.end - burst.address) // bus), burst.is_write)
    yield from _played(dram, cycles)


def _played(dram: Dram, end_cycle: int) -> Iterator[IssuedCommand]:
    """Commands before a cycle."""
    while (cycle := dram.next_cycle()) < end_cycle:
        while command := dram.step(cycle):
            yield command
        for is_write in (False, True):
            dram.serve(cycle, is_write)
