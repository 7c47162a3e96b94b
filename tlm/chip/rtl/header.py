"""A layer's header words: their registers, their checks, and the numbers of the layer that follow from them.

Timing: a word arrives in the cycle after its read. ``illegal`` is right in the cycle in which the last of them arrives,
the derived numbers in the next one at the latest. What needs a division is worked out in the cycle in which its
operands are there and registered: the output's size while PLACEMENT arrives, rows of a band while BAND arrives.
Constraints: the checks are those of ``tlm/chip/format/isa.py`` and ``header_checks.py``, in hardware of the width that
the fields need.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.chip.format.isa import FIELDS, PAYLOAD_BITS, Opcode
from tlm.chip.kernels.geometry import LayerKind
from tlm.chip.rtl.interface import WORDS
from tlm.chip.rtl.primitives import address_bits, count_bits, divided, named, smaller_power

MAX_EXTENT = 65_535
MAX_PLANE_WORDS = 1 << 20
EXTENT_BITS = 17
"""Of a row or column of the padded input, and of an output's size before it is checked."""
PLANE_BITS = 21
"""Of the words of a plane and of a count of tiles, once checked."""


def payload_layout(opcode: Opcode) -> data.StructLayout:
    """The fields of a word, lowest bits first."""
    return data.StructLayout(dict(FIELDS[opcode]))


class Header(Component):
    """Registers, checks and derived numbers of the present layer."""

    def __init__(self, config: ChipConfig) -> None:
        self.config = config
        self.lane_bits = config.routing_stages
        self.linear_bits = self.lane_bits + address_bits(SramName.AMEM, config)
        members = {
            "word": In(64),
            "arrives": In(1),
            "index": In(range(len(WORDS))),
            "illegal": Out(1),
            "raw": Out(PAYLOAD_BITS).array(len(WORDS)),
            "pooling": Out(1),
            "taps": Out(12),
            "word_taps": Out(6),
            "channels_per_pattern": Out(6),
            "tiles": Out(PLANE_BITS),
            "input_plane": Out(PLANE_BITS),
            "output_plane": Out(PLANE_BITS),
            "residual_plane": Out(PLANE_BITS),
            "input_first": Out(PLANE_BITS - 1),
            "out_pixels": Out(32),
            "first_pixel": Out(26),
            # of the address generator: where the first lane begins, and what a lane or a row further means
            "start_x": Out(EXTENT_BITS),
            "start_y": Out(EXTENT_BITS),
            "start_linear": Out(self.linear_bits),
            "row_x": Out(EXTENT_BITS + 1),
            "row_linear": Out(self.linear_bits),
        }
        for opcode in WORDS:
            members[opcode.name.lower()] = Out(payload_layout(opcode))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Word registers first, then sizes, then checks."""
        m = Module()
        wrong_word = self._words(m)
        self._sizes(m)
        bad = [wrong_word, *self._bad_sizes(m), *self._bad_band(m), *self._outside_memory(m)]
        m.d.comb += self.illegal.eq(Cat(bad).any())
        return m

    def _words(self, m: Module) -> Value:
        """Keep what arrives; a word is wrong if it has another opcode or reserved bits that are not 0."""
        wrong_before, wrong_now = Signal(), Signal()
        with m.Switch(self.index):
            for index, opcode in enumerate(WORDS):
                used = sum(bits for _, bits in FIELDS[opcode])
                with m.Case(index):
                    m.d.comb += wrong_now.eq((self.word[PAYLOAD_BITS:] != opcode) | self.word[used:PAYLOAD_BITS].any())
                    with m.If(self.arrives):
                        m.d.sync += getattr(self, opcode.name.lower()).eq(self.word[:used])
                        m.d.sync += wrong_before.eq(wrong_now if index == 0 else wrong_before | wrong_now)
        for index, opcode in enumerate(WORDS):
            kept = Value.cast(getattr(self, opcode.name.lower()))
            m.d.comb += self.raw[index].eq(Mux(self.arrives & (self.index == index), self.word[:PAYLOAD_BITS], kept))
        # from here on, the fields of the words that arrive last; the others have their registers by then
        self._operands = data.View(payload_layout(Opcode.OPERANDS), self._now(Opcode.OPERANDS))
        self._band = data.View(payload_layout(Opcode.BAND), self._now(Opcode.BAND))
        self._planes = data.View(payload_layout(Opcode.PLANES), self._now(Opcode.PLANES))
        return wrong_before | wrong_now

    def _now(self, opcode: Opcode) -> Value:
        return self.raw[WORDS.index(opcode)][: sum(bits for _, bits in FIELDS[opcode])]

    def _sizes(self, m: Module) -> None:
        """The output's size, planes, tiles and what the address generator starts from."""
        layer, shape, window = self.layer, self.shape, self.window
        m.d.comb += [
            self.taps.eq(shape.kernel_h * shape.kernel_w),
            self.word_taps.eq(Mux(self.taps > PAYLOAD_BITS, PAYLOAD_BITS, self.taps)),
            self.pooling.eq(layer.kind == LayerKind.MAX_POOLING),
        ]
        per_pattern, _ = divided(m, Const(PAYLOAD_BITS, 12), self.word_taps, 6, "per_pattern")
        m.d.sync += self.channels_per_pattern.eq(per_pattern)

        spans = []
        for axis, size, before, after, kernel, stride, dilation in (
            ("y", shape.height, window.pad_top, window.pad_bottom, shape.kernel_h, shape.stride_y, window.dilation_y),
            ("x", shape.width, window.pad_left, window.pad_right, shape.kernel_w, shape.stride_x, window.dilation_x),
        ):
            span = named(m, f"span_{axis}", size + before + after - dilation * (kernel - 1) - 1)
            quotient, rest = divided(m, span[: EXTENT_BITS + 8], stride, EXTENT_BITS, f"out_{axis}")
            spans.append((span, quotient, rest))
        (self._span_y, rows, _), (self._span_x, columns, rest_x) = spans
        out_height, out_width = Signal(EXTENT_BITS + 1), Signal(EXTENT_BITS + 1)
        m.d.sync += [out_height.eq(rows + 1), out_width.eq(columns + 1)]
        self._out_height, self._out_width = out_height, out_width
        row_x = Signal(EXTENT_BITS + 1)
        m.d.sync += row_x.eq(self._span_x[:EXTENT_BITS] - rest_x + shape.stride_x)
        m.d.comb += [self.row_x.eq(row_x), self.row_linear.eq(shape.stride_y * shape.width - row_x)]

        lanes, banded = self.config.lanes, layer.banded
        self._all_tiles = named(m, "all_tiles", (self.out_pixels + (lanes - 1)) >> self.lane_bits)
        self._whole_plane = named(m, "whole_plane", (shape.height * shape.width + (lanes - 1)) >> self.lane_bits)
        m.d.comb += [
            self.out_pixels.eq(out_height[:16] * out_width[:16]),
            self.tiles.eq(Mux(banded, self.band.tile_count, self._all_tiles)),
            self.input_plane.eq(Mux(banded, self.planes.input_plane_words, self._whole_plane)),
            self.output_plane.eq(Mux(banded, self.band.output_plane_words, self._all_tiles)),
            self.residual_plane.eq(Mux(banded, self.planes.residual_plane_words, self._all_tiles)),
            self.input_first.eq(Mux(banded, self._planes.input_first_word, 0)),
            self.first_pixel.eq(Mux(banded, self._band.first_tile << self.lane_bits, 0)),
        ]

        # the rows of the first and the last output pixel, and the first pixel's column
        end_pixel = named(m, "end_pixel", self.first_pixel + (self._band.tile_count << self.lane_bits))
        last_pixel = named(m, "last_pixel", Mux(end_pixel < self.out_pixels, end_pixel, self.out_pixels) - 1)
        first_row, first_column = divided(m, Cat(self.first_pixel, Const(0, 6)), out_width[:16], 16, "first")
        last_row, _ = divided(m, last_pixel[:32], out_width[:16], 16, "last")
        start_x, start_y, end_y = (Signal(EXTENT_BITS, name=name) for name in ("start_x", "start_y", "end_y"))
        m.d.sync += [
            start_x.eq(first_column * shape.stride_x),
            start_y.eq(first_row * shape.stride_y),
            end_y.eq(last_row * shape.stride_y),
        ]
        self._end_y = end_y
        m.d.comb += [
            self.start_x.eq(Mux(banded, start_x, 0)),
            self.start_y.eq(Mux(banded, start_y, 0)),
            self.start_linear.eq(self.start_y * shape.width + self.start_x),
        ]

    def _bad_sizes(self, m: Module) -> list[Value]:
        """What makes no layer."""
        layer, shape, window = self.layer, self.shape, self.window
        sizes = (
            layer.channels, layer.out_channels, shape.height, shape.width, shape.kernel_h, shape.kernel_w,
            shape.stride_y, shape.stride_x, window.dilation_y, window.dilation_x,
        )  # fmt: skip
        residual_fields = layer.residual_signed | self.placement.residual_base_word.any()
        residual_fields |= self._operands.residual_multiplier.any()
        return [
            layer.kind > max(LayerKind),
            Cat(size == 0 for size in sizes).any(),
            self._span_y < 0,
            self._span_x < 0,
            self._out_height > MAX_EXTENT,
            self._out_width > MAX_EXTENT,
            ~layer.has_residual & residual_fields,
            layer.has_residual & layer.accumulator_output,
            self.pooling & (layer.has_residual | layer.accumulator_output),
            self.pooling & (layer.channels != layer.out_channels),
        ]

    def _bad_band(self, m: Module) -> list[Value]:
        """A band outside its layer, or whose input lacks a row that its outputs can see."""
        layer, shape, window, band, planes = self.layer, self.shape, self.window, self.band, self._planes
        end_word = named(m, "end_word", planes.input_first_word + planes.input_plane_words)
        reach = window.dilation_y * (shape.kernel_h - 1)
        top = named(m, "top_row", self.start_y - window.pad_top)
        bottom = named(m, "bottom_row", self._end_y - window.pad_top + reach)
        first_row = named(m, "first_seen_row", Mux(top < 0, 0, top)[:16])
        last_row = named(m, "last_seen_row", Mux(bottom >= shape.height, shape.height - 1, bottom))
        sees = last_row >= Mux(top < 0, 0, top)
        first_word = (first_row * shape.width) >> self.lane_bits
        last_word = (last_row[:16] * shape.width + shape.width - 1) >> self.lane_bits
        lacks = (first_word < planes.input_first_word) | (last_word >= end_word)
        bad = [
            (self._all_tiles > MAX_PLANE_WORDS) | (self._whole_plane > MAX_PLANE_WORDS),
            band.tile_count == 0,
            band.first_tile + band.tile_count > self._all_tiles,
            band.output_plane_words < band.tile_count,
            layer.has_residual & (planes.residual_plane_words < band.tile_count),
            ~layer.has_residual & planes.residual_plane_words.any(),
            planes.input_plane_words == 0,
            end_word > self._whole_plane,
            sees & lacks,
        ]
        return [layer.banded & condition for condition in bad]

    def _outside_memory(self, m: Module) -> list[Value]:
        """Tensors that leave AMem."""
        layer, placement, planes, words = self.layer, self.placement, self._planes, self.config.amem_words
        banded = layer.banded
        tiles = Mux(banded, self.band.tile_count, self._all_tiles)
        slots = named(m, "all_slots", Mux(layer.accumulator_output, layer.out_channels * 6, layer.out_channels))
        return (
            [
                self._leaves(
                    m,
                    "input",
                    placement.input_base_word,
                    layer.channels,
                    Mux(banded, planes.input_plane_words, self._whole_plane),
                    0,
                ),
                self._leaves(
                    m,
                    "output",
                    placement.output_base_word,
                    slots - 1,
                    Mux(banded, self.band.output_plane_words, self._all_tiles),
                    tiles,
                ),
                layer.has_residual
                & self._leaves(
                    m,
                    "residual",
                    placement.residual_base_word,
                    layer.out_channels - 1,
                    Mux(banded, planes.residual_plane_words, self._all_tiles),
                    tiles,
                ),
            ]
            if words
            else []
        )

    def _leaves(self, m: Module, name: str, base: Value, planes: Value, plane: Value, tail: Value | int) -> Value:
        """Whether ``base + planes * plane + tail`` is more than the words of AMem."""
        words = self.config.amem_words
        count = smaller_power(named(m, f"{name}_planes", planes.as_unsigned()), words)
        short = smaller_power(named(m, f"{name}_plane", plane), words)
        end = named(m, f"{name}_end", base + count * short + tail)
        return end > words


def count_of(config: ChipConfig) -> int:
    """Bits that count the entry slots of a group."""
    return count_bits(6 * config.columns)
