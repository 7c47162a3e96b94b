"""Readers of DRAM traces that follow the simulators' own parsers, and the requests that a program must make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import Transfer
from tlm.compiler.program import Program


class Line(NamedTuple):
    """A line of a trace."""

    address: int
    is_write: bool
    cycle: int
    """Of the DRAM; -1 where the format has none."""


def dramsim3(path: Path) -> list[Line]:
    """As DRAMsim3 extracts a Transaction: hexadecimal address, operation, decimal cycle; a line ends each."""
    text = path.read_text("ascii")
    assert text.endswith("\n")
    lines = []
    for line in text.splitlines():
        address, operation, cycle = line.split(" ")
        assert address.startswith("0x"), line
        assert operation in ("READ", "WRITE"), line
        assert cycle.isdecimal(), line
        lines.append(Line(int(address, 16), operation == "WRITE", int(cycle)))
    return lines


def ramulator2(path: Path) -> list[Line]:
    """As Ramulator 2's LoadStoreTrace reads: exactly two tokens, LD or ST and an address below 2^63."""
    lines = []
    for line in path.read_text("ascii").splitlines():
        operation, address = line.split(" ")
        assert operation in ("LD", "ST"), line
        assert address.startswith("0x"), line
        assert 0 <= int(address, 16) < 1 << 63, line
        lines.append(Line(int(address, 16), operation == "ST", -1))
    return lines


def expected(program: Program, dram_burst_bytes: int) -> Counter[tuple[int, bool]]:
    """(address, is_write) -> requests: bytes of each row, burst by burst of the chip, burst by burst of the DRAM."""
    found: Counter[tuple[int, bool]] = Counter()
    for is_write, transfers in (
        (False, [load.transfer for load in program.loads]),
        (True, [store.transfer for store in program.stores]),
    ):
        for transfer in transfers:
            for burst in _bursts(program, transfer):
                found.update((block * dram_burst_bytes, is_write) for block in {at // dram_burst_bytes for at in burst})
    return found


def _bursts(program: Program, transfer: Transfer) -> Iterator[list[int]]:
    """The byte addresses of each burst."""
    row_bytes = transfer.row_words * sram_size(transfer.sram, program.config)[1]
    for row in range(transfer.rows):
        first = transfer.memory_offset_bytes + row * transfer.memory_stride_bytes
        burst: list[int] = []
        for address in range(first, first + row_bytes):
            if burst and address % program.config.burst_bytes == 0:
                yield burst
                burst = []
            burst.append(address)
        yield burst
