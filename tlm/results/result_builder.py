"""From what was recorded of a run to its result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import Unit
from tlm.chip.kernels.dram import Dram
from tlm.compiler.jobs import Load, Store
from tlm.compiler.program import Program
from tlm.network.layers import Conv2d, Layer, MaxPool2d, activation_range
from tlm.observe.account import ArrayAccount, WaitAccount, added, column_steps, lane_steps
from tlm.observe.causes import FILLS
from tlm.observe.energy import EnergyObserver, LayerShare
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.passes import PassRecord
from tlm.observe.recorder import Recorder
from tlm.observe.timeline_builder import timeline
from tlm.results.batch_figures import BatchFigures
from tlm.results.dram_figures import NO_ROWS, DramFigures, MovedTensor, TensorFigures
from tlm.results.result import LayerResult, Result, Tensor, Traffic, TransferOverlap


class ResultBuilder(msgspec.Struct, frozen=True):
    """Puts the figures of a run together: of a program, the chip that it ran on, and what was recorded."""

    program: Program
    config: ChipConfig
    fidelity: str
    recorder: Recorder
    tensors: dict[str, Tensor]
    meter: EnergyObserver
    energy_table: EnergyConfig
    dram: Dram | None = None

    def result(self) -> Result:
        """Everything, layers in the order of execution."""
        network = self.program.network
        load_bytes, store_bytes = self.recorder.moved_bytes.values()
        layers = [self._layer(index) for index in range(len(network.layers))]
        shares = [
            LayerShare(
                tags=self.program.parts_of_layer[index],
                load_bytes=layer.load_bytes,
                store_bytes=layer.store_bytes,
                wmem_words=layer.weight_load_bytes // self.config.wmem_word_bytes,
                imem_words=layer.instruction_load_bytes // self.config.imem_word_bytes,
            )
            for index, layer in enumerate(layers)
        ]
        counts = self.meter.counted(shares)
        unpriced = Result(
            tensors={layer.name: self.tensors[layer.name] for layer in network.layers},
            layers={layer.name: layer for layer in layers},
            cycles=self.recorder.cycles,
            chip=self.config,
            fidelity=self.fidelity,
            traffic=Traffic(load_bytes=load_bytes, store_bytes=store_bytes),
            bank_conflicts=self.recorder.bank_conflicts(),
            passes={layer.name: self._passes(index) for index, layer in enumerate(network.layers)},
            account=self.recorder.account(),
            predicted_cycles=self.program.predicted_total_cycles,
            overlap={
                channel: TransferOverlap(hidden_cycles=hidden, exposed_cycles=exposed)
                for channel, (hidden, exposed) in self.recorder.overlap().items()
            },
            dram_energy=counts.dram,
            counts=counts,
            timeline=timeline(self.recorder, self.program),
            batch=self._batch(),
            dram=self._dram_figures(),
        )
        return priced(unpriced, self.config, self.energy_table)

    def _dram_figures(self) -> DramFigures | None:
        """What the DRAM did; a transfer for several layers counts for that with most of its bytes."""
        if self.dram is None:
            return None
        program, names = self.program, [layer.name for layer in self.program.network.layers]
        found: dict[MovedTensor, TensorFigures] = {}
        planned: Sequence[tuple[Unit, Sequence[Load | Store], Sequence[Mapping[int, int]]]] = (
            (Unit.LOAD, program.loads, program.load_uses), (Unit.STORE, program.stores, program.store_uses)
        )  # fmt: skip
        for unit, moves, all_uses in planned:
            for one, move, uses in zip(self.recorder.transfers[unit], moves, all_uses, strict=False):
                of_layer: Counter[str] = Counter()
                for tag, size_bytes in uses.items():
                    of_layer[names[program.parts[tag].layer_index]] += size_bytes
                for name, _ in of_layer.most_common(1):
                    moved = MovedTensor(name, move.tensor or FILLS[move.transfer.sram], unit.value)
                    figures = TensorFigures(one.rows or NO_ROWS, one.moved_bytes, one.end_cycle - one.first_cycle)
                    found[moved] = found.get(moved, TensorFigures()) + figures
        ordered = dict(sorted(found.items(), key=lambda item: names.index(item[0].layer)))
        cycles = self.recorder.cycles
        return DramFigures(self.dram.counts(cycles), ordered, names, cycles, self.config)

    def _batch(self) -> BatchFigures | None:
        """What each image of a batch took."""
        if self.program.batch == 1:
            return None
        causes: list[Counter[str]] = [Counter() for _ in range(self.program.batch)]
        waits = self.recorder.waits_before()
        for tag, (image, _) in enumerate(self.program.runs):
            causes[image].update({**self.recorder.array_account(tag).by_cause(), **waits[tag].by_cause()})
        return BatchFigures(tuple(map(dict, causes)))

    def _passes(self, index: int) -> tuple[PassRecord, ...]:
        tags = self.program.parts_of_layer[index]
        return tuple(one for tag in tags for one in self.recorder.parts[tag].passes)

    def _layer(self, index: int) -> LayerResult:
        program, layer = self.program, self.program.network.layers[index]
        network, config = program.network, self.config
        source, output = network.input_of(layer), network.tensors[layer.name]
        tags = program.parts_of_layer[index]
        records = [self.recorder.parts[tag] for tag in tags]
        passes, waits = self._passes(index), self.recorder.waits_before()
        places = program.places
        parts = len({program.parts[tag].part_index for tag in tags})
        base_words = {name: place.base_word for name, place in places.items()} if parts == 1 else {}
        weight_bytes, instruction_bytes, activation_bytes = program.load_bytes_of_layer(index)
        pixels = output.shape[1] * output.shape[2] * program.batch
        weights = layer.weights.size if isinstance(layer, Conv2d) else 0
        macs = sum(one.macs for one in passes)
        computed = sum(one.pixels for one in passes) // -(-output.shape[0] // config.columns)
        once = macs * pixels // max(computed, pixels)  # every group computes the same pixels; fewer only after a fault
        zeros = pixels * structural_zeros(layer, config.columns) if isinstance(layer, Conv2d) else 0
        return LayerResult(
            name=layer.name,
            kind=layer_kind(layer, source.shape),
            input_shape=source.shape,
            output_shape=output.shape,
            kernel=layer.kernel,
            stride=layer.stride,
            weight_words=program.weight_words[index],
            dense_weight_words=dense_words(layer, config.columns) if isinstance(layer, Conv2d) else 0,
            compute_cycles=sum(record.compute_cycles for record in records),
            steps=sum(record.steps for record in records),
            unsplit_steps=program.unsplit_steps[index],
            fetch_cycles=sum(record.fetch_cycles for record in records),
            passes=len(passes),
            macs=macs,
            repeated_macs=macs - once,
            structural_zero_macs=min(zeros, once),
            dense_macs=pixels * weights,
            peak_macs_per_cycle=config.peak_macs_per_cycle,
            start_cycle=records[0].first_cycle,
            end_cycle=records[-1].last_write_cycle,
            predicted_compute_cycles=sum(program.predicted_cycles[tag] for tag in tags),
            parts=parts,
            bands=len({program.parts[tag].first_tile for tag in tags}),
            stays_on_chip=layer.name not in program.tensors,
            input_base_word=base_words.get(source.name),
            output_base_word=base_words.get(layer.name),
            residual_base_word=None if layer.residual is None else base_words.get(layer.residual),
            input=source.name,
            residual=layer.residual,
            load_bytes=weight_bytes + instruction_bytes + activation_bytes,
            weight_load_bytes=weight_bytes,
            instruction_load_bytes=instruction_bytes,
            activation_load_bytes=activation_bytes,
            store_bytes=program.moved_bytes(Unit.STORE, layer.name),
            columns=config.columns,
            lane_steps=lane_steps(passes),
            column_steps=column_steps(passes),
            account=added(ArrayAccount, [self.recorder.array_account(tag) for tag in tags]),
            waits=added(WaitAccount, [waits[tag] for tag in tags]),
            histogram=None if output.accumulator else self._histogram(layer.name, output.signed),
        )

    def _histogram(self, name: str, signed: bool) -> tuple[int, ...]:
        """How many of a layer's outputs have each 4-bit value, the lowest first."""
        lowest, highest = activation_range(signed)
        counts = np.bincount(self.tensors[name].ravel() - lowest, minlength=highest - lowest + 1)
        return tuple(counts.tolist())


def priced(result: Result, chip: ChipConfig, energy_table: EnergyConfig) -> Result:
    """The same run, with the energy that its events cost by another table, or on a chip that runs in the same cycles.

    The result is that of a run of its own. A chip with DRAM must be the result's own.
    """
    energy = result.counts.energy(energy_table.per_event_aj(chip))
    layers = zip(result.layers.items(), energy.layers, strict=True)
    return replace(
        result,
        chip=chip,
        energy_table=energy_table,
        layers={name: msgspec.structs.replace(layer, energy=own) for (name, layer), own in layers},
        energy=energy.run,
        energy_outside_layers=energy.outside_layers,
    )


def dense_words(layer: Conv2d, columns: int) -> int:
    """Weight words of a layer if none were skipped: for each group of columns all taps of the channels that it sees."""
    outputs, inputs = layer.out_channels // layer.groups, layer.in_channels // layer.groups
    seen = 0
    for first in range(0, layer.out_channels, columns):
        last = min(first + columns, layer.out_channels) - 1
        seen += (last // outputs - first // outputs + 1) * inputs
    return seen * layer.kernel[0] * layer.kernel[1]


def structural_zeros(layer: Conv2d, columns: int) -> int:
    """Weights in a layer's stored words of output channels whose group does not see the word's input channel."""
    outputs, found = layer.out_channels // layer.groups, 0
    if layer.groups == 1:
        return found
    for first in range(0, layer.out_channels, columns):
        end = min(first + columns, layer.out_channels)
        for group in range(first // outputs, (end - 1) // outputs + 1):
            own = layer.weights[max(first, group * outputs) : min(end, (group + 1) * outputs)]
            found += int(np.count_nonzero(own.any(axis=0))) * (end - first - len(own))
    return found


def layer_kind(layer: Layer, input_shape: tuple[int, int, int]) -> str:
    """The field's name for a layer.

    "max-pool", "average-pool" (depth-wise, all weights 1), "linear" (1x1 on 1x1 maps), "pointwise" (1x1), "depthwise"
    (one input and one output channel a group), "shift" (a larger kernel of which each input channel uses at most one
    tap), "grouped", "fused-depthwise" (taps are chosen per input channel: some channel leaves out a tap for all its
    output channels), else "standard".
    """
    if isinstance(layer, MaxPool2d):
        return "max-pool"
    if layer.kernel == (1, 1):
        return "linear" if input_shape[1:] == (1, 1) else "pointwise"
    if layer.groups > 1:
        if not layer.groups == layer.in_channels == layer.out_channels:
            return "grouped"
        return "average-pool" if (layer.weights == 1).all() else "depthwise"
    taps_of_channel = (layer.weights != 0).any(axis=0).reshape(layer.in_channels, -1).sum(axis=1)
    if taps_of_channel.max() <= 1:
        return "shift"
    return "fused-depthwise" if taps_of_channel.min() < layer.kernel[0] * layer.kernel[1] else "standard"
