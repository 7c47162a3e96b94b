"""What each DMA transfer of a program is for: which parts use what it loads, or made what it stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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


def uses_of_load(load: Load, jobs: Sequence[Job], parts: Sequence[Part], config: ChipConfig) -> Uses:
    """Instructions belong to their part (END to a job's last), weights to the first part that they are loaded for,
    activations to the first part that reads them.
    """
    match load.transfer.sram:
        case SramName.IMEM:
            tags = jobs[load.job].parts
            words = {tag: parts[tag].instruction_words + (tag == tags[-1]) for tag in tags}
        case SramName.WMEM:
            words = dict(_weights(load.transfer, jobs[load.job], parts))
        case _:
            return {_reader(load, jobs, parts): transfer_bytes(load.transfer, config)}
    word_bytes = sram_size(load.transfer.sram, config)[1]
    return {tag: count * word_bytes for tag, count in words.items()}


def uses_of_store(store: Store, jobs: Sequence[Job], parts: Sequence[Part], config: ChipConfig) -> Uses:
    """The last part before it that writes the tensor; a job behind that one may only read it."""
    ran = [tag for job in jobs[: store.after_job + 1] for tag in job.parts]
    tag = max(tag for tag in ran if parts[tag].output.window.tensor == store.tensor)
    return {tag: transfer_bytes(store.transfer, config)}


def _weights(transfer: Transfer, job: Job, parts: Sequence[Part]) -> Iterator[tuple[int, int]]:
    first, end = transfer.sram_word, transfer.sram_word + transfer.row_words
    for tag, word, loaded in zip(job.parts, job.wmem_words, job.loads_weights, strict=True):
        if loaded and first <= word < end and parts[tag].weight_words:
            yield tag, parts[tag].weight_words


def _reader(load: Load, jobs: Sequence[Job], parts: Sequence[Part]) -> int:
    for job in jobs[load.job :]:
        for tag in job.parts:
            residual = parts[tag].residual
            if load.tensor in (parts[tag].source.window.tensor, None if residual is None else residual.window.tensor):
                return tag
    raise AssertionError(f"nobody reads {load.transfer.label}")  # the compiler loads nothing in vain
