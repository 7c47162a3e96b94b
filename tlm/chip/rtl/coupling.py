"""Fidelity "rtl": the verilated circuit behind the engine's contract.

The circuit is clocked in spans that end where SimPy has its next event, or where a cycle brings an event of the
contract. In between nobody but the DMA acts on it, in C (:mod:`tlm.chip.rtl.dma`), so skipping those cycles changes
nothing. What asks in a cycle is answered by the circuit's own arbiters and registers; the clock's edge comes behind
everything else in the cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from simpy import Event

from tlm.chip.base.sram import fault_of, words_of_banks
from tlm.chip.config import ChipConfig
from tlm.chip.contract import PORTS, Accessed, DmaPorts, Engine, PassFetched, PassId, PassStarted, Port
from tlm.chip.format.descriptor import sram_banks, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.format.isa import PAYLOAD_BITS, LayerHeader, decode_header, header_word_count
from tlm.chip.format.registers import REGISTER_BYTES, EngineRegister, ErrorCode, UnitFaultError, UnitRegister
from tlm.chip.passes.payloads import BulkPayload
from tlm.chip.payloads import InterruptPayload
from tlm.chip.rtl.interface import EVENTS, OFFSET_BITS, WORDS, Answer
from tlm.chip.rtl.library import Circuit, ClockedDma, Waves
from tlm.core.errors import UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.sockets import InitiatorSocket, TargetSocket

_LAST_SLOT = 99
"""Behind every slot in which somebody acts."""
_LONGEST_SPAN = 1 << 30
_ANSWERS = {
    Answer.OK: Response.OK,
    Answer.ADDRESS_ERROR: Response.ADDRESS_ERROR,
    Answer.COMMAND_ERROR: Response.COMMAND_ERROR,
    Answer.BURST_ERROR: Response.BURST_ERROR,
}
_EVENT_BIT = {name: 1 << bit for bit, name in enumerate((*EVENTS, "unwritten"))}


class RtlSram(Module):
    """An SRAM's ports for the DMA; words and arbiters are the circuit's."""

    def __init__(self, sram: SramName, parent: RtlEngine, config: ChipConfig) -> None:
        super().__init__(sram.name.lower(), parent)
        self.sram, self._engine = sram, parent
        self.words, self.word_bytes = sram_size(sram, config)
        self.banks = sram_banks(sram, config)
        self.dma_ports = DmaPorts(*(self._port(port) for port in (Port.DMA_LOAD, Port.DMA_STORE)))

    def _port(self, port: Port) -> TargetSocket[MemoryPayload]:
        slot = PORTS[self.sram].index(port)
        return TargetSocket(self, port, MemoryPayload, partial(self._access, port, slot), self._debug)

    def _access(self, port: Port, slot: int, payload: MemoryPayload) -> Activity:
        if isinstance(payload, BulkPayload):  # its words have moved, each in its cycle
            count = len(payload.data) // self.word_bytes
            served = words_of_banks(self.banks, payload.address, count, payload.stride_words)
            self._engine.events.accessed(Accessed(self.sram, port, served, payload.refused, None))
            payload.status = Response.OK
            return
        yield self.clock.slot(slot)
        address, circuit = payload.address, self._engine.circuit
        if not 0 <= address < self.words or len(payload.data) != self.word_bytes:
            payload.status = fault_of(payload, self.words)
            return
        if payload.command is Command.WRITE:
            granted = circuit.load(self.sram, address, payload.data)
        else:
            assert not isinstance(payload.data, bytes)  # a read needs room for its answer
            granted = circuit.store(self.sram, address, payload.data)
            if granted and not circuit.written(self.sram, address):
                self.refuse_unwritten(address, port)
        self._engine.wake()
        payload.status = Response.OK if granted else Response.RETRY
        words = [int(granted and bank == address % self.banks) for bank in range(self.banks)]
        self._engine.events.accessed(Accessed(self.sram, port, words, int(not granted), None))

    def refuse_unwritten(self, address: int, port: Port) -> None:
        """Stop the run, because a word was read that was never written."""
        raise UnwrittenReadError(
            f"{self.path} bank {address % self.banks}: word {address} was read in cycle {self.clock.now} by {port}, "
            "but was never written; load it first, or check the addresses in the program"
        )

    def _debug(self, payload: MemoryPayload) -> int:
        count, rest = divmod(len(payload.data), self.word_bytes)
        if rest or payload.address < 0 or payload.address + count > self.words:
            payload.status = Response.ADDRESS_ERROR
            return 0
        circuit, size = self._engine.circuit, self.word_bytes
        for index in range(count):
            place = slice(index * size, (index + 1) * size)
            if payload.command is Command.WRITE:
                circuit.poke(self.sram, payload.address + index, bytes(payload.data[place]))
            else:
                assert not isinstance(payload.data, bytes)
                payload.data[place] = circuit.peek(self.sram, payload.address + index, size)
        payload.status = Response.OK
        return len(payload.data)


class Sequencer(Module):
    """The register block's sockets, the clock, and the engine's events.

    It has the name of the block whose registers these are, as in the other models.
    """

    def __init__(self, name: str, parent: RtlEngine, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self._engine, self._config = parent, config
        self.registers = TargetSocket(self, "registers", MemoryPayload, self._access, self._debug)
        self.interrupt: InitiatorSocket[InterruptPayload] = InitiatorSocket(self, "interrupt", InterruptPayload)
        self._asleep, self._woken = True, Event(self.clock.env)
        self._asked = False
        self._program_start_cycle = -1
        self._header: LayerHeader | None = None
        self._pass: PassStarted | None = None
        self._first_cycle = 0
        self._draining: PassId | None = None
        self.add_process(self._tick)

    def wake(self) -> None:
        """Have the circuit clocked, from the end of this cycle on."""
        self._asked = True
        if self._asleep:
            self._asleep = False
            self._woken.succeed()

    def _access(self, payload: MemoryPayload) -> None:
        self._answer(payload)
        if payload.status is not Response.OK or payload.command is Command.READ:
            return
        self.wake()
        if payload.address == UnitRegister.START:
            self._program_start_cycle = self.clock.now + 1

    def _answer(self, payload: MemoryPayload) -> None:
        if len(payload.data) != REGISTER_BYTES:
            payload.status = Response.BURST_ERROR
            return
        if payload.address >> OFFSET_BITS:
            payload.status = Response.ADDRESS_ERROR
            return
        write = payload.command is Command.WRITE
        data = int.from_bytes(payload.data, "little") if write else 0
        answer, data = self._engine.circuit.register(write, payload.address, data)
        payload.status = _ANSWERS[answer]
        if not write and payload.status is Response.OK:
            assert not isinstance(payload.data, bytes)
            payload.data[:] = data.to_bytes(REGISTER_BYTES, "little")

    def _debug(self, payload: MemoryPayload) -> int:
        if payload.command is Command.WRITE:
            return 0
        self._answer(payload)
        return len(payload.data) if payload.status is Response.OK else 0

    def _tick(self) -> Activity:
        clock, env, circuit, dma = self.clock, self.clock.env, self._engine.circuit, self._engine.dma
        while True:
            if self._asleep:
                yield self._woken
                self._woken = Event(env)
            yield clock.slot(_LAST_SLOT)
            self._asked = False
            following = env.peek()  # nobody else acts before that cycle
            span = _LONGEST_SPAN if following == float("inf") else int(following) - clock.now
            if self._program_start_cycle > clock.now:
                span = 1  # the program's first cycle has an event of its own
            waves = self._engine.waves
            if waves is not None:
                span = waves.before(clock.now, span)
            circuit.advance(clock.now, span, dma is not None and dma.busy)
            report = circuit.report
            events, completed, asleep = report.events, report.completed, bool(report.asleep)
            yield clock.cycles(report.cycles)
            if self._program_start_cycle == clock.now:
                self._engine.events.program_started(self._program())
            if events:
                yield from self._tell(events, report)
            if dma is not None:
                dma.completed(completed)
                asleep = asleep and not dma.busy
            # in a waveform the clock goes on as long as there is somebody whose end can be waited for
            shown = waves is not None and waves.shown and env.peek() < float("inf")
            # whoever asked in this cycle before this process had its turn needs the edge that ends it
            self._asleep = asleep and not shown and not self._asked

    def _program(self) -> int:
        _, value = self._engine.circuit.register(False, EngineRegister.PROGRAM, 0)
        return value & 0xFFFF_FFFF

    def _tell(self, happened: int, report: Any) -> Activity:
        """The events of the present cycle, in the order in which one can bring another."""
        events = self._engine.events
        seen = {name for name, bit in _EVENT_BIT.items() if happened & bit}
        self._tell_accesses(report)
        if "unwritten" in seen:
            sram = SramName(report.unwritten_sram)
            self._engine.srams[sram].refuse_unwritten(report.unwritten_address, PORTS[sram][report.unwritten_port])
        if "written" in seen:
            assert self._draining is not None
            events.pass_written(self._draining)
            self._draining = None
        if "layer_ended" in seen:
            assert self._header is not None
            events.layer_ended(self._header.tag)
        if "layer_started" in seen:
            self._header = self._decoded(report)
            events.layer_started(self._header)
        if "pass_started" in seen:
            self._pass = self._started(report)
            self._first_cycle = self.clock.now
            events.pass_started(self._pass)
        if "pass_fetched" in seen:
            assert self._pass is not None
            events.pass_fetched(PassFetched(self._pass, self._first_cycle, report.steps, report.fetch_cycles))
        if "handed_over" in seen:
            assert self._pass is not None
            self._draining = self._pass.of_pass
            events.pass_handed_over(self._draining)
        if "program_ended" in seen:
            yield from self._end(bool(report.fault))

    def _tell_accesses(self, report: Any) -> None:
        """The engine's accesses since it was told of them last."""
        for sram in SramName:
            for number, port in enumerate(PORTS[sram]):
                if port in (Port.DMA_LOAD, Port.DMA_STORE):
                    continue
                words = list(report.served[sram][number][0 : self._engine.srams[sram].banks])
                refused = report.refused[number - 1] if sram is SramName.AMEM and number else 0
                if any(words) or refused:
                    of_pass = self._draining if port in (Port.WRITE_BACK, Port.RESIDUAL) else None
                    self._engine.events.accessed(Accessed(sram, port, words, refused, of_pass))

    def _decoded(self, report: Any) -> LayerHeader:
        words = [opcode << PAYLOAD_BITS | report.header[number] for number, opcode in enumerate(WORDS)]
        return decode_header(words[: header_word_count(words[0])], self._config)

    def _started(self, report: Any) -> PassStarted:
        header, lanes, columns = self._header, self._config.lanes, self._config.columns
        assert header is not None
        group, tile = int(report.group), int(report.tile)
        of_pass = PassId(header.tag, group * header.tiles(lanes) + tile)
        pixels, channels = header.tile_pixels(tile, lanes), header.group_channels(group, columns)
        return PassStarted(of_pass, group, tile, pixels, channels)

    def _end(self, faulty: bool) -> Activity:
        """The registers take the error with the next edge, so it is read from the wires that bring it."""
        report = self._engine.circuit.report
        fault = UnitFaultError(ErrorCode(report.error_code), int(report.error_address)) if faulty else None
        self._engine.events.program_ended(fault)
        yield from self.interrupt.b_transport(InterruptPayload())


class RtlEngine(Engine):
    """The engine in fidelity "rtl".

    Args:
        name: of the module.
        parent: the system.
        config: of the chip.
        dma: whose accesses the circuit asks for; without it, they come one by one to ``ports``.
        traced: whether the circuit's signals can be written to a waveform.
    """

    def __init__(
        self, name: str, parent: Module, config: ChipConfig, dma: ClockedDma | None = None, traced: bool = False
    ) -> None:
        super().__init__(name, parent)
        self.dma = dma
        self.waves: Waves | None = None
        """Whoever writes the circuit's signals; it needs an engine that is ``traced``."""
        self.circuit = Circuit(config, traced)
        self.srams = {sram: RtlSram(sram, self, config) for sram in SramName}
        self.sequencer = Sequencer("sequencer", self, config)
        self.wake = self.sequencer.wake
        if dma is not None:
            self.circuit.connect(dma, self.wake)

    @property
    def registers(self) -> TargetSocket[MemoryPayload]:
        """The circuit's."""
        return self.sequencer.registers

    @property
    def interrupt(self) -> InitiatorSocket[InterruptPayload]:
        """The circuit's."""
        return self.sequencer.interrupt

    @property
    def ports(self) -> Mapping[SramName, DmaPorts]:
        """Those of the circuit's SRAMs."""
        return {name: sram.dma_ports for name, sram in self.srams.items()}

    def written(self, sram: SramName, address: int) -> bool:
        """As the circuit's surroundings remember: an SRAM's macro does not know."""
        return self.circuit.written(sram, address)
