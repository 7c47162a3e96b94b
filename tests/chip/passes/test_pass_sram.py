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
from tlm.core.errors import UnwrittenReadError
from tlm.core.payload import Command, Response

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
