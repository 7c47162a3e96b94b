"""The instruction format: encoding, decoding with every check, disassembly."""

from __future__ import annotations

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import (
    END_WORD,
    HEADER_OPCODES,
    IllegalInstructionError,
    LayerHeader,
    LayerKind,
    Opcode,
    Parameter,
    decode,
    decode_header,
    decode_parameter,
    decode_pattern,
    disassemble_word,
    encode,
    encode_header,
    encode_parameter,
    encode_pattern,
    opcode_of,
)

# Written down once more, from the format and not from its table: opcode number and bits in use, from bit 0 up.
USED_BITS = {
    Opcode.END: 0,
    Opcode.LAYER: 4 + 5 * 1 + 3 * 16 + 1,
    Opcode.SHAPE: 2 * 16 + 2 * 6 + 2 * 8,
    Opcode.WINDOW: 6 * 10,
    Opcode.PLACEMENT: 3 * 20,
    Opcode.OPERANDS: 20 + 16,
    Opcode.BAND: 3 * 20,
    Opcode.PLANES: 3 * 20,
    Opcode.PARAMETER: 24 + 16 + 6,
    Opcode.PATTERN: 60,
}
OPCODES = {
    1: Opcode.END,
    2: Opcode.LAYER,
    3: Opcode.SHAPE,
    4: Opcode.WINDOW,
    5: Opcode.PLACEMENT,
    6: Opcode.OPERANDS,
    7: Opcode.BAND,
    8: Opcode.PARAMETER,
    9: Opcode.PATTERN,
    10: Opcode.PLANES,
}
RESERVED = [(opcode, bit) for opcode, used in USED_BITS.items() for bit in range(used, 60)]

HEADER = LayerHeader(
    kind=LayerKind.CONVOLUTION,
    input_signed=False,
    output_signed=True,
    accumulator_output=False,
    has_residual=True,
    residual_signed=True,
    tag=7,
    channels=48,
    out_channels=40,
    height=14,
    width=12,
    kernel_h=3,
    kernel_w=3,
    stride_y=1,
    stride_x=2,
    pad_top=1,
    pad_bottom=1,
    pad_left=1,
    pad_right=0,
    dilation_y=1,
    dilation_x=1,
    input_base_word=100,
    output_base_word=2000,
    residual_base_word=4000,
    weight_base_word=300,
    residual_multiplier=512,
)
CONFIG = ChipConfig()


def refused(words: list[int], config: ChipConfig = CONFIG) -> str:
    with pytest.raises(IllegalInstructionError) as error:
        decode_header(words, config)
    return str(error.value)


def test_a_word_is_a_4_bit_opcode_over_60_bits() -> None:
    assert END_WORD == 1 << 60
    assert encode_pattern((1 << 60) - 1) == 0x9FFF_FFFF_FFFF_FFFF
    assert encode_parameter(Parameter(-1, 2, 3)) == 8 << 60 | 3 << 40 | 2 << 24 | 0xFFFFFF
    assert (
        encode(Opcode.OPERANDS, weight_base_word=0xABCDE, residual_multiplier=0x1234)
        == 6 << 60 | 0x1234 << 20 | 0xABCDE
    )


@pytest.mark.parametrize("number", range(16))
def test_every_opcode_but_the_ten_is_illegal(number: int) -> None:
    word = number << 60 | 5
    if number in OPCODES:
        assert opcode_of(word) is OPCODES[number]
        return
    with pytest.raises(IllegalInstructionError, match=f"no instruction has opcode {number}$"):
        opcode_of(word)
    assert disassemble_word(word) == f"ILLEGAL   no instruction has opcode {number}"


@pytest.mark.parametrize("opcode", Opcode)
def test_every_bit_in_use_is_decoded(opcode: Opcode) -> None:
    for bit in range(USED_BITS[opcode]):
        values = decode(opcode << 60 | 1 << bit, opcode)
        assert sum(value.bit_count() for value in values.values()) == 1
        assert encode(opcode, **values) == opcode << 60 | 1 << bit


@pytest.mark.parametrize(("opcode", "bit"), RESERVED, ids=lambda item: getattr(item, "name", str(item)))
def test_every_reserved_bit_is_refused(opcode: Opcode, bit: int) -> None:
    with pytest.raises(IllegalInstructionError, match=f"{opcode.name}: reserved bits are not zero"):
        decode(opcode << 60 | 1 << bit, opcode)


def test_another_kind_of_word_is_refused() -> None:
    with pytest.raises(IllegalInstructionError, match="PATTERN where PARAMETER belongs"):
        decode(encode_pattern(1), Opcode.PARAMETER)


def test_a_value_too_wide_for_its_field_is_refused() -> None:
    with pytest.raises(ValueError, match=r"OPERANDS\.weight_base_word: 1048576 does not fit 20 bits"):
        encode(Opcode.OPERANDS, weight_base_word=1 << 20, residual_multiplier=0)
    with pytest.raises(ValueError, match="END: no such fields: pattern"):
        encode(Opcode.END, pattern=1)


# -- parameters and patterns --------------------------------------------------------------------------------------


@examples(100)
@given(st.builds(Parameter, st.integers(-(1 << 23), (1 << 23) - 1), st.integers(0, (1 << 16) - 1), st.integers(0, 40)))
def test_parameters_survive_the_round_trip(parameter: Parameter) -> None:
    assert decode_parameter(encode_parameter(parameter)) == parameter


@pytest.mark.parametrize("shift", range(41, 64))
def test_a_shift_above_40_is_refused(shift: int) -> None:
    with pytest.raises(IllegalInstructionError, match=f"a shift of {shift}"):
        decode_parameter(encode_parameter(Parameter(0, 1, shift)))


@examples(100)
@given(st.data(), st.integers(1, 60), st.integers(1, 200))
def test_patterns_survive_the_round_trip(data: st.DataObject, taps: int, channels: int) -> None:
    """Pattern word k carries channels k*K .. k*K+K-1, K = 60 // taps; bit (c mod K) * taps + s is step (c, s)."""
    header = replace(HEADER, kernel_h=1, kernel_w=taps, channels=channels)
    per_word = 60 // taps
    index = data.draw(st.integers(0, -(-channels // per_word) - 1))
    first, end = index * per_word, min(channels, (index + 1) * per_word)
    every = [(c, s) for c in range(first, end) for s in range(taps)]
    steps = sorted(data.draw(st.sets(st.sampled_from(every))))
    pattern = sum(1 << (c % per_word) * taps + s for c, s in steps)
    assert header.pattern_words(0, 32) == -(-channels // per_word)
    assert decode_pattern(encode_pattern(pattern), header.pattern_channels(0, index, 32), range(taps)) == steps


@pytest.mark.parametrize(
    ("taps", "channels", "index", "legal_bits"),
    [
        (9, 48, 0, 54),  # six channels of nine taps: bits 54..59 belong to nothing
        (9, 7, 1, 9),  # one channel is left for the second word
        (60, 2, 1, 60),
        (1, 61, 1, 1),
        (7, 8, 0, 56),
        (61, 2, 2, 60),  # a channel takes two words,
        (61, 2, 3, 1),  # and one tap is left for the second
    ],
)
def test_a_pattern_bit_beyond_the_last_channel_or_tap_is_refused(
    taps: int, channels: int, index: int, legal_bits: int
) -> None:
    header = replace(HEADER, kernel_h=1, kernel_w=taps, channels=channels)
    spoken_of, own_taps = header.pattern_channels(0, index, 32), header.pattern_taps(index)
    for bit in range(60):
        word = encode_pattern(1 << bit)
        if bit < legal_bits:
            assert len(decode_pattern(word, spoken_of, own_taps)) == 1
        else:
            with pytest.raises(IllegalInstructionError, match="a pattern bit beyond the last channel or tap"):
                decode_pattern(word, spoken_of, own_taps)


@pytest.mark.parametrize(("taps", "words"), [((1, 60), 3), ((1, 61), 6), ((2, 60), 6), ((11, 11), 9), ((63, 63), 201)])
def test_a_kernel_of_more_than_60_taps_takes_several_words_a_channel(taps: tuple[int, int], words: int) -> None:
    """ceil(taps / 60) for each of three channels, in order of taps: engine.md, Layout."""
    header = replace(HEADER, kernel_h=taps[0], kernel_w=taps[1], channels=3)
    assert header.pattern_words(0, 32) == words
    spoken_of = [
        (channel, tap)
        for index in range(words)
        for channel in header.pattern_channels(0, index, 32)
        for tap in header.pattern_taps(index)
    ]
    assert spoken_of == [(channel, tap) for channel in range(3) for tap in range(taps[0] * taps[1])]


# -- headers ------------------------------------------------------------------------------------------------------


@st.composite
def headers(draw: st.DrawFn) -> LayerHeader:
    """Legal headers; tensors fit because they are small and start low."""
    kernel_h, kernel_w = draw(st.sampled_from([(1, 1), (3, 3), (1, 60), (5, 2), (6, 10)]))
    dilation_y, dilation_x = draw(st.integers(1, 1023)), draw(st.integers(1, 1023))
    residual = draw(st.booleans())
    return LayerHeader(
        kind=LayerKind.CONVOLUTION,
        input_signed=draw(st.booleans()),
        output_signed=draw(st.booleans()),
        accumulator_output=not residual and draw(st.booleans()),
        has_residual=residual,
        residual_signed=residual and draw(st.booleans()),
        tag=draw(st.integers(0, 65535)),
        channels=draw(st.integers(1, 8)),
        out_channels=draw(st.integers(1, 8)),
        height=(kernel_h - 1) * dilation_y + draw(st.integers(1, 4)),
        width=(kernel_w - 1) * dilation_x + draw(st.integers(1, 4)),
        kernel_h=kernel_h,
        kernel_w=kernel_w,
        stride_y=draw(st.integers(1, 255)),
        stride_x=draw(st.integers(1, 255)),
        pad_top=draw(st.integers(0, 8)),
        pad_bottom=draw(st.integers(0, 8)),
        pad_left=draw(st.integers(0, 8)),
        pad_right=draw(st.integers(0, 8)),
        dilation_y=dilation_y,
        dilation_x=dilation_x,
        input_base_word=draw(st.integers(0, 1 << 19)),
        output_base_word=draw(st.integers(0, 1 << 19)),
        residual_base_word=residual * draw(st.integers(0, 1 << 19)),
        weight_base_word=draw(st.integers(0, (1 << 20) - 1)),
        residual_multiplier=residual * draw(st.integers(0, 65535)),
    )


@examples(100)
@given(headers())
def test_headers_survive_the_round_trip(header: LayerHeader) -> None:
    config = ChipConfig(amem_words=1 << 20)
    words = encode_header(header)
    assert [opcode_of(word) for word in words] == list(HEADER_OPCODES)
    if header.input_base_word + header.channels * header.input_plane_words(32) > config.amem_words:
        assert "leaves AMem" in refused(words, config)
    else:
        assert decode_header(words, config) == header


def test_headers_must_stand_in_order() -> None:
    words = encode_header(HEADER)
    assert refused([words[0], words[2], words[1], *words[3:]]) == "WINDOW where SHAPE belongs"


@pytest.mark.parametrize("kind", range(2, 16))
def test_there_is_no_other_kind_of_layer(kind: int) -> None:
    words = encode_header(HEADER)
    assert refused([words[0] | kind, *words[1:]]) == f"no layer is of kind {kind}"


@pytest.mark.parametrize(
    "field",
    [
        "channels",
        "out_channels",
        "height",
        "width",
        "kernel_h",
        "kernel_w",
        "stride_y",
        "stride_x",
        "dilation_y",
        "dilation_x",
    ],
)
def test_a_size_of_0_is_refused(field: str) -> None:
    assert refused(encode_header(replace(HEADER, **{field: 0}))) == "a size, stride or dilation is 0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 2, "pad_top": 0, "pad_bottom": 0}, "the kernel does not fit into the padded input"),
        ({"width": 1, "pad_left": 0}, "the kernel does not fit into the padded input"),
        ({"has_residual": False}, "residual fields are set in a layer without a residual"),
        ({"accumulator_output": True}, "a residual in a layer with accumulator output"),
        ({"height": 65_535, "pad_top": 1023, "width": 4, "pad_left": 0, "channels": 1, "out_channels": 1},
         "an output of 66557 x 1 pixels"),
    ],
)  # fmt: skip
def test_a_header_that_makes_no_layer_is_refused(change: dict[str, int], message: str) -> None:
    assert refused(encode_header(replace(HEADER, **change))) == message


# P of the input = ceil(14*12/32) = 6; the output has 14 x 6 pixels, so P = 3
@pytest.mark.parametrize(("name", "words"), [("input", 48 * 6), ("output", 40 * 3), ("residual", 40 * 3)])
def test_a_tensor_that_leaves_amem_is_refused_at_the_first_word_too_far(name: str, words: int) -> None:
    last = CONFIG.amem_words - words
    fits = replace(HEADER, **{f"{name}_base_word": last})
    assert decode_header(encode_header(fits), CONFIG) == fits
    leaves = replace(HEADER, **{f"{name}_base_word": last + 1})
    assert refused(encode_header(leaves)) == f"the {name} at {last + 1} of {words} words leaves AMem"


def test_accumulator_output_takes_six_words_a_channel() -> None:
    plain = {"has_residual": False, "residual_signed": False, "residual_base_word": 0, "residual_multiplier": 0}
    header = replace(HEADER, accumulator_output=True, output_base_word=CONFIG.amem_words - 6 * 40 * 3, **plain)
    assert decode_header(encode_header(header), CONFIG) == header
    leaves = replace(header, output_base_word=header.output_base_word + 1)
    assert refused(encode_header(leaves)) == f"the output at {leaves.output_base_word} of 720 words leaves AMem"


# -- disassembly --------------------------------------------------------------------------------------------------


def test_disassembled_lines() -> None:
    words = [*encode_header(HEADER), encode_parameter(Parameter(-5, 300, 12)), encode_pattern(0b1011), END_WORD, 0]
    assert [disassemble_word(word) for word in words] == [
        "LAYER     kind=0 input_signed=0 output_signed=1 accumulator_output=0 has_residual=1 residual_signed=1 tag=7 "
        "channels=48 out_channels=40 banded=0",
        "SHAPE     height=14 width=12 kernel_h=3 kernel_w=3 stride_y=1 stride_x=2",
        "WINDOW    pad_top=1 pad_bottom=1 pad_left=1 pad_right=0 dilation_y=1 dilation_x=1",
        "PLACEMENT input_base_word=100 output_base_word=2000 residual_base_word=4000",
        "OPERANDS  weight_base_word=300 residual_multiplier=512",
        "PARAMETER bias=-5 multiplier=300 shift=12",
        "PATTERN   00000000000000b  3 steps",
        "END",
        "ILLEGAL   no instruction has opcode 0",
    ]


@examples(100)
@given(st.integers(0, (1 << 64) - 1))
def test_any_bits_disassemble_to_one_line(word: int) -> None:
    line = disassemble_word(word)
    assert line
    assert "\n" not in line
