"""A layer's instruction words decoded all at once; the checks are those of :mod:`tlm.chip.format.isa`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import add
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import (
    FIELDS,
    MAX_SHIFT,
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
from tlm.core.errors import UnwrittenReadError

Words: TypeAlias = npt.NDArray[np.uint64]

Fetch: TypeAlias = Callable[[int, int], Words]
"""fetch(first word, count) -> IMem words; UnitFaultError or UnwrittenReadError where there are none."""


class DecodedGroup(Struct, frozen=True, eq=False):
    """A group of output channels as its words say; arrays are views of the layer's."""

    parameters: ParameterArrays
    channels: int
    patterns: Words
    first_weight_word: int
    weight_words: int


class DecodedLayer(Struct, frozen=True, eq=False):
    """A layer as its words say."""

    header: LayerHeader
    geometry: Geometry
    parameters: ParameterArrays
    """(out_channels,) each."""
    patterns: Words
    """(groups, patterns_per_group), zeros where a last pooling group has fewer words."""
    groups: tuple[DecodedGroup, ...]
    end_word: int
    """IMem word after its last."""

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
        UnitFaultError: an illegal instruction; words outside IMem; weight words outside WMem. Of several faults the one
            that comes first when the words are read one after another.
        UnwrittenReadError: a word that was never written, likewise.
    """
    first = address + header_word_count(int(fetch(address, 1)[0]))
    try:
        header = decode_header(fetch(address, first - address).tolist(), config)
    except IllegalInstructionError:
        raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address) from None
    geometry, columns = header.geometry(config.lanes, config.columns), config.columns
    channels = [header.group_channels(group, columns) for group in range(geometry.groups)]
    pattern_words = [header.pattern_words(group, columns) for group in range(geometry.groups)]
    ends = [*accumulate(map(add, channels, pattern_words))]
    words, failure = _fetched(fetch, first, ends[-1])

    counts = [count for of_group in zip(channels, pattern_words, strict=True) for count in of_group]
    is_parameter = np.repeat([True, False] * geometry.groups, counts)[: len(words)]
    bad = np.empty(len(words), np.bool_)
    parameters, bad[is_parameter] = _parameters(words[is_parameter])
    patterns = np.zeros((geometry.groups, geometry.patterns_per_group), np.uint64)
    there = np.arange(geometry.patterns_per_group) < np.array(pattern_words)[:, None]
    found, bad[~is_parameter] = _payloads(words[~is_parameter], header, channels, pattern_words)
    patterns.flat[there.ravel().nonzero()[0][: len(found)]] = found
    weights = [0] * geometry.groups
    if not header.pooling:
        weights = np.unpackbits(patterns.view(np.uint8), axis=1).sum(axis=1).tolist()
    weight_words = [*accumulate(weights, initial=header.weight_base_word)]

    illegal = int(bad.argmax()) if bad.any() else len(words)  # the first, or behind the last that is there
    sound = sum(end <= illegal for end in ends)
    _check_weights(weight_words[:sound], weights, config)
    if illegal < len(words):
        raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, first + illegal)
    if failure is not None:
        raise failure
    groups = [
        DecodedGroup(parameters.of(group * columns, own), own, patterns[group], weight_words[group], weights[group])
        for group, own in enumerate(channels)
    ]
    return DecodedLayer(header, geometry, parameters, patterns, tuple(groups), first + ends[-1])


def _check_weights(weight_words: Sequence[int], counts: Sequence[int], config: ChipConfig) -> None:
    for weight_word, count in zip(weight_words, counts, strict=False):
        if count and weight_word + count > config.wmem_words:
            raise UnitFaultError(ErrorCode.WEIGHT_ADDRESS, max(weight_word, config.wmem_words))


def _fetched(fetch: Fetch, first: int, count: int) -> tuple[Words, UnitFaultError | UnwrittenReadError | None]:
    """The words as far as they can be fetched, and why the next one cannot."""
    try:
        return fetch(first, count), None
    except (UnitFaultError, UnwrittenReadError) as error:
        if count == 1:
            return np.zeros(0, np.uint64), error
    some, failure = _fetched(fetch, first, count // 2)
    if failure is None:
        others, failure = _fetched(fetch, first + len(some), count - len(some))
        some = np.concatenate((some, others))
    return some, failure


def _parameters(words: Words) -> tuple[ParameterArrays, npt.NDArray[np.bool_]]:
    """What PARAMETER words say, and which of them are illegal."""
    bad, rest, values = _other_opcode(words, Opcode.PARAMETER), words & np.uint64(PAYLOAD_MASK), []
    for _, bits in FIELDS[Opcode.PARAMETER]:
        values.append((rest & np.uint64((1 << bits) - 1)).astype(np.int64))
        rest >>= np.uint64(bits)
    bias, multiplier, shift = values
    bias -= bias >> 23 << 24  # 24 bits, signed
    return ParameterArrays(bias, multiplier, shift), bad | (rest != 0) | (shift > MAX_SHIFT)


def _payloads(
    words: Words, header: LayerHeader, channels: Sequence[int], pattern_words: Sequence[int]
) -> tuple[Words, npt.NDArray[np.bool_]]:
    """The 60-bit payloads of PATTERN words, and which of the words are illegal.

    Args:
        words: those of all groups, as far as they are there.
        header: of the layer.
        channels, pattern_words: of each group.
    """
    found = words & np.uint64(PAYLOAD_MASK)
    inputs = channels if header.pooling else [header.channels] * len(channels)
    used_bits = np.concatenate([_used_bits(header, *of_group) for of_group in zip(inputs, pattern_words, strict=True)])
    return found, _other_opcode(words, Opcode.PATTERN) | (found >> used_bits[: len(found)] != 0)


def _other_opcode(words: Words, expected: Opcode) -> npt.NDArray[np.bool_]:
    other: npt.NDArray[np.bool_] = words >> np.uint64(PAYLOAD_BITS) != int(expected)
    return other


def _used_bits(header: LayerHeader, channels: int, count: int) -> Words:
    """How many bits each of so many pattern words of a group has for its channels and taps."""
    word, piece = np.divmod(np.arange(count), header.patterns_per_channel)
    of_channels = np.minimum(header.channels_per_pattern, channels - word * header.channels_per_pattern)
    of_taps = np.minimum(PAYLOAD_BITS, header.taps - piece * PAYLOAD_BITS)
    used: Words = (of_channels * of_taps).astype(np.uint64)
    return used
