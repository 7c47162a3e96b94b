"""A layer decoded at once, held against its words decoded one after another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from band_programs import BandCase, generated
from block_bench import CHIP, convolution, layer_words
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tlm.chip.config import ChipConfig
from tlm.chip.format import isa
from tlm.chip.format.decode import decode_layer
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.core.errors import UnwrittenReadError

AT = 9
"""IMem word of the first header word."""


class Imem:
    """Words of which some were never written."""

    def __init__(self, words: list[int], end: int, unwritten: int | None) -> None:
        self.words = [0] * AT + words
        self._end, self._unwritten = end, unwritten

    def __call__(self, address: int, count: int) -> npt.NDArray[np.uint64]:
        for word in range(address, address + count):
            if word >= self._end:
                raise UnitFaultError(ErrorCode.PROGRAM_ADDRESS, word)
            if word == self._unwritten:
                raise UnwrittenReadError(f"word {word}")
        return np.array(self.words[address : address + count], np.uint64)


def legal(read: Any, word: Any, address: int) -> Any:
    try:
        return read(word)
    except isa.IllegalInstructionError:
        raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address) from None


def word_by_word(fetch: Imem, config: ChipConfig) -> list[Any]:
    """Of each group: parameters and patterns as isa.py decodes them, its first weight word, and how many it has."""
    header_words = isa.header_word_count(int(fetch(AT, 1)[0]))
    header = legal(lambda words: isa.decode_header(words, config), fetch(AT, header_words).tolist(), AT)
    at, weight_word, groups = AT + header_words, header.weight_base_word, list[Any]()

    def next_word(read: Any) -> Any:
        nonlocal at
        word, at = int(fetch(at, 1)[0]), at + 1
        return legal(read, word, at - 1)

    for group in range(header.groups(config.columns)):
        channels = header.group_channels(group, config.columns)
        parameters = [next_word(isa.decode_parameter) for _ in range(channels)]
        patterns, steps = [], 0
        for index in range(header.pattern_words(group, config.columns)):
            own = header.pattern_channels(group, index, config.columns), header.pattern_taps(index)
            steps += len(next_word(lambda word, own=own: isa.decode_pattern(word, *own)))
            patterns.append(fetch.words[at - 1] & isa.PAYLOAD_MASK)
        count = 0 if header.pooling else steps
        if count and weight_word + count > config.wmem_words:
            raise UnitFaultError(ErrorCode.WEIGHT_ADDRESS, max(weight_word, config.wmem_words))
        groups.append((parameters, patterns, weight_word, count))
        weight_word += count
    return groups


def at_once(fetch: Imem, config: ChipConfig) -> list[Any]:
    layer = decode_layer(fetch, AT, config)
    groups, first = list[Any](), 0
    for group in layer.groups:
        own, of_layer = group.parameters, layer.parameters.of(first, group.channels)
        assert own.bias.tolist() == of_layer.bias.tolist()
        rows = zip(own.bias.tolist(), own.multiplier.tolist(), own.shift.tolist(), strict=True)
        patterns = group.patterns[: layer.header.pattern_words(len(groups), config.columns)].tolist()
        groups.append(([isa.Parameter(*row) for row in rows], patterns, group.first_weight_word, group.weight_words))
        first += group.channels
    return groups


def outcome(decoder: Any, fetch: Imem, config: ChipConfig) -> Any:
    try:
        return decoder(fetch, config)
    except UnitFaultError as fault:
        return fault.code, fault.address
    except UnwrittenReadError as error:
        return str(error)


@examples(200, suppress_health_check=list(HealthCheck))
@given(case=generated(), data=st.data())
def test_at_once_is_word_by_word(case: BandCase, data: st.DataObject) -> None:
    """Also with flipped bits, a word that was never written, and too little IMem or WMem: the first fault is told."""
    words = case.instructions()
    header_words = isa.header_word_count(words[0])
    for _ in range(data.draw(st.integers(0, 3))):
        words[data.draw(st.integers(header_words, len(words) - 1))] ^= 1 << data.draw(st.integers(0, 63))
    ends = AT + header_words, AT + len(words)
    unwritten = data.draw(st.none() | st.integers(*ends))
    fetch = Imem(words, data.draw(st.just(ends[1]) | st.integers(*ends)), unwritten)
    few_words = st.integers(1, 5).map(lambda rows: 8 * rows)
    config = replace(case.config, wmem_words=data.draw(st.just(case.config.wmem_words) | few_words))
    assert outcome(at_once, fetch, config) == outcome(word_by_word, fetch, config)


@pytest.mark.parametrize(
    ("illegal_word", "end_word", "told"),
    [
        (None, None, (ErrorCode.WEIGHT_ADDRESS, 8)),
        (2, None, (ErrorCode.ILLEGAL_INSTRUCTION, 2)),
        (8, None, (ErrorCode.ILLEGAL_INSTRUCTION, 8)),
        (9, None, (ErrorCode.WEIGHT_ADDRESS, 8)),
        (None, 8, (ErrorCode.PROGRAM_ADDRESS, 8)),
        (None, 9, (ErrorCode.WEIGHT_ADDRESS, 8)),
        (5, 6, (ErrorCode.ILLEGAL_INSTRUCTION, 5)),
        (7, 6, (ErrorCode.PROGRAM_ADDRESS, 6)),
    ],
)
def test_the_first_of_several_faults_is_told(
    illegal_word: int | None, end_word: int | None, told: tuple[ErrorCode, int]
) -> None:
    """Two groups of 8 PARAMETER words and a PATTERN word each; the first takes more weight words than WMem has."""
    words = layer_words(convolution(np.ones((16, 1, 3, 3), np.int8), (1, 8, 8)))
    first = AT + isa.header_word_count(words[0])
    if illegal_word is not None:
        words[first - AT + illegal_word] ^= 1 << 63
    fetch = Imem(words, AT + len(words) if end_word is None else first + end_word, None)
    code, address = told
    config = replace(CHIP, wmem_words=8)
    wanted = code, address if code is ErrorCode.WEIGHT_ADDRESS else first + address
    assert outcome(at_once, fetch, config) == outcome(word_by_word, fetch, config) == wanted
