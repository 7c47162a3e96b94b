"""Which SRAM banks the engine takes in which cycle of a layer: worked out in C when the layer's words are known.

The rules are engine.md's "Banks" and "A pass" [A]; the arithmetic stands in kernels/occupancy.c and, for the passes'
times and the write-back, in kernels/timing.c. Nothing that runs beside the engine can change it, since the DMA has the
lowest priority at every bank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm._kernels import ffi, lib
from tlm.chip.config import ChipConfig
from tlm.chip.kernels.buffers import KernelError, in_range
from tlm.chip.kernels.geometry import Geometry
from tlm.chip.kernels.timing import PASS_TIMES, layer_cycles, pattern_words, set_bases, timing_params

if TYPE_CHECKING:
    from tlm._kernels import CData

_WORD_LIMIT = (1 << 31) - 1
_MOST_HEADER_WORDS = 255
_NONE = -1
_NO_MEMORY = -2
_CALENDARS = ("amem", "wmem", "imem")


class PartOccupancy(Struct, frozen=True, eq=False):
    """The engine's accesses while it runs one layer, or one part of a split layer.

    A calendar is uint8 (cycles,), bit b set where the engine accesses bank b; cycle 0 is the one in which the layer's
    first header word is read, the last one that of its last write. The arrays are read-only.

    Attributes:
        first_cycle: the first sequencer cycle s_0: header words, the first group's parameter words, pattern word 0.
        amem, wmem, imem: calendars, all of the same length.
        passes: (groups * tiles,) of :data:`tlm.chip.kernels.timing.PASS_TIMES`, whose cycles count from s_0.
        aligner_reads, write_back, residual_reads: int64 (amem_banks,), accesses to each AMem bank.
        weight_reads: int64 (wmem_banks,).
        instruction_reads: int64 (imem_banks,).
    """

    first_cycle: int
    amem: npt.NDArray[np.uint8]
    wmem: npt.NDArray[np.uint8]
    imem: npt.NDArray[np.uint8]
    passes: npt.NDArray[np.void]
    aligner_reads: npt.NDArray[np.int64]
    write_back: npt.NDArray[np.int64]
    residual_reads: npt.NDArray[np.int64]
    weight_reads: npt.NDArray[np.int64]
    instruction_reads: npt.NDArray[np.int64]


def occupy(
    geometry: Geometry,
    config: ChipConfig,
    *,
    patterns: npt.NDArray[np.uint64],
    output_base_word: int,
    residual_base_word: int | None = None,
    words_per_channel: int = 1,
    output_plane_words: int | None = None,
    residual_plane_words: int | None = None,
    weight_base_word: int | None = 0,
    program_word: int = 0,
    header_words: int = 5,
    compute_cycles: int | None = None,
) -> PartOccupancy:
    """The calendars of one layer, or of a band of one.

    Args:
        geometry: the layer's shape and input_base_word; lanes and columns are those of the chip.
        config: banks and durations.
        patterns: uint64 (groups, patterns_per_group), the 60-bit payloads of the pattern words.
        output_base_word: first AMem word of the output.
        residual_base_word: first AMem word of the residual; None: the layer adds none.
        words_per_channel: 1, or 6 for accumulator output.
        output_plane_words: from one entry slot's output words to the next one's; None: the tiles of the whole layer.
        residual_plane_words: likewise, from one channel's residual words to the next one's.
        weight_base_word: first WMem word; None: the layer reads none (max pooling).
        program_word: IMem word of the first header word. Behind the header follow, for each group, one parameter word
            for each of its channels and its pattern words.
        header_words: how many header words the layer has: 5, or 7 if it is banded.
        compute_cycles: of the layer, as :func:`tlm.chip.kernels.timing.predict` gives them; None: they are not known.

    Raises:
        KernelError: patterns of a wrong dtype or shape, a bit beyond the last channel or tap, a number out of range.
    """
    for key, word in (("weight_base_word", weight_base_word), ("program_word", program_word)):
        if word is not None:
            in_range(f"occupancy: {key}", word, 0, _WORD_LIMIT)
    in_range("occupancy: header_words", header_words, 0, _MOST_HEADER_WORDS)
    params = timing_params(
        geometry, config.amem_banks, config.pipeline_cycles, config.pass_gap_cycles, config.requantiser_cycles,
        words_per_channel, (output_plane_words, residual_plane_words),
    )  # fmt: skip
    set_bases(params, output_base_word, residual_base_word)
    payloads = pattern_words(geometry, patterns)
    passes = np.zeros(geometry.groups * geometry.tiles, PASS_TIMES)
    others = ffi.new(
        "tlm_occupancy_params *",
        {
            "wmem_banks": config.wmem_banks,
            "imem_banks": config.imem_banks,
            "header_words": header_words,
            "program_word": program_word,
            "weight_base_word": _NONE if weight_base_word is None else weight_base_word,
        },
    )
    first_cycle = lib.tlm_first_cycle(geometry.pointer, params, others)
    times = ffi.from_buffer("tlm_pass_times[]", passes, require_writable=True)
    of_layer = geometry.pointer, params, others, payloads, geometry.patterns_per_group, times
    room_cycles = compute_cycles
    if room_cycles is None:
        room_cycles = _enough_cycles(geometry, patterns, config, words_per_channel)
    out = _Arrays(first_cycle + room_cycles, config)
    filled = out.fill(*of_layer)
    if not filled and compute_cycles is None:
        out = _Arrays(first_cycle + layer_cycles(geometry, params, payloads), config)
        filled = out.fill(*of_layer)
    if not filled or compute_cycles not in (None, out.cycles - first_cycle):
        raise KernelError(f"occupancy: the layer does not take compute_cycles of {compute_cycles}, or a bit is illegal")
    return PartOccupancy(first_cycle=first_cycle, passes=passes, **out.read_only())


def _enough_cycles(
    geometry: Geometry, patterns: npt.NDArray[np.uint64], config: ChipConfig, words_per_channel: int
) -> int:
    """Far more than nearly every layer takes; to work out how many it takes exactly costs as much as its calendars."""
    steps = int(np.count_nonzero(np.unpackbits(patterns.view(np.uint8))))
    of_pass = config.pipeline_cycles + config.pass_gap_cycles + config.requantiser_cycles
    of_group = geometry.patterns_per_group + of_pass + 3 * geometry.columns * words_per_channel
    return geometry.tiles * (2 * geometry.stride_x * steps + geometry.groups * of_group)


class _Arrays:
    """What C fills in."""

    def __init__(self, room_cycles: int, config: ChipConfig) -> None:
        self._arrays: dict[str, npt.NDArray[Any]] = {key: np.zeros(room_cycles, np.uint8) for key in _CALENDARS}
        for key in ("aligner_reads", "write_back", "residual_reads"):
            self._arrays[key] = np.zeros(config.amem_banks, np.int64)
        self._arrays["weight_reads"] = np.zeros(config.wmem_banks, np.int64)
        self._arrays["instruction_reads"] = np.zeros(config.imem_banks, np.int64)
        self._views = {key: _view(array) for key, array in self._arrays.items()}
        self._pointer: Any = ffi.new("tlm_occupancy *", {"cycles": room_cycles, **self._views})

    @property
    def cycles(self) -> int:
        """Of the layer, once they are filled in."""
        return int(self._pointer.cycles)

    def fill(self, *layer: CData | int) -> bool:
        """False: there is too little room for the layer, or C refuses it."""
        status = lib.tlm_occupy(*layer, self._pointer)
        if status == _NO_MEMORY:
            raise MemoryError("occupancy: no memory for a layer's fetches")
        return not status

    def read_only(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays, no longer for writing."""
        for key in _CALENDARS:
            self._arrays[key] = self._arrays[key][: self.cycles]
        for array in self._arrays.values():
            array.flags.writeable = False
        return self._arrays


def _view(array: npt.NDArray[Any]) -> CData:
    kind = "uint8_t[]" if array.dtype == np.uint8 else "int64_t[]"
    return ffi.from_buffer(kind, array, require_writable=True)
