"""The banked SRAM: arbitration, data, never-written words, debug transport and direct memory."""

from __future__ import annotations

import itertools

import pytest
from transaction_bench import Initiator, read, run_together, wait_for, write

from tlm.chip.config import ChipConfig
from tlm.chip.contract import Accessed, EngineEvents, Port
from tlm.chip.cycle.sram import Sram
from tlm.chip.format.driver import SramName
from tlm.chip.states import BankAccess
from tlm.chip.system import System
from tlm.core.errors import ProtocolError, UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.simulation import Simulation
from tlm.core.sockets import InitiatorSocket

WORD_BYTES = 4
PRIORITY = ["aligner", "write_back", "residual", "dma_load", "dma_store"]


class Bench:
    """An AMem of 16 words in 4 banks with an initiator of the same name on every port."""

    def __init__(self, banks: int = 4) -> None:
        self.simulation = Simulation()
        config = ChipConfig(lanes=2 * WORD_BYTES, columns=8, amem_words=16, amem_banks=banks)
        self.events = EngineEvents()
        self.sram = Sram(SramName.AMEM, self.simulation, config, self.events)
        self.sockets: dict[str, InitiatorSocket[MemoryPayload]] = {}
        for port in PRIORITY:
            self.sockets[port] = Initiator(f"from_{port}", self.simulation).out
            self.sockets[port].bind(self.sram.ports[port])

    def access(self, port: str, payload: MemoryPayload, cycle: int = 0) -> Activity:
        """One try in a given cycle; the answer must come in the same cycle."""
        yield self.simulation.clock.cycles(cycle)
        yield from self.sockets[port].b_transport(payload)
        assert self.simulation.clock.now == cycle

    def insist(self, port: str, payload: MemoryPayload, served: list[tuple[int, str]]) -> Activity:
        """Ask once a cycle until served."""
        while True:
            yield from self.sockets[port].b_transport(payload)
            if payload.status is Response.OK:
                break
            assert payload.status is Response.RETRY
            payload.rearm()
            yield self.simulation.clock.cycles(1)
        served.append((self.simulation.clock.now, port))

    def debug(self, address: int, data: bytes) -> None:
        self.sockets["dma_load"].debug_transport(write(address, data))


def word(value: int) -> bytes:
    return bytes([value] * WORD_BYTES)


@pytest.mark.parametrize("banks", [1, 2, 4, 8])
def test_two_accesses_meet_only_in_one_bank(banks: int) -> None:
    """bank = address mod banks; one access per bank and cycle, read or write."""
    for first, second in itertools.product(range(16), repeat=2):
        bench = Bench(banks=banks)
        payloads = write(first, word(1)), write(second, word(2))
        run_together(bench.simulation, bench.access("write_back", payloads[0]), bench.access("dma_load", payloads[1]))
        expected = Response.RETRY if first % banks == second % banks else Response.OK
        assert [payload.status for payload in payloads] == [Response.OK, expected]


@pytest.mark.parametrize("commands", list(itertools.product(Command, repeat=2)), ids=str)
def test_reads_and_writes_share_the_bank(commands: tuple[Command, Command]) -> None:
    bench = Bench()
    bench.debug(0, bytes(16 * WORD_BYTES))
    first, second = (MemoryPayload(command, 5, bytearray(WORD_BYTES)) for command in commands)
    run_together(bench.simulation, bench.access("residual", second), bench.access("aligner", first))
    assert (first.status, second.status) == (Response.OK, Response.RETRY)


CONTENDERS = [set_ for size in range(1, 6) for set_ in itertools.combinations(PRIORITY, size)]


@pytest.mark.parametrize("contenders", CONTENDERS, ids="+".join)
def test_a_bank_serves_its_contenders_by_priority_one_a_cycle(contenders: tuple[str, ...]) -> None:
    """Contender i of the priority order is served in cycle t + i, whoever asks first within the cycle."""
    for order in (contenders, contenders[::-1], (*contenders[1:], contenders[0])):
        bench = Bench()
        served: list[tuple[int, str]] = []
        run_together(bench.simulation, *(bench.insist(port, write(8, word(1)), served) for port in order))
        assert served == list(enumerate(contenders))


def _contend(system: System, sockets: dict[str, InitiatorSocket[MemoryPayload]]) -> list[str]:
    served: list[str] = []

    def insist(name: str, socket: InitiatorSocket[MemoryPayload]) -> Activity:
        payload = read(4, socket.peer.owner.word_bytes)  # type: ignore[union-attr]
        while payload.status is not Response.OK:
            payload.rearm()
            yield from socket.b_transport(payload)
            if payload.status is Response.RETRY:
                yield system.simulation.clock.cycles(1)
        served.append(name)

    run_together(system.simulation, *(insist(*item) for item in sockets.items()))
    return served


@pytest.mark.parametrize("sram", SramName)
def test_in_the_chip_the_engine_comes_first_and_the_dma_last(sram: SramName) -> None:
    """Priority at a bank: aligner or fetch > requantiser write > residual read > DMA load > DMA store."""
    system = System(ChipConfig())
    engine = system.engine
    size_bytes = 8 * engine.srams[sram].word_bytes
    system.sram_socket(sram).debug_transport(write(0, bytes(size_bytes)))
    datapath = {
        SramName.AMEM: {
            "aligner": engine.aligner.amem,
            "write": engine.requantiser.writes,
            "residual": engine.requantiser.residuals,
        },
        SramName.WMEM: {"fetch": engine.sequencer.wmem},
        SramName.IMEM: {"fetch": engine.sequencer.imem},
    }[sram]
    order = {**datapath, "load": system.dma.load.srams[sram], "store": system.dma.store.srams[sram]}
    assert _contend(system, dict(reversed(order.items()))) == list(order)


def test_a_higher_priority_that_asks_too_late_is_a_fault_of_the_model() -> None:
    bench = Bench()

    def late() -> Activity:
        yield bench.simulation.clock.slot(9)  # behind every port's slot
        yield from bench.sockets["aligner"].b_transport(write(0, word(2)))

    with pytest.raises(ProtocolError, match="amem bank 0: port aligner asked in cycle 0 after a lower priority"):
        run_together(bench.simulation, bench.access("residual", write(0, word(1))), late())


def test_a_refused_access_changes_nothing() -> None:
    bench = Bench()
    bench.debug(0, word(9))
    refused_read, refused_write = read(0, WORD_BYTES), write(0, word(7))
    run_together(
        bench.simulation,
        bench.access("residual", refused_read),
        bench.access("dma_load", refused_write),
        bench.access("aligner", write(4, word(1))),  # the same bank
    )
    assert refused_read.status is refused_write.status is Response.RETRY
    assert refused_read.data == bytes(WORD_BYTES)
    later = read(0, WORD_BYTES)
    bench.sockets["dma_load"].debug_transport(later)
    assert later.data == word(9)


def test_what_was_written_is_read_in_the_next_cycle() -> None:
    bench = Bench()
    words = {address: bytes([address, 1, 2, 0xF0 | address]) for address in range(16)}
    got: dict[int, bytes] = {}

    def body() -> Activity:
        for address, data in words.items():
            yield from bench.sockets["write_back"].b_transport(write(address, data))
            yield bench.simulation.clock.cycles(1)
            payload = read(address, WORD_BYTES)
            yield from bench.sockets["aligner"].b_transport(payload)
            got[address] = bytes(payload.data)

    bench.simulation.run(body)
    assert got == words


@pytest.mark.parametrize("address", [-1, 16, 1000])
def test_an_address_outside_is_answered_with_an_error(address: int) -> None:
    bench = Bench()
    payload = write(address, word(1))
    run_together(bench.simulation, bench.access("dma_load", payload))
    assert payload.status is Response.ADDRESS_ERROR


@pytest.mark.parametrize("size_bytes", [0, 1, 3, 5, 8])
def test_an_access_moves_one_whole_word(size_bytes: int) -> None:
    bench = Bench()
    payload = write(0, bytes(size_bytes))
    run_together(bench.simulation, bench.access("dma_load", payload))
    assert payload.status is Response.BURST_ERROR


def test_an_erroneous_access_does_not_occupy_the_bank() -> None:
    bench = Bench()
    wrong, right = write(16, word(1)), write(0, word(1))
    run_together(bench.simulation, bench.access("aligner", wrong), bench.access("dma_load", right))
    assert (wrong.status, right.status) == (Response.ADDRESS_ERROR, Response.OK)


def test_reading_a_never_written_word_names_bank_address_cycle_and_reader() -> None:
    bench = Bench()
    bench.debug(6, word(1))
    with pytest.raises(
        UnwrittenReadError,
        match=r"^amem bank 3: word 7 was read in cycle 5 by residual, but was never written;",
    ):
        run_together(bench.simulation, bench.access("residual", read(7, WORD_BYTES), cycle=5))


# -- debug transport and direct memory ----------------------------------------------------------------------------


def test_debug_transport_moves_any_number_of_whole_words() -> None:
    bench = Bench()
    socket = bench.sockets["dma_store"]
    assert socket.debug_transport(write(3, bytes(range(12)))) == 12
    payload = read(4, 8)
    assert socket.debug_transport(payload) == 8
    assert payload.data == bytes(range(4, 12))


@pytest.mark.parametrize(("address", "size_bytes"), [(15, 8), (-1, 4), (16, 4), (0, 6)])
def test_debug_transport_outside_moves_nothing(address: int, size_bytes: int) -> None:
    bench = Bench()
    payload = write(address, bytes(size_bytes))
    assert bench.sockets["dma_store"].debug_transport(payload) == 0
    assert payload.status is Response.ADDRESS_ERROR


def test_a_debug_write_counts_as_written_and_a_debug_read_does_not() -> None:
    bench = Bench()
    bench.debug(2, word(5))
    bench.sockets["dma_load"].debug_transport(read(3, WORD_BYTES))
    payload = read(2, WORD_BYTES)
    run_together(bench.simulation, bench.access("aligner", payload))
    assert payload.data == word(5)
    bench = Bench()
    bench.sockets["dma_load"].debug_transport(read(3, WORD_BYTES))
    with pytest.raises(UnwrittenReadError, match="word 3"):
        run_together(bench.simulation, bench.access("aligner", read(3, WORD_BYTES)))


def test_a_direct_view_shows_later_writes_and_stays_valid() -> None:
    bench = Bench()
    direct = bench.sockets["aligner"].direct_memory()
    run_together(bench.simulation, bench.access("write_back", write(2, word(5))))
    assert direct.valid
    assert direct.view[2 * WORD_BYTES : 3 * WORD_BYTES] == word(5)
    assert direct.view.readonly
    assert len(direct.view) == 16 * WORD_BYTES


def test_a_debug_write_revokes_every_view_and_a_debug_read_none() -> None:
    """A debug write comes from outside the order of accesses that a holder relies on, so it takes the views back."""
    bench = Bench()
    views = [bench.sockets[port].direct_memory() for port in ("aligner", "residual")]
    bench.sockets["dma_load"].debug_transport(read(0, WORD_BYTES))
    assert all(view.valid for view in views)
    bench.debug(1, word(3))
    assert not any(view.valid for view in views)
    with pytest.raises(ProtocolError, match="amem: a direct memory view was used after it had been revoked"):
        _ = views[0].view
    renewed = bench.sockets["aligner"].direct_memory()
    assert renewed.view[WORD_BYTES] == 3
    bench.sram.revoke_direct_memory()
    assert not renewed.valid


def test_a_refused_debug_write_revokes_nothing() -> None:
    bench = Bench()
    direct = bench.sockets["aligner"].direct_memory()
    bench.debug(16, word(3))
    assert direct.valid


def test_a_read_may_take_its_data_to_wherever_the_reader_wants_them() -> None:
    bench = Bench()
    bench.debug(4, word(8))
    vector = bytearray(3 * WORD_BYTES)
    payload = MemoryPayload(Command.READ, 4, memoryview(vector)[WORD_BYTES : 2 * WORD_BYTES])
    run_together(bench.simulation, bench.access("aligner", payload))
    assert vector == bytes(WORD_BYTES) + word(8) + bytes(WORD_BYTES)


def test_the_probe_shows_each_access_and_whether_its_bank_served_it() -> None:
    bench = Bench()
    seen: list[BankAccess | None] = []
    bench.sram.last_access.observe(lambda probe: seen.append(probe.value))
    run_together(
        bench.simulation,
        bench.access("write_back", write(1, word(1))),
        bench.access("dma_load", write(5, word(1))),  # refused: bank 1 is taken
        bench.access("dma_load", write(5, word(1)), cycle=1),
        wait_for(bench.simulation.clock.cycles(3)),
    )
    assert seen == [
        BankAccess(0, Port.WRITE_BACK, 1, bank=1, served=True),
        BankAccess(0, Port.DMA_LOAD, 5, bank=1, served=False),
        BankAccess(1, Port.DMA_LOAD, 5, bank=1, served=True),
    ]


def test_accesses_of_the_first_port_are_told_together_when_counts_are_wanted_or_a_layer_or_program_ends() -> None:
    bench = Bench()
    told: list[Accessed] = []
    bench.events.accessed.listen(told.append)

    def body() -> Activity:
        for ask in (bench.events.counts_wanted, bench.events.layer_ended, bench.events.program_ended):
            for address in (1, 5, 2):
                yield from bench.sockets["aligner"].b_transport(write(address, word(1)))
                assert not told
                yield bench.simulation.clock.cycles(1)
            for _ in range(2):  # what was told is not told again
                ask(None)  # type: ignore[operator]
            assert told == [Accessed(SramName.AMEM, Port.ALIGNER, [0, 2, 1, 0], 0, None)]
            told.clear()

    bench.simulation.run(body)


def test_accesses_of_other_ports_and_refusals_are_told_at_once() -> None:
    bench = Bench()
    told: list[tuple[int, Accessed]] = []
    bench.events.accessed.listen(lambda event: told.append((bench.simulation.clock.now, event)))
    aligner = bench.sockets["aligner"]
    twice = [write(3, word(1)), write(3, word(1))]

    def body() -> Activity:
        for payload in twice:  # the second finds the bank taken
            yield from aligner.b_transport(payload)

    served: list[tuple[int, str]] = []
    run_together(bench.simulation, body(), bench.insist("dma_load", write(3, word(2)), served))
    assert [payload.status for payload in twice] == [Response.OK, Response.RETRY]
    assert told == [
        (0, Accessed(SramName.AMEM, Port.ALIGNER, [0, 0, 0, 0], 1, None)),
        (0, Accessed(SramName.AMEM, Port.DMA_LOAD, [0, 0, 0, 0], 1, None)),
        (1, Accessed(SramName.AMEM, Port.DMA_LOAD, [0, 0, 0, 1], 0, None)),
    ]
