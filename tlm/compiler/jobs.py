"""Which parts run from one start of the engine, and where their weights and instructions lie in WMem and IMem.

Each memory is filled round and round. What a job's load overwrites belongs to earlier jobs, so the load has to wait
for the last of them; with room for two jobs the next one is loaded while the present one computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlm.chip.config import ChipConfig
from tlm.compiler.tiling import Part


@dataclass(frozen=True, slots=True)
class JobPlan:
    """A job before its instructions exist."""

    tags: tuple[int, ...]
    wmem_word: int
    imem_word: int
    load_after: int
    """The job that must have ended before this one is loaded; -1 if none."""


class _Ring:
    """Next-fit allocation of consecutive words."""

    def __init__(self, words: int) -> None:
        self._words = words
        self._next = 0
        self._used: list[tuple[int, int, int]] = []  # first word, end, job

    def take(self, words: int, job: int) -> tuple[int, int]:
        """(first word, last job that still owns some of these words or -1)."""
        if not words:
            return 0, -1
        first = self._next if self._next + words <= self._words else 0
        end = first + words
        overwritten = [used for used in self._used if used[0] < end and first < used[1]]
        self._used = [used for used in self._used if used not in overwritten]
        self._used.append((first, end, job))
        self._next = end
        return first, max((used[2] for used in overwritten), default=-1)


def plan_jobs(parts: Sequence[Part], config: ChipConfig) -> list[JobPlan]:
    """Group parts (indexed by tag) into jobs and place them.

    A part joins the job before it if loading it takes no longer than another start of the engine, so that
    loading it separately could not pay.
    """
    jobs: list[list[int]] = []
    for tag, part in enumerate(parts):
        if jobs and _joins([parts[t] for t in jobs[-1]], part, config):
            jobs[-1].append(tag)
        else:
            jobs.append([tag])
    wmem, imem = _Ring(config.wmem_words), _Ring(config.imem_words)
    plans = []
    for index, tags in enumerate(jobs):
        wmem_word, wmem_after = wmem.take(sum(parts[t].weight_words for t in tags), index)
        imem_word, imem_after = imem.take(sum(parts[t].instruction_words for t in tags) + 1, index)
        plans.append(JobPlan(tuple(tags), wmem_word, imem_word, max(wmem_after, imem_after)))
    return plans


def _joins(job: Sequence[Part], part: Part, config: ChipConfig) -> bool:
    together = [*job, part]
    fits = (
        sum(p.weight_words for p in together) <= config.wmem_words
        and sum(p.instruction_words for p in together) + 1 <= config.imem_words
    )
    size_bytes = part.weight_words * config.wmem_word_bytes + part.instruction_words * config.imem_word_bytes
    return fits and load_cycles(size_bytes, config) <= restart_cycles(config)


def load_cycles(size_bytes: int, config: ChipConfig) -> int:
    """Cycles that loading so many bytes takes, roughly: by latency and bandwidth of full bursts."""
    bursts = -(-size_bytes // config.burst_bytes)
    service = config.burst_bytes / config.bus_bytes * config.memory_beat_cycles
    latency = config.cycles_of_ns(config.memory_latency_ns) + 3
    period = max(service, (latency + service) / config.dma_bursts_in_flight)
    return round(latency + bursts * period)


def restart_cycles(config: ChipConfig) -> int:
    """Cycles between the end of one job and the first header of the next: interrupt and four register accesses."""
    return config.cycles_of_ns(config.host_interrupt_ns) + 4 * (config.cycles_of_ns(config.host_access_ns) + 2) + 2
