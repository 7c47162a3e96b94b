"""What each DMA transfer of a program is for: which parts use what it loads, or made what it stores."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName, Transfer
from tlm.compiler.jobs import Job, Load, Store
from tlm.compiler.parts import Part

Uses = Mapping[int, int]
"""Tag of a part -> bytes of a transfer that belong to it; in sum the transfer's bytes."""


def transfer_bytes(transfer: Transfer, config: ChipConfig) -> int:
    """What a descriptor moves."""
    return transfer.rows * transfer.row_words * sram_size(transfer.sram, config)[1]


def uses_of_loads(
    loads: Sequence[Load], jobs: Sequence[Job], parts: Sequence[Part], config: ChipConfig
) -> tuple[Uses, ...]:
    """For each load the parts that use it.

    Instructions belong to their part (END to a job's last), weights to the first part that they are loaded for,
    activations to the first part that reads them.
    """
    readers = defaultdict(list)  # tensor -> tags, ascending
    for tag, part in enumerate(parts):
        for place in (part.source, part.residual):
            if place is not None:
                readers[place.window.tensor].append(tag)

    def words(load: Load) -> Uses:
        job, transfer = jobs[load.job], load.transfer
        if transfer.sram is SramName.IMEM:
            return {tag: parts[tag].instruction_words + (tag == job.parts[-1]) for tag in job.parts}
        if transfer.sram is SramName.WMEM:
            loaded = range(transfer.sram_word, transfer.sram_word + transfer.row_words)
            placed = zip(job.parts, job.wmem_words, job.loads_weights, strict=True)
            return {tag: parts[tag].weight_words for tag, word, loads in placed if loads and word in loaded}
        assert load.tensor is not None
        tags = readers[load.tensor]
        return {tags[bisect_left(tags, job.parts[0])]: transfer.rows * transfer.row_words}

    def bytes_of(load: Load) -> Uses:
        word_bytes = sram_size(load.transfer.sram, config)[1]
        return {tag: count * word_bytes for tag, count in words(load).items() if count}

    return tuple(map(bytes_of, loads))


def uses_of_stores(
    stores: Sequence[Store], jobs: Sequence[Job], parts: Sequence[Part], config: ChipConfig
) -> tuple[Uses, ...]:
    """For each store the last part before it that writes the tensor; a job behind that one may only read it."""
    writers = defaultdict(list)  # tensor -> tags, ascending
    for tag, part in enumerate(parts):
        writers[part.output.window.tensor].append(tag)

    def uses(store: Store) -> Uses:
        tags = writers[store.tensor]
        last = bisect_right(tags, jobs[store.after_job].parts[-1]) - 1
        return {tags[last]: transfer_bytes(store.transfer, config)}

    return tuple(map(uses, stores))
