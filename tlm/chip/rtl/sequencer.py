"""The sequencer: reads and decodes IMem words, and paces address generator, weight fetch, array and requantiser.

Request flow: started by the registers, it reads a layer's header words, the first group's parameter words and then,
for each pass, the pattern words of its group. Each set bit of a pattern is a step: a tap of an input channel. The last
cycle of a step's fetch also reads its weight word.
Timing: engine.md, A pass. An IMem word read in one cycle decides the next one: a pattern's lowest bit, its channel and
tap, and their AMem addresses all follow within the cycle in which the word is there.
Constraints: what it cannot decode, or read, stops it in that cycle with an error code and an address.
"""

from __future__ import annotations

import enum

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.chip.format.isa import FIELDS, MAX_SHIFT, PAYLOAD_BITS, Opcode
from tlm.chip.format.layer_header import BANDED_HEADER_WORDS, HEADER_WORDS
from tlm.chip.format.registers import ErrorCode
from tlm.chip.rtl.header import PLANE_BITS, Header, count_of, payload_layout
from tlm.chip.rtl.interface import WORDS
from tlm.chip.rtl.primitives import address_bits, divided, named
from tlm.chip.rtl.registers import ADDRESS_BITS
from tlm.chip.rtl.sram import port_signature

PLANES = 6
"""Entry slots of a channel with accumulator output."""


class State(enum.Enum):
    """What the sequencer does."""

    IDLE = 0
    HEADER = 1
    PARAMETERS = 2
    GAP = 3
    PATTERN = 4
    """Reads a pass's pattern word 0."""
    STEPS = 5
    DRAIN = 6
    """Waits until the array can hand over."""
    FLUSH = 7
    """Waits for the layer's last write."""


class Sequencer(Component):
    """Control of the engine."""

    def __init__(self, config: ChipConfig, header: Header) -> None:
        self.config, self.header = config, header
        word_bits = address_bits(SramName.AMEM, config)
        super().__init__(
            {
                # registers
                "start": In(1),
                "program": In(ADDRESS_BITS),
                "finish": Out(1),
                "fault": Out(1),
                "error_code": Out(4),
                "error_address": Out(ADDRESS_BITS),
                # IMem and WMem
                "fetch": Out(port_signature(SramName.IMEM, config)),
                "word": In(64),
                "weights": Out(port_signature(SramName.WMEM, config)),
                # header
                "header_arrives": Out(1),
                "header_index": Out(range(len(WORDS))),
                # address generator
                "load": Out(1),
                "advance": Out(1),
                "step": Out(1),
                "first_round": Out(1),
                "tap": Out(12),
                "channel_word": Out(word_bits),
                "last_round": In(1),
                # what follows the step through aligner and array
                "step_done": Out(1),
                "ends": Out(1),
                "row": Out(range(config.columns)),
                # array
                "clear": Out(1),
                "done": In(1),
                "handover": Out(1),
                # requantiser
                "busy": In(1),
                "parameter_valid": Out(1),
                "parameter_channel": Out(range(config.columns)),
                "new_group": Out(1),
                "slots": Out(count_of(config)),
                "output_word": Out(word_bits),
                "residual_word": Out(word_bits),
                # for observers
                "active": Out(1),
                "layer_started": Out(1),
                "layer_ended": Out(1),
                "pass_started": Out(1),
                "group": Out(16),
                "tile": Out(PLANE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Decoder of the word that is there, then the states, then the faults."""
        m = Module()
        self._state = Signal(State, init=State.IDLE)
        self._reads, self._address, self._outside = Signal(), Signal(ADDRESS_BITS), Signal()
        self._ended = Signal()
        self._illegal: list[tuple[Value, Value]] = []
        self._next_word = Signal(ADDRESS_BITS)
        self._layer_word = Signal(ADDRESS_BITS)
        self._fresh_layer, self._weight_outside = Signal(), Signal()
        self._group_registers()
        self._pattern_decoder(m)
        self._header_words(m)
        self._parameter_words(m)
        self._passes(m)
        self._faults(m)
        return m

    def _read(self, m: Module, address: Value) -> None:
        m.d.comb += [self._reads.eq(1), self._address.eq(address)]

    # -- layers -------------------------------------------------------------------------------------------------------

    def _group_registers(self) -> None:
        """Where the present group, pass and step are."""
        config = self.config
        word_bits = address_bits(SramName.AMEM, config)
        self._channels_left = Signal(16)
        self._slot, self._plane = Signal(count_of(config)), Signal(range(PLANES))
        self._parameter_index = Signal(range(config.columns + 1))
        self._gap = Signal(range(config.pass_gap_cycles + 1))
        self._first_pattern, self._pattern = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        self._group_input = Signal(word_bits)
        self._group_output, self._group_residual = Signal(word_bits), Signal(word_bits)
        self._group_weights, self._weight = Signal(PLANE_BITS), Signal(PLANE_BITS)

    def _header_words(self, m: Module) -> None:
        """IDLE, HEADER and FLUSH: from START, or from a layer's last write, to the last header word."""
        read_words, in_layer, is_layer = Signal(range(BANDED_HEADER_WORDS + 1)), Signal(), Signal()
        m.d.sync += [self._fresh_layer.eq(0), self.header_arrives.eq(0), self.header_index.eq(read_words)]
        opcode, payload = self.word[PAYLOAD_BITS:], self.word[:PAYLOAD_BITS]
        first = named(m, "first_word_there", (self._state == State.HEADER) & (read_words == 1))
        is_end = opcode == Opcode.END
        unknown = ~Cat(opcode == known for known in Opcode).any()
        self._illegal.append((first & (unknown | is_end & payload.any()), self._layer_word))
        m.d.comb += self._ended.eq(first & is_end)
        with m.If(self.start):
            m.d.sync += [self._state.eq(State.FLUSH), in_layer.eq(0), self._next_word.eq(self.program)]
        with m.Switch(self._state):
            with m.Case(State.FLUSH), m.If(~in_layer | ~self.busy):
                m.d.comb += self.layer_ended.eq(in_layer)
                self._read(m, self._next_word)
                m.d.sync += [
                    self._state.eq(State.HEADER), read_words.eq(1), in_layer.eq(0), self.header_arrives.eq(1),
                    self.header_index.eq(0), self._layer_word.eq(self._next_word),
                    self._next_word.eq(self._next_word + 1), self._slot.eq(0), self._plane.eq(0),
                    self._parameter_index.eq(0), self._gap.eq(0),
                ]  # fmt: skip
            with m.Case(State.HEADER):
                self._read(m, self._next_word)
                m.d.sync += [
                    read_words.eq(read_words + 1), self.header_arrives.eq(1), self._next_word.eq(self._next_word + 1)
                ]  # fmt: skip
                banded = self.header.layer.banded & is_layer
                with m.If(read_words == Mux(banded, BANDED_HEADER_WORDS - 1, HEADER_WORDS - 1)):
                    m.d.sync += [self._state.eq(State.PARAMETERS), self._fresh_layer.eq(1), in_layer.eq(1)]
        with m.If(first):
            m.d.sync += is_layer.eq(opcode == Opcode.LAYER)

    # -- parameters ---------------------------------------------------------------------------------------------------

    def _parameter_words(self, m: Module) -> None:
        """PARAMETERS and GAP: a word for each entry slot of the group, then whatever is left of the gap."""
        config, header, layer = self.config, self.header, self.header.layer
        fresh = self._fresh_layer
        left = named(m, "channels_left_now", Mux(fresh, layer.out_channels, self._channels_left))
        channels = named(m, "group_channels", Mux(left > config.columns, config.columns, left))
        self._channels = channels
        m.d.comb += [
            self.slots.eq(Mux(layer.accumulator_output, channels * PLANES, channels)),
            self.layer_started.eq(fresh & ~header.illegal),
            self.clear.eq(fresh),
        ]
        m.d.sync += [self.parameter_valid.eq(0), self.parameter_channel.eq(self._parameter_index)]
        self._illegal.append((fresh & header.illegal, self._layer_word))
        arrived, address = data.View(payload_layout(Opcode.PARAMETER), self.word[:PARAMETER_BITS]), Signal(ADDRESS_BITS)
        m.d.sync += address.eq(self._next_word)
        wrong = self.word[PAYLOAD_BITS:] != Opcode.PARAMETER
        wrong |= self.word[PARAMETER_BITS:PAYLOAD_BITS].any() | (arrived.shift > MAX_SHIFT)
        self._illegal.append((self.parameter_valid & wrong, address))
        with m.If(fresh):
            m.d.sync += [
                self._channels_left.eq(layer.out_channels),
                self.group.eq(0),
                self._group_input.eq(self.header.placement.input_base_word - header.input_first),
                self._group_output.eq(self.header.placement.output_base_word),
                self._group_residual.eq(self.header.placement.residual_base_word),
                self._group_weights.eq(self.header.raw[WORDS.index(Opcode.OPERANDS)][: PLANE_BITS - 1]),
            ]
        with m.Switch(self._state):
            with m.Case(State.PARAMETERS):
                self._read(m, self._next_word)
                last_plane = named(m, "last_plane", ~layer.accumulator_output | (self._plane == PLANES - 1))
                m.d.sync += [
                    self.parameter_valid.eq(1),
                    self._slot.eq(self._slot + 1),
                    self._plane.eq(Mux(last_plane, 0, self._plane + 1)),
                    self._parameter_index.eq(self._parameter_index + last_plane),
                    self._next_word.eq(self._next_word + last_plane),
                    self.new_group.eq(1),
                ]
                with m.If(self._gap != 0):
                    m.d.sync += self._gap.eq(self._gap - 1)
                with m.If(self._slot + 1 == self.slots):
                    m.d.sync += [
                        self._state.eq(Mux(self._gap > 1, State.GAP, State.PATTERN)),
                        self._first_pattern.eq(self._next_word + 1),
                        self.tile.eq(0),
                    ]
            with m.Case(State.GAP):
                m.d.sync += self._gap.eq(self._gap - 1)
                with m.If(self._gap == 1):
                    m.d.sync += self._state.eq(State.PATTERN)

    # -- passes -------------------------------------------------------------------------------------------------------

    def _pattern_decoder(self, m: Module) -> None:
        """The pattern word in use, and what its lowest bit means."""
        header = self.header
        self._word_first, self._word_arrives = Signal(), Signal()
        kept, rest = Signal(64), Signal(PAYLOAD_BITS)
        self._kept, self._rest = kept, rest
        whole = named(m, "pattern_word", Mux(self._word_arrives, self.word, kept))
        self._channels_to_go, self._first_tap = Signal(16), Signal(12)
        pattern = self._pattern_now = named(m, "pattern", Mux(self._word_first, whole[:PAYLOAD_BITS], rest))
        lowest = named(m, "lowest", pattern & (~pattern + 1)[:PAYLOAD_BITS])
        index = Signal(6, name="lowest_index")
        m.d.comb += [
            index[bit].eq(Cat(lowest[i] for i in range(PAYLOAD_BITS) if i >> bit & 1).any()) for bit in range(6)
        ]
        self._any, self._others = named(m, "any_step", pattern.any()), named(m, "others", pattern & ~lowest)
        channel, tap = divided(m, Cat(index, Signal(6)), header.word_taps, 6, "step")
        self._channel = named(m, "step_channel", channel)
        m.d.comb += self.tap.eq(self._first_tap + tap)
        # a channel of more than 60 taps takes several words
        per_word, taps_to_go = header.channels_per_pattern, named(m, "taps_to_go", (header.taps - self._first_tap)[:12])
        self._channel_last = named(m, "channel_last", taps_to_go <= PAYLOAD_BITS)
        channels_last = named(m, "channels_last", self._channels_to_go <= per_word)
        self._word_last = named(m, "word_last", channels_last & self._channel_last)
        covered = named(m, "covered", Mux(channels_last, self._channels_to_go, per_word)[:6])
        taps = named(m, "covered_taps", Mux(self._channel_last, taps_to_go, PAYLOAD_BITS)[:6])
        used = named(m, "used_bits", (covered * taps)[:6])
        wrong = (whole[PAYLOAD_BITS:] != Opcode.PATTERN) | (whole[:PAYLOAD_BITS] >> used).any()
        self._bad_pattern = named(m, "bad_pattern", (self._state == State.STEPS) & self._word_first & wrong)
        self._illegal.append((self._bad_pattern, self._pattern))

    def _passes(self, m: Module) -> None:
        """PATTERN, STEPS and DRAIN: from a pass's pattern word 0 to its handover."""
        config, header, layer = self.config, self.header, self.header.layer
        columns, pooling = config.columns, header.pooling
        input_word, row = Signal.like(self._group_input, name="input_word"), Signal(config.columns.bit_length() - 1)
        in_round = Signal()
        steps = named(m, "in_steps", self._state == State.STEPS)
        may_step = named(m, "may_step", steps & ~self._bad_pattern & ~self._outside)
        word_done = named(m, "word_done", may_step & (~self._any | self.last_round & ~self._others.any()))
        m.d.comb += [
            self.pass_started.eq(steps & self._word_first & (self._pattern == self._first_pattern)),
            self.step.eq(may_step & self._any),
            self.first_round.eq(~in_round),
            self.channel_word.eq(input_word + self._channel * header.input_plane),
            self.row.eq(row + self._channel),
            self.step_done.eq(self.step & self.last_round),
            self.ends.eq(word_done & self._word_last & ~self._weight_outside),
            self.handover.eq((self._state == State.DRAIN) & self.done & ~self.busy),
            self.output_word.eq(self._group_output + self.tile),
            self.residual_word.eq(self._group_residual + self.tile),
            self.weights.address.eq(self._weight),
        ]
        fetches = named(m, "fetches_weights", self.step_done & ~pooling)
        m.d.comb += [
            self._weight_outside.eq(fetches & (self._weight >= config.wmem_words)),
            self.weights.valid.eq(fetches & ~self._weight_outside),
        ]
        m.d.sync += self._word_arrives.eq(0)
        with m.If(self._word_arrives):
            m.d.sync += self._kept.eq(self.word)
        with m.Switch(self._state):
            with m.Case(State.PATTERN):
                self._read(m, self._first_pattern)
                m.d.comb += [self.load.eq(self.tile == 0), self.advance.eq(self.tile != 0)]
                m.d.sync += [
                    self._state.eq(State.STEPS),
                    self._pattern.eq(self._first_pattern),
                    self._channels_to_go.eq(Mux(pooling, self._channels, layer.channels)),
                    self._first_tap.eq(0),
                    self._word_first.eq(1),
                    self._word_arrives.eq(1),
                    in_round.eq(0),
                    row.eq(0),
                    input_word.eq(self._group_input),
                    self._weight.eq(self._group_weights),
                ]
            with m.Case(State.STEPS):
                with m.If(self._word_first & ~self._word_last):
                    self._read(m, self._pattern + 1)
                    m.d.sync += self._word_arrives.eq(1)
                m.d.sync += [
                    self._word_first.eq(word_done),
                    in_round.eq(self.step & ~self.last_round),
                    self._rest.eq(Mux(self.step_done, self._others, self._pattern_now)),
                ]
                with m.If(self.step_done & ~pooling):
                    m.d.sync += self._weight.eq(self._weight + 1)
                with m.If(word_done):
                    m.d.sync += [
                        self._pattern.eq(self._pattern + 1),
                        self._first_tap.eq(Mux(self._channel_last, 0, self._first_tap + PAYLOAD_BITS)),
                    ]
                with m.If(word_done & self._channel_last):
                    m.d.sync += [
                        self._channels_to_go.eq(self._channels_to_go - header.channels_per_pattern),
                        input_word.eq(input_word + header.channels_per_pattern * header.input_plane),
                        row.eq(row + header.channels_per_pattern),
                    ]
                with m.If(self.ends):
                    m.d.sync += self._state.eq(State.DRAIN)
            with m.Case(State.DRAIN), m.If(self.handover):
                m.d.sync += [self.new_group.eq(0), self._gap.eq(config.pass_gap_cycles - 1)]
                with m.If(self.tile + 1 != header.tiles):
                    m.d.sync += [
                        self.tile.eq(self.tile + 1),
                        self._state.eq(State.GAP if config.pass_gap_cycles > 1 else State.PATTERN),
                    ]
                with m.Else():
                    m.d.sync += [
                        self._next_word.eq(self._pattern),
                        self._state.eq(Mux(self._channels_left > columns, State.PARAMETERS, State.FLUSH)),
                        self._slot.eq(0),
                        self._parameter_index.eq(0),
                        self.group.eq(self.group + 1),
                        self._channels_left.eq(self._channels_left - columns),
                        self._group_weights.eq(self._weight),
                        self._group_input.eq(self._group_input + Mux(pooling, header.input_plane * columns, 0)),
                        self._group_output.eq(
                            self._group_output
                            + header.output_plane * Mux(layer.accumulator_output, PLANES * columns, columns)
                        ),
                        self._group_residual.eq(self._group_residual + header.residual_plane * columns),
                    ]

    # -- faults -------------------------------------------------------------------------------------------------------

    def _faults(self, m: Module) -> None:
        """Stop in the cycle in which something is found wrong."""
        # a word that was read beside the faulty one is still judged in the next cycle, when nothing runs any more
        m.d.comb += self.active.eq(self._state != State.IDLE)
        illegal = named(m, "illegal", self.active & Cat(condition for condition, _ in self._illegal).any())
        reads = named(m, "reads", self._reads & ~self._ended & ~illegal)
        m.d.comb += [
            self._outside.eq(reads & (self._address >= self.config.imem_words)),
            self.fetch.valid.eq(reads & ~self._outside),
            self.fetch.address.eq(self._address),
            self.fault.eq(illegal | self._outside | self._weight_outside),
            self.finish.eq(self.fault | self._ended),
        ]
        with m.If(illegal):
            m.d.comb += self.error_code.eq(ErrorCode.ILLEGAL_INSTRUCTION)
            for condition, address in self._illegal:
                with m.If(condition):
                    m.d.comb += self.error_address.eq(address)
        with m.Elif(self._outside):
            m.d.comb += [self.error_code.eq(ErrorCode.PROGRAM_ADDRESS), self.error_address.eq(self._address)]
        with m.Else():
            m.d.comb += [self.error_code.eq(ErrorCode.WEIGHT_ADDRESS), self.error_address.eq(self._weight)]
        with m.If(self.finish):
            m.d.sync += self._state.eq(State.IDLE)


PARAMETER_BITS = sum(bits for _, bits in FIELDS[Opcode.PARAMETER])
