"""The whole compilation: check, pack, plan, place, emit, schedule (docs/compiler.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate
from math import inf
from pathlib import Path

from tlm.chip.config import ChipConfig
from tlm.compiler.allocate import Allocator, DoesNotFitError
from tlm.compiler.costs import LayerCosts, layer_costs, shared_from
from tlm.compiler.cycles import PartCycles
from tlm.compiler.jobs import JobPlanner
from tlm.compiler.memory_image import MemoryImage
from tlm.compiler.operations import Buffer, Operations, Run
from tlm.compiler.parts import Part, make_part
from tlm.compiler.places import Place
from tlm.compiler.plan import Planner
from tlm.compiler.program import Choices, Program
from tlm.compiler.schedule import schedule
from tlm.compiler.segments import Segment, check_segments
from tlm.compiler.workload import Workload
from tlm.core.arguments import expect
from tlm.core.errors import CompileError, InputError
from tlm.network.network import Network

_BUDGETS = (100, 96, 92, 85, 75, 60, 45, 30, 20, 10, 5)
"""Percent of AMem that a plan may use; gaps between tensors may need the rest."""

_PARTS = 256
"""The smallest parts that are tried hold 1/256 of a network's weight words; others twice, four times .. as many."""

_FEW_LAYERS = 8
"""Networks of up to so many layers are planned in several ways: what costs least in closed form may not be fastest."""

_NEARLY = 1.15
"""Plans for less AMem are tried that cost at most so many times as much in closed form."""


def compile_network(network: Network, chip: ChipConfig | None = None, batch: int = 1) -> Program:
    """Compile a network for a chip, by default the published one.

    Args:
        network, chip: what runs on what.
        batch: images that the program computes, one after another; the loads of each overlap the one before.

    Raises:
        InputError: arguments of another kind, or a batch below 1.
        CompileError: an accumulator could overflow, a number does not fit its field of an instruction, or this compiler
            finds no way to fit the network into the memories.
    """
    expect("network", network, Network, _no_network(network))
    expect("chip", chip, (ChipConfig, type(None)))
    expect("batch", batch, int)
    if batch < 1:
        raise InputError(f"batch: {batch} is not allowed; give 1 or more images")
    return _Compiler(network, chip or ChipConfig(), batch).program()


def program_of(network: Network | Program, chip: ChipConfig | None, batch: int = 1) -> tuple[Program, ChipConfig]:
    """The program of a network or of an earlier compilation, and the chip that runs it.

    Args:
        network: what runs.
        chip: by default the published one, or a program's own.
        batch: images for which a network is compiled; a program keeps its own.

    Raises:
        InputError: arguments of another kind, or a program that cannot run on the chip.
        CompileError: as :func:`compile_network`.
    """
    expect("network", network, (Network, Program), _no_network(network))
    expect("chip", chip, (ChipConfig, type(None)))
    program = network if isinstance(network, Program) else compile_network(network, chip, batch)
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


def rebuild(network: Network, chip: ChipConfig, choices: Choices, batch: int) -> Program:
    """Compile again with the choices of an earlier compilation, without the search.

    Raises:
        CompileError: there is no such program.
    """
    return _Compiler(network, chip, batch).rebuilt(choices)


class _Compiler:
    """Intermediate results of one compilation."""

    def __init__(self, network: Network, config: ChipConfig, batch: int) -> None:
        self._work = Workload(network, config)
        self._cycles = PartCycles(self._work)
        self._batch = batch
        self._config = config
        self._plan_costs = self._layer_costs(None)

    def program(self) -> Program:
        """The program that is predicted to be fastest.

        Of small networks also with other plans; of batches perhaps with layers at the end whose weights are loaded once
        for all images.
        """
        best = self._with_best_parts()
        found = [best]
        if len(self._work.network.layers) <= _FEW_LAYERS:
            for segments in self._other_plans(best.choices.segments):
                with suppress(CompileError):
                    found.append(self._with_best_parts(segments))
        if self._batch > 1:
            shared = shared_from(self._work, self._layer_costs(best.choices.part_words), self._batch)
            if shared is not None:
                with suppress(CompileError):
                    found.append(self._with_best_parts(shared=shared))
        return min(found, key=_predicted_cycles)

    def _with_best_parts(self, segments: tuple[Segment, ...] | None = None, shared: int | None = None) -> Program:
        """A plan, by default the first that can be placed, with parts of the size that is predicted to be fastest.

        Small parts are loaded sooner, but each costs cycles of its own. So sizes are tried from the smallest on until
        one is slower than the one before. In a larger memory the same ones come first, so it cannot be slower. In a
        batch, where loads also hide behind other images, all are tried.

        Args:
            segments: the plan.
            shared: layer from which on a batch shares weights, if no plan is given.

        Raises:
            CompileError: it cannot be placed.
        """
        words = self._config.wmem_words
        of_part = max(1, sum(weights.word_count for weights in self._work.weights) // _PARTS)
        sizes: list[int | None] = [1 << power for power in range(of_part.bit_length(), (words // 2).bit_length())]
        best: Program | None = None
        refusal = CompileError("network: no plan was tried")
        tried = list[object]()
        for part_words in (*sizes, None):
            cut = [own.ranges for own in self._layer_costs(part_words)]
            if cut in tried:
                continue
            tried.append(cut)
            plans = self._plans(shared) if segments is None else [segments]
            try:
                found = self._finished(*self._placed(plans, part_words))
            except CompileError as error:
                refusal = error
                continue
            segments = found.choices.segments
            slower = best is not None and found.predicted_total_cycles > best.predicted_total_cycles
            if slower and self._batch == 1:
                break
            if not slower:
                best = found
        if best is None:
            raise refusal
        return best

    def rebuilt(self, choices: Choices) -> Program:
        """The program of earlier choices."""
        if choices.part_words is not None and choices.part_words < 1:
            raise CompileError(f"network: no compilation gives parts of {choices.part_words} words")
        check_segments(self._work, choices.segments)
        costs = self._layer_costs(choices.part_words)
        written = Operations(self._work, costs, choices.segments, choices.part_words, choices.overlap, self._batch)
        if len(choices.cycles) != len(written.runs) or min(choices.cycles) < 0:
            raise CompileError("network: the predicted cycles are not one number for each part")
        try:
            places = Allocator(self._config, written.buffers).place_at(choices.bases)
        except DoesNotFitError:
            raise CompileError("network: its tensors would lie over each other in AMem, or outside it") from None
        return self._finished(choices, written, places)

    def _finished(self, choices: Choices, written: Operations, places: Mapping[Buffer, Place]) -> Program:
        """Everything that follows from the places of the buffers."""
        work, operations, of_image = self._work, list(written.of_images()), self._parts(written, places)
        runs = tuple((image, one.moment) for image, one in operations if isinstance(one, Run))
        parts, cycles = [of_image[moment] for _, moment in runs], [choices.cycles[moment] for _, moment in runs]
        image = MemoryImage(work, [one.window for one in written.operations if not isinstance(one, Run)], self._batch)
        made = JobPlanner(work, places, parts, cycles, image)
        made.plan(operations)
        driver = schedule(
            self._config, made.jobs, made.loads, made.stores, made.job_cycles,
            lambda job: self._cycles.calendars(made.jobs[job], parts),
        )  # fmt: skip
        place = {index: number for number, index in enumerate(driver.load_order)}
        latest = list(accumulate((place[index] for index in range(len(place))), max))
        return Program(
            network=work.network,
            config=self._config,
            choices=choices,
            batch=self._batch,
            parts=tuple(parts),
            runs=runs,
            jobs=tuple(replace(job, after_load=latest[job.after_load]) for job in made.jobs),
            loads=tuple(made.loads[index] for index in driver.load_order),
            stores=tuple(made.stores),
            load_uses=tuple(made.load_uses[index] for index in driver.load_order),
            store_uses=tuple(made.store_uses),
            places=self._whole_places(places),
            predicted_total_cycles=driver.predicted_cycles,
            chunks=tuple(image.chunks),
            tensors=image.tensors,
            image_bytes=image.size_bytes,
            weight_words=tuple(weights.word_count for weights in work.weights),
            unsplit_steps=tuple(
                sum(weights.step_counts) * work.plane_words[layer.name] * self._batch
                for layer, weights in zip(work.network.layers, work.weights, strict=True)
            ),
            steps=driver.steps,
        )

    # -- plan and places ------------------------------------------------------------------------------------------

    def _layer_costs(self, part_words: int | None) -> list[LayerCosts]:
        return [layer_costs(self._work, index, part_words) for index in range(len(self._work.network.layers))]

    def _plans(self, shared: int | None = None) -> Iterator[tuple[Segment, ...]]:
        """Plans that use less and less of AMem.

        Args:
            shared: layer from which on a batch shares weights.

        Raises:
            CompileError: a layer does not fit even if the plan may use all of AMem.
        """
        costs = self._plan_costs
        for percent in _BUDGETS:
            try:
                yield Planner(self._work, costs, self._config.amem_words * percent // 100, shared, self._batch).plan()
            except CompileError:
                if percent == _BUDGETS[0]:
                    raise
                return

    def _other_plans(self, best: tuple[Segment, ...]) -> Iterator[tuple[Segment, ...]]:
        """Plans with bands that hide transfers, for all, a half, a quarter .. of AMem, while nearly as cheap."""
        costs, tried, words, least = self._plan_costs, {best}, self._config.amem_words, inf
        with suppress(CompileError):
            while words:
                planner = Planner(self._work, costs, words, None, self._batch, hides=True)
                segments = planner.plan()
                least = min(least, planner.cost_cycles)
                if planner.cost_cycles > least * _NEARLY:
                    return
                if segments not in tried:
                    yield segments
                tried.add(segments)
                words //= 2

    def _placed(
        self, plans: Iterable[tuple[Segment, ...]], part_words: int | None
    ) -> tuple[Choices, Operations, dict[Buffer, Place]]:
        """The first plan whose buffers find their places.

        Args:
            plans: to try in this order.
            part_words: of WMem that a part may take.

        Raises:
            CompileError: there is none, or it has more parts than can be numbered.
        """
        costs, tried = self._layer_costs(part_words), set[tuple[Segment, ...]]()
        for segments in plans:
            if segments in tried:
                continue
            tried.add(segments)
            for overlap, circular in ((True, True), (True, False), (False, False)):
                if circular and self._batch == 1:
                    continue
                written = Operations(self._work, costs, segments, part_words, overlap, self._batch)
                with suppress(DoesNotFitError):
                    places = Allocator(self._config, written.buffers, circular).place_all(self._run_costs)
                    bases = tuple(place.base_word for place in places.values())
                    parts = self._parts(written, places)
                    cycles = tuple(self._cycles.compute_cycles(part, [part.output.base_word])[0] for part in parts)
                    return Choices(segments, part_words, overlap, bases, cycles), written, places
        raise CompileError(
            f"network: its tensors find no places in the {self._config.amem_words} words of AMem (chip.amem_words), "
            "although each layer alone would; enlarge the memory a little"
        )

    def _whole_places(self, places: Mapping[Buffer, Place]) -> dict[str, Place]:
        """Tensors with exactly one buffer, which holds all of them; in the order of the network."""
        found: dict[str, list[Place]] = {name: [] for name in self._work.network.tensors}
        for place in places.values():
            found[place.window.tensor].append(place)
        return {
            name: own[0] for name, own in found.items() if len(own) == 1 and own[0].window == self._work.whole(name)
        }

    # -- cycles ---------------------------------------------------------------------------------------------------

    def _run_costs(self, run: Run, bases: Sequence[int], placed: Mapping[Buffer, int]) -> Sequence[int]:
        """Predicted cycles of a run for candidate bases of its output buffer."""
        places = {buffer: Place(buffer.window, placed[buffer]) for buffer in (run.source, run.residual) if buffer}
        places[run.output] = Place(run.output.window, 0)
        return self._cycles.compute_cycles(make_part(self._work, run, places), bases)

    def _parts(self, written: Operations, places: Mapping[Buffer, Place]) -> list[Part]:
        """The part of each run that is written out."""
        return [make_part(self._work, run, places) for run in written.runs]


def _predicted_cycles(program: Program) -> int:
    return program.predicted_total_cycles


compile = compile_network
"""Its public name, ``tlm.compile``."""
