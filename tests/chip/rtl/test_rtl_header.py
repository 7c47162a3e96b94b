"""The circuit's header registers against the format's decoder: what is illegal, and the numbers of a legal layer."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import (
    BAND_OPCODES,
    FIELDS,
    HEADER_OPCODES,
    IllegalInstructionError,
    LayerHeader,
    decode_header,
    encode,
    header_word_count,
)
from tlm.chip.rtl.header import Header

CONFIG = ChipConfig(lanes=8, columns=8, amem_words=1024)
LAYER: dict[str, int] = {
    "kind": 0, "input_signed": 0, "output_signed": 0, "accumulator_output": 0, "has_residual": 0, "residual_signed": 0,
    "banded": 0, "tag": 7, "channels": 4, "out_channels": 8, "height": 16, "width": 16, "kernel_h": 3, "kernel_w": 3,
    "stride_y": 1, "stride_x": 1, "pad_top": 1, "pad_bottom": 1, "pad_left": 1, "pad_right": 1, "dilation_y": 1,
    "dilation_x": 1, "input_base_word": 0, "output_base_word": 128, "residual_base_word": 0, "weight_base_word": 0,
    "residual_multiplier": 0,
}  # fmt: skip
BAND = {
    "banded": 1, "first_tile": 8, "tile_count": 8, "output_plane_words": 8, "input_first_word": 6,
    "input_plane_words": 14, "residual_plane_words": 0,
}  # fmt: skip
"""Rows 4 to 7 of LAYER's output; they see rows 3 to 8, words 6 to 17."""
POOLING = {"kind": 1, "out_channels": 4}
CHOICES: dict[str, tuple[int, ...]] = {
    "kind": (0, 1, 2), "input_signed": (0, 1), "output_signed": (0, 1), "accumulator_output": (0, 1),
    "has_residual": (0, 1), "residual_signed": (0, 1), "channels": (0, 1, 2, 9), "out_channels": (0, 1, 4, 9, 20),
    "height": (0, 1, 5, 9, 17, 300), "width": (0, 1, 3, 7, 16, 33, 65_535), "kernel_h": (0, 1, 2, 5, 60, 63),
    "kernel_w": (0, 1, 2, 5, 7, 12, 63), "stride_y": (0, 2, 3, 255), "stride_x": (0, 2, 3), "pad_top": (0, 3, 1023),
    "pad_bottom": (0, 3), "pad_left": (0, 3, 9), "pad_right": (0, 3), "dilation_y": (0, 2, 9), "dilation_x": (0, 2),
    "input_base_word": (3, 896, 897), "output_base_word": (0, 768, 769, 1020), "residual_base_word": (9, 500),
    "residual_multiplier": (1, 65_535), "first_tile": (0, 16, 24, 25), "tile_count": (0, 1, 9, 24, 25),
    "output_plane_words": (7, 9), "input_first_word": (5, 7, 18, 19), "input_plane_words": (0, 11, 12, 26, 27),
    "residual_plane_words": (8,),
}  # fmt: skip
"""Values around the limits that LAYER and BAND leave, and extremes."""

LARGE = ((1, 61), (63, 63))
"""Kernels of more than 60 taps."""

Words = list[int]


def words_of(values: dict[str, int]) -> Words:
    opcodes = HEADER_OPCODES + (BAND_OPCODES if values["banded"] else ())
    return [encode(opcode, **{name: values[name] for name, _ in FIELDS[opcode]}) for opcode in opcodes]


def changed_alone() -> list[Words]:
    """LAYER, one of pooling and a band; then with each field at each of its choices."""
    cases = [words_of(LAYER | {"kernel_h": 5, "kernel_w": 12})]  # as many taps as a pattern word has bits
    cases += [words_of(LAYER | {"kernel_h": h, "kernel_w": w, "pad_top": 63, "pad_left": 63}) for h, w in LARGE]
    for base in (LAYER, LAYER | POOLING, LAYER | BAND, LAYER | {"has_residual": 1, "residual_base_word": 640}):
        cases.append(words_of(base))
        cases += [words_of(base | {key: value}) for key in base if key in CHOICES for value in CHOICES[key]]
    return cases


def changed_together(count: int) -> list[Words]:
    """Several fields, and now and then a bit of a word."""
    chance, cases = random.Random(5), []
    for _ in range(count):
        base = LAYER | chance.choice(({}, POOLING, BAND))
        keys = chance.sample([key for key in base if key in CHOICES], chance.randint(2, 5))
        words = words_of(base | {key: chance.choice(CHOICES[key]) for key in keys})
        if chance.random() < 0.2:
            words[chance.randrange(len(words))] ^= 1 << chance.randrange(64)
            if header_word_count(words[0]) != len(words):
                continue
        cases.append(words)
    return cases


def expected(header: LayerHeader) -> dict[str, int]:
    """The numbers of a legal layer that the other blocks read."""
    lanes, band = CONFIG.lanes, header.band
    first_pixel = band.first_tile * lanes if band else 0
    numbers = {
        "tiles": header.tiles(lanes),
        "input_plane": header.input_plane_words(lanes),
        "output_plane": header.output_plane_words(lanes),
        "out_pixels": header.out_pixels,
        "channels_per_pattern": header.channels_per_pattern,
        "taps": header.taps,
        "word_taps": min(header.taps, 60),
        "start_x": first_pixel % header.out_width * header.stride_x,
        "start_y": first_pixel // header.out_width * header.stride_y,
        "row_x": header.out_width * header.stride_x,
    }
    return numbers | ({"residual_plane": header.residual_plane_words(lanes)} if header.has_residual else {})


def check(cases: list[Words]) -> None:
    circuit, found = Header(CONFIG), {True: 0, False: 0}

    async def bench(ctx: Any) -> None:
        for words in cases:
            try:
                header: LayerHeader | None = decode_header(words, CONFIG)
            except IllegalInstructionError:
                header = None
            ctx.set(circuit.arrives, 1)
            for index, word in enumerate(words):
                ctx.set(circuit.word, word)
                ctx.set(circuit.index, index)
                if index == len(words) - 1:
                    assert ctx.get(circuit.illegal) == (header is None), [hex(word) for word in words]
                await ctx.tick()
            ctx.set(circuit.arrives, 0)
            found[header is None] += 1
            if header is not None:
                numbers = expected(header)
                assert {name: ctx.get(getattr(circuit, name)) for name in numbers} == numbers, header

    simulator = Simulator(circuit)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(found.values()) > len(cases) // 10


def test_each_field_at_its_limits() -> None:
    check(changed_alone())


@pytest.mark.slow
def test_several_fields_and_flipped_bits() -> None:
    check(changed_together(600))
