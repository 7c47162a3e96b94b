"""The whole compilation: check, pack, plan, place, emit, schedule (docs/compiler.md)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from tlm.chip.config import ChipConfig
from tlm.chip.format.layer_header import PAYLOAD_BITS, LayerHeader
from tlm.chip.kernels.timing import Placement, predict_placements
from tlm.compiler.allocate import Allocator, DoesNotFitError
from tlm.compiler.checks import check_accumulators, check_memory, check_planes
from tlm.compiler.costs import LayerCosts, layer_costs
from tlm.compiler.emit import part_header
from tlm.compiler.jobs import Job, JobPlanner
from tlm.compiler.memory_image import MemoryImage
from tlm.compiler.operations import Buffer, Drain, Fill, Operation, Operations, Run, runs
from tlm.compiler.parts import Part, make_part
from tlm.compiler.places import Place, Window, load_grain, planes_per_channel, tensor_plane_words, tensor_words, whole
from tlm.compiler.plan import Planner
from tlm.compiler.program import Choices, Program
from tlm.compiler.schedule import schedule
from tlm.compiler.segments import Segment, check_segments
from tlm.compiler.tiling import WHOLE, split_groups
from tlm.compiler.weights import LayerWeights, pack_layer
from tlm.core.arguments import expect
from tlm.core.errors import CompileError
from tlm.network.layers import Conv2d, Layer
from tlm.network.network import Network

_BUDGETS = (100, 96, 92, 85, 75, 60, 45, 30, 20, 10, 5)
"""Percent of AMem that a plan may use; gaps between tensors may need the rest."""

_SHARE = 4
"""Parts may take 1/4 of WMem and IMem if the engine would wait for the loads of larger ones."""

_LOST_SHARE = 32
"""Smaller parts are tried if at least 1/32 of all cycles lies outside layers."""


def compile_network(network: Network, chip: ChipConfig | None = None) -> Program:
    """Compile a network for a chip, by default the published one.

    Raises:
        InputError: arguments of another kind.
        CompileError: an accumulator could overflow, a number does not fit its field of an instruction, or this compiler
            finds no way to fit the network into the memories.
    """
    expect("network", network, Network, _no_network(network))
    expect("chip", chip, (ChipConfig, type(None)))
    return _Compiler(network, chip or ChipConfig()).program()


def program_of(network: Network | Program, chip: ChipConfig | None) -> tuple[Program, ChipConfig]:
    """The program of a network or of an earlier compilation, and the chip that runs it.

    Raises:
        InputError: arguments of another kind, or a program that cannot run on the chip.
        CompileError: as :func:`compile_network`.
    """
    expect("network", network, (Network, Program), _no_network(network))
    expect("chip", chip, (ChipConfig, type(None)))
    program = network if isinstance(network, Program) else compile_network(network, chip)
    config = program.config if chip is None else chip
    program.check_chip(config)
    return program, config


def _no_network(given: object) -> str:
    """The remedy for a caller who gives a file's name."""
    if not isinstance(given, (str, Path)):
        return ""
    return (
        f"for a scenario use `tlm run {given}`, tlm.sweep, or tlm.scenario.loading.load_scenario (docs/scenarios.md); "
        "for a program's file tlm.load_program"
    )


def rebuild(network: Network, chip: ChipConfig, choices: Choices) -> Program:
    """Compile again with the choices of an earlier compilation, without the search.

    Raises:
        CompileError: there is no such program.
    """
    return _Compiler(network, chip).rebuilt(choices)


class _Compiler:
    """Intermediate results of one compilation."""

    def __init__(self, network: Network, config: ChipConfig) -> None:
        for layer in network.layers:
            if isinstance(layer, Conv2d):
                check_accumulators(layer, network.input_of(layer).signed)
        check_planes(network, config.lanes)
        check_memory(network, config)
        self._network = network
        self._config = config
        self._weights = [self._packed(layer) for layer in network.layers]

    def program(self) -> Program:
        """The program that should be fastest: with parts as large as can be, or with small ones that load sooner."""
        first = self._finished(*self._placed(self._plans(WHOLE), WHOLE))
        if self._waits_for_weights(first):
            with suppress(CompileError):
                other = self._finished(*self._placed([first.segments], _SHARE))
                return min(first, other, key=lambda program: program.predicted_total_cycles)
        return first

    def rebuilt(self, choices: Choices) -> Program:
        """The program of earlier choices."""
        if choices.share not in (WHOLE, _SHARE):
            raise CompileError(f"network: no compilation gives parts 1/{choices.share} of a memory")
        check_segments(self._network, self._config.lanes, load_grain(self._config), choices.segments)
        written = self._written(choices.segments, choices.share, choices.overlap, self._layer_costs(choices.share))
        if len(choices.cycles) != sum(1 for _ in runs(written.operations)) or min(choices.cycles) < 0:
            raise CompileError("network: the predicted cycles are not one number for each part")
        try:
            places = Allocator(self._config, written.buffers).place_at(choices.bases)
        except DoesNotFitError:
            raise CompileError("network: its tensors would lie over each other in AMem, or outside it") from None
        return self._finished(choices, written.operations, places)

    def _waits_for_weights(self, program: Program) -> bool:
        """Whether smaller parts could help: time is lost outside layers, and some part has many weights."""
        lost = program.predicted_total_cycles - sum(program.predicted_cycles)
        many = max(part.weight_words for part in program.parts) * _SHARE > self._config.wmem_words
        return many and lost * _LOST_SHARE > program.predicted_total_cycles

    def _finished(self, choices: Choices, operations: Sequence[Operation], places: Mapping[Buffer, Place]) -> Program:
        """Everything that follows from the places of the buffers."""
        network, config = self._network, self._config
        image = MemoryImage(network, config, self._windowed(operations))
        parts = self._parts(operations, places)
        planner = JobPlanner(network, config, places, parts, choices.cycles, self._weights, image)
        planner.plan(operations)
        job_cycles = [self._job_cycles(job, parts, choices.cycles) for job in planner.jobs]
        driver = schedule(config, planner.jobs, planner.loads, planner.stores, job_cycles)
        return Program(
            network=network,
            config=config,
            choices=choices,
            parts=tuple(parts),
            jobs=tuple(planner.jobs),
            loads=tuple(planner.loads),
            stores=tuple(planner.stores),
            places=self._whole_places(places),
            predicted_total_cycles=driver.predicted_cycles,
            chunks=tuple(image.chunks),
            tensors=image.tensors,
            image_bytes=image.size_bytes,
            weight_words=tuple(weights.word_count for weights in self._weights),
            unsplit_steps=tuple(
                sum(weights.step_counts) * self._tiles(layer)
                for layer, weights in zip(network.layers, self._weights, strict=True)
            ),
            steps=driver.steps,
        )

    def _packed(self, layer: Layer) -> LayerWeights:
        config, patterns = self._config, -(-layer.in_channels // (PAYLOAD_BITS // math.prod(layer.kernel)))
        large = tensor_words(self._network.input_of(layer), config.lanes) * 4 > config.amem_words
        large |= patterns > config.imem_words
        return pack_layer(layer, self._config.columns, self._tiles(layer), large)

    def _tiles(self, layer: Layer) -> int:
        return tensor_plane_words(self._network.tensors[layer.name], self._config.lanes)

    # -- plan and places ------------------------------------------------------------------------------------------

    def _layer_costs(self, share: int) -> list[LayerCosts]:
        network, config = self._network, self._config
        return [
            layer_costs(
                layer, network.tensors[layer.name], weights, split_groups(layer, weights, config, share), config
            )
            for layer, weights in zip(network.layers, self._weights, strict=True)
        ]

    def _plans(self, share: int) -> Iterator[tuple[Segment, ...]]:
        """Plans that use less and less of AMem.

        Raises:
            CompileError: a layer does not fit even if the plan may use all of AMem.
        """
        costs = self._layer_costs(share)
        for percent in _BUDGETS:
            try:
                yield Planner(self._network, self._config, costs, self._config.amem_words * percent // 100).plan()
            except CompileError:
                if percent == _BUDGETS[0]:
                    raise
                return

    def _placed(
        self, plans: Iterable[tuple[Segment, ...]], share: int
    ) -> tuple[Choices, list[Operation], dict[Buffer, Place]]:
        """The first plan whose buffers find their places.

        Args:
            share: of WMem and IMem that parts may take.

        Raises:
            CompileError: there is none.
        """
        costs, tried = self._layer_costs(share), set[tuple[Segment, ...]]()
        for segments in plans:
            if segments in tried:
                continue
            tried.add(segments)
            for overlap in (True, False):
                written = self._written(segments, share, overlap, costs)
                with suppress(DoesNotFitError):
                    places = Allocator(self._config, written.buffers).place_all(self._run_costs)
                    bases = tuple(place.base_word for place in places.values())
                    parts = self._parts(written.operations, places)
                    cycles = tuple(self._costs_at(part, [part.output.base_word])[0] for part in parts)
                    return Choices(segments, share, overlap, bases, cycles), written.operations, places
        raise CompileError(
            f"network: its tensors find no places in the {self._config.amem_words} words of AMem (chip.amem_words), "
            "although each layer alone would; enlarge the memory a little"
        )

    def _written(
        self, segments: Sequence[Segment], share: int, overlap: bool, costs: Sequence[LayerCosts]
    ) -> Operations:
        """A plan written out.

        Raises:
            CompileError: it has more parts than can be numbered.
        """
        return Operations(self._network, self._config, self._weights, costs, segments, share, overlap)

    def _whole_places(self, places: Mapping[Buffer, Place]) -> dict[str, Place]:
        """Tensors with exactly one buffer, which holds all of them; in the order of the network."""
        found: dict[str, list[Place]] = {name: [] for name in self._network.tensors}
        for place in places.values():
            found[place.window.tensor].append(place)
        return {
            name: own[0]
            for name, own in found.items()
            if len(own) == 1 and own[0].window == whole(self._network.tensors[name], self._config.lanes)
        }

    def _windowed(self, operations: Sequence[Operation]) -> set[str]:
        """Tensors of which parts of planes are moved, or channels that begin at no multiple of the bus width."""
        windows = [
            one.buffer.window if isinstance(one, Fill) else one.window
            for one in operations
            if isinstance(one, (Fill, Drain))
        ]
        infos, config = self._network.tensors, self._config

        def dense(window: Window) -> bool:
            words = tensor_plane_words(infos[window.tensor], config.lanes)
            aligned = window.first_plane * words * config.amem_word_bytes % config.bus_bytes == 0
            return window.words == words and aligned

        return {window.tensor for window in windows if not dense(window)}

    # -- cycles ---------------------------------------------------------------------------------------------------

    def _run_costs(self, run: Run, bases: Sequence[int], allocator: Mapping[Buffer, int]) -> Sequence[int]:
        """Predicted cycles of a run for candidate bases of its output buffer."""
        places = {buffer: Place(buffer.window, allocator[buffer]) for buffer in (run.source, run.residual) if buffer}
        places[run.output] = Place(run.output.window, 0)
        part = make_part(self._network, run, 0, places, self._config.lanes)
        return self._costs_at(part, bases)

    def _costs_at(self, part: Part, bases: Sequence[int]) -> Sequence[int]:
        """Predicted compute cycles of a part for each of these bases of its output's buffer."""
        config, weights = self._config, self._weights[part.layer_index]
        header = part_header(self._network, part, 0, 0, config.lanes)
        residual = header.residual_base_word if header.has_residual else None
        shift = header.output_base_word - part.output.base_word
        groups = slice(part.first_group, part.first_group + part.groups)
        patterns = weights.patterns[groups, : max(weights.pattern_counts[groups])]
        return predict_placements(
            header.geometry(config.lanes, config.columns),
            [Placement(header.input_base_word, base + shift, residual) for base in bases],
            amem_banks=config.amem_banks,
            pipeline_cycles=config.pipeline_cycles,
            pass_gap_cycles=config.pass_gap_cycles,
            requantiser_cycles=config.requantiser_cycles,
            words_per_channel=header.slots_per_channel,
            patterns=np.ascontiguousarray(patterns),
            **_plane_strides(header),
        )

    def _parts(self, operations: Sequence[Operation], places: Mapping[Buffer, Place]) -> list[Part]:
        """The part of each run, by tag."""
        counts: Counter[int] = Counter()  # of the parts of each layer
        parts = []
        for run in runs(operations):
            parts.append(make_part(self._network, run, counts[run.layer_index], places, self._config.lanes))
            counts[run.layer_index] += 1
        return parts

    def _job_cycles(self, job: Job, parts: Sequence[Part], predicted: Sequence[int]) -> int:
        """START to interrupt: headers, first parameters and first pattern words, the parts, END."""
        cycles = 2
        for tag in job.parts:
            part = parts[tag]
            output = self._network.tensors[self._network.layers[part.layer_index].name]
            parameters = min(part.channels, self._config.columns) * planes_per_channel(output)
            cycles += part.header_words + parameters + 1 + predicted[tag]
        return cycles


def _plane_strides(header: LayerHeader) -> dict[str, int | None]:
    if header.band is None:
        return {}
    residual = header.band.residual_plane_words if header.has_residual else None
    return {"output_plane_words": header.band.output_plane_words, "residual_plane_words": residual}


compile = compile_network
"""Its public name, ``tlm.compile``."""
