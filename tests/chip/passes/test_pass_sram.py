"""The SRAM of fidelity "pass" alone: bulk accesses, what is told of them, and reservations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from block_bench import CHIP, BlockBench, of_pass

from tlm.chip.contract import Accessed, EngineEvents, PassId, Port
from tlm.chip.format.driver import SramName
from tlm.chip.passes.payloads import BulkPayload, ReservationPayload
from tlm.chip.passes.sram import Sram
from tlm.chip.payloads import Work
from tlm.core.errors import UnwrittenReadError
from tlm.core.payload import Command, Origin, Response

WORD_BYTES = CHIP.amem_word_bytes


class Bench(BlockBench):
    def __init__(self) -> None:
        self.told: list[Accessed] = []
        events = EngineEvents()
        events.accessed.listen(self.told.append)
        super().__init__(lambda parent: Sram(SramName.AMEM, parent, CHIP, events))

    def bulk(self, port: Port, command: Command, address: int, data: Any, **keys: Any) -> BulkPayload:
        payload = BulkPayload(command, address, data, **keys)
        self.run(self.at(0, port, payload))
        assert self.now == 0
        return payload


def words(*values: int) -> bytes:
    return b"".join(bytes([value] * WORD_BYTES) for value in values)


def test_words_are_written_and_read_at_a_stride() -> None:
    bench = Bench()
    socket, found = bench.to[Port.DMA_LOAD], bytearray(3 * WORD_BYTES)

    def body():  # type: ignore[no-untyped-def]
        yield from socket.b_transport(BulkPayload(Command.WRITE, 2, words(7, 8, 9), stride_words=5))
        yield from bench.to[Port.RESIDUAL].b_transport(
            BulkPayload(Command.READ, 2, found, stride_words=5, origin=of_pass())
        )

    bench.run(body())
    assert (found, bench.now) == (words(7, 8, 9), 0)
    assert [bench.block.written[word] for word in (2, 3, 7, 12)] == [1, 0, 1, 1]  # type: ignore[attr-defined]


def test_rows_are_written_and_read_at_a_stride() -> None:
    bench, found, last = Bench(), bytearray(4 * WORD_BYTES), bytearray(2 * WORD_BYTES)

    def body():  # type: ignore[no-untyped-def]
        write = BulkPayload(Command.WRITE, 2, words(5, 6, 7, 8), stride_words=3, row_words=2)
        yield from bench.to[Port.WRITE_BACK].b_transport(write)
        for address, room, keys in ((2, found, {"stride_words": 3, "row_words": 2}), (5, last, {})):
            yield from bench.to[Port.RESIDUAL].b_transport(BulkPayload(Command.READ, address, room, **keys))

    bench.run(body())
    assert (found, last) == (words(5, 6, 7, 8), words(7, 8))
    assert bytes(bench.block.written[:8]) == bytes([0, 0, 1, 1, 0, 1, 1, 0])  # type: ignore[attr-defined]


def test_a_never_written_word_of_a_row_is_named() -> None:
    bench, row = Bench(), {"stride_words": 3, "row_words": 2}

    def body():  # type: ignore[no-untyped-def]
        yield from bench.to[Port.WRITE_BACK].b_transport(BulkPayload(Command.WRITE, 2, words(5, 6, 7), row_words=3))
        yield from bench.to[Port.RESIDUAL].b_transport(BulkPayload(Command.READ, 3, bytearray(4 * WORD_BYTES), **row))

    with pytest.raises(UnwrittenReadError, match="word 6 was read"):
        bench.run(body())


def test_the_last_row_may_end_where_the_memory_does() -> None:
    data, keys = words(1, 2, 3, 4), {"stride_words": 5, "row_words": 2}
    for address, status in ((CHIP.amem_words - 7, Response.OK), (CHIP.amem_words - 6, Response.ADDRESS_ERROR)):
        assert Bench().bulk(Port.DMA_LOAD, Command.WRITE, address, data, **keys).status is status


@pytest.mark.parametrize(("address", "rows", "row_words", "stride"), [(0, 3, 2, 4), (3, 9, 5, 7), (1, 2, 11, 13)])
def test_the_accesses_of_rows_are_told_and_of_a_layer_without_a_pass(
    address: int, rows: int, row_words: int, stride: int
) -> None:
    bench = Bench()
    bench.bulk(
        Port.WRITE_BACK, Command.WRITE, address, words(*range(rows * row_words)), stride_words=stride,
        row_words=row_words, refused=6, origin=Origin(Work.LAYER, 4),
    )  # fmt: skip
    banks = [(address + row * stride + word) % CHIP.amem_banks for row in range(rows) for word in range(row_words)]
    served = tuple(banks.count(bank) for bank in range(CHIP.amem_banks))
    assert bench.told == [Accessed(SramName.AMEM, Port.WRITE_BACK, served, 6, None)]


@pytest.mark.parametrize(("address", "count", "stride"), [(0, 9, 1), (3, 9, 1), (1, 5, 2), (0, 3, 4), (2, 7, 3)])
def test_the_accesses_of_each_bank_are_told(address: int, count: int, stride: int) -> None:
    bench = Bench()
    bench.bulk(Port.WRITE_BACK, Command.WRITE, address, words(*range(count)), stride_words=stride, refused=6,
               origin=of_pass(group=2, tile=1, tiles=3, tag=4))  # fmt: skip
    banks = [(address + word * stride) % CHIP.amem_banks for word in range(count)]
    served = tuple(banks.count(bank) for bank in range(CHIP.amem_banks))
    assert bench.told == [Accessed(SramName.AMEM, Port.WRITE_BACK, served, 6, PassId(4, 7))]


def test_what_leaves_the_memory_is_answered_with_an_error() -> None:
    bench = Bench()
    payload = bench.bulk(Port.DMA_LOAD, Command.WRITE, CHIP.amem_words - 2, words(1, 2, 3))
    assert (payload.status, bench.told) == (Response.ADDRESS_ERROR, [])


def test_reading_a_never_written_word_names_it() -> None:
    with pytest.raises(UnwrittenReadError, match="amem bank 1: word 5 was read in cycle 0 by dma_store, but was never"):
        Bench().bulk(Port.DMA_STORE, Command.READ, 5, bytearray(WORD_BYTES))


def test_a_reservation_is_passed_on_and_its_direct_reads_are_told() -> None:
    """Write-back and residual reads are told when they come, not when they are reserved."""
    bench = Bench()
    banks = np.array([1, 3, 0], np.uint8)
    counts = np.array([2, 1, 0, 0])
    reservation = ReservationPayload(9, banks, {Port.ALIGNER: counts, Port.WRITE_BACK: counts, Port.RESIDUAL: counts})
    bench.run(bench.at(0, "reservations", reservation))
    ((_, onward),) = bench.sent["calendar"]
    assert (onward.first_cycle, onward.banks.tolist()) == (9, [1, 3, 0])
    assert bench.told == [Accessed(SramName.AMEM, Port.ALIGNER, [2, 1, 0, 0], 0, None)]
