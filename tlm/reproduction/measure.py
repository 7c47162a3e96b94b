"""Runs everything that the comparison needs; results shrink to figures at once, since a result is large."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import Conv2d
from tlm.networks.blocks import PwDwPw, build_block
from tlm.networks.resnet18 import PICTURE, Resnet18, build_resnet18
from tlm.networks.seeded import seeded_activations
from tlm.observe.energy_table import EnergyConfig
from tlm.reproduction.breakdown import DENSE_TAPS, Breakdown, breakdown
from tlm.reproduction.capacity import Reading, readings
from tlm.reproduction.counts import LARGE_AMEM_WORDS, StepCount, derived_steps, executed_steps
from tlm.reproduction.dense import BENCHMARKS, SteadyState, steady_states
from tlm.reproduction.efficiency import Efficiency, efficiency_of
from tlm.reproduction.energy_split import EnergySplit, energy_split
from tlm.reproduction.formula import PartCycles, part_cycles
from tlm.reproduction.published import FAST_V, FRUGAL_V, PRUNED_SHARE
from tlm.results.result import Result
from tlm.runs.simulate import simulate

BLOCK_NAMES = ("conv2_2", "conv3_2", "conv4_2", "conv5_2")
"""The blocks of the four stages that do not change the shape."""

SHOWN_TAPS = (9, 3, 1)
"""Levels of the ideal 10 : 4 : 2."""

ALL_TAPS = tuple(range(DENSE_TAPS, 0, -1))
NETWORK = "ResNet-18"

Progress = Callable[[str], None]


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

Key = tuple[int, float]
"""(taps, core supply in V)."""


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What was simulated; breakdowns and splits at 0.8 V."""

    extent: Extent
    dense: tuple[SteadyState, ...]
    blocks: Mapping[str, Mapping[Key, Efficiency]]
    networks: Mapping[Key, Efficiency]
    base: tuple[Efficiency, Efficiency]
    """The base network at 0.8 V, unpruned and with PRUNED_SHARE of its blocks' single weights removed at random."""
    breakdowns: Mapping[str, Mapping[int, Breakdown]]
    """Block, or NETWORK -> taps -> cycles by cause."""
    energy: Mapping[int, EnergySplit]
    """Taps -> the whole network's energy by cause."""
    parts: Mapping[str, Mapping[int, tuple[PartCycles, ...]]]
    """Block -> taps -> every part against the formula."""
    counts: tuple[StepCount, ...]
    capacity: tuple[Reading, ...]


def measure(extent: Extent, progress: Progress = lambda _: None, energy: EnergyConfig | None = None) -> Measurements:
    """Run it all.

    Args:
        extent: levels and size.
        progress: told what runs next.
        energy: what events cost; by default the calibrated table.

    Raises:
        SimulationError: a sum does not close.
    """
    return _Runs(extent, progress, energy or EnergyConfig()).measurements()


def chips() -> tuple[ChipConfig, ChipConfig]:
    """The published chip at 0.8 V, for which programs are compiled, and at 1.1 V."""
    return ChipConfig.at(FRUGAL_V), ChipConfig.at(FAST_V)


class _Runs:
    """Collects figures run by run."""

    def __init__(self, extent: Extent, progress: Progress, table: EnergyConfig) -> None:
        self._extent = extent
        self._table = table
        self._progress = progress
        self._blocks: dict[str, dict[Key, Efficiency]] = {name: {} for name in BLOCK_NAMES}
        self._networks: dict[Key, Efficiency] = {}
        self._breakdowns: dict[str, dict[int, Breakdown]] = {name: {} for name in (*BLOCK_NAMES, NETWORK)}
        self._energy: dict[int, EnergySplit] = {}
        self._parts: dict[str, dict[int, tuple[PartCycles, ...]]] = {name: {} for name in BLOCK_NAMES}
        self._counts: list[StepCount] = []
        self._wmem_words: dict[int, int] = {}

    def measurements(self) -> Measurements:
        dense = self._dense()
        for taps in self._extent.taps:
            for name in BLOCK_NAMES:
                self._block(name, taps)
        for taps in self._extent.taps:
            self._network(taps)
        base, base_words = self._base()
        shown = {taps: count for taps, count in self._wmem_words.items() if taps in SHOWN_TAPS}
        return Measurements(
            extent=self._extent,
            dense=dense,
            blocks=self._blocks,
            networks=self._networks,
            base=base,
            breakdowns=self._breakdowns,
            energy=self._energy,
            parts=self._parts,
            counts=tuple(self._counts),
            capacity=tuple(readings(self._extent.network(None), shown, base_words)),
        )

    def _dense(self) -> tuple[SteadyState, ...]:
        found: list[SteadyState] = []
        for layer in BENCHMARKS:
            self._progress(f"dense layer {layer.name}")
            found += steady_states(layer, chips(), self._table)
        return tuple(found)

    def _block(self, name: str, taps: int) -> None:
        self._progress(f"block {name}, {taps} of {DENSE_TAPS} taps")
        block = self._extent.block(name, taps)
        activations = seeded_activations(block.input_shape, 0)
        program = compile_network(build_block(block, activations), chips()[0])
        for result in self._at_both_points(program, activations, self._blocks[name], taps):
            if result.chip.voltage_v == FRUGAL_V:
                self._breakdowns[name][taps] = breakdown(name, result, taps)
                self._parts[name][taps] = tuple(part_cycles(program, result))

    def _network(self, taps: int) -> None:
        self._progress(f"{NETWORK}, {taps} of {DENSE_TAPS} taps")
        spec = self._extent.network(taps)
        activations = seeded_activations(spec.input_shape, 0)
        program = compile_network(build_resnet18(activations, spec), chips()[0])
        self._wmem_words[taps] = _stored_words(program)
        for result in self._at_both_points(program, activations, self._networks, taps):
            if result.chip.voltage_v == FRUGAL_V:
                self._breakdowns[NETWORK][taps] = breakdown(NETWORK, result, taps)
                self._energy[taps] = energy_split(result, taps)
                if taps in SHOWN_TAPS:
                    self._count(f"PW-DW-PW, {taps} of {DENSE_TAPS} taps", spec, program, activations, result)

    def _base(self) -> tuple[tuple[Efficiency, Efficiency], int]:
        """The base network: its steps; returns what it takes, unpruned and pruned, and the words it stores in WMem."""
        self._progress(f"base {NETWORK}")
        spec = self._extent.network(None)
        activations = seeded_activations(spec.input_shape, 0)
        program = compile_network(build_resnet18(activations, spec), chips()[0])
        base_words = _stored_words(program)
        result = simulate(program, activations, energy=self._table)
        self._count("base, two 3x3 convolutions a block", spec, program, activations, result)
        self._progress(f"base {NETWORK}, {PRUNED_SHARE} of the weights removed at random")
        pruned = compile_network(
            build_resnet18(activations, replace(spec, density=1 - float(PRUNED_SHARE))), program.config
        )
        return (efficiency_of(result), efficiency_of(simulate(pruned, activations, energy=self._table))), base_words

    def _count(self, name: str, spec: Resnet18, program: Program, activations: Int8Array, result: Result) -> None:
        self._progress(f"{NETWORK} ({name}) with an AMem of {LARGE_AMEM_WORDS:,} words")
        chip = replace(program.config, amem_words=LARGE_AMEM_WORDS)
        large, _ = executed_steps(simulate(compile_network(program.network, chip), activations))
        executed, unsplit = executed_steps(result)
        self._counts.append(StepCount(name, derived_steps(spec, chip), unsplit, large, executed))

    def _at_both_points(
        self, program: Program, activations: Int8Array, found: dict[Key, Efficiency], taps: int
    ) -> list[Result]:
        results = [simulate(program, activations, chip=chip, energy=self._table) for chip in chips()]
        for result in results:
            found[taps, result.chip.voltage_v] = efficiency_of(result)
        return results


def _stored_words(program: Program) -> int:
    """WMem words of all layers but average pooling, whose weights are ones."""
    layers = zip(program.network.layers, program.weight_words, strict=True)
    return sum(words for layer, words in layers if isinstance(layer, Conv2d) and layer.groups == 1)
