"""Mutations of the model in fidelity "cycle"; see mutations.py."""

from __future__ import annotations

from mutation_rules import Mutation


def _cycle(rule: str, file: str, old: str, new: str) -> Mutation:
    return Mutation(rule, "cycle", f"tlm/chip/{file}", old, new)


_ONE = "yield self.clock.cycles(1)"
_TWO = "yield self.clock.cycles(2)"

_STEPS = """\
            if index < last:
                word = yield from self._read_instruction(address + index + 1)
            for position, (channel, tap) in enumerate(steps):
"""
_READ_LATER = """\
            if index < last:
                at = address + index + 1

                def read_in_the_next_cycle(at: int = at) -> Activity:
                    yield self.clock.cycles(1)
                    yield from self._read_instruction(at)

                self.clock.env.process(read_in_the_next_cycle())
                word = int.from_bytes(self.imem.direct_memory().view[8 * at : 8 * at + 8], "little")
            for position, (channel, tap) in enumerate(steps):
"""
_TELL_STEP = """\
                yield from self.steps.b_transport(step)
                if step.status is not OK:
                    raise self._refused(self.steps, step)
                fetch_cycles += clock.now - asked_cycle + 1
"""
_FETCH_WEIGHTS = """\
                if not header.pooling:
                    self._fetch_weights(weight_word + step_count, beat)
"""

_SEQUENCER = (
    _cycle(
        "header words are read one a cycle",
        "cycle/sequencer.py",
        f"(address + offset)))\n                {_ONE}",
        f"(address + offset)))\n                {_TWO}",
    ),
    _cycle(
        "parameter words are read one a cycle",
        "cycle/sequencer.py",
        f"_read_instruction(at)\n            {_ONE}",
        f"_read_instruction(at)\n            {_TWO}",
    ),
    _cycle(
        "parameter words are read once for each of a channel's entry slots",
        "cycle/sequencer.py",
        f"_read_instruction(at)\n            {_ONE}",
        "_read_instruction(at)\n            yield self.clock.cycles(2 if slot % header.slots_per_channel else 1)",
    ),
    _cycle(
        "the next group's parameters are read from the cycle after the handover on",
        "cycle/sequencer.py",
        f"header.groups(self.config.columns):\n                {_ONE}",
        f"header.groups(self.config.columns):\n                {_TWO}",
    ),
    _cycle(
        "pattern word 0 is read in the cycle before s",
        "cycle/sequencer.py",
        f"{_ONE}\n        self.state.value = SequencerState.STEPS",
        f"{_TWO}\n        self.state.value = SequencerState.STEPS",
    ),
    _cycle("pattern word k is read in the first cycle spent on word k-1", "cycle/sequencer.py", _STEPS, _READ_LATER),
    _cycle(
        "a pattern word without a valid tap takes one cycle",
        "cycle/sequencer.py",
        f"else:\n                    {_ONE}",
        f"else:\n                    {_TWO}",
    ),
    _cycle(
        "steps follow each other without a gap",
        "cycle/sequencer.py",
        "if not ends_pass:\n                    yield clock.cycles(1)",
        "if not ends_pass:\n                    yield clock.cycles(2)",
    ),
    _cycle(
        "the weight word is read in the last cycle of a step's fetch",
        "cycle/sequencer.py",
        _TELL_STEP + _FETCH_WEIGHTS,
        _FETCH_WEIGHTS + _TELL_STEP,
    ),
    _cycle(
        "a pass follows the handover after pass_gap_cycles",
        "cycle/sequencer.py",
        "yield self.clock.cycles(gap_cycles)",
        "yield self.clock.cycles(gap_cycles + 1)",
    ),
    _cycle(
        "a new group's gap is at least n + 1",
        "cycle/sequencer.py",
        "max(gap_cycles - 1 - slots, 0)",
        "max(gap_cycles - 1 - slots, 1)",
    ),
    _cycle(
        "the interrupt comes in the cycle after END was read",
        "cycle/sequencer.py",
        "is Opcode.END:\n                return",
        f"is Opcode.END:\n                {_ONE}\n                return",
    ),
    _cycle(
        "an illegal word is found in the cycle after its read",
        "cycle/sequencer.py",
        "word = yield from self._read_instruction(address)\n            yield self.clock.cycles(1)\n"
        "            if self._opcode(word, address) is Opcode.END:",
        "word = yield from self._read_instruction(address)\n            yield self.clock.cycles(1)\n"
        "            try:\n                self._opcode(word, address)\n            except UnitFaultError:\n"
        "                yield self.clock.cycles(1)\n                raise\n"
        "            if self._opcode(word, address) is Opcode.END:",
    ),
)

_ARRAY = (
    _cycle(
        "a step's fetch takes as many cycles as its words in one bank",
        "cycle/aligner.py",
        "of_bank.setdefault(offset % self._banks, [])",
        "of_bank.setdefault(0, [])",
    ),
    _cycle(
        "a step that sees only padding takes one cycle", "cycle/aligner.py", "cycles or ((),)", "cycles or ((), ())"
    ),
    _cycle("sram_read_cycles", "cycle/aligner.py", "= config.sram_read_cycles + 1", "= config.sram_read_cycles + 2"),
    _cycle(
        "log2(lanes) routing stages",
        "cycle/aligner.py",
        "+ config.routing_stages + config.mask_cycles",
        "+ config.routing_stages + 1 + config.mask_cycles",
    ),
    _cycle("mask_cycles", "cycle/aligner.py", "+ config.mask_cycles", "+ config.mask_cycles + 1"),
    _cycle("multiply_cycles", "cycle/mac_array.py", "config.multiply_cycles,", "config.multiply_cycles + 1,"),
    _cycle("accumulate_cycles", "cycle/mac_array.py", "config.accumulate_cycles)", "config.accumulate_cycles + 1)"),
    _cycle(
        "handover in the cycle after the last accumulation",
        "cycle/mac_array.py",
        "        self.state.value = ArrayState.HOLD",
        f"        {_ONE}\n        self.state.value = ArrayState.HOLD",
    ),
)

_REQUANTISER = (
    _cycle(
        "handover in the cycle after the last write of the pass before, if that is later",
        "cycle/requantiser.py",
        f"yield self._idle\n            {_ONE}",
        f"yield self._idle\n            {_TWO}",
    ),
    _cycle(
        "the next layer starts in the cycle after the last write",
        "cycle/requantiser.py",
        'after the last write."""\n        yield from self._wait_until_idle()',
        f'after the last write."""\n        yield from self._wait_until_idle()\n        {_ONE}',
    ),
    _cycle(
        "the first entry comes in the cycle after the handover",
        "cycle/requantiser.py",
        f"{_ONE}\n            self.state.value = RequantiserState.DRAIN",
        f"{_TWO}\n            self.state.value = RequantiserState.DRAIN",
    ),
    _cycle(
        "entries follow each other one a cycle",
        "cycle/requantiser.py",
        f"stages.append(entry)\n            {_ONE}",
        f"stages.append(entry)\n            {_TWO}",
    ),
    _cycle(
        "requantiser_cycles from entry to write",
        "cycle/requantiser.py",
        "[None] * self._config.requantiser_cycles",
        "[None] * (self._config.requantiser_cycles + 1)",
    ),
    _cycle(
        "a residual word is read in the cycle of its entry",
        "cycle/requantiser.py",
        "            yield from self.residuals.b_transport(residual)",
        f"            {_ONE}\n            yield from self.residuals.b_transport(residual)",
    ),
    _cycle(
        "a refused write is tried again in the next cycle",
        "cycle/requantiser.py",
        f"RequantiserState.FROZEN\n                    {_ONE}",
        f"RequantiserState.FROZEN\n                    {_TWO}",
    ),
    _cycle(
        "a frozen requantiser makes no residual read",
        "cycle/requantiser.py",
        "                    write.rearm()\n",
        "                    write.rearm()\n"
        "                    if entered < slots and self._header.has_residual:\n"
        "                        yield from self._enter(entered)\n",
    ),
    _cycle(
        "a refused residual read delays only the entry",
        "cycle/requantiser.py",
        "            stages.append(entry)",
        "            (stages.appendleft if entry is None and entered < slots else stages.append)(entry)",
    ),
)

_BANKS = (
    _cycle(
        "aligner before write-back",
        "contract.py",
        "(Port.ALIGNER, Port.WRITE_BACK,",
        "(Port.WRITE_BACK, Port.ALIGNER,",
    ),
    _cycle(
        "write-back before residual read",
        "contract.py",
        "Port.WRITE_BACK, Port.RESIDUAL,",
        "Port.RESIDUAL, Port.WRITE_BACK,",
    ),
    _cycle(
        "engine before DMA at AMem", "contract.py", "Port.RESIDUAL, Port.DMA_LOAD,", "Port.DMA_LOAD, Port.RESIDUAL,"
    ),
    _cycle(
        "engine before DMA at WMem and IMem",
        "contract.py",
        "(Port.FETCH, Port.DMA_LOAD,",
        "(Port.DMA_LOAD, Port.FETCH,",
    ),
    _cycle(
        "load channel before store channel at a bank",
        "contract.py",
        "Port.RESIDUAL, Port.DMA_LOAD, Port.DMA_STORE",
        "Port.RESIDUAL, Port.DMA_STORE, Port.DMA_LOAD",
    ),
)

_DMA = (
    _cycle(
        "a refused DMA access is tried again in the next cycle",
        "cycle/dma.py",
        f"payload.rearm()\n            {_ONE}",
        f"payload.rearm()\n            {_TWO}",
    ),
    _cycle(
        "bursts are cut at multiples of burst_bytes",
        "cycle/dma.py",
        "(position // self._burst_bytes + 1) * self._burst_bytes)",
        "position + self._burst_bytes)",
    ),
    _cycle(
        "a load requests one burst a cycle",
        "cycle/dma.py",
        f"Origin(Work.BURST, index, origin)))\n            {_ONE}",
        f"Origin(Work.BURST, index, origin)))\n            {_TWO}",
    ),
    _cycle(
        "dma_bursts_in_flight",
        "cycle/dma.py",
        "[0] * config.dma_bursts_in_flight",
        "[0] * (config.dma_bursts_in_flight + 1)",
    ),
    _cycle(
        "a load's word is written in the cycle in which its last beat arrives",
        "cycle/dma.py",
        "arrivals.put(beat)",
        "self.clock.cycles(1).callbacks.append(lambda _, beat=beat: arrivals.put(beat))",
    ),
    _cycle(
        "a load writes one word a cycle",
        "cycle/dma.py",
        f"write_cycle == self.clock.now:\n                        {_ONE}",
        f"write_cycle == self.clock.now:\n                        {_TWO}",
    ),
    _cycle(
        "a store reads one word a cycle",
        "cycle/dma.py",
        f"collected += word.data\n                {_ONE}",
        f"collected += word.data\n                {_TWO}",
    ),
    _cycle(
        "a load's buffer is free the cycle after its last word was written",
        "cycle/dma.py",
        "self.free_burst_buffer()\n        if fault",
        "self.free_burst_buffer()\n            self._free_bursts[-1] += 1\n        if fault",
    ),
    _cycle(
        "a store's buffer is free the cycle after the answer to its last beat",
        "cycle/dma.py",
        "self.free_burst_buffer()\n        self._answers",
        "self.free_burst_buffer()\n        self._free_bursts[-1] += 1\n        self._answers",
    ),
    _cycle(
        "a store's burst is requested sram_read_cycles after its last read",
        "cycle/dma.py",
        "self._read_cycles - 1",
        "self._read_cycles",
    ),
)

_MEMORY = (
    _cycle(
        "a burst's request crosses in one cycle",
        "around/interconnect.py",
        f"self._last_request[region.name] = self.clock.now\n        {_ONE}",
        "self._last_request[region.name] = self.clock.now\n"
        "        yield self.clock.cycles(2 if region.name == 'memory' else 1)",
    ),
    _cycle(
        "a beat's answer crosses in one cycle",
        "around/interconnect.py",
        f"yield from self.forward(region, payload)\n{_ONE}",
        "yield from self.forward(region, payload)\nyield self.clock.cycles(2 if region.name == 'memory' else 1)",
    ),
    _cycle(
        "the memory accepts one request a cycle",
        "around/interconnect.py",
        "if queue[0] is request and self._last_request[region.name] != self.clock.now:",
        "if queue[0] is request:",
    ),
    _cycle(
        "load channel before store channel at the interconnect",
        "system.py",
        "Port.DMA_LOAD: 2, Port.DMA_STORE: 3",
        "Port.DMA_LOAD: 3, Port.DMA_STORE: 2",
    ),
    _cycle(
        "beats behind the first need no request",
        "around/interconnect.py",
        "isinstance(payload, BurstBeat) and payload.beat)",
        "isinstance(payload, BurstBeat) and payload.beat > 1)",
    ),
    _cycle(
        "memory_latency_ns from a burst's arrival to its first beat",
        "around/off_chip_memory.py",
        "arrival + self._latency_cycles",
        "arrival + self._latency_cycles + 1",
    ),
    _cycle(
        "latencies of waiting bursts overlap",
        "around/off_chip_memory.py",
        "arrival + self._latency_cycles",
        "self.clock.now + self._latency_cycles",
    ),
    _cycle(
        "beats follow each other at the memory's pace",
        "around/off_chip_memory.py",
        "+= self._beat_parts",
        "+= self._beat_parts + 1",
    ),
    _cycle(
        "a beat is served in the cycle that its moment is rounded up to",
        "around/off_chip_memory.py",
        "-(-self._free_from_parts // self._parts)",
        "self._free_from_parts // self._parts",
    ),
    _cycle(
        "the memory is free again at a fraction of a cycle",
        "around/off_chip_memory.py",
        "max(self._free_from_parts, ",
        "max(-(-self._free_from_parts // self._parts) * self._parts, ",
    ),
)

MUTATIONS = _SEQUENCER + _ARRAY + _REQUANTISER + _BANKS + _DMA + _MEMORY
