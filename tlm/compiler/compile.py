"""The whole compilation: check, pack, plan, place, emit, schedule (docs/compiler.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from tlm.chip.config import ChipConfig
from tlm.compiler.allocate import Allocator, DoesNotFitError
from tlm.compiler.costs import LayerCosts, layer_costs, shared_from
from tlm.compiler.cycles import PartCycles
from tlm.compiler.estimate import estimate
from tlm.compiler.jobs import JobPlanner
from tlm.compiler.memory_image import MemoryImage
from tlm.compiler.operations import Buffer, Operations, Run
from tlm.compiler.parts import Part, make_part
from tlm.compiler.places import Place
from tlm.compiler.plan import Plan, Planner
from tlm.compiler.program import Choices, Program
from tlm.compiler.schedule import schedule
from tlm.compiler.segments import Segment, check_segments
from tlm.compiler.tiling import split_groups
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

_FAR = 1.05
"""Parts are not made smaller any more where they are estimated to take so many times as long."""

_HARDLY = 1.002
"""Of parts that are estimated to take at most so many times as long, even smaller ones may be faster."""

_GAIN = 0.9995
"""Parts are made smaller where that should take at most so many times as long."""

_CLEARLY = 0.996
"""Of many layers, the first plan is left only for one that is estimated to take at most such a share of its cycles."""

_CLOSE = 1.0005
"""Plans that are estimated to take at most so many times as long as the best are placed and walked too."""

_DEARER_FEW, _DEARER = 1.0, 0.02
"""Plans for less AMem are tried that cost at most such a share more in closed form: of few layers, of more."""


class _Candidate(NamedTuple):
    """What may become a program."""

    segments: tuple[Segment, ...]
    part_words: int | None
    """As in :class:`tlm.compiler.program.Choices`."""
    cycles: float
    """That are estimated."""
    written: Operations | None = None
    """If it is known, with moments between a buffer's transfers and its use."""


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
        self._costs = [layer_costs(self._work, index) for index in range(len(network.layers))]
        self._cut_costs: dict[int | None, list[LayerCosts]] = {}
        self._planner = Planner(self._work, self._costs, batch)
        self._few = len(network.layers) <= _FEW_LAYERS

    def program(self) -> Program:
        """The program that is fastest of the plans and sizes of parts that are estimated to be so, or nearly so.

        Raises:
            CompileError: no plan fits.
        """
        tried = set[tuple[Segment, ...]]()
        refusal: CompileError | None = None
        for number, first in enumerate(self._plans()):
            found = [one.segments for one in (first, *(() if number else self._other_plans(first)))]
            plans = [segments for segments in dict.fromkeys(found) if segments not in tried]
            tried.update(plans)
            made, fastest, near = list[Program](), inf, inf
            for one in self._ranked(plans):
                if one.cycles > near and (one.cycles > fastest or not self._few):
                    continue
                try:
                    made.append(self._finished(*self._placed(one)))
                except CompileError as error:
                    refusal = refusal or error
                else:  # an estimate knows few refused accesses: what is estimated to be slower hardly ever is faster
                    fastest, near = min(fastest, made[-1].predicted_total_cycles), min(near, one.cycles * _CLOSE)
            if made:
                return min(made, key=lambda program: program.predicted_total_cycles)
        raise refusal or CompileError("network: no plan was tried")

    def _ranked(self, plans: Sequence[tuple[Segment, ...]]) -> list[_Candidate]:
        """Each plan with its best size of parts, the fastest first.

        Then the other sizes likewise; at last the largest ones, if nothing finds places before.
        """
        sizes = {segments: self._best_parts(segments) for segments in plans}
        best = [own[0] for own in sizes.values() if own]
        best.sort(key=lambda one: one.cycles * (_CLEARLY if one.segments is plans[0] and not self._few else 1))
        others = sorted([one for own in sizes.values() for one in own[1:]], key=lambda one: one.cycles)
        tried = {one.segments for one in (*best, *others) if one.part_words is None}
        return [*best, *others, *(_Candidate(segments, None, inf) for segments in plans if segments not in tried)]

    def _best_parts(self, segments: tuple[Segment, ...]) -> list[_Candidate]:
        """A plan with the size of parts that is estimated to be fastest, then with others that are nearly so.

        Small parts are loaded sooner, but each costs cycles of its own. So parts as large as can be are tried first,
        then smaller ones until one is much slower, or three are slower than the last that was faster.
        """
        least = max(1, sum(weights.word_count for weights in self._work.weights) // _PARTS)
        powers = range((self._config.wmem_words // 2).bit_length() - 1, least.bit_length() - 1, -1)
        best, slower, found = _Candidate(segments, None, inf), 0, list[_Candidate]()
        cut = own_cut = None
        for part_words in (None, *(1 << power for power in powers)):
            cut, before = [own.ranges for own in self._layer_costs(part_words)], cut
            if cut == before:
                continue
            costs = self._costs_of(segments, part_words)
            own_cut, before = [own.ranges for own in costs], own_cut
            if own_cut != before:
                try:
                    written = Operations(self._work, costs, segments, True, self._batch)
                except CompileError:  # too many parts
                    break
                cycles = estimate(self._work, costs, written).cycles
            found.append(_Candidate(segments, part_words, cycles))
            faster = cycles < best.cycles * _GAIN
            slower = 0 if faster else slower + (cycles > _HARDLY * best.cycles)
            if faster:
                best = found[-1]._replace(written=written)
            elif slower == 3 or cycles > _FAR * best.cycles:
                break
        near = [one for one in found if one.part_words != best.part_words and one.cycles <= best.cycles * _CLOSE]
        return [best, *near] if found else []

    def rebuilt(self, choices: Choices) -> Program:
        """The program of earlier choices."""
        if choices.part_words is not None and choices.part_words < 1:
            raise CompileError(f"network: no compilation gives parts of {choices.part_words} words")
        check_segments(self._work, choices.segments)
        costs = self._costs_of(choices.segments, choices.part_words)
        written = Operations(self._work, costs, choices.segments, choices.overlap, self._batch)
        if len(choices.cycles) != len(written.runs) or min(choices.cycles) < 0:
            raise CompileError("network: the predicted cycles are not one number for each part")
        try:
            places = Allocator(self._config, written.buffers).place_at(choices.bases)
        except DoesNotFitError:
            raise CompileError("network: its tensors would lie over each other in AMem, or outside it") from None
        return self._finished(choices, written, places, self._parts(written, places))

    def _finished(
        self, choices: Choices, written: Operations, places: Mapping[Buffer, Place], of_image: Sequence[Part]
    ) -> Program:
        """Everything that follows from the places of the buffers, and from the parts that these make of the runs."""
        work, operations = self._work, list(written.of_images())
        runs = tuple((image, one.moment) for image, one in operations if isinstance(one, Run))
        parts, cycles = [of_image[moment] for _, moment in runs], [choices.cycles[moment] for _, moment in runs]
        image = MemoryImage(work, [one.window for one in written.operations if not isinstance(one, Run)], self._batch)
        begins = estimate(work, self._costs_of(choices.segments, choices.part_words), written).begins
        made = JobPlanner(work, places, parts, cycles, begins, image)
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
            jobs=tuple(
                job if latest[job.after_load] == job.after_load else replace(job, after_load=latest[job.after_load])
                for job in made.jobs
            ),
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
        """Those of layers whose parts take at most so many words of WMem."""
        if part_words not in self._cut_costs:
            self._cut_costs[part_words] = [
                replace(own, ranges=split_groups(self._work, index, part_words))
                for index, own in enumerate(self._costs)
            ]
        return self._cut_costs[part_words]

    def _costs_of(self, segments: Sequence[Segment], part_words: int | None) -> list[LayerCosts]:
        """The same, and no part of a layer has more groups than its segment allows."""
        costs = list(self._layer_costs(part_words))
        for one in segments:
            if one.most_groups is not None:
                ranges = split_groups(self._work, one.last, part_words, one.most_groups)
                costs[one.last] = replace(costs[one.last], ranges=ranges)
        return costs

    def _plans(self, shared: int | None = None) -> Iterator[Plan]:
        """Plans that use less and less of AMem.

        Args:
            shared: layer from which on a batch shares weights.

        Raises:
            CompileError: a layer does not fit even if the plan may use all of AMem.
        """
        for percent in _BUDGETS:
            try:
                yield self._planner.plan(self._config.amem_words * percent // 100, shared)
            except CompileError:
                if percent == _BUDGETS[0]:
                    raise
                return

    def _other_plans(self, first: Plan) -> Iterator[Plan]:
        """Plans for a half, a quarter .. of AMem, while nearly as cheap; of few layers, first one for all of it with
        bands that hide transfers; for a batch, one with layers at the end whose weights are loaded once for all images.
        """
        if self._batch > 1:
            best = next(iter(self._best_parts(first.segments)), None)
            costs = self._layer_costs(best and best.part_words)
            shared = shared_from(self._work, costs, self._batch)
            if shared is not None:
                with suppress(CompileError):
                    yield next(self._plans(shared))
        words, most = self._config.amem_words, None if self._few else self._nearly(first)
        while words:
            try:
                plan = self._planner.plan(words, hides=True, most_cycles=most)
            except CompileError:
                return
            yield plan
            most = most or self._nearly(plan)
            words //= 2
            while words >= self._planner.used_words > 0:  # nothing would change
                words //= 2

    def _nearly(self, plan: Plan) -> list[float]:
        """What plans for less AMem may cost up to each layer."""
        more = (_DEARER_FEW if self._few else _DEARER) * plan.costs_cycles[-1]
        return [cycles + more for cycles in plan.costs_cycles]

    def _placed(self, one: _Candidate) -> tuple[Choices, Operations, dict[Buffer, Place], list[Part]]:
        """A plan whose buffers have their places, and its parts.

        Raises:
            CompileError: they find none, or it has more parts than can be numbered.
        """
        segments, part_words, _, written = one
        for overlap, circular in ((True, True), (True, False), (False, False)):
            if circular and self._batch == 1:
                continue
            if written is None or not overlap:
                costs = self._costs_of(segments, part_words)
                written = Operations(self._work, costs, segments, overlap, self._batch)
            with suppress(DoesNotFitError):
                places = Allocator(self._config, written.buffers, circular).place_all(self._run_costs)
                bases = tuple(place.base_word for place in places.values())
                parts = self._parts(written, places)
                cycles = tuple(self._cycles.compute_cycles(part, [part.output.base_word])[0] for part in parts)
                return Choices(segments, part_words, overlap, bases, cycles), written, places, parts
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


compile = compile_network
"""Its public name, ``tlm.compile``."""
