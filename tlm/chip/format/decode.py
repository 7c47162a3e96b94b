"""Many instruction words decoded at once; the checks are those of :mod:`tlm.chip.format.isa`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import (
    FIELDS,
    PAYLOAD_BITS,
    PAYLOAD_MASK,
    IllegalInstructionError,
    LayerHeader,
    Opcode,
    ParameterArrays,
    decode,
    decode_header,
    header_word_count,
    opcode_of,
)
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.chip.kernels.geometry import Geometry

_PARAMETERS = ParameterArrays.__struct_fields__

Fetch: TypeAlias = Callable[[int, int], npt.NDArray[np.uint64]]
"""fetch(first word, count) -> IMem words; UnitFaultError or UnwrittenReadError where there are none."""


class DecodedGroup(Struct, frozen=True, eq=False):
    """A group of output channels as its words say."""

    parameters: ParameterArrays
    channels: int
    patterns: npt.NDArray[np.uint64]
    first_weight_word: int
    weight_words: int


class DecodedLayer(Struct, frozen=True, eq=False):
    """A layer as its words say."""

    header: LayerHeader
    geometry: Geometry
    patterns: npt.NDArray[np.uint64]
    """(groups, patterns_per_group), zeros where a last pooling group has fewer words."""
    groups: tuple[DecodedGroup, ...]
    end_word: int
    """IMem word after its last."""

    @property
    def parameters(self) -> ParameterArrays:
        """Those of all groups, one after another, (out_channels,) each."""
        of_groups = [group.parameters for group in self.groups]
        return ParameterArrays(*(np.concatenate([getattr(one, key) for one in of_groups]) for key in _PARAMETERS))

    @property
    def weights_end_word(self) -> int:
        """WMem word after its last; that of its first if it reads none."""
        return self.groups[-1].first_weight_word + self.groups[-1].weight_words


def is_end(word: int) -> bool:
    """Whether a word in the place of a layer's first is END instead.

    Raises:
        IllegalInstructionError: no instruction has its opcode, or END with bits that are not zero.
    """
    opcode = opcode_of(word)
    if opcode is Opcode.END:
        decode(word, opcode)
    return opcode is Opcode.END


def decode_layer(fetch: Fetch, address: int, config: ChipConfig) -> DecodedLayer:
    """The layer whose first header word is at an IMem address.

    Raises:
        UnitFaultError: an illegal instruction; words outside IMem; weight words outside WMem.
    """
    count = header_word_count(int(fetch(address, 1)[0]))
    words = fetch(address, count).tolist()
    try:
        header = decode_header(words, config)
    except IllegalInstructionError:
        raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address) from None
    geometry = header.geometry(config.lanes, config.columns)
    patterns = np.zeros((geometry.groups, geometry.patterns_per_group), np.uint64)
    at, weight_word, groups = address + len(words), header.weight_base_word, []
    for group, own in enumerate(patterns):
        channels = header.group_channels(group, config.columns)
        parameters = _parameters_at(fetch, at, channels)
        found = _patterns_at(fetch, at + channels, header, group, config.columns)
        own[: len(found)] = found
        at += channels + len(found)
        count = 0 if header.pooling else int(np.unpackbits(own.view(np.uint8)).sum())
        if count and weight_word + count > config.wmem_words:
            raise UnitFaultError(ErrorCode.WEIGHT_ADDRESS, max(weight_word, config.wmem_words))
        groups.append(DecodedGroup(parameters, channels, own, weight_word, count))
        weight_word += count
    return DecodedLayer(header, geometry, patterns, tuple(groups), at)


def _parameters_at(fetch: Fetch, address: int, count: int) -> ParameterArrays:
    try:
        return decode_parameters(fetch(address, count))
    except IllegalInstructionError as error:
        raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address + int(error.args[1])) from None


def _patterns_at(fetch: Fetch, address: int, header: LayerHeader, group: int, columns: int) -> npt.NDArray[np.uint64]:
    try:
        return decode_patterns(fetch(address, header.pattern_words(group, columns)), header, group, columns)
    except IllegalInstructionError as error:
        raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address + int(error.args[1])) from None


def _decode_array(words: npt.NDArray[np.uint64], expected: Opcode) -> dict[str, npt.NDArray[np.int64]]:
    """:func:`decode` for many words of one kind at once; IllegalInstructionError has the first bad word's index."""
    rest = words & np.uint64(PAYLOAD_MASK)
    values = {}
    for name, bits in FIELDS[expected]:
        values[name] = (rest & np.uint64((1 << bits) - 1)).astype(np.int64)
        rest = rest >> np.uint64(bits)
    bad = (words >> np.uint64(PAYLOAD_BITS) != int(expected)) | (rest != 0)
    _refuse(bad, f"no {expected.name} word")
    return values


def _refuse(bad: npt.NDArray[np.bool_], reason: str) -> None:
    if bad.any():
        raise IllegalInstructionError(reason, int(np.argmax(bad)))


def decode_parameters(words: npt.NDArray[np.uint64]) -> ParameterArrays:
    """PARAMETER words (channels,) at once.

    Raises:
        IllegalInstructionError: its second argument is the index of the first illegal word.
    """
    values = _decode_array(words, Opcode.PARAMETER)
    _refuse(values["shift"] > 40, "a shift above 40")
    bias = values["bias"]
    return ParameterArrays(np.where(bias >> 23, bias - (1 << 24), bias), values["multiplier"], values["shift"])


def decode_patterns(
    words: npt.NDArray[np.uint64], header: LayerHeader, group: int, columns: int
) -> npt.NDArray[np.uint64]:
    """The 60-bit payloads of all PATTERN words of a group, (words,).

    Raises:
        IllegalInstructionError: its second argument is the index of the first illegal word.
    """
    patterns = _decode_array(words, Opcode.PATTERN)["pattern"].astype(np.uint64)
    channels = header.group_channels(group, columns) if header.pooling else header.channels
    word, piece = np.divmod(np.arange(len(words)), header.patterns_per_channel)
    of_channels = np.minimum(header.channels_per_pattern, channels - word * header.channels_per_pattern)
    of_taps = np.minimum(PAYLOAD_BITS, header.taps - piece * PAYLOAD_BITS)
    used_bits = (of_channels * of_taps).astype(np.uint64)
    _refuse(patterns >> used_bits != 0, "a pattern bit beyond the last channel or tap")
    return patterns
