"""Header words of bands and of max pooling: round trips, and each case that is illegal."""

from __future__ import annotations

import pytest
from band_programs import BandCase, band_cases
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from msgspec.structs import replace

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import (
    BAND_OPCODES,
    HEADER_OPCODES,
    Band,
    IllegalInstructionError,
    LayerHeader,
    LayerKind,
    decode_header,
    disassemble_word,
    encode_header,
    header_word_count,
    opcode_of,
)

CONFIG = ChipConfig(lanes=32, columns=32)
# 16 x 16 pixels in and out: 8 words a plane; 3x3, padding 1: tiles 2, 3 are rows 4 .. 7 and see rows 3 .. 8
HEADER = LayerHeader(
    kind=LayerKind.CONVOLUTION, input_signed=False, output_signed=False, accumulator_output=False, has_residual=True,
    residual_signed=False, tag=1, channels=5, out_channels=6, height=16, width=16, kernel_h=3, kernel_w=3, stride_y=1,
    stride_x=1, pad_top=1, pad_bottom=1, pad_left=1, pad_right=1, dilation_y=1, dilation_x=1, input_base_word=10,
    output_base_word=100, residual_base_word=200, weight_base_word=0, residual_multiplier=7,
    band=Band(
        first_tile=2, tile_count=2, output_plane_words=4, input_first_word=1, input_plane_words=4,
        residual_plane_words=3,
    ),
)  # fmt: skip
POOLING = replace(
    HEADER, kind=LayerKind.MAX_POOLING, out_channels=5, has_residual=False, residual_base_word=0,
    residual_multiplier=0, band=None,
)  # fmt: skip


def with_band(**changes: int) -> LayerHeader:
    assert HEADER.band is not None
    return replace(HEADER, band=replace(HEADER.band, **changes))


def refused(header: LayerHeader) -> str:
    with pytest.raises(IllegalInstructionError) as error:
        decode_header(encode_header(header), CONFIG)
    return str(error.value)


@st.composite
def cases(draw: st.DrawFn) -> BandCase:
    config = ChipConfig(lanes=draw(st.sampled_from((8, 32))), columns=8, amem_words=8192)
    return draw(band_cases(config, banded=draw(st.booleans())))


@examples(100, suppress_health_check=list(HealthCheck))
@given(cases())
def test_headers_survive_the_round_trip(case: BandCase) -> None:
    header = case.header()
    words = encode_header(header)
    opcodes = HEADER_OPCODES + (BAND_OPCODES if header.band is not None else ())
    assert [opcode_of(word) for word in words] == list(opcodes)
    assert len(words) == header.header_words == header_word_count(words[0])
    assert decode_header(words, case.config) == header


def test_only_a_layer_word_says_that_there_are_two_more() -> None:
    words = encode_header(HEADER)
    assert words[0] >> 57 & 1
    assert [header_word_count(word) for word in words] == [7, 5, 5, 5, 5, 5, 5]
    assert header_word_count(3 << 60 | 1 << 57) == 5


def test_band_words_must_stand_in_order() -> None:
    words = encode_header(HEADER)
    with pytest.raises(IllegalInstructionError, match="PLANES where BAND belongs"):
        decode_header([*words[:5], words[6], words[5]], CONFIG)


def test_disassembled_lines() -> None:
    words = encode_header(HEADER)
    assert disassemble_word(words[0]).endswith("banded=1")
    assert [disassemble_word(word) for word in words[5:]] == [
        "BAND      first_tile=2 tile_count=2 output_plane_words=4",
        "PLANES    input_first_word=1 input_plane_words=4 residual_plane_words=3",
    ]
    assert disassemble_word(encode_header(POOLING)[0]).startswith("LAYER     kind=1 ")


def test_what_follows_from_a_band() -> None:
    assert decode_header(encode_header(HEADER), CONFIG) == HEADER
    assert (HEADER.all_tiles(32), HEADER.tiles(32), HEADER.tile_pixels(1, 32)) == (8, 2, 32)
    planes = HEADER.input_plane_words(32), HEADER.output_plane_words(32), HEADER.residual_plane_words(32)
    assert planes == (4, 4, 3)
    geometry = HEADER.geometry(32, 32)
    assert (geometry.first_tile, geometry.tiles, geometry.input_first_word, geometry.plane_words) == (2, 2, 1, 4)
    last = with_band(first_tile=7, tile_count=1, input_first_word=4)
    assert replace(last, height=15, pad_bottom=2).tile_pixels(0, 32) == 32
    assert replace(last, height=15).tile_pixels(0, 32) == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile_count": 0}, "a band of tiles 2 to 2 of 8"),
        ({"first_tile": 7}, "a band of tiles 7 to 9 of 8"),
        ({"first_tile": (1 << 20) - 1}, "a band of tiles 1048575 to 1048577 of 8"),
        ({"output_plane_words": 1}, "output planes of 1 words for 2 tiles"),
        ({"residual_plane_words": 1}, "residual planes of 1 words for 2 tiles"),
        ({"input_plane_words": 0}, "an input of words 1 to 1 of 8"),
        ({"input_first_word": 5}, "an input of words 5 to 9 of 8"),
        ({"input_first_word": 2}, "an input of words 2 to 6 for a band that sees 1 to 5"),
        ({"input_plane_words": 3}, "an input of words 1 to 4 for a band that sees 1 to 5"),
    ],
)
def test_an_illegal_band(changes: dict[str, int], message: str) -> None:
    assert refused(with_band(**changes)) == message


def test_residual_planes_belong_to_a_residual() -> None:
    plain = replace(HEADER, has_residual=False, residual_base_word=0, residual_multiplier=0)
    assert refused(plain) == "residual fields are set in a layer without a residual"
    assert plain.band is not None
    legal = replace(plain, band=replace(plain.band, residual_plane_words=0))
    assert decode_header(encode_header(legal), CONFIG) == legal


# input 5 * 4 words; output 5 planes of 4 words and 2 tiles of the sixth; residual 5 of 3 and 2
@pytest.mark.parametrize(("name", "words"), [("input", 20), ("output", 22), ("residual", 17)])
def test_a_tensor_that_leaves_amem_is_refused_at_the_first_word_too_far(name: str, words: int) -> None:
    last = CONFIG.amem_words - words
    fits = replace(HEADER, **{f"{name}_base_word": last})
    assert decode_header(encode_header(fits), CONFIG) == fits
    leaves = replace(HEADER, **{f"{name}_base_word": last + 1})
    assert refused(leaves) == f"the {name} at {last + 1} of {words} words leaves AMem"


def test_a_layer_too_large_for_the_counters_of_a_band() -> None:
    assert refused(replace(HEADER, height=65_535, width=1024)) == "a band of a layer with planes of 2097120 words"


def test_any_window_is_legal_for_a_band_that_sees_padding_alone() -> None:
    """Output rows 0 .. 3 of a layer with 100 rows of padding above."""
    padded = replace(with_band(first_tile=0, input_first_word=7, input_plane_words=1), pad_top=100)
    assert decode_header(encode_header(padded), CONFIG) == padded


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out_channels": 6}, "pooling of 5 channels to 6"),
        ({"channels": 4}, "pooling of 4 channels to 5"),
        ({"has_residual": True}, "pooling with a residual or accumulator output"),
        ({"accumulator_output": True}, "pooling with a residual or accumulator output"),
    ],
)
def test_pooling_that_is_no_layer(changes: dict[str, int], message: str) -> None:
    assert decode_header(encode_header(POOLING), CONFIG) == POOLING
    assert refused(replace(POOLING, **changes)) == message


def test_pattern_words_of_a_pooling_group() -> None:
    """70 channels in groups of 32 with K = 6: 6, 6 and 1 words."""
    header = replace(POOLING, channels=70, out_channels=70)
    assert [header.pattern_words(group, 32) for group in range(3)] == [6, 6, 1]
    assert header.pattern_channels(1, 5, 32) == range(62, 64)
    assert header.pattern_channels(2, 0, 32) == range(64, 70)
