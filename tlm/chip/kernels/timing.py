"""When the passes of a layer happen: cycles predicted in C, for placement and for the timing of whole passes.

The rules are engine.md's "Banks" and "A pass" [A]; the durations are parameters (:class:`tlm.chip.config.ChipConfig`).
Everything holds for one layer whose input, weights and instructions are resident: DMA transfers change nothing, since
they have the lowest priority at every bank. The arithmetic is described in kernels/timing.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm._kernels import ffi, lib
from tlm.chip.kernels.buffers import KernelError, in_range
from tlm.chip.kernels.geometry import Geometry

if TYPE_CHECKING:
    from tlm._kernels import CData

PASS_TIMES = np.dtype(
    [
        ("first_cycle", np.int64),
        ("last_fetch_cycle", np.int64),
        ("handover_cycle", np.int64),
        ("last_write_cycle", np.int64),
        ("steps", np.int32),
        ("fetch_cycles", np.int32),
        ("empty_pattern_cycles", np.int32),
        ("refused_writes", np.int32),
        ("refused_residual_reads", np.int32),
    ],
    align=True,
)
"""One pass (C's ``tlm_pass_times``); cycles count from the layer's first sequencer cycle, s_0 = 0.

``last_fetch_cycle`` is e = s + S - 1, ``fetch_cycles`` the sum of r over the steps, ``refused_writes`` the cycles in
which the requantiser stood frozen.
"""

_MAX_CYCLES = 1 << 20  # MAX_DURATION of kernels/timing.c
_RANGES = {
    "amem_banks": (1, lib.TLM_MAX_BANKS),
    "pipeline_cycles": (0, _MAX_CYCLES),
    "pass_gap_cycles": (0, _MAX_CYCLES),
    "requantiser_cycles": (1, _MAX_CYCLES),
    "input_base_word": (0, (1 << 31) - 1),
    "output_base_word": (0, (1 << 31) - 1),
    "residual_base_word": (0, (1 << 31) - 1),
    "output_plane_words": (1, (1 << 31) - 1),
    "residual_plane_words": (1, (1 << 31) - 1),
}
_NO_MEMORY, _NO_RESIDUAL = -2, -1


class Placement(NamedTuple):
    """AMem base addresses of a layer's tensors, in words; no residual: None."""

    input_base_word: int
    output_base_word: int
    residual_base_word: int | None = None


class LayerTiming(Struct, frozen=True, eq=False):
    """Cycles of one layer.

    Args:
        compute_cycles: first sequencer cycle to last write, inclusive.
        passes: structured array (groups * tiles,) of :data:`PASS_TIMES`, for each group, for each tile; None if not
            asked for.
    """

    compute_cycles: int
    passes: npt.NDArray[np.void] | None = None


def predict(
    geometry: Geometry,
    *,
    amem_banks: int,
    pipeline_cycles: int,
    pass_gap_cycles: int,
    requantiser_cycles: int,
    output_base_word: int,
    patterns: npt.NDArray[np.uint64],
    residual_base_word: int | None = None,
    words_per_channel: int = 1,
    output_plane_words: int | None = None,
    residual_plane_words: int | None = None,
    passes: bool = False,
) -> LayerTiming:
    """Cycles of a layer or of a band of one, and of each of its passes if `passes`.

    Args:
        geometry: the layer's shape and input_base_word.
        amem_banks: 1..8.
        pipeline_cycles: from a pass's last sequencer cycle to its last accumulation.
        pass_gap_cycles: idle cycles between a hand-over and the next pass.
        requantiser_cycles: from a channel's entry to its AMem write, at least 1.
        output_base_word: first AMem word of the output.
        patterns: uint64 (groups, patterns_per_group), the 60-bit payloads of the pattern words.
        residual_base_word: first AMem word of the residual; None: the layer adds none.
        words_per_channel: 1, or 6 for accumulator output.
        output_plane_words: from one entry slot's output words to the next one's; None: the tiles of the whole layer.
        residual_plane_words: likewise, from one channel's residual words to the next one's.
        passes: record each pass.

    Raises:
        KernelError: patterns of a wrong dtype or shape, a bit beyond the last channel or tap, a number out of range.
    """
    planes = output_plane_words, residual_plane_words
    params = timing_params(
        geometry, amem_banks, pipeline_cycles, pass_gap_cycles, requantiser_cycles, words_per_channel, planes
    )
    set_bases(params, output_base_word, residual_base_word)
    payloads = pattern_words(geometry, patterns)
    times = np.zeros(geometry.groups * geometry.tiles, PASS_TIMES) if passes else None
    out = ffi.NULL if times is None else ffi.from_buffer("tlm_pass_times[]", times, require_writable=True)
    return LayerTiming(layer_cycles(geometry, params, payloads, out), times)


def layer_cycles(geometry: Geometry, params: Any, payloads: CData, passes: CData = ffi.NULL) -> int:
    """compute_cycles of :func:`predict` from what C takes.

    Raises:
        KernelError: a bit beyond the last channel or tap.
    """
    return _checked(
        geometry, lib.tlm_layer_timing(geometry.pointer, params, payloads, geometry.patterns_per_group, passes)
    )


def predict_placements(
    geometry: Geometry,
    placements: Sequence[Placement],
    *,
    amem_banks: int,
    pipeline_cycles: int,
    pass_gap_cycles: int,
    requantiser_cycles: int,
    patterns: npt.NDArray[np.uint64],
    words_per_channel: int = 1,
    output_plane_words: int | None = None,
    residual_plane_words: int | None = None,
) -> list[int]:
    """compute_cycles of a layer for each placement; far cheaper than as many calls of :func:`predict`.

    Two placements whose bases differ from each other by the same numbers modulo the banks take equally long.
    ``geometry.input_base_word`` is ignored; the other arguments and errors are those of :func:`predict`.
    """
    planes = output_plane_words, residual_plane_words
    params = timing_params(
        geometry, amem_banks, pipeline_cycles, pass_gap_cycles, requantiser_cycles, words_per_channel, planes
    )
    payloads, count = pattern_words(geometry, patterns), len(placements)
    where = ffi.new("tlm_placement[]", [_words(placement) for placement in placements])
    cycles = ffi.new("int64_t[]", count)
    _checked(
        geometry,
        lib.tlm_layer_cycles(geometry.pointer, params, payloads, geometry.patterns_per_group, where, count, cycles),
    )
    return list(cycles)


def plane_strides(geometry: Geometry, output: int | None, residual: int | None) -> dict[str, int]:
    """The two plane strides as C takes them; None: the tiles of the whole layer.

    Raises:
        KernelError: below 1, or beyond 31 bits.
    """
    whole = -(-geometry.out_pixels // geometry.lanes)
    values = {"output_plane_words": output, "residual_plane_words": residual}
    return {key: _in_range(key, whole if value is None else value) for key, value in values.items()}


def timing_params(
    geometry: Geometry,
    banks: int,
    pipeline: int,
    gap: int,
    requantiser: int,
    words_per_channel: int,
    planes: tuple[int | None, int | None],
) -> Any:
    """The C struct, but for the base addresses.

    Raises:
        KernelError: a number out of range.
    """
    values = {
        "amem_banks": banks,
        "pipeline_cycles": pipeline,
        "pass_gap_cycles": gap,
        "requantiser_cycles": requantiser,
    }
    for key, value in values.items():
        _in_range(key, value)
    if words_per_channel not in (1, 6):
        raise KernelError(f"timing: words_per_channel is {words_per_channel}, but must be 1, or 6 (accumulator output)")
    values |= {"words_per_channel": words_per_channel, **plane_strides(geometry, *planes)}
    return ffi.new("tlm_timing_params *", values)


def set_bases(params: Any, output_base_word: int, residual_base_word: int | None) -> None:
    """Where the output and the residual lie.

    Raises:
        KernelError: out of range.
    """
    params.output_base_word = _in_range("output_base_word", output_base_word)
    params.residual_base_word = _residual(residual_base_word)


def _in_range(key: str, value: int) -> int:
    return in_range(f"timing: {key}", value, *_RANGES[key])


def _residual(word: int | None) -> int:
    return _NO_RESIDUAL if word is None else _in_range("residual_base_word", word)


def _words(placement: Placement) -> tuple[int, int, int]:
    output = _in_range("output_base_word", placement.output_base_word)
    return _in_range("input_base_word", placement.input_base_word), output, _residual(placement.residual_base_word)


def pattern_words(geometry: Geometry, patterns: npt.NDArray[np.uint64]) -> CData:
    """What C reads of the patterns.

    Raises:
        KernelError: a wrong dtype or shape.
    """
    shape = (geometry.groups, geometry.patterns_per_group)
    if patterns.dtype != np.uint64 or patterns.shape != shape or not patterns.flags.c_contiguous:
        raise KernelError(f"patterns: {patterns.dtype} {patterns.shape}, but contiguous uint64 {shape} is needed")
    return ffi.from_buffer("uint64_t[]", patterns)


def _checked(geometry: Geometry, status: int) -> int:
    if status == _NO_MEMORY:
        raise MemoryError("timing: no memory for a pass's bank calendar")
    if status < 0:  # every number has been checked, so it is a pattern
        raise KernelError(
            f"illegal pattern word: a bit is set beyond channel {geometry.channels - 1} or tap {geometry.taps - 1}"
        )
    return status
