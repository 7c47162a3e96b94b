"""The pipelined activation aligner: fetches AMem words and shifts their pixels to the array's lanes.

Request flow: a step (tile, input channel, tap) from the sequencer becomes reads of the AMem words that hold the
source pixels of the tile's lanes; the words go through log2(lanes) rotate stages (lanes/2, .., 2, 1) and the mask,
and leave as one activation per lane. A pass's end travels the same way.
Timing: a step is served for r = max(1, most words in one bank) cycles, with one word of each bank per cycle in
ascending address order; the sequencer gets its answer in the last of them. From there sram_read_cycles to the data,
one cycle per rotate stage, mask_cycles for the mask (engine.md, A pass).
Constraints: the aligner has the highest priority at AMem, so its reads are never refused. Each rotate stage selects
per lane, so strides and row ends need no more stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import LayerHeader
from tlm.chip.payloads import LayerPayload, StepPayload, VectorPayload
from tlm.core.clock import Register
from tlm.core.errors import ProtocolError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Origin, Response
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, TargetSocket, immediate


@dataclass(frozen=True, slots=True, eq=False)
class TapPlan:
    """What the address generator finds for one tile and tap; the same for every input channel."""

    words: tuple[int, ...]
    """Words relative to the channel's first in AMem, ascending."""
    cycles: tuple[tuple[int, ...], ...]
    """For each fetch cycle the indices into ``words`` that are read in it; one empty cycle if there are none."""
    select: kernels.Select
    """For each lane where its pixel lies in the fetched words, or that it has none."""
    moved_lanes: tuple[int, ...]
    """For each rotate stage the set of lanes (as bits) whose pixel it moves."""


@dataclass(slots=True, eq=False)
class _Token:
    """What a stage passes on: fetched words on their way to the lanes."""

    plan: TapPlan | None
    fetched: bytearray
    channel: int
    ends_pass: bool
    origin: Origin | None


class Aligner(Module):
    """Address generator, rotate stages and mask."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self._config = config
        self._banks = config.amem_banks
        self._header: LayerHeader | None = None
        self._plans: dict[tuple[int, int], TapPlan] = {}
        self.fetching = Probe(self, "fetching", False)
        self.channel = Probe(self, "channel", 0)
        self.tap = Probe(self, "tap", 0)
        self.moved_lanes = [Probe(self, f"rotate_{1 << k}", 0) for k in reversed(range(config.rotate_stages))]
        self.layers = TargetSocket(self, "layers", LayerPayload, immediate(self._configure))
        self.steps = TargetSocket(self, "steps", StepPayload, self._fetch)
        self.amem: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "amem", MemoryPayload)
        self.vectors: InitiatorSocket[VectorPayload] = InitiatorSocket(self, "vectors", VectorPayload)
        # register k stands before rotate stage k, the last one before the MAC array: the first stage works in the cycle
        # after the SRAM's data are out, the mask takes its cycles behind the last stage
        delays = [1] * (config.rotate_stages + 1)
        delays[0] += config.sram_read_cycles
        delays[-1] += config.mask_cycles
        self._stages: list[Register[_Token]] = [Register(self.clock, delay) for delay in delays]
        for k in range(config.rotate_stages):
            self.add_process(partial(self._rotate, k))
        self.add_process(self._mask)

    def _configure(self, payload: LayerPayload) -> None:
        self._header = payload.header
        self._geometry = payload.header.geometry(self._config.lanes, self._config.columns)
        self._plane_words = payload.header.input_plane_words(self._config.lanes)
        # what the mask writes: in max pooling a value that no pixel is below
        self._fill = payload.header.input_range[0] if payload.header.pooling else 0
        self._plans.clear()
        payload.status = Response.OK

    def _fetch(self, step: StepPayload) -> Activity:
        """Serve a step; returns in the last cycle of its fetch."""
        if not step.is_step:
            self._stages[0].put(_Token(None, bytearray(), 0, True, step.origin))
            step.status = Response.OK
            return
        self.fetching.value = True
        self.channel.value, self.tap.value = step.channel, step.tap
        plan = self._plan(step.tile, step.tap)
        assert self._header is not None  # the sequencer configures before it steps
        base = self._header.input_base_word + step.channel * self._plane_words
        word_bytes = self._config.amem_word_bytes
        fetched = bytearray(len(plan.words) * word_bytes)
        view = memoryview(fetched)
        for index, reads in enumerate(plan.cycles):
            if index:
                yield self.clock.cycles(1)
            for i in reads:
                word = MemoryPayload(
                    Command.READ, base + plan.words[i], view[i * word_bytes : (i + 1) * word_bytes], origin=step.origin
                )
                yield from self.amem.b_transport(word)
                if word.status is not Response.OK:
                    raise ProtocolError(f"{self.path}: {word.describe()} was answered with {word.status.value!r}")
        self._stages[0].put(_Token(plan, fetched, step.channel, step.ends_pass, step.origin))
        self.fetching.value = False  # in the last cycle of the fetch
        step.status = Response.OK

    def _plan(self, tile: int, tap: int) -> TapPlan:
        plan = self._plans.get((tile, tap))
        if plan is None:
            plan = self._plans[tile, tap] = self._make_plan(tile, tap)
        return plan

    def _make_plan(self, tile: int, tap: int) -> TapPlan:
        words, select = kernels.tap_words(self._geometry, tile, tap)
        # banks differ between channels only by a rotation, so the cycles are the same for all of them
        of_bank: dict[int, list[int]] = {}
        for index, word in enumerate(words):
            of_bank.setdefault(word % self._banks, []).append(index)
        rounds = max((len(indices) for indices in of_bank.values()), default=0)
        cycles = tuple(tuple(i[k] for i in of_bank.values() if k < len(i)) for k in range(rounds))
        lanes = self._config.lanes
        moved = [0] * self._config.rotate_stages
        for lane, source in enumerate(kernels.select_lanes(select, lanes)):
            for k in range(len(moved)):
                if source >= 0 and (source - lane) % lanes & (lanes >> (k + 1)):
                    moved[k] |= 1 << lane
        return TapPlan(tuple(words), cycles or ((),), select, tuple(moved))

    def _rotate(self, k: int) -> Activity:
        source, sink, probe = self._stages[k], self._stages[k + 1], self.moved_lanes[k]
        while True:
            token: _Token = yield source.get()
            if token.plan is not None:
                probe.value = token.plan.moved_lanes[k]
            sink.put(token)

    def _mask(self) -> Activity:
        """The end of the mask stage: fills padding and lanes beyond the last pixel; the vector goes to the array."""
        lanes = self._config.lanes
        while True:
            token: _Token = yield self._stages[-1].get()
            activations = None
            if token.plan is not None:
                assert self._header is not None
                activations = kernels.align(
                    token.fetched, token.plan.select, lanes, self._header.input_signed, fill=self._fill
                )
            vector = VectorPayload(activations, token.channel, token.ends_pass, origin=token.origin)
            yield from self.vectors.b_transport(vector)
