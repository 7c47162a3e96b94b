"""The MAC array alone: outer products, maxima, and when accumulators are handed over."""

from __future__ import annotations

import numpy as np
import pytest
from block_bench import CHIP, BlockBench, convolution, layer_payload, of_pass
from images import word

import tlm
from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.cycle.mac_array import MacArray
from tlm.chip.payloads import DrainPayload, PassPayload, VectorPayload, WeightPayload
from tlm.core.kernel import Activity
from tlm.core.payload import Response

RNG = np.random.default_rng(5)
DENSE = convolution(np.ones((8, 4, 1, 1), np.int8), (4, 2, 4))
POOL = tlm.Network((4, 2, 4), [tlm.MaxPool2d("p", 1)])


class Bench(BlockBench):
    """The array before a requantiser that takes a pass over after so many cycles."""

    def __init__(self, chip: ChipConfig = CHIP, busy_cycles: int = 0) -> None:
        self._busy_cycles = busy_cycles
        self.drained: list[tuple[int, list[list[int]]]] = []
        super().__init__(lambda parent: MacArray("mac_array", parent, chip), {"drain": self._take_over})

    def _take_over(self, payload: DrainPayload) -> Activity:
        yield self.simulation.clock.cycles(self._busy_cycles)
        self.drained.append((self.now, kernels.accumulators_array(payload.accumulators, CHIP.lanes).tolist()))
        payload.status = Response.OK

    def play(self, network: tlm.Network, vectors: list, weights: list, ends: tuple[int, ...]) -> list[int]:
        """A step a cycle; those in ``ends`` are the last of a pass. Returns the cycles of the handovers."""
        answered: list[int] = []

        def steps() -> Activity:
            yield from self.to["layers"].b_transport(layer_payload(network))
            for step, vector in enumerate(vectors):
                if step < len(weights):
                    yield from self.to["weights"].b_transport(WeightPayload(bytearray(word(weights[step]))))
                activations = kernels.new_activations(CHIP.lanes)
                activations[0 : CHIP.lanes] = vector
                payload = VectorPayload(activations, step % 4, step in ends, origin=of_pass())
                yield from self.to["vectors"].b_transport(payload)
                yield self.simulation.clock.cycles(1)
                while len(answered) < sum(end <= step for end in ends):  # the sequencer waits for the handover
                    yield self.simulation.clock.cycles(1)

        def passes() -> Activity:
            for _ in ends:
                yield from self.to["passes"].b_transport(PassPayload(0, 0, 0, 8, 8, origin=of_pass()))
                answered.append(self.now)

        self.run(steps(), passes())
        return answered


def test_sums_of_outer_products() -> None:
    vectors, weights = RNG.integers(0, 16, (5, 8)).tolist(), RNG.integers(-8, 8, (5, 8)).tolist()
    bench = Bench()
    bench.play(DENSE, vectors, weights, (4,))
    ((_, accumulators),) = bench.drained
    assert accumulators == np.einsum("sc,sl->cl", weights, vectors).tolist()


def test_each_pass_begins_with_empty_accumulators() -> None:
    vectors, weights = RNG.integers(0, 16, (4, 8)).tolist(), RNG.integers(-8, 8, (4, 8)).tolist()
    bench = Bench()
    bench.play(DENSE, vectors[:2], weights[:2], (0, 1))
    first, second = (accumulators for _, accumulators in bench.drained)
    assert first == np.outer(weights[0], vectors[0]).tolist()
    assert second == np.outer(weights[1], vectors[1]).tolist()


def test_max_pooling_keeps_the_largest_of_each_channel() -> None:
    vectors = RNG.integers(0, 16, (8, 8)).tolist()  # channels 0 .. 3 twice
    bench = Bench()
    bench.play(POOL, vectors, [], (7,))
    ((_, accumulators),) = bench.drained
    assert accumulators[:4] == np.maximum(vectors[:4], vectors[4:]).tolist()


@pytest.mark.parametrize(("key", "cycles"), [(None, 1), ("multiply_cycles", 4), ("accumulate_cycles", 3)])
def test_the_handover_comes_behind_the_last_accumulation(key: str | None, cycles: int) -> None:
    """A vector that arrives in cycle a is multiplied, then accumulated; the pass is handed over in the next cycle."""
    chip = CHIP if key is None else ChipConfig(lanes=8, columns=8, **{key: cycles})  # type: ignore[arg-type]
    bench = Bench(chip)
    answered = bench.play(DENSE, [[1] * 8] * 3, [[1] * 8] * 3, (2,))
    last_arrival_cycle = 2
    assert bench.cycles("drain") == [last_arrival_cycle + chip.multiply_cycles + chip.accumulate_cycles] == answered


def test_the_accumulators_hold_while_the_requantiser_is_busy() -> None:
    bench = Bench(busy_cycles=9)
    (answered,) = bench.play(DENSE, [[2] * 8], [[3] * 8], (0,))
    assert answered == bench.cycles("drain")[0] + 9
    assert bench.drained == [(answered, [[6] * 8] * 8)]
