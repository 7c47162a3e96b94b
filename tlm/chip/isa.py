"""The instruction format: 64-bit IMem words, a 4-bit opcode (bits 63..60) and 60 bits.

A program is a chain of layers and an END word. A layer is five header words, then for each group of output
channels one PARAMETER word per channel and one PATTERN word per K = 60 // (kh * kw) input channels.
The widths of the fields are assumptions [A]; the 4 + 60 split and the pattern word are engine.md's.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.chip.kernels import Geometry

PAYLOAD_BITS = 60
PAYLOAD_MASK = (1 << PAYLOAD_BITS) - 1
_MAX_EXTENT = 65_535
"""Rows or columns that the array's counters can hold, padding included in the output's [A]."""


class Opcode(enum.IntEnum):
    """Kinds of words; 0 is none, so that a cleared memory is no program."""

    END = 1
    LAYER = 2
    SHAPE = 3
    WINDOW = 4
    PLACEMENT = 5
    OPERANDS = 6
    PARAMETER = 8
    PATTERN = 9


class LayerKind(enum.IntEnum):
    """What the array does in a layer."""

    CONVOLUTION = 0


class IllegalInstructionError(ValueError):
    """A word that the sequencer cannot act on; caught there and reported through its status register."""


FIELDS: dict[Opcode, tuple[tuple[str, int], ...]] = {
    Opcode.END: (),
    Opcode.LAYER: (
        ("kind", 4), ("input_signed", 1), ("output_signed", 1), ("accumulator_output", 1), ("has_residual", 1),
        ("residual_signed", 1), ("tag", 16), ("channels", 16), ("out_channels", 16),
    ),
    Opcode.SHAPE: (("height", 16), ("width", 16), ("kernel_h", 6), ("kernel_w", 6), ("stride_y", 8), ("stride_x", 8)),
    Opcode.WINDOW: (
        ("pad_top", 10), ("pad_bottom", 10), ("pad_left", 10), ("pad_right", 10),
        ("dilation_y", 10), ("dilation_x", 10),
    ),
    Opcode.PLACEMENT: (("input_base_word", 20), ("output_base_word", 20), ("residual_base_word", 20)),
    Opcode.OPERANDS: (("weight_base_word", 20), ("residual_multiplier", 16)),
    Opcode.PARAMETER: (("bias", 24), ("multiplier", 16), ("shift", 6)),
    Opcode.PATTERN: (("pattern", PAYLOAD_BITS),),
}  # fmt: skip
"""Name and width of each field of a word, lowest bits first."""

HEADER_OPCODES = (Opcode.LAYER, Opcode.SHAPE, Opcode.WINDOW, Opcode.PLACEMENT, Opcode.OPERANDS)
"""A layer's header words, in this order, one each."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One output channel's requantisation: 24-bit signed bias, 16-bit multiplier, shift 0..40."""

    bias: int
    multiplier: int
    shift: int


@dataclass(frozen=True, eq=False)
class ParameterArrays:
    """The parameters of consecutive output channels, int64 (channels,) each."""

    bias: npt.NDArray[np.int64]
    multiplier: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int64]


@dataclass(frozen=True)
class LayerHeader:
    """What a layer's header words say; all plain integers, words are AMem or WMem words."""

    kind: LayerKind
    input_signed: bool
    output_signed: bool
    accumulator_output: bool
    has_residual: bool
    residual_signed: bool
    tag: int
    channels: int
    out_channels: int
    height: int
    width: int
    kernel_h: int
    kernel_w: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_bottom: int
    pad_left: int
    pad_right: int
    dilation_y: int
    dilation_x: int
    input_base_word: int
    output_base_word: int
    residual_base_word: int
    weight_base_word: int
    residual_multiplier: int

    @property
    def taps(self) -> int:
        """kh * kw."""
        return self.kernel_h * self.kernel_w

    @property
    def channels_per_pattern(self) -> int:
        """K: consecutive input channels whose valid patterns share a word."""
        return PAYLOAD_BITS // self.taps

    @property
    def patterns_per_group(self) -> int:
        """ceil(C / K)."""
        return -(-self.channels // self.channels_per_pattern)

    @property
    def out_height(self) -> int:
        """H' (engine.md, Values); may be below 1 in an illegal header."""
        span = self.height + self.pad_top + self.pad_bottom - self.dilation_y * (self.kernel_h - 1) - 1
        return span // self.stride_y + 1

    @property
    def out_width(self) -> int:
        """W'."""
        span = self.width + self.pad_left + self.pad_right - self.dilation_x * (self.kernel_w - 1) - 1
        return span // self.stride_x + 1

    @property
    def out_pixels(self) -> int:
        """H' * W'."""
        return self.out_height * self.out_width

    @property
    def slots_per_channel(self) -> int:
        """Entry slots of the requantiser and AMem words per channel and tile: 6 nibble planes, or 1."""
        return 6 if self.accumulator_output else 1

    @property
    def output_range(self) -> tuple[int, int]:
        """(lo, hi) of the requantiser."""
        return (-8, 7) if self.output_signed else (0, 15)

    def tiles(self, lanes: int) -> int:
        """Tiles of ``lanes`` output pixels: also P of the output."""
        return -(-self.out_pixels // lanes)

    def groups(self, columns: int) -> int:
        """Groups of ``columns`` output channels."""
        return -(-self.out_channels // columns)

    def group_channels(self, group: int, columns: int) -> int:
        """Real output channels of a group: fewer than ``columns`` in the last."""
        return min(columns, self.out_channels - group * columns)

    def input_plane_words(self, lanes: int) -> int:
        """P of the input."""
        return -(-self.height * self.width // lanes)

    def geometry(self, lanes: int, columns: int) -> Geometry:
        """What the kernels need of this header."""
        return Geometry(
            lanes=lanes, columns=columns, channels=self.channels, height=self.height, width=self.width,
            out_channels=self.out_channels, out_height=self.out_height, out_width=self.out_width,
            kernel_h=self.kernel_h, kernel_w=self.kernel_w, stride_y=self.stride_y, stride_x=self.stride_x,
            pad_top=self.pad_top, pad_left=self.pad_left, dilation_y=self.dilation_y, dilation_x=self.dilation_x,
            input_signed=self.input_signed, input_base_word=self.input_base_word,
        )  # fmt: skip


# -- encoding -----------------------------------------------------------------------------------------------------


def encode(opcode: Opcode, **values: int) -> int:
    """One 64-bit word.

    Raises:
        ValueError: a value that its field cannot hold (the compiler's checks come before this one).
    """
    word, position = 0, 0
    for name, bits in FIELDS[opcode]:
        value = int(values.pop(name))
        if not 0 <= value < 1 << bits:
            raise ValueError(f"{opcode.name}.{name}: {value} does not fit {bits} bits")
        word |= value << position
        position += bits
    if values:
        raise ValueError(f"{opcode.name}: no such fields: {', '.join(values)}")
    return opcode << PAYLOAD_BITS | word


def encode_header(header: LayerHeader) -> list[int]:
    """The header words of a layer."""
    values = asdict(header)
    return [encode(opcode, **{name: values[name] for name, _ in FIELDS[opcode]}) for opcode in HEADER_OPCODES]


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


_FLAGS = frozenset(f.name for f in fields(LayerHeader) if f.type == "bool")


def decode_header(words: Sequence[int], config: ChipConfig) -> LayerHeader:
    """The header of a layer, checked so that the engine can run it to its end.

    Raises:
        IllegalInstructionError: wrong words, sizes that make no layer, or tensors that leave AMem.
    """
    values: dict[str, Any] = {}
    for word, opcode in zip(words, HEADER_OPCODES, strict=True):
        values.update(decode(word, opcode))
    if values["kind"] not in set(LayerKind):
        raise IllegalInstructionError(f"no layer is of kind {values['kind']}")
    kind = LayerKind(values.pop("kind"))
    header = LayerHeader(kind=kind, **{name: bool(v) if name in _FLAGS else v for name, v in values.items()})
    _check_header(header, config)
    return header


def _check_header(h: LayerHeader, config: ChipConfig) -> None:
    sizes = (h.channels, h.out_channels, h.height, h.width, h.kernel_h, h.kernel_w, h.stride_y, h.stride_x)
    if 0 in sizes or 0 in (h.dilation_y, h.dilation_x):
        raise IllegalInstructionError("a size, stride or dilation is 0")
    if h.taps > PAYLOAD_BITS:
        raise IllegalInstructionError(f"a kernel of {h.taps} taps")
    if h.out_height < 1 or h.out_width < 1:
        raise IllegalInstructionError("the kernel does not fit into the padded input")
    if max(h.out_height, h.out_width) > _MAX_EXTENT:
        raise IllegalInstructionError(f"an output of {h.out_height} x {h.out_width} pixels")
    if not h.has_residual and (h.residual_signed or h.residual_base_word or h.residual_multiplier):
        raise IllegalInstructionError("residual fields are set in a layer without a residual")
    if h.has_residual and h.accumulator_output:
        raise IllegalInstructionError("a residual in a layer with accumulator output")
    words = h.out_channels * h.tiles(config.lanes)
    tensors = [
        ("input", h.input_base_word, h.channels * h.input_plane_words(config.lanes)),
        ("output", h.output_base_word, words * h.slots_per_channel),
    ]
    if h.has_residual:
        tensors.append(("residual", h.residual_base_word, words))
    for name, base, size in tensors:
        if base + size > config.amem_words:
            raise IllegalInstructionError(f"the {name} at {base} of {size} words leaves AMem")


def decode_parameter(word: int) -> Parameter:
    """A PARAMETER word; IllegalInstructionError for a shift above 40."""
    values = decode(word, Opcode.PARAMETER)
    if values["shift"] > 40:
        raise IllegalInstructionError(f"a shift of {values['shift']}")
    bias = values["bias"]
    return Parameter(bias - (1 << 24) if bias >> 23 else bias, values["multiplier"], values["shift"])


def decode_pattern(word: int, header: LayerHeader, index: int) -> list[tuple[int, int]]:
    """The steps of pattern word ``index`` of a group, in order: (input channel, tap).

    Raises:
        IllegalInstructionError: a bit beyond the last channel or tap.
    """
    pattern = decode(word, Opcode.PATTERN)["pattern"]
    first = index * header.channels_per_pattern
    count = min(header.channels_per_pattern, header.channels - first)
    if pattern >> (count * header.taps):
        raise IllegalInstructionError("a pattern bit beyond the last channel or tap")
    return [(first + i // header.taps, i % header.taps) for i in _set_bits(pattern)]


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
