"""Runs everything that the comparison needs. A result shrinks to figures at once, since it is large."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias, TypeVar

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import Conv2d
from tlm.networks.blocks import PwDwPw, build_block
from tlm.networks.resnet18 import PICTURE, Resnet18, build_resnet18
from tlm.networks.seeded import seeded_activations
from tlm.observe.energy_table import EnergyConfig
from tlm.reproduction.capacity import Reading, readings
from tlm.reproduction.causes import DENSE_TAPS, Split, cycles_by_cause, energy_by_cause
from tlm.reproduction.counts import LARGE_AMEM_WORDS, StepCount, derived_steps, executed_steps
from tlm.reproduction.dense import BENCHMARKS, DenseLayer, SteadyState, steady_states
from tlm.reproduction.efficiency import Efficiency, efficiency_of
from tlm.reproduction.formula import PartCycles, part_cycles
from tlm.reproduction.published import FAST_V, FRUGAL_V, PRUNED_SHARE
from tlm.results.result import Result
from tlm.runs.simulate import simulate_timing
from tlm.runs.values_once import ValuesOnce
from tlm.sweeps.executors import THIS_PROCESS, Workers, run_each

BLOCK_NAMES = ("conv2_2", "conv3_2", "conv4_2", "conv5_2")
"""The blocks of the four stages that do not change the shape."""

SHOWN_TAPS = (9, 3, 1)
"""Levels of the ideal 10 : 4 : 2."""

ALL_TAPS = tuple(range(DENSE_TAPS, 0, -1))
NETWORK = "ResNet-18"

Progress = Callable[[str], None]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Extent:
    """How much is run.

    Args:
        taps: levels of pruning, of 9; 9, 3 and 1 among them.
        size: side of the picture, pixels.
        divisor: of the channel counts (see :class:`tlm.networks.resnet18.Resnet18`); small networks are for tests.
    """

    taps: tuple[int, ...] = ALL_TAPS
    size: int = PICTURE
    divisor: int = 1

    def network(self, taps: int | None) -> Resnet18:
        """The whole network at a level; the base network without one."""
        spec = Resnet18(size=self.size, divisor=self.divisor)
        return replace(spec, variant="base") if taps is None else replace(spec, taps=taps)

    def block(self, name: str, taps: int) -> PwDwPw:
        """A block of it alone."""
        shape = dict(self.network(taps).blocks())[name]
        outputs = shape.out_channels
        return PwDwPw(name, shape.in_channels, shape.height, shape.width, outputs, outputs, shape.stride, taps=taps)


QUICK = Extent(taps=SHOWN_TAPS)


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What was simulated. Names are those of blocks, or NETWORK; breakdowns and splits are at 0.8 V."""

    extent: Extent
    dense: list[SteadyState] = field(default_factory=list)
    runs: dict[str, dict[tuple[int, float], Efficiency]] = field(default_factory=lambda: defaultdict(dict))
    """Name -> (taps, core supply in V) -> what the run took."""
    base: list[Efficiency] = field(default_factory=list)
    """The base network at 0.8 V, unpruned and with PRUNED_SHARE of its blocks' single weights removed at random."""
    breakdowns: dict[str, dict[int, Split]] = field(default_factory=lambda: defaultdict(dict))
    """Name -> taps -> cycles by cause."""
    energy: dict[int, Split] = field(default_factory=dict)
    """Taps -> the whole network's energy by cause."""
    parts: dict[str, dict[int, list[PartCycles]]] = field(default_factory=lambda: defaultdict(dict))
    """Block -> taps -> every part against the formula."""
    counts: list[StepCount] = field(default_factory=list)
    capacity: list[Reading] = field(default_factory=list)
    wmem_words: dict[int | None, int] = field(default_factory=dict)
    """Taps -> words that the whole network stores in WMem; None -> the base network."""

    def add(self, other: Measurements) -> None:
        """Take over what another one holds."""
        self.dense.extend(other.dense)
        self.base.extend(other.base)
        self.counts.extend(other.counts)
        self.energy.update(other.energy)
        self.wmem_words.update(other.wmem_words)
        _add(self.runs, other.runs)
        _add(self.breakdowns, other.breakdowns)
        _add(self.parts, other.parts)


def _add(own: dict[str, dict[K, V]], other: dict[str, dict[K, V]]) -> None:
    for name, found in other.items():
        own[name].update(found)


_Part: TypeAlias = Callable[[], Measurements]


def measure(
    extent: Extent,
    progress: Progress = lambda _: None,
    energy: EnergyConfig | None = None,
    ready: Workers = THIS_PROCESS,
) -> Measurements:
    """Run it all.

    Args:
        extent: levels and size.
        progress: told how far it is.
        energy: what events cost; by default the calibrated table.
        ready: runs the parts.

    Raises:
        SimulationError: a sum does not close.
    """
    work = _Measuring(extent, energy)
    parts: list[_Part] = [partial(work.dense, layer) for layer in BENCHMARKS]
    parts += [partial(work.block, name, taps) for taps in extent.taps for name in BLOCK_NAMES]
    parts += [partial(work.network, taps) for taps in extent.taps]
    parts += [work.base, work.pruned_base]
    progress(f"running {len(parts)} parts")
    count = itertools.count(1)
    done = run_each(
        ready,
        _call,
        parts[::-1],  # the longest first
        lambda _: progress(f"{next(count)} of {len(parts)} parts have run"),
    )
    found = Measurements(extent=extent)
    for one in reversed(done):
        found.add(one)
    shown = {taps: words for taps, words in found.wmem_words.items() if taps in SHOWN_TAPS}
    found.capacity.extend(readings(extent.network(None), shown, found.wmem_words[None]))
    return found


def _call(part: _Part) -> Measurements:
    return part()


def chips() -> tuple[ChipConfig, ChipConfig]:
    """The published chip at 0.8 V, for which programs are compiled, and at 1.1 V."""
    return ChipConfig.at(FRUGAL_V), ChipConfig.at(FAST_V)


@dataclass(frozen=True)
class _Measuring:
    """Measures a part of all."""

    extent: Extent
    energy: EnergyConfig | None

    def dense(self, layer: DenseLayer) -> Measurements:
        """Run a dense layer."""
        return Measurements(extent=self.extent, dense=list(steady_states(layer, chips(), self.energy)))

    def block(self, name: str, taps: int) -> Measurements:
        """Run a block alone."""
        spec, found = self.extent.block(name, taps), Measurements(extent=self.extent)
        activations = seeded_activations(spec.input_shape, 0)
        program = compile_network(build_block(spec, activations), chips()[0])
        result = self._run(found, name, taps, program, activations)
        found.parts[name][taps] = list(part_cycles(program, result))
        return found

    def network(self, taps: int) -> Measurements:
        """Run the whole network."""
        spec, found = self.extent.network(taps), Measurements(extent=self.extent)
        program, activations = _compiled(spec)
        result = self._run(found, NETWORK, taps, program, activations)
        found.energy[taps] = energy_by_cause(result, taps)
        found.wmem_words[taps] = _stored_words(program)
        if taps in SHOWN_TAPS:
            name = f"PW-DW-PW, {taps} of {DENSE_TAPS} taps"
            found.counts.append(_count_steps(name, spec, program, activations, result))
        return found

    def base(self) -> Measurements:
        """Run the base network."""
        spec, found = self.extent.network(None), Measurements(extent=self.extent)
        program, activations = _compiled(spec)
        result = ValuesOnce().simulate(program, activations, energy=self.energy)
        found.base.append(efficiency_of(result))
        found.wmem_words[None] = _stored_words(program)
        name = "base, two 3x3 convolutions a block"
        found.counts.append(_count_steps(name, spec, program, activations, result))
        return found

    def pruned_base(self) -> Measurements:
        """Run the base network with weights removed at random."""
        program, activations = _compiled(replace(self.extent.network(None), density=1 - float(PRUNED_SHARE)))
        result = ValuesOnce().simulate(program, activations, energy=self.energy)
        return Measurements(extent=self.extent, base=[efficiency_of(result)])

    def _run(self, found: Measurements, name: str, taps: int, program: Program, activations: Int8Array) -> Result:
        """Run a program at both operating points; returns the result at 0.8 V."""
        values = ValuesOnce()
        results = [values.simulate(program, activations, chip, energy=self.energy) for chip in chips()]
        for result in results:
            found.runs[name][taps, result.chip.voltage_v] = efficiency_of(result)
        found.breakdowns[name][taps] = cycles_by_cause(name, results[0], taps)
        return results[0]


def _count_steps(name: str, spec: Resnet18, program: Program, activations: Int8Array, result: Result) -> StepCount:
    """Steps, also with a large AMem."""
    chip = replace(program.config, amem_words=LARGE_AMEM_WORDS)
    large_program = compile_network(program.network, chip)
    large, _ = executed_steps(simulate_timing(large_program, activations, result.tensors))  # steps ask no values
    executed, unsplit = executed_steps(result)
    return StepCount(name, derived_steps(spec, chip), unsplit, large, executed)


def _compiled(spec: Resnet18) -> tuple[Program, Int8Array]:
    """A network compiled for 0.8 V, and its input."""
    activations = seeded_activations(spec.input_shape, 0)
    return compile_network(build_resnet18(activations, spec), chips()[0]), activations


def _stored_words(program: Program) -> int:
    """WMem words of all layers but average pooling, whose weights are ones."""
    layers = zip(program.network.layers, program.weight_words, strict=True)
    return sum(words for layer, words in layers if isinstance(layer, Conv2d) and layer.groups == 1)
