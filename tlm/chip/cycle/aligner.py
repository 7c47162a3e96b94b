"""The pipelined activation aligner: fetches AMem words and moves their pixels to the array's lanes.

Request flow: a step (tile, input channel, tap) from the sequencer becomes reads of the AMem words that hold the
source pixels of the tile's lanes. Each bank's word passes a routing network of its own; behind it a lane takes the one
network that carries its pixel, and the mask fills the lanes that have none. A pass's end travels the same way.
Timing: a step is served for r = max(1, most words in one bank) cycles, with one word of each bank per cycle in
ascending address order; the sequencer gets its answer in the last of them, e. Data are out sram_read_cycles later,
then come one cycle per routing stage and mask_cycles for the mask; the multipliers have the vector in the cycle after
(engine.md, A pass). Words fetched before a step's last cycle reach the lanes earlier and wait there for the others.
Constraints: the aligner has the highest priority at AMem, so its reads are never refused.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import zip_longest

from simpy import Event

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.cycle.routing import LEVELS_PER_STAGE, Level, route, through
from tlm.chip.format.isa import LayerHeader
from tlm.chip.payloads import LayerPayload, StepPayload, VectorPayload
from tlm.core.errors import ProtocolError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Origin, Response
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, TargetSocket, immediate


@dataclass(frozen=True, slots=True, eq=False)
class WordPlan:
    """A word that a step fetches."""

    offset: int
    """Words after the channel's first in AMem."""
    levels: tuple[Level, ...]
    """How the routing network is set for it."""


@dataclass(frozen=True, slots=True, eq=False)
class TapPlan:
    """What the address generator finds for one tile and tap; the same for every input channel."""

    cycles: tuple[tuple[WordPlan, ...], ...]
    """The words of each fetch cycle, one of a bank; one empty cycle if all pixels are padding."""
    pixels: kernels.Select
    """The lanes that have a pixel."""


@dataclass(slots=True, eq=False)
class _Token:
    """What moves through the stages: the words of one fetch cycle on their way to the lanes, or a pass's end."""

    entered_cycle: int
    plan: TapPlan | None
    reads: tuple[WordPlan, ...]
    """The words that were read in one cycle."""
    words: list[int]
    """The bits of each, lane 0 in the lowest four."""
    first_bank: int
    """Bank of the word with offset 0."""
    channel: int
    ends_step: bool
    ends_pass: bool
    origin: Origin | None


class Aligner(Module):
    """Address generator, routing networks and mask."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self._config = config
        self._banks = config.amem_banks
        self._header: LayerHeader | None = None
        self._plans: dict[tuple[int, int], TapPlan] = {}
        self.fetching = Probe(self, "fetching", False)
        self.channel = Probe(self, "channel", 0)
        self.tap = Probe(self, "tap", 0)
        banks, stages = range(config.amem_banks), range(config.routing_stages)
        self.routed = [[Probe(self, f"stage_{k + 1}_bank_{bank}", 0) for bank in banks] for k in stages]
        self.layers = TargetSocket(self, "layers", LayerPayload, immediate(self._configure))
        self.steps = TargetSocket(self, "steps", StepPayload, self._fetch)
        self.amem: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "amem", MemoryPayload)
        self.vectors: InitiatorSocket[VectorPayload] = InitiatorSocket(self, "vectors", VectorPayload)
        # the first stage works in the cycle after the SRAM's data are out, the mask takes its cycles after the last
        self._first_stage_cycles = config.sram_read_cycles + 1
        self._latency_cycles = self._first_stage_cycles + config.routing_stages + config.mask_cycles
        self._in_flight: deque[_Token] = deque()
        self._entered: Event | None = None
        self._pixels = 0
        """Of the step whose words are leaving, each in its lane."""
        self.add_process(self._move)

    def _configure(self, payload: LayerPayload) -> None:
        self._header = payload.header
        self._geometry = payload.header.geometry(self._config.lanes, self._config.columns)
        self._plane_words = payload.header.input_plane_words(self._config.lanes)
        # what the mask writes: in max pooling the lowest activation of the input's range
        self._fill = payload.header.input_range[0] if payload.header.pooling else 0
        self._plans.clear()
        payload.status = Response.OK

    def _fetch(self, step: StepPayload) -> Activity:
        """Serve a step; returns in the last cycle of its fetch."""
        if not step.is_step:
            self._enter(_Token(self.clock.now, None, (), [], 0, 0, True, True, step.origin))
            step.status = Response.OK
            return
        self.fetching.value = True
        self.channel.value, self.tap.value = step.channel, step.tap
        plan = self._plan(step.tile, step.tap)
        assert self._header is not None  # the sequencer configures before it steps
        base = self._header.input_base_word + step.channel * self._plane_words
        word_bytes, last = self._config.amem_word_bytes, len(plan.cycles) - 1
        for k, reads in enumerate(plan.cycles):
            if k:
                yield self.clock.cycles(1)
            words = []
            for read in reads:
                word = MemoryPayload(Command.READ, base + read.offset, bytearray(word_bytes), origin=step.origin)
                yield from self.amem.b_transport(word)
                if word.status is not Response.OK:
                    raise ProtocolError(f"{self.path}: {word.describe()} was answered with {word.status.value!r}")
                words.append(int.from_bytes(word.data, "little"))
            ends_pass = step.ends_pass and k == last
            first_bank, ends_step = base % self._banks, k == last
            self._enter(
                _Token(self.clock.now, plan, reads, words, first_bank, step.channel, ends_step, ends_pass, step.origin)
            )
        self.fetching.value = False  # in the last cycle of the fetch
        step.status = Response.OK

    def _plan(self, tile: int, tap: int) -> TapPlan:
        plan = self._plans.get((tile, tap))
        if plan is None:
            plan = self._plans[tile, tap] = self._make_plan(tile, tap)
        return plan

    def _make_plan(self, tile: int, tap: int) -> TapPlan:
        words, select = kernels.tap_words(self._geometry, tile, tap)
        lanes = self._config.lanes
        wanted = [[-1] * lanes for _ in words]
        for lane, source in enumerate(kernels.select_lanes(select, lanes)):
            if source >= 0:
                wanted[source // lanes][lane] = source % lanes
        # banks differ between channels only by a rotation, so the cycles are the same for all of them
        of_bank: dict[int, list[WordPlan]] = {}
        for offset, sources in zip(words, wanted, strict=True):
            of_bank.setdefault(offset % self._banks, []).append(WordPlan(offset, route(tuple(sources))))
        cycles = tuple(
            tuple(word for word in of_cycle if word is not None) for of_cycle in zip_longest(*of_bank.values())
        )
        return TapPlan(cycles or ((),), select)

    def _enter(self, token: _Token) -> None:
        """Words are read, or a pass ends: from here on nobody waits for them."""
        self._in_flight.append(token)
        if self._entered is not None:
            self._entered.succeed()
            self._entered = None

    def _move(self) -> Activity:
        """Each cycle moves all that is in flight by a stage; the oldest leaves."""
        in_flight, watched = self._in_flight, False
        while True:
            if not in_flight:
                self._entered = Event(self.clock.env)
                yield self._entered
                watched = any(probe.watched for stage in self.routed for probe in stage)
            yield self.clock.cycles(1)
            now = self.clock.now
            if watched:
                self._show_stages(now)
            while in_flight and now - in_flight[0].entered_cycle == self._latency_cycles:
                yield from self._leave(in_flight.popleft())

    def _show_stages(self, now: int) -> None:
        """What each stage has made of its words: only for watchers, since the words that leave have passed them all."""
        for token in self._in_flight:
            stage = now - token.entered_cycle - self._first_stage_cycles
            if 0 <= stage < len(self.routed):
                for word, read in zip(token.words, token.reads, strict=True):
                    bank = (token.first_bank + read.offset) % self._banks
                    self.routed[stage][bank].value = through(word, read.levels, (stage + 1) * LEVELS_PER_STAGE)

    def _leave(self, token: _Token) -> Activity:
        """Behind the mask, which fills padding and lanes beyond the last pixel: the vector goes to the array."""
        for word, read in zip(token.words, token.reads, strict=True):
            self._pixels |= through(word, read.levels)
        if not token.ends_step:
            return
        activations = None
        if token.plan is not None:
            assert self._header is not None
            pixels = self._pixels.to_bytes(self._config.amem_word_bytes, "little")
            activations = kernels.mask(pixels, token.plan.pixels, self._header.input_signed, self._fill)
            self._pixels = 0
        vector = VectorPayload(activations, token.channel, token.ends_pass, origin=token.origin)
        yield from self.vectors.b_transport(vector)
