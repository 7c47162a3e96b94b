"""The MAC array of fidelity "pass" alone: a pass in one kernel call, handed over in the cycle that was worked out."""

from __future__ import annotations

import numpy as np
import pytest
from block_bench import CHIP, BlockBench, convolution, layer_payload, of_pass
from images import amem_image, weight_image

import tlm
from tlm.chip import kernels
from tlm.chip.contract import PassTimes
from tlm.chip.passes.mac_array import MacArray
from tlm.chip.passes.payloads import (
    LayerActivationsPayload,
    LayerDrainPayload,
    LayerPassesPayload,
    PassActivationsPayload,
    PassWeightsPayload,
    TimedPassPayload,
)
from tlm.chip.payloads import DrainPayload
from tlm.core.payload import Response
from tlm.core.sockets import DirectMemory

RNG = np.random.default_rng(3)
ACTIVATIONS = RNG.integers(0, 16, (3, 2, 8))


def view(data: bytes) -> DirectMemory:
    return DirectMemory("memory", memoryview(bytearray(data)), memoryview(bytearray(len(data))))


def play(network: tlm.Network, tile: int, handover_cycle: int) -> tuple[int, int, list[list[int]]]:
    """(handover, answer, accumulators) of one pass whose fetches end in cycle 6."""
    layer = layer_payload(network)
    drained: list[tuple[int, list[list[int]]]] = []
    answered: list[int] = []

    def take_over(payload: DrainPayload) -> None:
        drained.append((bench.now, kernels.accumulators_array(payload.accumulators, CHIP.lanes).tolist()))
        payload.status = Response.OK

    bench = BlockBench(lambda parent: MacArray("mac_array", parent, CHIP), {"drain": take_over})
    amem = view(amem_image(ACTIVATIONS, CHIP.lanes, layer.header.input_base_word, RNG))
    times = PassTimes(1, 6, handover_cycle, -1, 3, 3, 0, 0)

    def body():  # type: ignore[no-untyped-def]
        yield from bench.to["layers"].b_transport(layer)
        patterns = np.array([0b111], np.uint64)
        if isinstance(network.layers[0], tlm.Conv2d):
            wmem, own = weight_image(network.layers[0], CHIP.columns)
            patterns = own[0]
            words = PassWeightsPayload(view(bytes(16) + wmem), 16 * 2 // CHIP.columns)
            yield from bench.to["weights"].b_transport(words)
        yield from bench.to["vectors"].b_transport(PassActivationsPayload(0, tile, amem, patterns))
        of = TimedPassPayload(0, tile, 1, 8, 8, times, origin=of_pass())
        yield from bench.at(6, "passes", of, answered)

    bench.run(body())
    return drained[0][0], answered[0], drained[0][1]


@pytest.mark.parametrize("tile", [0, 1])
def test_the_sums_of_a_pass(tile: int) -> None:
    weights = RNG.integers(-8, 8, (8, 3, 1, 1))
    *_, accumulators = play(convolution(weights, ACTIVATIONS.shape), tile, 20)
    pixels = ACTIVATIONS.reshape(3, -1)[:, tile * 8 : tile * 8 + 8]
    assert accumulators == (weights[:, :, 0, 0] @ pixels).tolist()


def test_the_maxima_of_a_pass() -> None:
    *_, accumulators = play(tlm.Network(ACTIVATIONS.shape, [tlm.MaxPool2d("p", 1)]), 1, 20)
    assert accumulators[:3] == ACTIVATIONS[:, 1].tolist()


@pytest.mark.parametrize("pooling", [False, True])
def test_all_passes_of_a_layer_at_once(pooling: bool) -> None:
    weights = RNG.integers(-8, 8, (12, 3, 1, 1))  # two groups
    network = (
        tlm.Network(ACTIVATIONS.shape, [tlm.MaxPool2d("p", 1)]) if pooling else convolution(weights, ACTIVATIONS.shape)
    )
    layer, drained = layer_payload(network), list[tuple[int, LayerDrainPayload]]()

    def take_over(payload: LayerDrainPayload) -> None:
        drained.append((bench.now, payload))
        payload.status = Response.OK

    bench = BlockBench(lambda parent: MacArray("mac_array", parent, CHIP), {"layer_drain": take_over})
    amem = view(amem_image(ACTIVATIONS, CHIP.lanes, layer.header.input_base_word, RNG))
    passes = LayerPassesPayload(16, PassTimes(4, 9, 40, 50, 12, 12, 0, 0))

    def body():  # type: ignore[no-untyped-def]
        yield from bench.to["layers"].b_transport(layer)
        patterns = np.array([[0b111]], np.uint64)
        if not pooling:
            wmem, patterns = weight_image(network.layers[0], CHIP.columns)
            yield from bench.to["weights"].b_transport(
                PassWeightsPayload(view(bytes(16) + wmem), 16 * 2 // CHIP.columns)
            )
        yield from bench.to["layer_vectors"].b_transport(LayerActivationsPayload(amem, patterns))
        yield from bench.at(4, "layer_passes", passes)

    bench.run(body())
    ((cycle, drain),) = drained
    flat = ACTIVATIONS.reshape(3, -1)
    assert (cycle, drain.of_passes) == (4, passes)
    assert drain.accumulators.tolist() == (flat if pooling else weights[:, :, 0, 0] @ flat).tolist()


@pytest.mark.parametrize("handover_cycle", [6, 13, 50])
def test_the_handover_is_when_it_was_worked_out(handover_cycle: int) -> None:
    network = convolution(np.ones((8, 3, 1, 1), np.int8), ACTIVATIONS.shape)
    assert play(network, 0, handover_cycle)[:2] == (handover_cycle, handover_cycle)
