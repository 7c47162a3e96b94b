"""The requests to the off-chip memory in the trace formats of DRAM simulators (docs/dram-trace.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import burst_addresses
from tlm.chip.passes.payloads import BulkPayload
from tlm.chip.payloads import BurstBeat
from tlm.chip.system import System
from tlm.core.errors import InputError
from tlm.core.payload import Command, Payload
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.traces.trace_file import TraceFile
from tlm.traces.trace_options import DRAM_CLOCK_MHZ, DramFormat, TraceOptions


class DramRequest(NamedTuple):
    """A burst of the DRAM, or the part of it that is wanted, as it arrives at the off-chip memory."""

    cycle: int
    """Of the core clock."""
    address: int
    """Of its first byte, from the start of the memory; a multiple of the DRAM's burst."""
    is_write: bool


class DmaBurst(NamedTuple):
    """A burst of the DMA as it arrives at the off-chip memory."""

    cycle: int
    """Of the core clock."""
    address: int
    """Of its first byte, from the start of the memory."""
    end: int
    """Behind its last byte."""
    is_write: bool


class BurstRecorder:
    """Notes every burst that arrives at the off-chip memory, in each fidelity.

    Args:
        system: what is watched.
    """

    def __init__(self, system: System) -> None:
        self._clock = system.simulation.clock
        self._config = system.config
        self._bursts: list[DmaBurst] = []
        system.interconnect.targets["memory"].observe(self._see, (Phase.BEGIN_REQ,))

    @property
    def bursts(self) -> list[DmaBurst]:
        """In the order of arrival: the interconnect lets at most one burst of the DMA through per cycle."""
        return sorted(self._bursts)

    def requests(self, dram_burst_bytes: int) -> Iterator[DramRequest]:
        """The bursts, cut at multiples of ``dram_burst_bytes``, which a request moves."""
        for cycle, first, end, is_write in self.bursts:
            for address in burst_addresses(first, end - first, dram_burst_bytes):
                yield DramRequest(cycle, address, is_write)

    def _see(self, _phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if isinstance(payload, BulkPayload):
            assert payload.arrival_cycles is not None  # the DMA's, which knows
            first, end, burst_bytes = payload.address, payload.address + len(payload.data), self._config.burst_bytes
            bursts = burst_addresses(first, len(payload.data), burst_bytes)
            for cycle, burst in zip(payload.arrival_cycles.tolist(), bursts, strict=True):
                self._add(payload.command, cycle, max(first, burst), min(end, burst + burst_bytes))
        elif isinstance(payload, BurstBeat) and payload.beat == 0:
            end = payload.address + payload.beats * self._config.bus_bytes
            self._add(payload.command, self._clock.now, payload.address, end)

    def _add(self, command: Command, cycle: int, first: int, end: int) -> None:
        self._bursts.append(DmaBurst(cycle, first, end, command is Command.WRITE))


def dram_cycle(core_cycle: int, config: ChipConfig, clock_mhz: float | None) -> int:
    """The first DRAM cycle that does not begin before a core cycle does; both count from the first host access.

    Args:
        core_cycle: of the core's clock.
        config: the core's clock, and the DRAM's if the memory is one.
        clock_mhz: another clock for the DRAM.
    """
    if clock_mhz is None and config.uses_dram:
        return math.ceil(core_cycle / config.dram_clock_cycles)
    return math.ceil(core_cycle * Fraction(str(clock_mhz or DRAM_CLOCK_MHZ)) * 1000 / config.clock_khz)


def dramsim3_lines(requests: Iterable[DramRequest], cycle_of: Callable[[int], int]) -> Iterator[str]:
    """Lines of a trace for DRAMsim3: ``0xADDRESS READ|WRITE CYCLE``, cycles of the DRAM's clock."""
    for one in requests:
        yield f"0x{one.address:x} {'WRITE' if one.is_write else 'READ'} {cycle_of(one.cycle)}\n"


def ramulator2_lines(requests: Iterable[DramRequest]) -> Iterator[str]:
    """Lines of a trace for Ramulator 2's front end LoadStoreTrace: ``LD|ST 0xADDRESS``."""
    for one in requests:
        yield f"{'ST' if one.is_write else 'LD'} 0x{one.address:x}\n"


def dram_trace(system: System, path: Path, options: TraceOptions) -> AbstractContextManager[None]:
    """A context manager around a run; the file takes its place when the block is left.

    After an error it holds the requests up to that moment; in fidelities "pass" and "rtl" those of complete transfers.

    Args:
        system: one that has not started.
        path: the file; an older one is replaced.
        options: format and clock.

    Raises:
        InputError: the file cannot be written there, or a burst is one that the chip's do not consist of; on leaving,
            if the disk did not take it all.
    """
    config = system.config
    own_bytes = min(config.dram.access_bytes, config.burst_bytes) if config.uses_dram else config.burst_bytes
    burst_bytes = options.dram_burst_bytes or own_bytes
    if not config.bus_bytes <= burst_bytes <= config.burst_bytes:
        raise InputError(
            f"trace.dram_burst_bytes: {burst_bytes} is outside {config.bus_bytes}..{config.burst_bytes}, "
            "from chip.bus_bytes to chip.burst_bytes; change it or one of them"
        )
    file = TraceFile(path, "trace.dram")
    recorder = BurstRecorder(system)

    def finish(_: BaseException | None) -> None:
        match options.dram_format_of_file:
            case DramFormat.DRAMSIM3:
                cycle_of = partial(dram_cycle, config=config, clock_mhz=options.dram_clock_mhz)
                lines = dramsim3_lines(recorder.requests(burst_bytes), cycle_of)
            case DramFormat.RAMULATOR2:
                lines = ramulator2_lines(recorder.requests(burst_bytes))
        with file.stream as stream:
            stream.writelines(line.encode("ascii") for line in lines)
        file.take_place()

    return file.around_run(finish)
