"""Many instruction words decoded at once; the checks are those of :mod:`tlm.chip.isa`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlm.chip.isa import (
    FIELDS,
    PAYLOAD_BITS,
    PAYLOAD_MASK,
    IllegalInstructionError,
    LayerHeader,
    Opcode,
    ParameterArrays,
)


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
    used_bits = np.array([len(header.pattern_channels(group, i, columns)) * header.taps for i in range(len(words))])
    _refuse(patterns >> used_bits.astype(np.uint64) != 0, "a pattern bit beyond the last channel or tap")
    return patterns
