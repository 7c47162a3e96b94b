"""What transfers and the host cost on a chip, in closed form: good enough to choose between plans."""

from __future__ import annotations

import math

from msgspec import Struct

from tlm.chip.config import ChipConfig


class ChipCosts:
    """Asks a configuration once.

    Args:
        config: the chip.

    Attributes:
        access_cycles: a register access of the host.
        interrupt_cycles: from an interrupt to the driver's next instruction.
        restart_cycles: between the end of one job and the first header of the next: interrupt and four accesses.
    """

    def __init__(self, config: ChipConfig) -> None:
        self.access_cycles = config.cycles_of_ns(config.host_access_ns) + 2
        self.interrupt_cycles = config.cycles_of_ns(config.host_interrupt_ns)
        self.restart_cycles = self.interrupt_cycles + 4 * self.access_cycles + 2
        self._memory = _memory(config)
        self._in_flight, self._burst_bytes = config.dma_bursts_in_flight, config.burst_bytes
        self._load_cycles: dict[tuple[int, int], int] = {}
        self._store_cycles: dict[tuple[int, int], int] = {}
        self._bus_bytes, self._word_bytes = config.bus_bytes, config.amem_word_bytes

    def load_cycles(self, size_bytes: int, rows: int = 1) -> int:
        """Cycles that loading so many bytes takes, roughly: by latency and bandwidth of bursts.

        Args:
            size_bytes: of all rows.
            rows: of the transfer, equally long; where they begin within a burst's bytes is taken as random.
        """
        key = size_bytes, rows
        if key not in self._load_cycles:
            self._load_cycles[key] = self._transfer_cycles(size_bytes, rows, 0)
        return self._load_cycles[key]

    def store_cycles(self, size_bytes: int, rows: int = 1) -> int:
        """The same for storing: a burst's words are read from AMem one a cycle before it is sent."""
        key = size_bytes, rows
        if key not in self._store_cycles:
            words = min(self._burst_bytes, max(1, size_bytes // rows)) / self._word_bytes
            self._store_cycles[key] = self._transfer_cycles(size_bytes, rows, words)
        return self._store_cycles[key]

    def _transfer_cycles(self, size_bytes: int, rows: int, burst_cycles: float) -> int:
        if not size_bytes:
            return 0
        memory, in_flight = self._memory, self._in_flight
        latency = memory.write_cycles if burst_cycles else memory.read_cycles
        if rows == 1:
            bursts: float = -(-size_bytes // self._burst_bytes)
            burst_bytes: float = min(size_bytes, self._burst_bytes)
            waves, behind = -(-bursts // in_flight), (bursts - 1) % in_flight
        else:
            bursts = rows + max(0, size_bytes - rows * self._bus_bytes) / self._burst_bytes
            burst_bytes = size_bytes / bursts
            waves, behind = max(1.0, bursts / in_flight), 1
        service = max(1.0, burst_bytes / self._bus_bytes) * memory.beat_cycles
        round_trip = burst_cycles + latency + math.ceil(service - memory.beat_cycles)
        missing = (bursts * burst_bytes - size_bytes) / self._bus_bytes * memory.beat_cycles
        streaming = latency + burst_cycles + bursts * max(service, burst_cycles)
        row_cycles = memory.row_cycles * (1 + size_bytes / memory.row_bytes)
        moving = max(streaming, waves * round_trip + behind * max(service, burst_cycles)) - missing
        return round((moving + row_cycles) * memory.refresh_share)


class _Memory(Struct, frozen=True):
    """What the off-chip memory costs."""

    read_cycles: float
    """From a request to its first beat."""
    write_cycles: float
    """From a request to the answer, but for its beats."""
    beat_cycles: float
    """From beat to beat."""
    row_cycles: float = 0.0
    """To open a row of DRAM,"""
    row_bytes: float = 1.0
    """which holds so many bytes."""
    refresh_share: float = 1.0
    """By what refreshes stretch the time."""


def _memory(config: ChipConfig) -> _Memory:
    if not config.uses_dram:
        cycles = config.cycles_of_ns(config.memory_latency_ns) + 3
        return _Memory(cycles, cycles, float(config.memory_beat_cycles))
    dram, clock = config.dram, float(config.dram_clock_cycles)
    first_data = dram.cl_clocks + dram.burst_clocks
    bursts, bytes_at_once = config.dma_bursts_in_flight - 1, dram.access_bytes * dram.channels
    ahead = bursts * dram.tccd_clocks * config.burst_bytes / bytes_at_once
    # Bursts that are in the queue keep their row open until the next one comes, if they take that long.
    closed = dram.trcd_clocks if dram.page_policy == "closed" and ahead < first_data else 0
    return _Memory(
        read_cycles=(closed + first_data) * clock + 3,
        write_cycles=(closed + dram.cwl_clocks + dram.burst_clocks) * clock + config.burst_bytes / config.bus_bytes + 3,
        beat_cycles=max(1.0, dram.tccd_clocks * clock * config.bus_bytes / bytes_at_once),
        row_cycles=(dram.trp_clocks + dram.trcd_clocks) * clock,
        row_bytes=dram.channels * dram.row_accesses * dram.access_bytes,
        refresh_share=1 + (dram.trp_clocks + dram.trfc_clocks + dram.trcd_clocks) / dram.trefi_clocks,
    )
