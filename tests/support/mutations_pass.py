"""Mutations of the model in fidelity "pass"; see mutations.py."""

from __future__ import annotations

from mutation_rules import Mutation


def _python(rule: str, file: str, old: str, new: str) -> Mutation:
    return Mutation(rule, "pass", f"tlm/chip/{file}", old, new)


def _kernel(rule: str, file: str, old: str, new: str) -> Mutation:
    return Mutation(rule, "pass", f"kernels/{file}", old, new)


_ONE = "yield self.clock.cycles(1)"
_TWO = "yield self.clock.cycles(2)"

_BANKS = (
    _kernel(
        "a step's fetch takes as many cycles as its words in one bank",
        "calendar.c",
        "k = ++queue[bank];",
        "k = ++queue[bank] + (queue[bank] > 1);",
    ),
    _kernel(
        "a step that sees only padding takes one cycle",
        "calendar.c",
        "    fetch[0] = (uint8_t)r;",
        "    if (!count) r++;\n    fetch[0] = (uint8_t)r;",
    ),
    _kernel(
        "aligner before write-back",
        "timing.c",
        "for (; aligner_banks(cal, cycle - start) >> at.output_bank & 1; cycle++) d.refused_writes++;\n"
        "        d.last_write = cycle;\n"
        "        if (cycles) cycles->write[j]",
        "d.last_write = cycle;\n        if (cycles) cycles->write[j]",
    ),
    _kernel(
        "write-back before residual read",
        "timing.c",
        "(aligner_banks(cal, cycle - start) | written_bank) >>",
        "aligner_banks(cal, cycle - start) >>",
    ),
    _kernel(
        "engine before DMA at AMem",
        "dma.c",
        "engine_banks(&d->calendars[sram], t) >> bank & 1",
        "(sram && engine_banks(&d->calendars[sram], t) >> bank & 1)",
    ),
    _kernel(
        "engine before DMA at WMem and IMem",
        "dma.c",
        "engine_banks(&d->calendars[sram], t) >> bank & 1",
        "(!sram && engine_banks(&d->calendars[sram], t) >> bank & 1)",
    ),
    _kernel(
        "load channel before store channel at a bank",
        "dma.c",
        "return loaded ||",
        "return (loaded && 0) ||",
    ),
    _kernel(
        "a refused DMA access is tried again in the next cycle",
        "dma.c",
        "c->refused++;",
        "c->refused++;\n        c->next_word_cycle = t + 2;",
    ),
)

_SEQUENCER = (
    _kernel(
        "header words are read one a cycle",
        "occupancy.c",
        "return (int64_t)o->header_words +",
        "return (int64_t)o->header_words + 1 +",
    ),
    _kernel(
        "parameter words are read one a cycle", "occupancy.c", "take(&c, cycle + slot)", "take(&c, cycle + slot / 2)"
    ),
    _kernel(
        "parameter words are read once for each of a channel's entry slots",
        "calendar.c",
        "reads = tlm_group_slots(l, group) + 1;",
        "reads = tlm_group_slots(l, group) + 1 + (l->t->words_per_channel > 1);",
    ),
    _kernel(
        "the next group's parameters are read from the cycle after the handover on",
        "occupancy.c",
        "m->first_cycle + before + 1 :",
        "m->first_cycle + before + 2 :",
    ),
    _kernel(
        "pattern word 0 is read in the cycle before s", "occupancy.c", "take(&word, cycle - 1)", "take(&word, cycle)"
    ),
    _kernel(
        "pattern word k is read in the first cycle spent on word k-1",
        "occupancy.c",
        "p + 1 < words) take(&word, cycle);",
        "p + 1 < words) take(&word, cycle + 1);",
    ),
    _kernel(
        "a pattern word without a valid tap takes one cycle",
        "calendar.c",
        "            *to++ = 0;",
        "            *to++ = 0;\n            *to++ = 0;",
    ),
    _kernel(
        "steps follow each other without a gap",
        "calendar.c",
        "    return to;",
        "    *to++ = 0;\n    return to;",
    ),
    _kernel(
        "the weight word is read in the last cycle of a step's fetch",
        "occupancy.c",
        "                cycle += cal->fetches.at[fetch_of[tlm_lowest_bit(bits)]]; /* r */\n"
        "                if (!has_weights) continue;\n"
        "                take(&weight, cycle - 1);",
        "                int64_t first = cycle;\n"
        "                cycle += cal->fetches.at[fetch_of[tlm_lowest_bit(bits)]]; /* r */\n"
        "                if (!has_weights) continue;\n"
        "                take(&weight, first);",
    ),
    _kernel(
        "a pass follows the handover after pass_gap_cycles",
        "calendar.c",
        "gap = l->t->pass_gap_cycles,",
        "gap = l->t->pass_gap_cycles + 1,",
    ),
    _kernel(
        "a new group's gap is at least n + 1",
        "calendar.c",
        "reads = tlm_group_slots(l, group) + 1;",
        "reads = tlm_group_slots(l, group) + 2;",
    ),
    _python(
        "the next layer starts in the cycle after the last write",
        "passes/requantiser.py",
        "self._write_cycle + 1 - self.clock.now",
        "self._write_cycle + 2 - self.clock.now",
    ),
    _python(
        "the next layer starts in the cycle after the last write",
        "passes/sequencer.py",
        f"times, accesses))\n        {_ONE}",
        f"times, accesses))\n        {_TWO}",
    ),
    _python(
        "the interrupt comes in the cycle after END was read",
        "passes/sequencer.py",
        f"{_ONE}\n                return",
        f"{_TWO}\n                return",
    ),
)


def _stage(rule: str, old: str) -> Mutation:
    """The stages of the pipeline: "cycle" has each of them, "pass" their sum."""
    return _python(rule, "config.py", old, f"{old} + 1")


_ARRAY = (
    _stage("sram_read_cycles", "            self.sram_read_cycles"),
    _stage("log2(lanes) routing stages", "            + self.routing_stages"),
    _stage("mask_cycles", "            + self.mask_cycles"),
    _stage("multiply_cycles", "            + self.multiply_cycles"),
    _stage("accumulate_cycles", "            + self.accumulate_cycles"),
    _kernel(
        "handover in the cycle after the last accumulation",
        "timing.c",
        "l->t->pipeline_cycles + 1;",
        "l->t->pipeline_cycles + 2;",
    ),
    _kernel(
        "handover in the cycle after the last write of the pass before, if that is later",
        "timing.c",
        "ready : last_write + 1;",
        "ready : last_write + 2;",
    ),
)

_REQUANTISER = (
    _kernel(
        "the first entry comes in the cycle after the handover",
        "timing.c",
        "int64_t cycle = 1 + requantiser_cycles;",
        "int64_t cycle = 2 + requantiser_cycles;",
    ),
    _kernel(
        "the first entry comes in the cycle after the handover",
        "timing.c",
        "    int64_t cycle = 1;\n",
        "    int64_t cycle = 2;\n",
    ),
    _kernel("entries follow each other one a cycle", "timing.c", "j++, cycle++", "j++, cycle += 2"),
    _kernel("entries follow each other one a cycle", "timing.c", "moves++, cycle++", "moves++, cycle += 2"),
    _kernel(
        "requantiser_cycles from entry to write",
        "timing.c",
        "entries[written] + requantiser_cycles == moves",
        "entries[written] + requantiser_cycles + 1 == moves",
    ),
    _kernel(
        "a residual word is read in the cycle of its entry",
        "timing.c",
        "cycles->residual_read[entered] = cycle;",
        "cycles->residual_read[entered] = cycle + 1;",
    ),
    _kernel(
        "a refused write is tried again in the next cycle",
        "timing.c",
        "cycle++) d.refused_writes++;\n        d.last_write = cycle;\n        if (cycles) cycles->write[j]",
        "cycle += 2) d.refused_writes++;\n        d.last_write = cycle;\n        if (cycles) cycles->write[j]",
    ),
    _kernel(
        "a refused write is tried again in the next cycle",
        "timing.c",
        "cycle++) d.refused_writes++; d.last_write = cycle; if (cycles) cycles->write[written]",
        "cycle += 2) d.refused_writes++; d.last_write = cycle; if (cycles) cycles->write[written]",
    ),
    _kernel(
        "a frozen requantiser makes no residual read",
        "timing.c",
        "d.refused_writes++; d.last_write = cycle; if (cycles) cycles->write[written]",
        "d.refused_writes++, d.refused_residual_reads += entered < at.count;\n            d.last_write = cycle;\n"
        "            if (cycles) cycles->write[written]",
    ),
    _kernel(
        "a refused residual read delays only the entry",
        "timing.c",
        "d.refused_residual_reads++;",
        "d.refused_residual_reads++;\n            moves--;",
    ),
)

_DMA = (
    _kernel(
        "bursts are cut at multiples of burst_bytes",
        "dma.c",
        "d->config.burst_bytes - address % d->config.burst_bytes;",
        "d->config.burst_bytes + 0 * address;",
    ),
    _kernel("a load requests one burst a cycle", "dma.c", "next_request_cycle = t + 1;", "next_request_cycle = t + 2;"),
    _python(
        "dma_bursts_in_flight",
        "kernels/dma.py",
        "config.dma_bursts_in_flight,",
        "config.dma_bursts_in_flight + 1,",
    ),
    _kernel(
        "a load's word is written in the cycle in which its last beat arrives",
        "dma.c",
        "serve_beats(d, burst->channel, 1);",
        "tlm_dma_channel *c = &d->channels[burst->channel]; serve_beats(d, burst->channel, 1); "
        "if (burst->channel == TLM_DMA_LOAD) c->next_word_cycle = later(c->next_word_cycle, t + 2);",
    ),
    _kernel(
        "a load writes one word a cycle",
        "dma.c",
        "c->next_word_cycle = t + 1;",
        "c->next_word_cycle = t + 1 + (channel == TLM_DMA_LOAD);",
    ),
    _kernel(
        "a store reads one word a cycle",
        "dma.c",
        "c->next_word_cycle = t + 1;",
        "c->next_word_cycle = t + 1 + (channel == TLM_DMA_STORE);",
    ),
    _kernel(
        "a load's buffer is free the cycle after its last word was written",
        "dma.c",
        "free_buffer(c, t + 1);",
        "free_buffer(c, t + 2);",
    ),
    _kernel(
        "a store's buffer is free the cycle after the answer to its last beat",
        "dma.c",
        "free_buffer(c, t + 2);",
        "free_buffer(c, t + 3);",
    ),
    _kernel(
        "a store's burst is requested sram_read_cycles after its last read",
        "dma.c",
        "sram_read_cycles - 1,",
        "sram_read_cycles,",
    ),
)

_MEMORY = (
    _kernel(
        "a burst's request crosses in one cycle",
        "dma.c",
        "(tlm_dma_burst){t + 1, address, beats, channel}",
        "(tlm_dma_burst){t + 2, address, beats, channel}",
    ),
    _kernel(
        "a beat's answer crosses in one cycle",
        "dma.c",
        "c->done_cycle = t + 1;",
        "c->done_cycle = t + 2;",
    ),
    _kernel(
        "the memory accepts one request a cycle",
        "dma.c",
        "    } else if (store->send_count",
        "    }\n    if (store->send_count",
    ),
    _kernel(
        "load channel before store channel at the interconnect",
        "dma.c",
        "    if (load->active && !at_end(load, &load->next_burst) && t >=",
        "    if (!(store->send_count && store->sends[store->first_send].cycle <= t) && load->active &&\n"
        "        !at_end(load, &load->next_burst) && t >=",
    ),
    _kernel(
        "memory_latency_ns from a burst's arrival to its first beat",
        "dma.c",
        "+ d->config.latency_cycles;",
        "+ d->config.latency_cycles + 1;",
    ),
    _kernel(
        "latencies of waiting bursts overlap",
        "dma.c",
        "earliest = d->queue[d->first_queued].cycle +",
        "earliest = later(d->queue[d->first_queued].cycle, d->free_cycle) +",
    ),
    _kernel(
        "beats follow each other at the memory's pace",
        "dma.c",
        "+= d->config.beat_cycles;",
        "+= d->config.beat_cycles + 1;",
    ),
    _kernel(
        "a beat is served in the cycle that its moment is rounded up to",
        "dma.c",
        "d->free_cycle + (d->free_numerator > 0)",
        "d->free_cycle",
    ),
    _kernel(
        "the memory is free again at a fraction of a cycle",
        "dma.c",
        "    if (--d->queued) begin_burst(d);",
        "    d->free_cycle += d->free_numerator > 0;\n    d->free_numerator = 0;\n    if (--d->queued) begin_burst(d);",
    ),
)

MUTATIONS = _BANKS + _SEQUENCER + _ARRAY + _REQUANTISER + _DMA + _MEMORY
