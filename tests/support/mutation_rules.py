"""The rules of time (docs/timing.md), each of which tests/support/mutations.py breaks in every model that states it.

A rule in BOTH stands twice, once for each fidelity: a mutation changes one of the two. A rule in SHARED stands in code
that serves both fidelities, so that only tests with expected numbers can notice. CYCLE_ONLY gives its reason.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of one source text."""

    rule: str
    model: str
    """cycle, pass, shared, rtl or dram."""
    file: str
    """In the checkout; C files make kernels of their own."""
    old: str
    """Must be there exactly once; how it is spaced and wrapped does not matter."""
    new: str


BOTH = (
    # SRAM banks
    "a step's fetch takes as many cycles as its words in one bank",
    "a step that sees only padding takes one cycle",
    "aligner before write-back",
    "write-back before residual read",
    "engine before DMA at AMem",
    "engine before DMA at WMem and IMem",
    "load channel before store channel at a bank",
    "a refused DMA access is tried again in the next cycle",
    # sequencer
    "header words are read one a cycle",
    "a banded layer has two more header words, read one a cycle",
    "parameter words are read one a cycle",
    "parameter words are read once for each of a channel's entry slots",
    "the next group's parameters are read from the cycle after the handover on",
    "pattern word 0 is read in the cycle before s",
    "pattern word k is read in the first cycle spent on word k-1",
    "a pattern word without a valid tap takes one cycle",
    "steps follow each other without a gap",
    "the weight word is read in the last cycle of a step's fetch",
    "a pass follows the handover after pass_gap_cycles",
    "a new group's gap is at least n + 1",
    "the next layer starts in the cycle after the last write",
    "the interrupt comes in the cycle after END was read",
    "a pooling group's pattern words speak of its own channels",
    "a step of max pooling reads no weight word",
    "a step of max pooling keeps the maximum in its channel's row",
    # bands
    "input planes lie input_plane_words apart",
    "output planes lie output_plane_words apart",
    "residual planes lie residual_plane_words apart",
    # pipeline
    "sram_read_cycles",
    "log2(lanes) routing stages",
    "mask_cycles",
    "multiply_cycles",
    "accumulate_cycles",
    "handover in the cycle after the last accumulation",
    "handover in the cycle after the last write of the pass before, if that is later",
    # requantiser
    "the first entry comes in the cycle after the handover",
    "entries follow each other one a cycle",
    "requantiser_cycles from entry to write",
    "a residual word is read in the cycle of its entry",
    "a refused write is tried again in the next cycle",
    "a frozen requantiser makes no residual read",
    "a refused residual read delays only the entry",
    # DMA
    "bursts are cut at multiples of burst_bytes",
    "a load requests one burst a cycle",
    "dma_bursts_in_flight",
    "a load's word is written in the cycle in which its last beat arrives",
    "a load writes one word a cycle",
    "a store reads one word a cycle",
    "a load's buffer is free the cycle after its last word was written",
    "a store's buffer is free the cycle after the answer to its last beat",
    "a store's burst is requested sram_read_cycles after its last read",
    # interconnect, off-chip memory
    "a burst's request crosses in one cycle",
    "a beat's answer crosses in one cycle",
    "the memory accepts one request a cycle",
    "load channel before store channel at the interconnect",
    "memory_latency_ns from a burst's arrival to its first beat",
    "latencies of waiting bursts overlap",
    "beats follow each other at the memory's pace",
    "a beat is served in the cycle that its moment is rounded up to",
    "the memory is free again at a fraction of a cycle",
)

SHARED = (
    "engine start: first activity in the cycle after START",
    "channel start: first activity in the cycle after START",
    "the interrupt of a channel comes in the cycle after its last access",
    "nanoseconds become the cycles that cover them",
    "the clock is a whole number of kHz",
    "frequency of a supply voltage",
    "beat time of the memory: bus_bytes at its bandwidth, at least one cycle",
    "a register access takes host_access_ns before it crosses",
    "a register access crosses in one cycle each way",
    "the start of a transfer is five accesses",
    "the start of the engine is two accesses",
    "the driver goes on host_interrupt_ns after an interrupt",
    "after a wake-up STATUS is read and cleared",
    "after an error three registers are read",
    "an unmapped address is answered after one cycle",
    "cycles count to the last interrupt, inclusive",
    "a band's tiles count from first_tile",
)

CYCLE_ONLY = {
    "beats behind the first need no request": "pass sends whole bursts, so its beats have no requests to leave out",
    "an illegal word is found in the cycle after its read": "pass decodes ahead and may find it earlier",
}

RTL = (
    # each with a mutation that breaks a proof
    "fixed priority decides who has a bank",
    "a granted access is done",
    "a network moves nibbles without changing their order",
    "the mask gives padding its value",
    "the formula of engine.md, Values",
    "a refused access changes no value",
    "the sequencer goes on when all is there",
    # others
    "every check of a header word is in the circuit, at its limit",
    "the mask keeps what earlier rounds brought",
    "a group's parameters replace the last ones at its handover",
    "a cycle without a step leaves the sums as they are",
    "the reference's sum is what every lane has too much",
    "a beat moves its bytes in its own cycle",
)
"""What the circuit does by structures of its own; it shares some rules of BOTH, too."""

DRAM = (
    "a duration of a bank",
    "a duration of a rank",
    "a duration of the channel",
    "data leave the DRAM CL (or CWL) and the burst after the command",
    "every tREFI a rank is refreshed",
    "a rank that is due gets nothing else",
    "REF comes tRP after the last PRE",
    "tRFC after REF the rank can be used",
    "RD and WR go before ACT and PRE",
    "then the oldest access",
    "an access never overtakes an older one to the same place",
    "a row is not closed while an access asks for it",
    "max_bypasses",
    "in order: only the oldest",
    "a command in a clock",
    "closed page: a row that nobody asks for is closed",
    "address order",
    "a full queue stops all behind it",
    "accesses enter in order of arrival",
    "a freed place counts from the next clock",
    "a read is visible with its first beat, a write with its last",
    "write beats are taken one a cycle",
    "a burst is cut into accesses",
    "a burst is visible from the DRAM clock on that its cycle is rounded up to",
    "a command is issued in the cycle that its clock begins in",
    "data reach the bus in the cycle that their clock is rounded up to",
    "read beats, and write answers, follow in order, one a cycle",
    "a write is answered when all its data have crossed",
    "hits, misses and conflicts",
    "clocks with a row open, and in refresh",
)
"""Rules of off-chip DRAM (docs/memory.md)."""

RTL_TOO = (
    "sram_read_cycles",
    "log2(lanes) routing stages",
    "mask_cycles",
    "multiply_cycles",
    "accumulate_cycles",
    "a step of max pooling keeps the maximum in its channel's row",
    "a pass follows the handover after pass_gap_cycles",
    "handover in the cycle after the last write of the pass before, if that is later",
)

MODELS = {
    **{rule: ("cycle", "pass", *(["rtl"] if rule in RTL_TOO else [])) for rule in BOTH},
    **dict.fromkeys(SHARED, ("shared",)),
    **dict.fromkeys(CYCLE_ONLY, ("cycle",)),
    **dict.fromkeys(RTL, ("rtl",)),
    **dict.fromkeys(DRAM, ("dram",)),
}
