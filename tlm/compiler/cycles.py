"""Exact cycles of parts where they lie, and the banks that they take, from the kernels of fidelity "pass"."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from tlm.chip.format.driver import SramName
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.kernels.geometry import LayerKind
from tlm.chip.kernels.occupancy import occupy
from tlm.chip.kernels.timing import Placement, predict_placements
from tlm.compiler.jobs import Job
from tlm.compiler.parts import Part, part_header
from tlm.compiler.workload import Workload


class _Words(TypedDict):
    """What both kernels take beside a geometry and the chip."""

    patterns: npt.NDArray[np.uint64]
    words_per_channel: int
    output_plane_words: int
    residual_plane_words: int | None


class PartCycles:
    """Asks the kernels, each question once.

    Parts of a layer that differ only in their rows ask the same if none of them sees rows of padding, and their pixels
    lie in the same lanes.

    Args:
        work: what is compiled.
    """

    def __init__(self, work: Workload) -> None:
        self._work, self._config = work, work.config
        self._patterns: dict[tuple[int, int, int], npt.NDArray[np.uint64]] = {}
        self._known: dict[tuple[object, ...], int] = {}
        self._calendars: dict[tuple[object, ...], tuple[npt.NDArray[np.uint8], ...]] = {}
        """Of parts that moved up."""

    def compute_cycles(self, part: Part, bases: Sequence[int]) -> list[int]:
        """Compute cycles of a part for each of these bases of its output's buffer; only their banks count."""
        banks, key = self._config.amem_banks, self._key(part, self._moved_rows(part))
        missing = {base % banks: base for base in bases if (*key, base % banks) not in self._known}
        if missing:
            header, config = part_header(self._work, part), self._config
            shift = header.output_base_word - part.output.base_word
            kept = header.residual_base_word if header.has_residual else None
            found = predict_placements(
                header.geometry(config.lanes, config.columns),
                [Placement(header.input_base_word, base + shift, kept) for base in missing.values()],
                amem_banks=banks,
                pipeline_cycles=config.pipeline_cycles,
                pass_gap_cycles=config.pass_gap_cycles,
                requantiser_cycles=config.requantiser_cycles,
                **self._words(part, header),
            )
            self._known.update({(*key, bank): cycles for bank, cycles in zip(missing, found, strict=True)})
        return [self._known[*key, base % banks] for base in bases]

    def calendars(self, job: Job, parts: Sequence[Part]) -> dict[SramName, npt.NDArray[np.uint8]]:
        """The banks that the engine takes in a job, uint8 (cycles,), from the first header word on.

        Args:
            job: whose words have their places.
            parts: by tag.
        """
        found, word = [], job.imem_word
        for tag, weight_word in zip(job.parts, job.wmem_words, strict=True):
            found.append(self._calendars_of(parts[tag], weight_word, word))
            word += parts[tag].instruction_words
        end = np.array([1 << word % self._config.imem_banks], np.uint8)  # END is read when the last part has ended
        amem, wmem, imem = zip(*found, strict=True)
        return {
            SramName.AMEM: _joined(amem), SramName.WMEM: _joined(wmem), SramName.IMEM: _joined((*imem, end))
        }  # fmt: skip

    def _calendars_of(self, part: Part, weight_word: int, program_word: int) -> tuple[npt.NDArray[np.uint8], ...]:
        """Those of AMem, WMem and IMem while a part runs."""
        config, rows = self._config, self._moved_rows(part)
        key = (
            *self._key(part, rows), part.output.base_word % config.amem_banks, part.banded,
            weight_word % config.wmem_banks, program_word % config.imem_banks,
        )  # fmt: skip
        if key in self._calendars:
            return self._calendars[key]
        header = part_header(self._work, part)
        found = occupy(
            header.geometry(config.lanes, config.columns),
            config,
            output_base_word=header.output_base_word,
            residual_base_word=header.residual_base_word if header.has_residual else None,
            weight_base_word=None if header.kind is LayerKind.MAX_POOLING else weight_word,
            program_word=program_word,
            header_words=part.header_words,
            compute_cycles=self.compute_cycles(part, [part.output.base_word])[0],
            **self._words(part, header),
        )
        arrays = found.amem, found.wmem, found.imem
        if rows:
            self._calendars[key] = arrays
        return arrays

    def _key(self, part: Part, rows: int) -> tuple[int, ...]:
        """What a part's cycles depend on, but for the bank of its output's buffer.

        Args:
            part: which.
            rows: of the output by which it can move up; its accesses to AMem stay.
        """
        layer = self._work.network.layers[part.layer_index]
        raster, lanes, banks = self._work.rasters[layer.name], self._config.lanes, self._config.amem_banks
        first_tile = part.first_tile - rows * raster.out_size[1] // lanes
        word = rows * raster.stride[0] * raster.size[1] // lanes
        source, output, residual = part.source, part.output, part.residual
        first = output.address(part.first_channel * self._work.per_channel[layer.name], part.first_tile)
        return (
            part.layer_index, part.first_group, part.groups, first_tile, part.tiles,
            source.address(part.first_in_channel, word) % banks, source.window.words,
            (first - output.base_word) % banks, output.window.words,
            -1 if residual is None else residual.address(part.first_channel, part.first_tile) % banks,
            0 if residual is None else residual.window.words,
        )  # fmt: skip

    def _moved_rows(self, part: Part) -> int:
        """Rows of the output by which a part can move up and do the same: its pixels stay in their lanes."""
        raster = self._work.rasters[self._work.network.layers[part.layer_index].name]
        (height, width), out_width, lanes = raster.size, raster.out_size[1], self._config.lanes
        stride, top = raster.stride[0], raster.pads.top
        end_pixel = (part.first_tile + part.tiles) * lanes
        last_row = (end_pixel - 1) // out_width * stride - top + raster.dilation[0] * (raster.kernel[0] - 1)
        if last_row >= height:  # so it is, too, where the last tile has fewer pixels
            return 0
        step = max(lanes // gcd(lanes, out_width), lanes // gcd(lanes, stride * width))  # lanes is a power of two
        rows = part.first_tile * lanes // out_width - -(-top // stride)  # the first that sees no padding stays
        return max(0, rows // step * step)

    def _words(self, part: Part, header: LayerHeader) -> _Words:
        lanes = self._config.lanes
        return {
            "patterns": self._padded(part),
            "words_per_channel": header.slots_per_channel,
            "output_plane_words": header.output_plane_words(lanes),
            "residual_plane_words": header.residual_plane_words(lanes) if header.has_residual else None,
        }

    def _padded(self, part: Part) -> npt.NDArray[np.uint64]:
        """Pattern words (groups, words); all groups have as many as the longest."""
        key = part.layer_index, part.first_group, part.groups
        if key not in self._patterns:
            own = self._work.weights[part.layer_index].patterns[part.first_group : part.first_group + part.groups]
            padded = np.zeros((len(own), max(map(len, own))), np.uint64)
            for row, words in zip(padded, own, strict=True):
                row[: len(words)] = words
            self._patterns[key] = padded
        return self._patterns[key]


def _joined(calendars: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    return calendars[0] if len(calendars) == 1 else np.concatenate(calendars)
