"""The compiler's way through a network: check, pack, split, place, emit, schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tlm.chip.config import ChipConfig
from tlm.chip.driver import SramName, Transfer
from tlm.chip.timing import Placement, predict_placements
from tlm.compiler.checks import check_accumulators
from tlm.compiler.emit import job_instructions, part_header, part_instructions
from tlm.compiler.jobs import JobPlan, plan_jobs
from tlm.compiler.layout import Layout, TensorPlace, tensor_words
from tlm.compiler.program import Chunk, Job, Program
from tlm.compiler.schedule import JobOrder, schedule
from tlm.compiler.tiling import Part, split_layer
from tlm.compiler.weights import LayerWeights, pack_weights
from tlm.core.errors import CompileError
from tlm.layers import INPUT
from tlm.network import Network

_ALIGNMENT_BYTES = 256
"""Off-chip pieces start at multiples of the longest burst that a chip can have."""


def compile_network(network: Network, chip: ChipConfig | None = None) -> Program:
    """Compile a network for a chip, by default the published one.

    Raises:
        CompileError: an accumulator could overflow, or something fits no memory in any way this compiler knows.
    """
    for layer in network.layers:
        check_accumulators(layer, network.input_of(layer).signed)
    return _Compiler(network, chip or ChipConfig()).program()


class _Compiler:
    """Intermediate results of one compilation."""

    def __init__(self, network: Network, config: ChipConfig) -> None:
        self._network = network
        self._config = config
        self._weights = [pack_weights(layer, config.columns) for layer in network.layers]
        self._parts: list[Part] = []
        for index, layer in enumerate(network.layers):
            self._parts += split_layer(index, layer, self._weights[index], config)
        self._layout = Layout(network, config)
        self._chunks: list[Chunk] = []
        self._offset_bytes = 0

    def program(self) -> Program:
        """The whole compilation."""
        places = self._layout.place_all(self._layer_cycles)
        plans = plan_jobs(self._parts, self._config)
        jobs = [self._job(plan, places) for plan in plans]
        loads = [self._loads(job) for job in jobs]
        lanes, config = self._config.lanes, self._config
        source, output = self._network.tensors[INPUT], self._network.output
        input_offset = self._reserve(tensor_words(source, lanes) * config.amem_word_bytes)
        output_offset = self._reserve(tensor_words(output, lanes) * config.amem_word_bytes)
        if self._offset_bytes > config.memory_bytes:
            raise CompileError(
                f"network: weights, input and output take {self._offset_bytes} bytes, "
                f"but chip.memory_bytes is {config.memory_bytes}; enlarge it"
            )
        place = places[INPUT]
        loads[0].append(Transfer(SramName.AMEM, place.base_word, input_offset, place.words, label="input"))
        orders = [
            JobOrder(job.imem_word, tuple(load), plan.load_after, self._stores(job, places[output.name], output_offset))
            for job, plan, load in zip(jobs, plans, loads, strict=True)
        ]
        return Program(
            network=self._network,
            config=config,
            parts=tuple(self._parts),
            jobs=tuple(jobs),
            places=places,
            predicted_cycles=tuple(self._part_cycles(part, places) for part in self._parts),
            chunks=tuple(self._chunks),
            input_offset_bytes=input_offset,
            output_offset_bytes=output_offset,
            image_bytes=self._offset_bytes,
            steps=schedule(orders),
        )

    # -- cycles ---------------------------------------------------------------------------------------------------

    def _layer_cycles(self, index: int, bases: Sequence[int]) -> Sequence[int]:
        """Predicted cycles of a layer for candidate output bases, parts together."""
        places = self._layout.places
        own = [part for part in self._parts if part.layer_index == index]
        return [sum(costs) for costs in zip(*(self._costs(part, places, bases) for part in own), strict=True)]

    def _part_cycles(self, part: Part, places: Mapping[str, TensorPlace]) -> int:
        name = self._network.layers[part.layer_index].name
        return self._costs(part, places, [places[name].base_word])[0]

    def _costs(self, part: Part, places: Mapping[str, TensorPlace], bases: Sequence[int]) -> list[int]:
        layer, config = self._network.layers[part.layer_index], self._config
        output, residual = self._network.tensors[layer.name], layer.residual
        plane = tensor_words(output, config.lanes) // output.shape[0]
        first = part.first_channel * plane
        place = TensorPlace(layer.name, 0, plane * output.shape[0], 0)
        header = part_header(self._network, part, 0, {**places, layer.name: place}, 0, config.lanes)
        residual_word = None if residual is None else places[residual].base_word + first
        return predict_placements(
            header.geometry(config.lanes, config.columns),
            [Placement(header.input_base_word, base + first, residual_word) for base in bases],
            amem_banks=config.amem_banks,
            pipeline_cycles=config.pipeline_cycles,
            pass_gap_cycles=config.pass_gap_cycles,
            requantiser_cycles=config.requantiser_cycles,
            words_per_channel=header.slots_per_channel,
            patterns=np.ascontiguousarray(self._weights[part.layer_index].patterns[part.first_group :][: part.groups]),
        )

    # -- pieces of the program ------------------------------------------------------------------------------------

    def _job(self, plan: JobPlan, places: Mapping[str, TensorPlace]) -> Job:
        instructions, weight_word = [], plan.wmem_word
        for tag in plan.tags:
            part = self._parts[tag]
            header = part_header(self._network, part, tag, places, weight_word, self._config.lanes)
            instructions.append(
                part_instructions(self._network, part, header, self._weights[part.layer_index], self._config)
            )
            weight_word += part.weight_words
        return Job(plan.tags, plan.imem_word, plan.wmem_word, job_instructions(instructions))

    def _loads(self, job: Job) -> list[Transfer]:
        """A job's instructions and weights in the off-chip memory, and the transfers that fetch them."""
        names = "+".join(self._network.layers[self._parts[tag].layer_index].name for tag in job.parts)
        data = np.array(job.instructions, "<u8").tobytes()
        loads = [self._load(SramName.IMEM, job.imem_word, len(job.instructions), data, f"instructions of {names}")]
        weights = b"".join(part_weights(self._weights, self._parts[tag]) for tag in job.parts)
        if weights:
            words = len(weights) // self._config.wmem_word_bytes
            loads.append(self._load(SramName.WMEM, job.wmem_word, words, weights, f"weights of {names}"))
        return loads

    def _load(self, sram: SramName, word: int, words: int, data: bytes, label: str) -> Transfer:
        offset = self._reserve(len(data))
        self._chunks.append(Chunk(offset, data, label))
        return Transfer(sram, word, offset, words, label=label)

    def _stores(self, job: Job, place: TensorPlace, output_offset: int) -> tuple[Transfer, ...]:
        """The pieces of the network's output that a job finishes."""
        stores, last = [], len(self._network.layers) - 1
        per_channel = place.words // self._network.output.shape[0]
        for part in (self._parts[tag] for tag in job.parts):
            if part.layer_index == last:
                first = part.first_channel * per_channel
                offset = output_offset + first * self._config.amem_word_bytes
                words = part.channels * per_channel
                stores.append(
                    Transfer(
                        SramName.AMEM,
                        place.base_word + first,
                        offset,
                        words,
                        label=f"output from channel {part.first_channel}",
                    )
                )
        return tuple(stores)

    def _reserve(self, size_bytes: int) -> int:
        offset = self._offset_bytes
        self._offset_bytes = -(-(offset + size_bytes) // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        return offset


def part_weights(weights: Sequence[LayerWeights], part: Part) -> bytes:
    """The WMem words of a part."""
    return b"".join(weights[part.layer_index].words[part.first_group : part.first_group + part.groups])
