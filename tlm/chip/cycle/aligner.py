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

from functools import partial
from itertools import zip_longest

from msgspec import Struct

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.cycle.routing import LEVELS_PER_STAGE, Level, changing, route, through
from tlm.chip.payloads import LayerPayload, StepPayload, VectorPayload
from tlm.core.clock import Pipeline
from tlm.core.errors import ProtocolError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK, READ, MemoryPayload, Origin
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, TargetSocket


class WordPlan(Struct, frozen=True, eq=False):
    """A word that a step fetches."""

    offset: int
    """Words after the channel's first in AMem."""
    levels: tuple[Level, ...]
    """How the routing network is set for it."""
    changing: tuple[Level, ...]
    """Those of the levels that drop or move a nibble."""


class TapPlan(Struct, frozen=True, eq=False):
    """What the address generator finds for one tile and tap; the same for every input channel."""

    cycles: tuple[tuple[WordPlan, ...], ...]
    """The words of each fetch cycle, one of a bank; one empty cycle if all pixels are padding."""
    pixels: kernels.Select
    """The lanes that have a pixel."""


class _Token(Struct, eq=False):
    """What moves through the stages: the words of one fetch cycle on their way to the lanes, or a pass's end."""

    plan: TapPlan | None
    words: list[tuple[int, WordPlan]]
    """Those that were read in one cycle: the bits of each, lane 0 in the lowest four."""
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
        self._banks, self._word_bytes = config.amem_banks, config.amem_word_bytes
        self._plans: dict[tuple[int, int], TapPlan] = {}
        self.fetching = Probe(self, "fetching", False)
        self.channel = Probe(self, "channel", 0)
        self.tap = Probe(self, "tap", 0)
        banks, stages = range(config.amem_banks), range(config.routing_stages)
        self.routed = [[Probe(self, f"stage_{k + 1}_bank_{bank}", 0) for bank in banks] for k in stages]
        self.layers = TargetSocket(self, "layers", LayerPayload, self._configure)
        self.steps = TargetSocket(self, "steps", StepPayload, self._fetch)
        self.amem: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "amem", MemoryPayload)
        self.vectors: InitiatorSocket[VectorPayload] = InitiatorSocket(self, "vectors", VectorPayload)
        # the first stage works in the cycle after the SRAM's data are out, the mask takes its cycles after the last
        self._first_stage_cycles = config.sram_read_cycles + 1
        latency_cycles = self._first_stage_cycles + config.routing_stages + config.mask_cycles
        self._stages = Pipeline(self.clock, latency_cycles, self._leave)
        self._word = MemoryPayload(READ, 0, bytearray(self._word_bytes))
        """Every read, one after the other: each is answered at once, and its bits are taken."""
        self._pixels = 0
        """Of the step whose words are leaving, each in its lane."""

    def _configure(self, payload: LayerPayload) -> None:
        header, lanes = payload.header, self._config.lanes
        self._geometry = header.geometry(lanes, self._config.columns)
        self._base_word, self._plane_words = header.input_base_word, header.input_plane_words(lanes)
        self._is_signed = header.input_signed
        # what the mask writes: in max pooling the lowest activation of the input's range
        self._fill = header.input_range[0] if header.pooling else 0
        self._plans.clear()
        self._watched = any(probe.watched for stage in self.routed for probe in stage)
        payload.status = OK

    def _fetch(self, step: StepPayload) -> Activity | None:
        """Serve a step; it is answered in the last cycle of its fetch."""
        if not step.is_step:
            self._enter(_Token(None, [], 0, 0, True, True, step.origin))
            step.status = OK
            return None
        self.fetching.value = True
        self.channel.value, self.tap.value = step.channel, step.tap
        plan = self._plans.get((step.tile, step.tap)) or self._plan(step.tile, step.tap)
        self._read(step, plan, 0)
        return None if step.status is OK else self._fetch_on(step, plan)

    def _fetch_on(self, step: StepPayload, plan: TapPlan) -> Activity:
        """The cycles of a fetch behind the first."""
        for k in range(1, len(plan.cycles)):
            yield self.clock.cycles(1)
            self._read(step, plan, k)

    def _read(self, step: StepPayload, plan: TapPlan, k: int) -> None:
        """Cycle ``k`` of a fetch."""
        base = self._base_word + step.channel * self._plane_words
        word, words = self._word, []
        for read in plan.cycles[k]:
            word.rearm()
            word.address, word.origin = base + read.offset, step.origin
            self.amem.transport(word)
            if word.status is not OK:
                raise ProtocolError(f"{self.path}: {word.describe()} was answered with {word.status.value!r}")
            words.append((int.from_bytes(word.data, "little"), read))
        is_last = k == len(plan.cycles) - 1
        ends_pass = step.ends_pass and is_last
        self._enter(_Token(plan, words, base % self._banks, step.channel, is_last, ends_pass, step.origin))
        if is_last:
            self.fetching.value = False
            step.status = OK

    def _plan(self, tile: int, tap: int) -> TapPlan:
        words, select = kernels.tap_words(self._geometry, tile, tap)
        lanes = self._config.lanes
        wanted = [[-1] * lanes for _ in words]
        for lane, source in enumerate(kernels.select_lanes(select, lanes)):
            if source >= 0:
                wanted[source // lanes][lane] = source % lanes
        # banks differ between channels only by a rotation, so the cycles are the same for all of them
        of_bank: dict[int, list[WordPlan]] = {}
        for offset, sources in zip(words, wanted, strict=True):
            levels = route(tuple(sources))
            of_bank.setdefault(offset % self._banks, []).append(WordPlan(offset, levels, changing(levels)))
        cycles = tuple(
            tuple(word for word in of_cycle if word is not None) for of_cycle in zip_longest(*of_bank.values())
        )
        plan = self._plans[tile, tap] = TapPlan(cycles or ((),), select)
        return plan

    def _enter(self, token: _Token) -> None:
        """Words are read, or a pass ends: from here on nobody waits for them."""
        self._stages.put(token)
        if self._watched:
            for stage in range(len(self.routed)):
                Pipeline(self.clock, self._first_stage_cycles + stage, partial(self._show, stage)).put(token)

    def _show(self, stage: int, token: _Token) -> None:
        """What a stage has made of its words: only for watchers, since the words that leave have passed them all."""
        for word, read in token.words:
            bank = (token.first_bank + read.offset) % self._banks
            self.routed[stage][bank].value = through(word, read.levels, (stage + 1) * LEVELS_PER_STAGE)

    def _leave(self, token: _Token) -> None:
        """Behind the mask, which fills padding and lanes beyond the last pixel: the vector goes to the array."""
        for word, read in token.words:
            self._pixels |= through(word, read.changing)
        if not token.ends_step:
            return
        activations = None
        if token.plan is not None:
            pixels = self._pixels.to_bytes(self._word_bytes, "little")
            activations = kernels.mask(pixels, token.plan.pixels, self._is_signed, self._fill)
            self._pixels = 0
        vector = VectorPayload(activations, token.channel, token.ends_pass)
        vector.origin = token.origin
        self.vectors.transport(vector)
