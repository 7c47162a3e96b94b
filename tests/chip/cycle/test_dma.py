"""The DMA: who gives way to whom, errors, and what its registers and probes show."""

from __future__ import annotations

import math
from typing import Any

import pytest
from transaction_bench import read, run_together
from transfer_bench import MEMORY_BYTES, Bench

from tlm.chip.format import address_map as am
from tlm.chip.format.driver import SramName, StartTransfer, Transfer, Unit, Wait
from tlm.chip.format.registers import ChannelRegister, ErrorCode, UnitRegister
from tlm.chip.system import System
from tlm.core.errors import DriverError, UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.payload import Response

# -- contention ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sram", SramName)
def test_both_channels_work_at_once(sram: SramName) -> None:
    bench = Bench()
    size = bench.word_bytes(sram)
    stored = bytes(i * 5 % 241 for i in range(100 * size))
    bench.write_sram(sram, 0, stored)
    bench.run(
        StartTransfer(Unit.LOAD, Transfer(sram, 500, 0, row_words=100)),
        StartTransfer(Unit.STORE, Transfer(sram, 0, 0x8000, row_words=100)),
        Wait(Unit.LOAD),
        Wait(Unit.STORE),
    )
    assert bench.read_sram(sram, 500, 100 * size) == bench.image[: 100 * size]
    assert bench.system.read_memory(0x8000, 100 * size) == stored
    loads, stores = (bench.words[unit] for unit in (Unit.LOAD, Unit.STORE))
    assert loads[0][0] < stores[-1][0]  # they did overlap
    assert stores[0][0] < loads[-1][0]
    banks = {(cycle, word % bench.system.engine.srams[sram].banks) for cycle, word in loads + stores}
    assert len(banks) == 200  # never two accesses in one bank and cycle


def test_the_dma_gives_way_at_a_bank_and_delays_nobody() -> None:
    """A load's word is written in the first cycle from its arrival in which no one else takes its bank."""
    bench = Bench()
    bench.write_sram(SramName.AMEM, 0, bytes(64))
    free_from = bench.start_cycle + 100
    served: list[int] = []

    def engine() -> Activity:
        for _ in range(free_from):
            word = read(0, 16)
            yield from bench.system.engine.aligner.amem.b_transport(word)
            assert word.status is Response.OK
            served.append(bench.clock.now)
            yield bench.clock.cycles(1)

    transfer = Transfer(SramName.AMEM, 3, 0, row_words=3)  # banks 3, 0, 1
    host = bench.system.host.run([StartTransfer(Unit.LOAD, transfer), Wait(Unit.LOAD)])
    run_together(bench.system.simulation, engine(), host)
    assert served == list(range(free_from))
    first = bench.start_cycle + 3 + bench.latency + math.ceil(bench.beat)
    assert bench.words[Unit.LOAD] == [(first, 3), (free_from, 4), (free_from + 1, 5)]
    assert bench.read_sram(SramName.AMEM, 3, 48) == bench.image[:48]


# -- errors -------------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"sram": SramName.AMEM, "sram_word": 0, "memory_offset_bytes": 0, "row_words": 1}
_OUTSIDE = "off-chip address outside the memory"
_MISALIGNED = "off-chip address or row stride that is no multiple of the bus width"
_OVERSIZED = "transfer of no words, or of more words than the SRAM has"
_BEYOND = "SRAM word address outside the memory"
ERRORS: dict[str, tuple[dict[str, Any], str, int]] = {
    # fields that differ from the good descriptor, message, address
    "misaligned": ({"memory_offset_bytes": 4}, _MISALIGNED, 0x8000_0004),
    "misaligned stride": ({"rows": 2, "memory_stride_bytes": 20}, _MISALIGNED, 20),
    "no rows": ({"rows": 0}, _OVERSIZED, 0),
    "no words": ({"row_words": 0}, _OVERSIZED, 0),
    "oversized": ({"row_words": 4097, "rows": 4}, _OVERSIZED, 16_388),
    "beyond the SRAM": ({"sram_word": 16_380, "row_words": 5}, _BEYOND, 16_384),
    "stride beyond the SRAM": ({"rows": 3, "sram_stride_words": 9000}, _BEYOND, 18_000),
    "no such SRAM": ({"sram": 3}, "descriptor that names no SRAM", 3),
    "unmapped": ({"memory_offset_bytes": MEMORY_BYTES}, _OUTSIDE, 0x8001_0000),
    "unmapped above 32 bits": ({"memory_offset_bytes": 1 << 32}, _OUTSIDE, 0x1_8000_0000),
    "leaves in a later burst": ({"memory_offset_bytes": MEMORY_BYTES - 32, "row_words": 9}, _OUTSIDE, 0x8001_0000),
    "leaves in a later row": ({"rows": 2, "memory_stride_bytes": MEMORY_BYTES}, _OUTSIDE, 0x8001_0000),
}


@pytest.mark.parametrize("unit", [Unit.LOAD, Unit.STORE])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_reaches_the_driver_with_component_address_and_cycle(name: str, unit: Unit) -> None:
    """A bad descriptor is reported in T + 2."""
    fields, message, address = ERRORS[name]
    bench = Bench()
    bench.write_sram(SramName.AMEM, 0, bytes(16 * 16_384))
    with pytest.raises(DriverError) as error:
        bench.transfer(unit, **{**GOOD, **fields})
    assert str(error.value) == (
        f"dma.{unit.value}: {message} {address} (0x{address:x}) in cycle {bench.interrupts[unit]}; "
        "the driver stopped; check the program and the off-chip image"
    )
    if message != _OUTSIDE:
        assert bench.interrupts[unit] == bench.start_cycle + 2


def test_an_unmapped_load_of_one_burst_is_answered_at_once() -> None:
    """An unmapped burst of a load is asked for in T + 1, answered in T + 2, and reported in T + 3."""
    bench = Bench()
    with pytest.raises(DriverError):
        bench.transfer(Unit.LOAD, **{**GOOD, "memory_offset_bytes": MEMORY_BYTES})
    assert bench.interrupts[Unit.LOAD] == bench.start_cycle + 3


def test_a_load_from_never_written_memory_names_the_byte() -> None:
    bench = Bench()
    system = System(bench.config)
    with pytest.raises(
        UnwrittenReadError, match=r"^memory: byte 0x100 was read in cycle 99 for transfer 0 > burst 0 > beat 0"
    ):
        system.run([StartTransfer(Unit.LOAD, Transfer(SramName.AMEM, 0, 0x100, row_words=1)), Wait(Unit.LOAD)])


def test_a_store_of_never_written_words_names_the_word() -> None:
    with pytest.raises(UnwrittenReadError, match=r"^engine\.wmem bank 1: word 9 was read in cycle 65 by dma_store"):
        Bench().transfer(Unit.STORE, **{**GOOD, "sram": SramName.WMEM, "sram_word": 9})


@pytest.mark.parametrize("unit", [Unit.LOAD, Unit.STORE])
def test_a_channel_that_failed_works_again(unit: Unit) -> None:
    """A failed transfer leaves nothing behind: no beats under way, no burst buffer taken."""
    bench = Bench()
    host, base = bench.system.host, {Unit.LOAD: am.LOAD_BASE, Unit.STORE: am.STORE_BASE}[unit]
    bench.write_sram(SramName.AMEM, 0, bytes(range(256)) * 16)
    good = Transfer(SramName.AMEM, 16, 0x4000, row_words=32)
    bad = Transfer(SramName.AMEM, 64, MEMORY_BYTES - 256, row_words=128)
    codes: list[int] = []

    def body() -> Activity:
        yield from host._start_transfer(StartTransfer(unit, bad))
        yield bench.clock.cycles(3000)
        codes.append((yield from host._read(base + UnitRegister.ERROR_CODE)))
        bench.words[unit].clear()
        yield from host.run([StartTransfer(unit, good)])
        codes.append(bench.clock.now - 1)
        yield bench.clock.cycles(3000)

    bench.system.simulation.run(body)
    code, start_cycle = codes
    assert code == ErrorCode.MEMORY_ADDRESS
    if unit is Unit.LOAD:
        assert bench.read_sram(SramName.AMEM, 16, 512) == bench.image[0x4000:0x4200]
    else:
        assert bench.system.read_memory(0x4000, 512) == bytes(range(256)) * 2
    fresh = Bench()
    fresh.write_sram(SramName.AMEM, 0, bytes(range(256)) * 16)
    fresh.run(StartTransfer(unit, good), Wait(unit))
    shift = start_cycle - fresh.start_cycle
    assert bench.words[unit] == [(cycle + shift, word) for cycle, word in fresh.words[unit]]
    assert bench.interrupts[unit] == fresh.interrupts[unit] + shift


def test_the_host_may_write_the_next_descriptor_while_a_transfer_runs() -> None:
    bench = Bench(memory_latency_ns=5000.0)
    host = bench.system.host

    def body() -> Activity:
        yield from host.run([StartTransfer(Unit.LOAD, Transfer(SramName.AMEM, 0, 0, row_words=8))])
        yield from host._write(am.LOAD_BASE + ChannelRegister.SRAM, 100)
        yield from host.run([Wait(Unit.LOAD)])

    bench.system.simulation.run(body)
    assert [word for _, word in bench.words[Unit.LOAD]] == list(range(8))


def test_probes_show_what_a_channel_does() -> None:
    bench = Bench()
    states: list[tuple[int, str]] = []
    channel = bench.system.dma.load
    channel.state.observe(lambda probe: states.append((bench.clock.now, probe.value.value)))
    interrupt = bench.transfer(Unit.LOAD, **{**GOOD, "sram_word": 3, "row_words": 4})
    assert states == [(bench.start_cycle + 1, "busy"), (interrupt, "idle")]
    assert (channel.moved_bytes.value, channel.address.value) == (64, 6)
