"""The engine's circuit: the blocks and the wires between them.

Ports: the register block with its interrupt; a load and a store port into each SRAM for the DMA; and what observers
want to see of a cycle, which costs no gates where nothing is connected to it.
Timing: docs/engine.md and docs/timing.md; one clock, synchronous reset.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib.wiring import Component, In, Out, Signature, connect, flipped

from tlm.chip.config import ChipConfig
from tlm.chip.contract import Port
from tlm.chip.format.descriptor import sram_banks, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.format.isa import PAYLOAD_BITS
from tlm.chip.rtl.address_generator import AddressGenerator
from tlm.chip.rtl.aligner import Aligner
from tlm.chip.rtl.header import PLANE_BITS, Header
from tlm.chip.rtl.interface import EVENTS, WORDS
from tlm.chip.rtl.mac_array import MacArray
from tlm.chip.rtl.primitives import delayed
from tlm.chip.rtl.registers import ADDRESS_BITS, Registers
from tlm.chip.rtl.requantiser import Requantiser
from tlm.chip.rtl.sequencer import Sequencer
from tlm.chip.rtl.sram import Sram, port_signature, trace_signature

DMA_PORTS = (Port.DMA_LOAD, Port.DMA_STORE)
HOST = ("valid", "write", "offset", "data")


def observed(config: ChipConfig) -> Signature:
    """What observers see of a cycle."""
    members = {event: Out(1) for event in EVENTS}
    members |= {
        "active": Out(1),
        "fault": Out(1),
        "error_code": Out(4),
        "error_address": Out(ADDRESS_BITS),
        "step": Out(1),
        "step_done": Out(1),
        "group": Out(16),
        "tile": Out(PLANE_BITS),
        "refused_write": Out(1),
        "refused_residual": Out(1),
        "header": Out(PAYLOAD_BITS).array(len(WORDS)),
    }
    for sram in SramName:
        members[sram.name.lower()] = Out(trace_signature(sram, config)).array(sram_banks(sram, config))
    return Signature(members)


class EngineCircuit(Component):
    """The top of the design."""

    def __init__(self, config: ChipConfig) -> None:
        self.config = config
        registers = Registers()
        members = {name: registers.signature.members[name] for name in (*HOST, "read", "answer", "irq", "cycle")}
        for sram in SramName:
            for port in DMA_PORTS:
                members[f"{sram.name.lower()}_{port}"] = In(port_signature(sram, config))
            members[f"{sram.name.lower()}_read"] = Out(8 * sram_size(sram, config)[1]).array(sram_banks(sram, config))
        members["observed"] = Out(observed(config))
        super().__init__(members)
        self.registers = registers
        self.srams = {sram: Sram(sram, config) for sram in SramName}
        self.header = Header(config)
        self.sequencer = Sequencer(config, self.header)
        self.address_generator = AddressGenerator(config, self.header)
        self.aligner = Aligner(config)
        self.mac_array = MacArray(config)
        self.requantiser = Requantiser(config, self.header)

    def elaborate(self, platform: object) -> Module:
        """The wires, in the order of the data's way."""
        m = Module()
        for sram, circuit in self.srams.items():
            m.submodules[sram.name.lower()] = circuit
        for name in ("registers", "header", "sequencer", "address_generator", "aligner", "mac_array", "requantiser"):
            m.submodules[name] = getattr(self, name)
        self._host_and_dma(m)
        self._instructions(m)
        self._activations(m)
        self._results(m)
        self._observed(m)
        return m

    def _host_and_dma(self, m: Module) -> None:
        registers, sequencer = self.registers, self.sequencer
        m.d.comb += [getattr(registers, name).eq(getattr(self, name)) for name in (*HOST, "cycle")]
        m.d.comb += [getattr(self, name).eq(getattr(registers, name)) for name in ("read", "answer", "irq")]
        m.d.comb += [
            sequencer.start.eq(registers.start),
            sequencer.program.eq(registers.program),
            registers.finish.eq(sequencer.finish),
            registers.fault.eq(sequencer.fault),
            registers.error_code.eq(sequencer.error_code),
            registers.error_address.eq(sequencer.error_address),
        ]
        for sram, circuit in self.srams.items():
            name = sram.name.lower()
            for port in DMA_PORTS:
                connect(m, flipped(getattr(self, f"{name}_{port}")), getattr(circuit, port))
            m.d.comb += [out.eq(read) for out, read in zip(getattr(self, f"{name}_read"), circuit.read, strict=True)]

    def _instructions(self, m: Module) -> None:
        imem, wmem = self.srams[SramName.IMEM], self.srams[SramName.WMEM]
        header, sequencer, generator = self.header, self.sequencer, self.address_generator
        connect(m, sequencer.fetch, imem.fetch)
        connect(m, sequencer.weights, wmem.fetch)
        m.d.comb += [
            sequencer.word.eq(imem.word_of(m, sequencer.fetch.address, "instruction")),
            header.word.eq(sequencer.word),
            header.arrives.eq(sequencer.header_arrives),
            header.index.eq(sequencer.header_index),
            sequencer.last_round.eq(generator.last_round),
        ]
        for name in ("load", "advance", "step", "first_round", "tap", "channel_word"):
            m.d.comb += getattr(generator, name).eq(getattr(sequencer, name))

    def _activations(self, m: Module) -> None:
        """From a step's reads to the multipliers; what belongs to a step travels beside its data."""
        config, layer = self.config, self.header.layer
        amem, wmem = self.srams[SramName.AMEM], self.srams[SramName.WMEM]
        generator, aligner, array, sequencer = self.address_generator, self.aligner, self.mac_array, self.sequencer
        for bank in range(config.amem_banks):
            m.d.comb += [
                amem.aligner_valid[bank].eq(generator.bank_valid[bank]),
                amem.aligner_address[bank].eq(generator.bank_address[bank]),
                aligner.served[bank].eq(Mux(sequencer.step, generator.served[bank], 0)),
                aligner.read[bank].eq(amem.read[bank]),
            ]
        m.d.comb += [sink.eq(source) for sink, source in zip(aligner.source, generator.source, strict=True)]
        to_multipliers = config.sram_read_cycles + config.routing_stages + config.mask_cycles + 1
        weights = wmem.word_of(m, sequencer.weights.address, "weights")
        m.d.comb += [
            aligner.inside.eq(generator.inside),
            aligner.last_round.eq(sequencer.step_done),
            aligner.fill.eq(Cat(Const(0, 3), self.header.pooling & layer.input_signed)),
            array.signed_input.eq(layer.input_signed),
            array.pooling.eq(self.header.pooling),
            array.clear.eq(sequencer.clear),
            array.step.eq(delayed(m, sequencer.step_done, to_multipliers, "step", reset=True)),
            array.ends.eq(delayed(m, sequencer.ends, to_multipliers, "ends", reset=True)),
            array.row.eq(delayed(m, sequencer.row, to_multipliers, "row")),
            array.weights.eq(delayed(m, weights, to_multipliers - 1, "weights")),
            sequencer.done.eq(array.done),
            array.handover.eq(sequencer.handover),
        ]
        m.d.comb += [sink.eq(source) for sink, source in zip(array.activations, aligner.activations, strict=True)]

    def _results(self, m: Module) -> None:
        amem, array, requantiser, sequencer = (
            self.srams[SramName.AMEM], self.mac_array, self.requantiser, self.sequencer,
        )  # fmt: skip
        connect(m, requantiser.write_back, amem.write_back)
        connect(m, requantiser.residual, amem.residual)
        for name in (
            "parameter_valid", "parameter_channel", "handover", "new_group", "slots", "output_word", "residual_word",
        ):  # fmt: skip
            m.d.comb += getattr(requantiser, name).eq(getattr(sequencer, name))
        m.d.comb += [
            requantiser.parameter.as_value().eq(sequencer.word),
            requantiser.pixels.eq(self.address_generator.pixels),
            requantiser.residual_data.eq(amem.word_of(m, requantiser.residual.address, "residual")),
            array.channel.eq(requantiser.channel),
            requantiser.finished.eq(array.finished),
            requantiser.excess.eq(array.excess),
            sequencer.busy.eq(requantiser.busy),
        ]

    def _observed(self, m: Module) -> None:
        seen, sequencer, requantiser = self.observed, self.sequencer, self.requantiser
        for name in (
            "layer_started", "layer_ended", "pass_started", "fault", "error_code", "error_address", "step", "step_done",
            "group", "tile",
        ):  # fmt: skip
            m.d.comb += getattr(seen, name).eq(getattr(sequencer, name))
        m.d.comb += [
            seen.active.eq(sequencer.active | requantiser.busy),
            seen.program_ended.eq(sequencer.finish),
            seen.pass_fetched.eq(sequencer.ends),
            seen.handed_over.eq(sequencer.handover),
            seen.written.eq(requantiser.last_write),
            seen.refused_write.eq(requantiser.write_back.valid & ~requantiser.write_back.grant),
            seen.refused_residual.eq(requantiser.residual.valid & ~requantiser.residual.grant),
        ]
        m.d.comb += [sink.eq(source) for sink, source in zip(seen.header, self.header.raw, strict=True)]
        for sram, circuit in self.srams.items():
            for sink, source in zip(getattr(seen, sram.name.lower()), circuit.trace, strict=True):
                connect(m, flipped(sink), source)
