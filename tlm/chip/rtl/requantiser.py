"""The requantiser: finished sums to 4-bit activations, with residual addition and write-back.

Request flow: at the handover it notes the pass; then a channel (or a nibble plane of one) enters per cycle, all lanes
at once, and its AMem word is written requantiser_cycles later. Parameters arrive one by one in a second bank of
registers, which becomes the current one with the first pass of its group.
Structure: bias | multiplier and residual | shift, rounding and clamp, a register behind each as far as
requantiser_cycles has them, more registers behind if it has more.
Timing: engine.md, A pass. A refused write freezes every register and the entry; a refused residual read leaves a gap.
Constraints: the residual word is there for one cycle only, so a freeze keeps it in a register of its own.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory
from amaranth.lib.wiring import Component, In, Out

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.chip.format.isa import FIELDS, Opcode
from tlm.chip.rtl.header import Header, count_of, payload_layout
from tlm.chip.rtl.mac_array import ACCUMULATOR_BITS, NIBBLE
from tlm.chip.rtl.primitives import address_bits, count_bits, named
from tlm.chip.rtl.sram import port_signature

PLANES = 6
"""Nibbles of an accumulator."""
PARAMETER_BITS = sum(bits for _, bits in FIELDS[Opcode.PARAMETER])
SCALED_BITS = 42
"""Bits of the widest sum of product and residual."""


class Requantiser(Component):
    """Parameter registers, arithmetic of all lanes, and the ports for write-back and residual."""

    def __init__(self, config: ChipConfig, header: Header) -> None:
        self.config, self.header = config, header
        word_bits = address_bits(SramName.AMEM, config)
        super().__init__(
            {
                # parameters of the next group
                "parameter_valid": In(1),
                "parameter_channel": In(range(config.columns)),
                "parameter": In(payload_layout(Opcode.PARAMETER)),
                # the pass that is handed over
                "handover": In(1),
                "new_group": In(1),
                "slots": In(count_of(config)),
                "pixels": In(count_bits(config.lanes)),
                "output_word": In(word_bits),
                "residual_word": In(word_bits),
                "busy": Out(1),
                "last_write": Out(1),
                # the channel that enters
                "channel": Out(range(config.columns)),
                "finished": In(ACCUMULATOR_BITS * config.lanes),
                "excess": In(ACCUMULATOR_BITS),
                # AMem
                "write_back": Out(port_signature(SramName.AMEM, config)),
                "residual": Out(port_signature(SramName.AMEM, config)),
                "residual_data": In(NIBBLE * config.lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Control first, then the lanes."""
        m, layer = Module(), self.header.layer
        depth = self.config.requantiser_cycles
        self._frozen = frozen = Signal()
        parameter = self._parameters(m)
        slots, entered, plane, pixels = (
            Signal.like(self.slots, name="slots_left"),
            Signal.like(self.slots, name="entered"),
            Signal(range(PLANES)),
            Signal.like(self.pixels, name="pixels_kept"),
        )
        output_word, residual_word = (
            Signal.like(self.output_word, name="at"),
            Signal.like(self.residual_word, name="at_r"),
        )
        waits = named(m, "waits", self.busy & (entered != slots))
        enters = named(m, "enters", waits & ~frozen & (~layer.has_residual | self.residual.grant))
        last_plane = named(m, "last_plane", ~layer.accumulator_output | (plane == PLANES - 1))
        valid = [Signal(name=f"valid_{stage + 1}") for stage in range(depth)]
        address = [Signal.like(output_word, name=f"address_{stage + 1}") for stage in range(depth)]
        m.d.comb += [
            self.write_back.valid.eq(valid[-1]),
            self.write_back.write.eq(1),
            self.write_back.address.eq(address[-1]),
            frozen.eq(valid[-1] & ~self.write_back.grant),
            self.residual.valid.eq(waits & layer.has_residual & ~frozen),
            self.residual.address.eq(residual_word),
            self.last_write.eq(valid[-1] & ~frozen & ~Cat(valid[:-1]).any() & (entered == slots)),
        ]
        with m.If(self.handover):
            m.d.sync += [
                self.busy.eq(1), entered.eq(0), plane.eq(0), self.channel.eq(0), slots.eq(self.slots),
                pixels.eq(self.pixels), output_word.eq(self.output_word), residual_word.eq(self.residual_word),
            ]  # fmt: skip
        with m.Elif(enters):
            m.d.sync += [
                entered.eq(entered + 1),
                plane.eq(Mux(last_plane, 0, plane + 1)),
                self.channel.eq(self.channel + last_plane),
                output_word.eq(output_word + self.header.output_plane),
                residual_word.eq(residual_word + self.header.residual_plane),
            ]
        with m.Elif(self.last_write):
            m.d.sync += self.busy.eq(0)
        with m.If(~frozen):
            m.d.sync += [now.eq(before) for now, before in zip(valid, [enters, *valid[:-1]], strict=True)]
            m.d.sync += [now.eq(before) for now, before in zip(address, [output_word, *address[:-1]], strict=True)]
        self._lanes(m, parameter, plane, pixels)
        return m

    def _parameters(self, m: Module) -> data.View:
        """The parameters of the channel that enters, from the current one of two banks."""
        columns = self.config.columns
        m.submodules.parameters = words = memory.Memory(shape=PARAMETER_BITS, depth=2 * columns, init=[])
        write, read = words.write_port(), words.read_port(domain="comb")
        current = Signal()
        m.d.comb += [
            write.en.eq(self.parameter_valid),
            write.addr.eq(Cat(self.parameter_channel, ~current)),
            write.data.eq(self.parameter),
            read.addr.eq(Cat(self.channel, current)),
        ]
        with m.If(self.handover & self.new_group):
            m.d.sync += current.eq(~current)
        return data.View(payload_layout(Opcode.PARAMETER), read.data)

    def _moving(self, m: Module, value: Value, name: str) -> Value:
        """A register that stands still while the requantiser is frozen."""
        register = Signal(Value.cast(value).shape(), name=name, reset_less=True)
        with m.If(~self._frozen):
            m.d.sync += register.eq(value)
        return register

    def _lanes(self, m: Module, parameter: data.View, plane: Value, pixels: Value) -> None:
        """The arithmetic of engine.md, Values, lane by lane; what all lanes share is worked out once."""
        header, depth = self.header, self.config.requantiser_cycles
        layer = header.layer
        bias = named(m, "bias", parameter.bias.as_signed() - Mux(header.pooling & layer.input_signed, 8, 0))
        multiplier = self._moving(m, parameter.multiplier, "multiplier_1")
        shift = self._moving(m, parameter.shift, "shift_1")
        plane = self._moving(m, plane, "plane_1")
        residual_word = self._residual_word(m)
        later_shift = self._moving(m, shift, "shift_2") if depth > 1 else shift
        # bits that must equal the sign, or the result is out of range
        beyond = named(
            m,
            "beyond",
            (Const(-1, signed(SCALED_BITS)) << (later_shift + Mux(layer.output_signed, 3, 4)))[:SCALED_BITS],
        )
        low, high = self._residual_multiples(m)
        accumulators, signed_output = layer.accumulator_output, layer.output_signed
        for lane in range(self.config.lanes):
            finished = (self.finished.word_select(lane, ACCUMULATOR_BITS) - self.excess)[:ACCUMULATOR_BITS].as_signed()
            biased = self._moving(m, (finished + bias)[: ACCUMULATOR_BITS + 1].as_signed(), f"biased_{lane}")
            residual = residual_word.word_select(lane, NIBBLE)
            scaled = Signal(signed(SCALED_BITS), name=f"scaled_{lane}")
            m.d.comb += scaled.eq(biased * multiplier + Array(low)[residual[:2]] + (Array(high)[residual[2:]] << 2))
            with m.If(accumulators):
                m.d.comb += scaled[:NIBBLE].eq(biased.word_select(plane, NIBBLE))
            if depth > 1:
                scaled = self._moving(m, scaled, f"scaled_{lane}_2")
            sign = scaled[-1]
            clamps = named(
                m,
                f"clamps_{lane}",
                ((scaled ^ sign.replicate(SCALED_BITS)) & beyond).any() | (sign & ~signed_output),
            )
            limit = Cat((~sign).replicate(NIBBLE - 1), sign ^ ~signed_output)
            rounded = self._rounded(m, scaled, later_shift, signed_output, lane)
            result: Value = named(
                m,
                f"result_{lane}",
                Mux(accumulators, scaled[:NIBBLE], Mux(clamps, limit, rounded)),
            )
            result = Mux(lane < pixels, result, 0)
            for stage in range(2, depth):
                result = self._moving(m, result, f"result_{lane}_{stage + 1}")
            m.d.comb += self.write_back.data.word_select(lane, NIBBLE).eq(result)

    def _residual_multiples(self, m: Module) -> tuple[list[Value], list[Value]]:
        """What the two low and the two high bits of a residual add, by their value; the lanes share them."""
        layer = self.header.layer
        once = named(m, "residual_multiplier", Mux(layer.has_residual, self.header.operands.residual_multiplier, 0))
        thrice = named(m, "thrice", once + (once << 1))
        two = named(m, "two_high", Mux(layer.residual_signed, -(once << 1), once << 1))
        three = named(m, "three_high", Mux(layer.residual_signed, -once, thrice))
        return [Const(0), once, once << 1, thrice], [Const(0), once, two, three]

    def _rounded(self, m: Module, scaled: Value, shift: Value, is_signed: Value, lane: int) -> Value:
        """Shifted right, halves up, but not beyond the range; what is out of range before is of no meaning.

        The long distances come first: each level then needs few bits. The lowest bit kept decides the rounding.
        """
        value: Value = Cat(0, scaled).as_signed()
        for level in reversed(range(len(shift))):
            wanted = NIBBLE + (1 << level)
            value = named(
                m, f"shifted_{lane}_{level}", Mux(shift[level], value >> (1 << level), value)[:wanted].as_signed()
            )
        half, kept = value[0], value[1:]
        highest = kept == Cat(Const(-1, NIBBLE - 1), ~is_signed)
        return named(m, f"rounded_{lane}", (kept + (half & ~highest))[:NIBBLE])

    def _residual_word(self, m: Module) -> Value:
        """The word that was read as the channel in the first stage entered."""
        fresh, kept = Signal(), Signal.like(self.residual_data, name="residual_kept", reset_less=True)
        m.d.sync += fresh.eq(self.residual.grant)
        word = named(m, "residual_now", Mux(fresh, self.residual_data, kept))
        m.d.sync += kept.eq(word)
        return word
