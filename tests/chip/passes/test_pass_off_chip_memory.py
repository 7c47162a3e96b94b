"""The off-chip memory of fidelity "pass" alone: whole transfers move in no time, single beats at the memory's pace."""

from __future__ import annotations

import pytest
from block_bench import CHIP, BlockBench

from tlm.chip.passes.off_chip_memory import OffChipMemory
from tlm.chip.passes.payloads import BulkPayload
from tlm.core.errors import UnwrittenReadError
from tlm.core.payload import Command, MemoryPayload, Response

DATA = bytes(range(200))


def bench() -> BlockBench:
    return BlockBench(lambda parent: OffChipMemory("memory", parent, CHIP))


def test_a_transfer_moves_its_bytes_in_no_time() -> None:
    one, found, answered = bench(), bytearray(96), list[int]()

    def body():  # type: ignore[no-untyped-def]
        yield from one.at(3, "port", BulkPayload(Command.WRITE, 64, DATA), answered)
        yield from one.at(3, "port", BulkPayload(Command.READ, 72, found), answered)

    one.run(body())
    assert (bytes(found), answered) == (DATA[8:104], [3, 3])


def test_a_beat_takes_the_latency_of_the_memory() -> None:
    one, answered = bench(), list[int]()
    one.run(one.at(3, "port", MemoryPayload(Command.WRITE, 0, bytes(8)), answered))
    assert answered == [3 + CHIP.cycles_of_ns(CHIP.memory_latency_ns)]


@pytest.mark.parametrize("address", [-8, CHIP.memory_bytes - 64])
def test_what_leaves_the_memory_is_answered_with_an_error(address: int) -> None:
    one, payload = bench(), BulkPayload(Command.WRITE, address, DATA)
    one.run(one.at(0, "port", payload))
    assert payload.status is Response.ADDRESS_ERROR


def test_reading_what_was_never_written_names_the_first_beat() -> None:
    one = bench()

    def body():  # type: ignore[no-untyped-def]
        yield from one.at(0, "port", BulkPayload(Command.WRITE, 0, bytes(64)))
        yield from one.at(7, "port", BulkPayload(Command.READ, 32, bytearray(64)))

    with pytest.raises(UnwrittenReadError, match=r"memory: byte 0x40 was read in cycle 7, but was never written"):
        one.run(body())
