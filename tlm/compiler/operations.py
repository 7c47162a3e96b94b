"""A plan written out: fills, runs and drains in order, and the buffers in AMem that they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tlm.chip.config import ChipConfig
from tlm.compiler.bands import Span, output_tiles, segment_spans, source_span, tile_bands
from tlm.compiler.checks import check_parts
from tlm.compiler.costs import LayerCosts
from tlm.compiler.places import Window, load_grain, planes_per_channel, tensor_planes, whole
from tlm.compiler.segments import Liveness, Segment
from tlm.compiler.tiling import GroupRange, split_groups
from tlm.compiler.weights import LayerWeights
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT, Layer
from tlm.network.network import Network


@dataclass(slots=True, eq=False, repr=False)
class Buffer:
    """AMem words for a window of a tensor, from one moment to another; moments are numbers of runs."""

    window: Window
    birth: int
    """Run during which, at the earliest, something is put into it."""
    death: int
    """Last run during which it is needed."""
    early: int = 0
    """1: ``birth`` lies a run before its first use, so that loading it can overlap that run."""
    late: int = 0
    """1: ``death`` lies a run behind its last use, so that storing it can overlap that run."""
    writers: list[Run] = field(default_factory=list)
    readers: list[Run] = field(default_factory=list)
    """As input or as residual."""
    filled: bool = False
    drained: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Run:
    """A part of a layer: a range of its groups for a range of its tiles."""

    moment: int
    layer_index: int
    groups: GroupRange
    tiles: Span
    source: Buffer
    output: Buffer
    residual: Buffer | None


@dataclass(frozen=True, slots=True, eq=False)
class Fill:
    """Load a buffer from the off-chip memory."""

    buffer: Buffer


@dataclass(frozen=True, slots=True, eq=False)
class Drain:
    """Store a window of a buffer."""

    buffer: Buffer
    window: Window


Operation: TypeAlias = Fill | Run | Drain


class Operations:
    """A plan written out.

    Args:
        network: what runs.
        config: the chip.
        weights, costs: of each layer.
        segments: the plan.
        share: of WMem and IMem that a part may take (:func:`tlm.compiler.tiling.split_groups`).
        overlap: leave moments between a buffer's transfers and its use where the plan has room.

    Raises:
        CompileError: the plan has more parts than headers can number.
    """

    def __init__(
        self,
        network: Network,
        config: ChipConfig,
        weights: Sequence[LayerWeights],
        costs: Sequence[LayerCosts],
        segments: Sequence[Segment],
        share: int,
        overlap: bool,
    ) -> None:
        self._network = network
        self._config = config
        self._weights = weights
        self._costs = costs
        self._share = share
        self._overlap = int(overlap)
        self._grain = load_grain(config)
        self._live = Liveness(network)
        self._resident: dict[str, Buffer] = {}
        self._stored = {INPUT}
        self._moment = 0
        self.operations: list[Operation] = []
        self.buffers: list[Buffer] = []
        for segment in segments:
            self._evict(segment)
            for name in segment.load:
                self._resident[name] = self._fill(self._whole(name), self._overlap)
            self._segment(segment)
            live = self._live.live(segment.last + 1)
            self._resident = {name: buffer for name, buffer in self._resident.items() if name in live}

    # -- pieces ---------------------------------------------------------------------------------------------------

    def _evict(self, segment: Segment) -> None:
        for name in segment.evict:
            buffer = self._resident.pop(name)
            if name not in self._stored:
                self._drain(buffer, buffer.window, self._overlap)
                self._stored.add(name)

    def _segment(self, segment: Segment) -> None:
        layers = self._network.layers[segment.first : segment.last + 1]
        output = self._network.tensors[layers[-1].name]
        bands = tile_bands(output_tiles(self._network, layers[-1], self._config.lanes), segment.tiles_per_band)
        spans = segment_spans(self._network, layers, bands, self._config.lanes)
        kept = self._new(self._whole(output.name)) if segment.keep_output else None
        if segment.weights_outer:
            for groups in self._ranges(segment.last, segment.most_groups):
                for of_band in spans:
                    self._band(segment, layers, of_band, kept, [groups])
        else:
            for of_band in spans:
                self._band(segment, layers, of_band, kept, self._ranges(segment.last, segment.most_groups))
        if kept is None:
            self._stored.add(output.name)
        else:
            self._resident[output.name] = kept

    def _band(
        self,
        segment: Segment,
        layers: Sequence[Layer],
        spans: Mapping[str, Span],
        kept: Buffer | None,
        ranges: Sequence[GroupRange],
    ) -> None:
        """One band of a segment; the last layer's groups as given."""
        overlap = self._overlap and segment.double
        here: dict[str, Buffer] = {}
        for name in self._live.inputs(segment.first, segment.last):
            if name in segment.stream and not self._is_piecewise(segment, name):
                here[name] = self._fill(self._window(name, spans[name].aligned(self._grain)), overlap)
            elif name in self._resident:
                here[name] = self._resident[name]
        for index, layer in enumerate(layers[:-1], segment.first):
            here[layer.name] = self._new(self._window(layer.name, spans[layer.name]))
            for groups in self._ranges(index, None):
                self._run(index, groups, spans[layer.name], here, here[layer.name])
        for groups in ranges:
            self._last_run(segment, layers[-1], groups, spans[layers[-1].name], here, kept)

    def _last_run(
        self,
        segment: Segment,
        layer: Layer,
        groups: GroupRange,
        tiles: Span,
        here: Mapping[str, Buffer],
        kept: Buffer | None,
    ) -> None:
        """A part of the segment's last layer, with the residual's and the output's pieces if these are streamed."""
        overlap = self._overlap and segment.double
        source = self._network.inputs[layer.name]
        if source not in here:
            span = source_span(self._network, layer, tiles, self._config.lanes).aligned(self._grain)
            window = Window(source, groups.first_in_channel, groups.in_channels, span.first, span.words)
            here = {**here, source: self._fill(window, overlap)}
        if layer.residual is not None and layer.residual not in here:
            residual = self._piece(layer.residual, groups, tiles)  # bands begin where a load can (band_sizes)
            here = {**here, layer.residual: self._fill(residual, overlap)}
        piece = self._piece(layer.name, groups, tiles)
        buffer = self._new(piece) if kept is None else kept
        self._run(segment.last, groups, tiles, here, buffer)
        if kept is None:
            self._drain(buffer, piece, overlap)
        elif layer.name == self._network.output.name:
            self._drain(buffer, piece, 0)

    def _run(self, index: int, groups: GroupRange, tiles: Span, here: Mapping[str, Buffer], output: Buffer) -> None:
        check_parts(self._moment + 1)
        layer = self._network.layers[index]
        source = here[self._network.input_of(layer).name]
        residual = None if layer.residual is None else here[layer.residual]
        run = Run(self._moment, index, groups, tiles, source, output, residual)
        for buffer in {source, residual, output} - {None}:
            assert buffer is not None
            buffer.death = max(buffer.death, self._moment)
        source.readers.append(run)
        if residual is not None and residual is not source:
            residual.readers.append(run)
        if not output.writers:
            output.birth = output.death = self._moment
        output.writers.append(run)
        self.operations.append(run)
        self._moment += 1

    def _fill(self, window: Window, early: int) -> Buffer:
        if window.tensor not in self._stored:
            raise CompileError(f"network: {window.tensor!r} is needed when it is neither on chip nor off it")
        early = min(early, self._moment)
        buffer = self._new(window)
        buffer.birth, buffer.early, buffer.filled = self._moment - early, early, True
        self.operations.append(Fill(buffer))
        return buffer

    def _drain(self, buffer: Buffer, window: Window, late: int) -> None:
        """Behind the last run."""
        buffer.drained = True
        buffer.death = max(buffer.death, self._moment - 1)
        if late and not buffer.late:
            buffer.death, buffer.late = max(buffer.death, self._moment), 1
        self.operations.append(Drain(buffer, window))

    def _new(self, window: Window) -> Buffer:
        buffer = Buffer(window, self._moment, self._moment)
        self.buffers.append(buffer)
        return buffer

    # -- windows --------------------------------------------------------------------------------------------------

    def _is_piecewise(self, segment: Segment, name: str) -> bool:
        """Whether each part of the last layer loads only its own channels of a streamed tensor."""
        own_inputs = self._costs[segment.last].own_inputs
        return self._live.is_piecewise(segment.first, segment.last, name, own_inputs)

    def _ranges(self, index: int, most_groups: int | None) -> Sequence[GroupRange]:
        if most_groups is None:
            return self._costs[index].ranges
        return split_groups(self._network.layers[index], self._weights[index], self._config, self._share, most_groups)

    def _whole(self, name: str) -> Window:
        return whole(self._network.tensors[name], self._config.lanes)

    def _window(self, name: str, span: Span) -> Window:
        return Window(name, 0, tensor_planes(self._network.tensors[name]), span.first, span.words)

    def _piece(self, name: str, groups: GroupRange, span: Span) -> Window:
        per_channel = planes_per_channel(self._network.tensors[name])
        return Window(name, groups.first_channel * per_channel, groups.channels * per_channel, span.first, span.words)


def runs(operations: Sequence[Operation]) -> Iterator[Run]:
    """The runs among operations."""
    return (operation for operation in operations if isinstance(operation, Run))
