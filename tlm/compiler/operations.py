"""A plan written out: fills, runs and drains in order, and the buffers in AMem that they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import TypeAlias

from msgspec import Struct, field

from tlm.chip.format.layer_header import HEADER_WORDS
from tlm.compiler.bands import segment_spans, source_span
from tlm.compiler.checks import check_memory, check_parts
from tlm.compiler.costs import LayerCosts
from tlm.compiler.places import Span, Window
from tlm.compiler.segments import Segment, shared_from
from tlm.compiler.tiling import GroupRange
from tlm.compiler.workload import Workload
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT, Layer


class Buffer(Struct, eq=False):
    """AMem words for a window of a tensor, from one moment to another; moments are numbers of runs."""

    window: Window
    birth: int
    """Run during which, at the earliest, something is put into it."""
    death: int
    """Last run during which it is needed."""
    writers: list[Run] = field(default_factory=list)
    readers: list[Run] = field(default_factory=list)
    """As input or as residual."""
    filled: bool = False
    drained: bool = False


class Run(Struct, eq=False):
    """A part of a layer: a range of its groups for a range of its tiles."""

    moment: int
    layer_index: int
    part_index: int
    """Which one of its layer."""
    groups: GroupRange
    tiles: Span
    source: Buffer
    output: Buffer
    residual: Buffer | None


class Fill(Struct, frozen=True, eq=False):
    """Load a buffer from the off-chip memory."""

    buffer: Buffer

    @property
    def window(self) -> Window:
        """What is loaded."""
        return self.buffer.window


class Drain(Struct, frozen=True, eq=False):
    """Store a window of a buffer, which a run has completed."""

    buffer: Buffer
    window: Window
    writer: Run


Operation: TypeAlias = Fill | Run | Drain
ImageOperation: TypeAlias = tuple[int, Operation]
"""An operation for one image of a batch."""


class Operations:
    """A plan written out.

    Args:
        work: what runs.
        costs: of each layer, its groups divided as the plan wants them.
        segments: the plan.
        overlap: leave moments between a buffer's transfers and its use where the plan has room.
        batch: images. The plan is written out for one, or for two that take turns: each has buffers of its own, so
            that an image can be loaded while the one before is worked on. Image after image runs, except for segments
            at the end that can be shared (:func:`tlm.compiler.segments.shared_from`): of these every part runs for all
            images before the next part does.

    Raises:
        CompileError: the plan has more parts than headers can number, or more instructions than fit off-chip.
    """

    def __init__(
        self,
        work: Workload,
        costs: Sequence[LayerCosts],
        segments: Sequence[Segment],
        overlap: bool,
        batch: int = 1,
    ) -> None:
        self._work = work
        self._layers = work.network.layers
        self._costs = costs
        self._live = work.live
        self._batch = batch
        self._between_images = overlap and batch > 1
        """Whether there are moments between an image's last run and the next one's first transfers."""
        self.operations: list[Operation] = []
        self.runs: list[Run] = []
        self.buffers: list[Buffer] = []
        self._known_inputs: dict[int, list[tuple[str, bool]]] = {}
        """By the first layer of a segment."""
        self._parts: list[Counter[int]] = []
        """For each turn layer -> its parts until now."""
        shared = shared_from(work.network, segments) if batch > 1 else len(segments)
        self._rounds: list[list[Sequence[Operation]]] = [[]]
        """What runs for all images before the next round does: for each turn its operations."""
        for _ in range(min(batch, 2)):
            self._resident: dict[str, Buffer] = {}
            self._stored = {INPUT}
            self._parts.append(Counter())
            self._turn, begin = len(self._parts) - 1, len(self.operations)
            for segment in segments[:shared]:
                self._segment(segment, overlap)
            if shared < len(segments):
                self._evict(segments[shared], overlap)
            self._rounds[0].append(self.operations[begin:])
        for segment in segments[shared:]:
            self._share(segment, overlap)
        turns = len(self._parts)
        check_parts(len(self.runs) // turns * batch, batch)
        instruction_words = sum([HEADER_WORDS + run.groups.instruction_words for run in self.runs])
        check_memory(work.network, work.config, batch, instruction_words // turns * batch)

    def of_images(self) -> Iterator[ImageOperation]:
        """Those of all images in the order of execution."""
        for turns in self._rounds:
            for image, turn in zip(range(self._batch), cycle(turns), strict=False):
                for operation in turn:
                    yield image, operation

    def _share(self, segment: Segment, overlap: bool) -> None:
        """A segment whose parts need nothing from AMem but what they load, in a round for each part."""
        layers = self._layers[segment.first : segment.last + 1]
        for groups, spans in self._pieces(segment):
            turns: list[Sequence[Operation]] = []
            for turn in range(len(self._parts)):
                self._turn, begin = turn, len(self.operations)
                self._band(segment, layers, spans, None, groups, overlap and segment.double)
                turns.append(self.operations[begin:])
            self._rounds.append(turns)
        self._stored.add(layers[-1].name)

    def _evict(self, segment: Segment, overlap: bool) -> None:
        for name in segment.evict:
            buffer = self._resident.pop(name)
            if name not in self._stored:
                self._drain(buffer, buffer.window, overlap)
                self._stored.add(name)

    def _pieces(self, segment: Segment) -> Iterator[tuple[Sequence[GroupRange], Mapping[str, Span]]]:
        """The last layer's groups and the bands' windows, in the order of the loops."""
        bands = segment_spans(self._work, self._layers[segment.first : segment.last + 1], segment.tiles_per_band)
        ranges: Sequence[GroupRange] = self._costs[segment.last].ranges
        for groups in [[one] for one in ranges] if segment.weights_outer else [ranges]:
            for spans in bands:
                yield groups, spans

    def _segment(self, segment: Segment, overlap: bool) -> None:
        self._evict(segment, overlap)
        for name in segment.load:
            self._resident[name] = self._fill(self._work.whole(name), overlap)
        layers = self._layers[segment.first : segment.last + 1]
        output = layers[-1].name
        kept = self._new(self._work.whole(output)) if segment.keep_output else None
        for groups, spans in self._pieces(segment):
            self._band(segment, layers, spans, kept, groups, overlap and segment.double)
        if kept is None:
            self._stored.add(output)
        else:
            self._resident[output] = kept
        live = self._live.live[segment.last + 1]
        self._resident = {name: buffer for name, buffer in self._resident.items() if name in live}

    def _band(
        self,
        segment: Segment,
        layers: Sequence[Layer],
        spans: Mapping[str, Span],
        kept: Buffer | None,
        ranges: Sequence[GroupRange],
        overlap: bool,
    ) -> None:
        """One band of a segment; the last layer's groups as given."""
        here = dict[str, Buffer]()
        for name, piecewise in self._inputs(segment):
            if name in self._resident and name not in segment.stream:
                here[name] = self._resident[name]
            elif not piecewise:
                here[name] = self._fill(self._window(name, spans[name].aligned(self._work.grain)), overlap)
        for index, layer in enumerate(layers[:-1], segment.first):
            here[layer.name] = self._new(self._window(layer.name, spans[layer.name]))
            for groups in self._costs[index].ranges:
                self._run(index, groups, spans[layer.name], here, here[layer.name])
        for groups in ranges:
            self._last_run(segment.last, groups, spans[layers[-1].name], here, kept, overlap)
        check_parts(len(self.runs))

    def _inputs(self, segment: Segment) -> list[tuple[str, bool]]:
        """What a segment reads, and whether each part needs only its own channels of it."""
        first, last = segment.first, segment.last
        if first not in self._known_inputs:
            own = self._costs[last].own_inputs
            self._known_inputs[first] = [
                (name, self._live.is_piecewise(first, last, name, own)) for name in self._live.inputs(first, last)
            ]
        return self._known_inputs[first]

    def _last_run(
        self,
        index: int,
        groups: GroupRange,
        tiles: Span,
        here: Mapping[str, Buffer],
        kept: Buffer | None,
        overlap: bool,
    ) -> None:
        """A part of a segment's last layer, with the residual's and the output's pieces if these are streamed."""
        layer = self._layers[index]
        source, residual = self._work.network.inputs[layer.name], layer.residual
        if source not in here:
            span = source_span(self._work, layer, tiles).aligned(self._work.grain)
            window = Window(source, groups.first_in_channel, groups.in_channels, span.first, span.words)
            here = {**here, source: self._fill(window, overlap)}
        if residual is not None and residual not in here:  # bands begin where a load can (band_sizes)
            here = {**here, residual: self._fill(self._piece(residual, groups, tiles), overlap)}
        piece = self._piece(layer.name, groups, tiles)
        buffer = self._new(piece) if kept is None else kept
        self._run(index, groups, tiles, here, buffer)
        if kept is None:
            self._drain(buffer, piece, overlap)
        elif layer.name == self._work.network.output.name:
            self._drain(buffer, piece, self._between_images)

    def _run(self, index: int, groups: GroupRange, tiles: Span, here: Mapping[str, Buffer], output: Buffer) -> None:
        moment, layer = len(self.runs), self._layers[index]
        source = here[self._work.network.inputs[layer.name]]
        residual = None if layer.residual is None else here[layer.residual]
        parts = self._parts[self._turn]
        run = Run(moment, index, parts[index], groups, tiles, source, output, residual)
        parts[index] += 1
        source.readers.append(run)
        source.death = moment
        if residual is not None and residual is not source:
            residual.readers.append(run)
            residual.death = moment
        if not output.writers:
            output.birth = moment
        output.writers.append(run)
        output.death = moment
        self.runs.append(run)
        self.operations.append(run)

    def _fill(self, window: Window, overlap: bool) -> Buffer:
        """In front of the next run; if it is to overlap, already during the one before, even of the image before."""
        if window.tensor not in self._stored:
            raise CompileError(f"network: {window.tensor!r} is needed when it is neither on chip nor off it")
        buffer = self._new(window)
        early = overlap or (self._between_images and not self._parts[self._turn])
        buffer.birth, buffer.filled = max(0, buffer.birth - early), True
        self.operations.append(Fill(buffer))
        return buffer

    def _drain(self, buffer: Buffer, window: Window, overlap: bool) -> None:
        """After the last run; if it is to overlap, still during the next one."""
        buffer.drained = True
        buffer.death = max(buffer.death, len(self.runs) - 1 + overlap)
        self.operations.append(Drain(buffer, window, buffer.writers[-1]))

    def _new(self, window: Window) -> Buffer:
        buffer = Buffer(window, len(self.runs), len(self.runs))
        self.buffers.append(buffer)
        return buffer

    def _window(self, name: str, span: Span) -> Window:
        return Window(name, 0, self._work.planes[name], span.first, span.words)

    def _piece(self, name: str, groups: GroupRange, span: Span) -> Window:
        planes = self._work.per_channel[name]
        return Window(name, groups.first_channel * planes, groups.channels * planes, span.first, span.words)
