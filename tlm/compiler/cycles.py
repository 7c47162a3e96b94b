"""Exact cycles of parts where they lie, and the banks that they take, from the kernels of fidelity "pass"."""

from __future__ import annotations

from collections.abc import Sequence
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

    Args:
        work: what is compiled.
    """

    def __init__(self, work: Workload) -> None:
        self._work, self._config = work, work.config
        self._patterns: dict[tuple[int, int, int], npt.NDArray[np.uint64]] = {}
        self._known: dict[tuple[object, ...], int] = {}

    def compute_cycles(self, part: Part, bases: Sequence[int]) -> list[int]:
        """Compute cycles of a part for each of these bases of its output's buffer; only their banks count."""
        banks, source, residual = self._config.amem_banks, part.source, part.residual
        key = (
            part.layer_index, part.first_group, part.groups, part.first_tile, part.tiles,
            source.window, source.base_word % banks, part.output.window,
            None if residual is None else (residual.window, residual.base_word % banks),
        )  # fmt: skip
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
            part, config = parts[tag], self._config
            header = part_header(self._work, part)
            found.append(
                occupy(
                    header.geometry(config.lanes, config.columns),
                    config,
                    output_base_word=header.output_base_word,
                    residual_base_word=header.residual_base_word if header.has_residual else None,
                    weight_base_word=None if header.kind is LayerKind.MAX_POOLING else weight_word,
                    program_word=word,
                    header_words=part.header_words,
                    compute_cycles=self.compute_cycles(part, [part.output.base_word])[0],
                    **self._words(part, header),
                )
            )
            word += part.instruction_words
        end_bank = 1 << word % self._config.imem_banks  # END is read when the last part has ended
        return {
            SramName.AMEM: np.concatenate([one.amem for one in found]),
            SramName.WMEM: np.concatenate([one.wmem for one in found]),
            SramName.IMEM: np.concatenate([*(one.imem for one in found), np.array([end_bank], np.uint8)]),
        }

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
