"""The instruction format: 64-bit IMem words, a 4-bit opcode (bits 63..60) and 60 bits.

A program is a chain of layers and an END word. A layer is five header words (seven if it is banded), then for each
group of output channels one PARAMETER word per channel and one PATTERN word per K = 60 // (kh * kw) input channels,
or ceil(kh * kw / 60) PATTERN words per input channel if it has more than 60 taps.
The widths of the fields are assumptions [A]; the 4 + 60 split and the pattern word are engine.md's.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.chip.format.header_checks import IllegalInstructionError, check_header
from tlm.chip.format.layer_header import BANDED_HEADER_WORDS, HEADER_WORDS, PAYLOAD_BITS, Band, LayerHeader
from tlm.chip.kernels.geometry import LayerKind

__all__ = [
    "BAND_OPCODES", "END_WORD", "FIELDS", "HEADER_OPCODES", "MAX_SHIFT", "PAYLOAD_BITS", "PAYLOAD_MASK", "Band",
    "IllegalInstructionError", "LayerHeader", "LayerKind", "Opcode", "Parameter", "ParameterArrays", "decode",
    "decode_header", "decode_parameter", "decode_pattern", "disassemble_word", "encode", "encode_header",
    "encode_parameter", "encode_pattern", "header_word_count", "opcode_of",
]  # fmt: skip

PAYLOAD_MASK = (1 << PAYLOAD_BITS) - 1
MAX_SHIFT = 40
"""The largest shift of a PARAMETER word."""


class Opcode(enum.IntEnum):
    """Kinds of words; 0 is none, so that a cleared memory is no program."""

    END = 1
    LAYER = 2
    SHAPE = 3
    WINDOW = 4
    PLACEMENT = 5
    OPERANDS = 6
    BAND = 7
    PARAMETER = 8
    PATTERN = 9
    PLANES = 10


FIELDS: dict[Opcode, tuple[tuple[str, int], ...]] = {
    Opcode.END: (),
    Opcode.LAYER: (
        ("kind", 4), ("input_signed", 1), ("output_signed", 1), ("accumulator_output", 1), ("has_residual", 1),
        ("residual_signed", 1), ("tag", 16), ("channels", 16), ("out_channels", 16),
        ("banded", 1),
    ),
    Opcode.SHAPE: (("height", 16), ("width", 16), ("kernel_h", 6), ("kernel_w", 6), ("stride_y", 8), ("stride_x", 8)),
    Opcode.WINDOW: (
        ("pad_top", 10), ("pad_bottom", 10), ("pad_left", 10), ("pad_right", 10),
        ("dilation_y", 10), ("dilation_x", 10),
    ),
    Opcode.PLACEMENT: (("input_base_word", 20), ("output_base_word", 20), ("residual_base_word", 20)),
    Opcode.OPERANDS: (("weight_base_word", 20), ("residual_multiplier", 16)),
    Opcode.BAND: (("first_tile", 20), ("tile_count", 20), ("output_plane_words", 20)),
    Opcode.PLANES: (("input_first_word", 20), ("input_plane_words", 20), ("residual_plane_words", 20)),
    Opcode.PARAMETER: (("bias", 24), ("multiplier", 16), ("shift", 6)),
    Opcode.PATTERN: (("pattern", PAYLOAD_BITS),),
}  # fmt: skip
"""Name and width of each field of a word, lowest bits first."""

HEADER_OPCODES = (Opcode.LAYER, Opcode.SHAPE, Opcode.WINDOW, Opcode.PLACEMENT, Opcode.OPERANDS)
"""A layer's header words, in this order, one each."""

BAND_OPCODES = (Opcode.BAND, Opcode.PLANES)
"""Two more behind them if the LAYER word says that the layer is banded."""

_BANDED_BIT = sum(bits for name, bits in FIELDS[Opcode.LAYER] if name != "banded")


class Parameter(Struct, frozen=True):
    """One output channel's requantisation: 24-bit signed bias, 16-bit multiplier, shift 0..40."""

    bias: int
    multiplier: int
    shift: int


class ParameterArrays(Struct, frozen=True, eq=False):
    """The parameters of consecutive output channels, int64 (channels,) each."""

    bias: npt.NDArray[np.int64]
    multiplier: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int64]

    def of(self, first: int, count: int) -> ParameterArrays:
        """Those of some of the channels, as views."""
        own = slice(first, first + count)
        return ParameterArrays(self.bias[own], self.multiplier[own], self.shift[own])


# -- encoding -----------------------------------------------------------------------------------------------------


def encode(opcode: Opcode, **values: int) -> int:
    """One 64-bit word.

    Raises:
        ValueError: a value that its field cannot hold (the compiler's checks come before this one).
    """
    own = tuple(values.pop(name) for name, _ in FIELDS[opcode])
    if values:
        raise ValueError(f"{opcode.name}: no such fields: {', '.join(values)}")
    return _word(opcode, own)


@lru_cache(maxsize=4096)  # the headers of a layer's parts have most of their words in common
def _word(opcode: Opcode, values: tuple[int, ...]) -> int:
    """A word of values in the order of its fields."""
    word, position = opcode << PAYLOAD_BITS, 0
    for (name, bits), value in zip(FIELDS[opcode], values, strict=True):
        if value:  # many are 0
            if value >> bits:  # beyond the field, or below 0
                raise ValueError(f"{opcode.name}.{name}: {value} does not fit {bits} bits")
            word |= int(value) << position
        position += bits
    return word


_VALUES = {
    opcode: attrgetter(*(name for name, _ in FIELDS[opcode])) for opcode in (*HEADER_OPCODES, *BAND_OPCODES)
}  # fmt: skip
"""What a header word says of a LayerHeader or a Band."""


def encode_header(header: LayerHeader) -> list[int]:
    """The header words of a layer: 5, or 7 with a band."""
    words = [_word(opcode, _VALUES[opcode](header)) for opcode in HEADER_OPCODES]
    if header.band is not None:
        words += [_word(opcode, _VALUES[opcode](header.band)) for opcode in BAND_OPCODES]
    return words


def encode_parameter(parameter: Parameter) -> int:
    """A PARAMETER word; the bias is stored in two's complement."""
    return encode(
        Opcode.PARAMETER, bias=parameter.bias & 0xFFFFFF, multiplier=parameter.multiplier, shift=parameter.shift
    )


def encode_pattern(pattern: int) -> int:
    """A PATTERN word."""
    return encode(Opcode.PATTERN, pattern=pattern)


END_WORD = encode(Opcode.END)

# -- decoding -----------------------------------------------------------------------------------------------------


def opcode_of(word: int) -> Opcode:
    """The opcode of a word; IllegalInstructionError if there is no such opcode."""
    try:
        return Opcode(word >> PAYLOAD_BITS)
    except ValueError:
        raise IllegalInstructionError(f"no instruction has opcode {word >> PAYLOAD_BITS}") from None


def decode(word: int, expected: Opcode) -> dict[str, int]:
    """The fields of a word of a given kind.

    Raises:
        IllegalInstructionError: another opcode, or reserved bits that are not zero.
    """
    opcode = opcode_of(word)
    if opcode is not expected:
        raise IllegalInstructionError(f"{opcode.name} where {expected.name} belongs")
    rest, values = word & PAYLOAD_MASK, {}
    for name, bits in FIELDS[opcode]:
        values[name] = rest & ((1 << bits) - 1)
        rest >>= bits
    if rest:
        raise IllegalInstructionError(f"{opcode.name}: reserved bits are not zero")
    return values


_FLAGS = frozenset(name for name, kind in LayerHeader.__annotations__.items() if kind == "bool")
_BAND_KEYS = Band.__struct_fields__


def header_word_count(first_word: int) -> int:
    """Header words of the layer whose first one this is: 7 if it is a LAYER word with the bit ``banded``, else 5."""
    banded = first_word >> PAYLOAD_BITS == Opcode.LAYER and first_word >> _BANDED_BIT & 1
    return BANDED_HEADER_WORDS if banded else HEADER_WORDS


def decode_header(words: Sequence[int], config: ChipConfig) -> LayerHeader:
    """The header of a layer, checked so that the engine can run it to its end.

    Args:
        words: as many as :func:`header_word_count` says of the first.
        config: of the chip that is to run it.

    Raises:
        IllegalInstructionError: wrong words, sizes that make no layer, a band outside it, or tensors that leave AMem.
    """
    values: dict[str, Any] = {}
    opcodes = HEADER_OPCODES if len(words) == HEADER_WORDS else HEADER_OPCODES + BAND_OPCODES
    for word, opcode in zip(words, opcodes, strict=True):
        values.update(decode(word, opcode))
    band = Band(**{name: values.pop(name) for name in _BAND_KEYS}) if values.pop("banded") else None
    if values["kind"] not in set(LayerKind):
        raise IllegalInstructionError(f"no layer is of kind {values['kind']}")
    kind = LayerKind(values.pop("kind"))
    flags = {name: bool(value) if name in _FLAGS else value for name, value in values.items()}
    header = LayerHeader(kind=kind, **flags, band=band)
    check_header(header, config)
    return header


def decode_parameter(word: int) -> Parameter:
    """A PARAMETER word; IllegalInstructionError for a shift above MAX_SHIFT."""
    values = decode(word, Opcode.PARAMETER)
    if values["shift"] > MAX_SHIFT:
        raise IllegalInstructionError(f"a shift of {values['shift']}")
    bias = values["bias"]
    return Parameter(bias - (1 << 24) if bias >> 23 else bias, values["multiplier"], values["shift"])


def decode_pattern(word: int, channels: range, taps: range) -> list[tuple[int, int]]:
    """The steps of a PATTERN word, in order: (input channel, tap).

    Args:
        word: the 64 bits.
        channels: the input channels of which it speaks (:meth:`LayerHeader.pattern_channels`).
        taps: of each of them (:meth:`LayerHeader.pattern_taps`).

    Raises:
        IllegalInstructionError: a bit beyond the last channel or tap.
    """
    pattern = decode(word, Opcode.PATTERN)["pattern"]
    if pattern >> (len(channels) * len(taps)):
        raise IllegalInstructionError("a pattern bit beyond the last channel or tap")
    return [(channels[i // len(taps)], taps[i % len(taps)]) for i in _set_bits(pattern)]


def _set_bits(pattern: int) -> Iterator[int]:
    while pattern:
        low = pattern & -pattern
        yield low.bit_length() - 1
        pattern ^= low


# -- disassembly --------------------------------------------------------------------------------------------------


def disassemble_word(word: int) -> str:
    """One line: mnemonic and fields, whatever the bits are."""
    try:
        opcode = opcode_of(word)
        values = decode(word, opcode)
    except IllegalInstructionError as error:
        return f"ILLEGAL   {error}"
    if opcode is Opcode.PATTERN:
        return f"PATTERN   {values['pattern']:015x}  {values['pattern'].bit_count()} steps"
    if opcode is Opcode.PARAMETER and values["bias"] >> 23:
        values["bias"] -= 1 << 24
    return f"{opcode.name:<9} {' '.join(f'{name}={value}' for name, value in values.items())}".rstrip()
