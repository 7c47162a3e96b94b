"""The address generator: which AMem words a step reads in which cycle, and where each lane's pixel lies in them.

Request flow: at a tile's start it works out where each lane's window begins, by adding up rows and columns; nothing is
divided. A step names a tap; each lane's pixel is then that far from its window's start. Per cycle each bank serves the
lowest word that is still missing, to every lane that waits for it.
Timing: ``load`` or ``advance`` comes in the cycle before a tile's first step. A step is there in the cycle of its first
fetch; ``last_round`` says whether it is the last one.
Constraints: the pixels inside the input are strictly ascending along the lanes, so the lowest lane has the lowest word.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out
from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.chip.rtl.header import EXTENT_BITS, Header
from tlm.chip.rtl.primitives import address_bits, bank_bits, count_bits, divided, named


class Place(Struct, frozen=True):
    """Where a window begins: column and row in the padded input, and the linear address without padding."""

    x: Value
    y: Value
    linear: Value


class AddressGenerator(Component):
    """Lane positions, and rounds of bank reads."""

    def __init__(self, config: ChipConfig, header: Header) -> None:
        self.config, self.header = config, header
        lanes, banks, word_bits = config.lanes, config.amem_banks, address_bits(SramName.AMEM, config)
        super().__init__(
            {
                # tiles: the layer's first, or the one behind
                "load": In(1),
                "advance": In(1),
                "pixels": Out(count_bits(lanes)),
                # a step
                "step": In(1),
                "first_round": In(1),
                "tap": In(12),
                "channel_word": In(word_bits),
                "last_round": Out(1),
                # to AMem
                "bank_valid": Out(1).array(banks),
                "bank_address": Out(word_bits).array(banks),
                # to the aligner, in the cycle of the reads
                "served": Out(lanes).array(banks),
                "source": Out(config.routing_stages).array(lanes),
                "inside": Out(lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Positions of the lanes, the tap, the banks."""
        m = Module()
        places = self._positions(m)
        words, inside = self._pixels_of_tap(m, places)
        m.d.comb += self.inside.eq(inside)
        waiting, still = Signal(self.config.lanes), Signal(self.config.lanes)
        m.d.comb += waiting.eq(Mux(self.first_round, inside, still))
        served = self._rounds(m, words, waiting)
        m.d.sync += still.eq(waiting & ~served)
        m.d.comb += self.last_round.eq((waiting & ~served) == 0)
        return m

    def _sum(self, m: Module, name: str, one: Place, other: Place, wrapped: Place) -> Place:
        """Two distances in output pixels, one after the other; rows wrap at the output's width.

        ``wrapped`` is the other distance and a row further, as :meth:`_wrapped` gives it; lanes share it.
        """
        far_x = named(m, f"{name}_far_x", one.x + other.x)
        beyond = named(m, f"{name}_beyond", one.x + wrapped.x)
        wraps = named(m, f"{name}_wraps", ~beyond[-1])
        place = Place(
            Signal(EXTENT_BITS, name=f"{name}_x"),
            Signal(EXTENT_BITS, name=f"{name}_y"),
            Signal(self.header.linear_bits, name=f"{name}_linear"),
        )
        m.d.comb += [
            place.x.eq(Mux(wraps, beyond, far_x)),
            place.y.eq(one.y + Mux(wraps, wrapped.y, other.y)),
            place.linear.eq(one.linear + Mux(wraps, wrapped.linear, other.linear)),
        ]
        return place

    def _wrapped(self, m: Module, name: str, place: Place) -> Place:
        """A distance, back by an output row's columns and down by its row; x may be less than 0."""
        header = self.header
        return Place(
            named(m, f"{name}_wrapped_x", place.x - header.row_x),
            named(m, f"{name}_wrapped_y", (place.y + header.shape.stride_y)[:EXTENT_BITS]),
            named(m, f"{name}_wrapped_linear", (place.linear + header.row_linear)[: header.linear_bits]),
        )

    def _positions(self, m: Module) -> list[Place]:
        """Where the lanes' windows begin in the present tile."""
        header, lanes = self.header, self.config.lanes
        nowhere, stride = Place(Const(0, 1), Const(0, 1), Const(0, 1)), header.shape.stride_x
        step = Place(stride, Const(0, 1), stride)
        distance = self._sum(m, "first_lane", nowhere, step, self._wrapped(m, "step", step))
        base = Place(
            Signal(EXTENT_BITS, name="base_x"),
            Signal(EXTENT_BITS, name="base_y"),
            Signal(header.linear_bits, name="base_linear"),
        )
        start = Place(header.start_x, header.start_y, header.start_linear)
        first = Place(
            *(named(m, f"tile_{key}", Mux(self.load, getattr(start, key), getattr(base, key))) for key in KEYS)
        )
        places = [first]
        while len(places) < lanes:
            count, held = len(places), self._registered(m, f"lanes_{len(places)}", distance)
            wrapped = self._wrapped(m, f"lanes_{count}", held)
            places += [self._sum(m, f"lane_{count + i}", place, held, wrapped) for i, place in enumerate(places)]
            doubled = self._wrapped(m, f"double_{count}", distance)
            distance = self._sum(m, f"double_{count}", distance, distance, doubled)
        tile = self._registered(m, "tile", distance)
        following = self._sum(m, "next_tile", first, tile, self._wrapped(m, "tile", tile))
        left, first_left = Signal(32), Signal(32)
        m.d.comb += first_left.eq(Mux(self.load, header.out_pixels - header.first_pixel, left))
        registers = []
        with m.If(self.load | self.advance):
            m.d.sync += [getattr(base, key).eq(getattr(following, key)) for key in KEYS]
            m.d.sync += [left.eq(first_left - lanes), self.pixels.eq(Mux(first_left > lanes, lanes, first_left))]
            for index, place in enumerate(places):
                register = _data_registers(place, f"at_{{}}_{index}")
                m.d.sync += [getattr(register, key).eq(getattr(place, key)) for key in KEYS]
                registers.append(register)
        return registers

    def _registered(self, m: Module, name: str, place: Place) -> Place:
        """The same, a cycle later; these distances are constant while the layer's parameters are read."""
        register = _data_registers(place, name + "_{}_held")
        m.d.sync += [getattr(register, key).eq(getattr(place, key)) for key in KEYS]
        return register

    def _pixels_of_tap(self, m: Module, places: list[Place]) -> tuple[list[Signal], Value]:
        """Each lane's AMem word for the tap, and which lanes have a pixel inside the input."""
        header = self.header
        shape, window = header.shape, header.window
        row, column = divided(m, self.tap, shape.kernel_w, 6, "tap")
        down = named(m, "tap_down", row * window.dilation_y - window.pad_top)
        right = named(m, "tap_right", column * window.dilation_x - window.pad_left)
        # the channel's first word is added once for all lanes; below the word, it changes nothing
        offset = down * shape.width + right + (self.channel_word << header.lane_bits)
        offset = named(m, "tap_offset", offset[: header.linear_bits])
        # a window that begins before these has its pixel above, or left of the input; from those on, below or right
        first_y, end_y = named(m, "first_y", -down), named(m, "end_y", shape.height - down)
        first_x, end_x = named(m, "first_x", -right), named(m, "end_x", shape.width - right)
        words, inside = [], []
        for lane, place in enumerate(places):
            pixel = Signal(header.linear_bits, name=f"pixel_{lane}")
            m.d.comb += [pixel.eq(place.linear + offset), self.source[lane].eq(pixel[: header.lane_bits])]
            words.append(named(m, f"word_{lane}", pixel[header.lane_bits :]))
            inside.append(
                (place.y >= first_y)
                & (place.y < end_y)
                & (place.x >= first_x)
                & (place.x < end_x)
                & (self.pixels > lane)
            )
        return words, Cat(inside)

    def _rounds(self, m: Module, words: list[Signal], waiting: Signal) -> Value:
        """One round: the lowest missing word of each bank, and the lanes that get it."""
        low = bank_bits(SramName.AMEM, self.config)
        served: Value = Const(0, len(words))
        for bank, address in enumerate(self.bank_address):
            asks = Signal(len(words), name=f"bank_{bank}_asks")
            m.d.comb += asks.eq(
                Cat(waits & (word[:low] == bank if low else 1) for waits, word in zip(waiting, words, strict=True))
            )
            lowest: Value = words[-1]
            for lane in reversed(range(len(words) - 1)):
                lowest = Mux(asks[lane], words[lane], lowest)
            m.d.comb += [
                address.eq(lowest),
                self.bank_valid[bank].eq(self.step & asks.any()),
                self.served[bank].eq(
                    Cat(ask & (word[low:] == address[low:]) for ask, word in zip(asks, words, strict=True))
                ),
            ]
            served |= self.served[bank]
        return served


def _data_registers(place: Place, name: str) -> Place:
    return Place(*(Signal.like(getattr(place, key), name=name.format(key), reset_less=True) for key in KEYS))


KEYS = ("x", "y", "linear")
