"""The requantiser of fidelity "pass" alone: a pass's words in one write, in the cycle of its last one."""

from __future__ import annotations

import numpy as np
import pytest
from block_bench import CHIP, BlockBench, convolution, layer_payload, of_pass
from images import nibbles, word
from oracles import requantised

import tlm
from tlm.chip import kernels
from tlm.chip.contract import EngineEvents, PassId, PassTimes
from tlm.chip.format.isa import ParameterArrays
from tlm.chip.passes.payloads import (
    BulkPayload,
    GroupParametersPayload,
    LayerDrainPayload,
    LayerPassesPayload,
    TimedPassPayload,
)
from tlm.chip.passes.requantiser import Requantiser
from tlm.chip.payloads import DrainPayload, FlushPayload, Work
from tlm.core.errors import ProtocolError
from tlm.core.payload import Origin, Response

RNG = np.random.default_rng(11)
ACCUMULATORS = RNG.integers(-4000, 4000, (8, 8))
PARAMETERS = ParameterArrays(RNG.integers(-99, 99, 8), RNG.integers(1, 99, 8), np.full(8, 14))
PLAIN = convolution(np.ones((8, 4, 1, 1), np.int8), (4, 4, 4), multiplier=3)
RESIDUAL = tlm.Network(
    (8, 4, 4),
    [tlm.Conv2d("r", np.ones((8, 8, 1, 1), np.int8), multiplier=3, residual="input", residual_multiplier=300)],
)
RESIDUAL_WORDS = [RNG.integers(0, 16, 8).tolist() for _ in range(8)]


class Bench(BlockBench):
    def __init__(self, network: tlm.Network = PLAIN) -> None:
        self.layer, self.events = layer_payload(network), EngineEvents()
        self.ended: list[tuple[int, PassId]] = []
        self.events.pass_written.listen(lambda which: self.ended.append((self.now, which)))
        make = lambda parent: Requantiser("requantiser", parent, CHIP, self.events)  # noqa: E731
        super().__init__(make, {"residuals": self._read})

    def _read(self, payload: BulkPayload) -> None:
        payload.data[:] = b"".join(payload.row_words * word(values) for values in RESIDUAL_WORDS)  # type: ignore[index]
        payload.status = Response.OK

    def hand_over(self, cycle: int, last_write_cycle: int, tile: int = 0):  # type: ignore[no-untyped-def]
        accumulators = kernels.new_accumulators(8, 8)
        accumulators[0:64] = ACCUMULATORS.ravel().tolist()
        times = PassTimes(0, 1, cycle, last_write_cycle, 1, 1, 3, 2)
        of = TimedPassPayload(0, tile, 0, 8, 8, times, origin=of_pass(tile=tile, tiles=2))
        yield from self.at(cycle, "passes", DrainPayload(accumulators, of, origin=of.origin))

    def configured(self):  # type: ignore[no-untyped-def]
        yield from self.to["layers"].b_transport(self.layer)
        yield from self.to["parameters"].b_transport(GroupParametersPayload(PARAMETERS))


def expected(channel: int, residual: bool) -> list[int]:
    keys = [int(values[channel]) for values in (PARAMETERS.bias, PARAMETERS.multiplier, PARAMETERS.shift)]
    added = [300 * value if residual else 0 for value in RESIDUAL_WORDS[channel]]
    pairs = zip(ACCUMULATORS[channel], added, strict=True)
    return [requantised(int(acc), *keys, (0, 15), more) for acc, more in pairs]


@pytest.mark.parametrize("network", [PLAIN, RESIDUAL], ids=["plain", "residual"])
def test_the_words_of_a_pass_are_one_write(network: tlm.Network) -> None:
    bench = Bench(network)
    flushed: list[int] = []

    def body():  # type: ignore[no-untyped-def]
        yield from bench.configured()
        yield from bench.hand_over(5, 16, tile=1)
        yield from bench.at(8, "flushes", FlushPayload(), flushed)

    bench.run(body(), cycles=1)
    ((cycle, write),) = bench.sent["writes"]
    header = bench.layer.header
    assert (cycle, write.address, write.stride_words) == (16, header.output_base_word + 1, 2)  # two tiles a channel
    values = np.reshape(nibbles(bytes(write.data), False), (8, 8)).tolist()
    assert values == [expected(channel, network is RESIDUAL) for channel in range(8)]
    assert write.refused == 3
    assert flushed == [17]
    assert bench.ended == [(16, PassId(0, 1))]
    if network is RESIDUAL:
        ((cycle, read),) = bench.sent["residuals"]
        assert (cycle, read.address, read.stride_words, read.refused) == (5, header.residual_base_word + 1, 2, 2)


@pytest.mark.parametrize("network", [PLAIN, RESIDUAL], ids=["plain", "residual"])
def test_the_words_of_a_layer_are_one_write(network: tlm.Network) -> None:
    """Two tiles: the second has the accumulators and, where there is one, the residual of the first."""
    bench = Bench(network)
    passes = LayerPassesPayload(16, PassTimes(5, 9, 12, 40, 2, 2, 3, 4), origin=Origin(Work.LAYER, 0))
    accumulators = np.tile(ACCUMULATORS, 2).astype(np.int32)

    def body():  # type: ignore[no-untyped-def]
        yield from bench.configured()
        yield from bench.at(5, "layer_passes", LayerDrainPayload(accumulators, passes))

    bench.run(body(), cycles=41)
    ((cycle, write),) = bench.sent["writes"]
    header = bench.layer.header
    place = write.address, write.stride_words, write.row_words
    assert (cycle, *place) == (40, header.output_base_word, 2, 2)
    values = np.reshape(nibbles(bytes(write.data), False), (8, 16)).tolist()
    assert values == [2 * expected(channel, network is RESIDUAL) for channel in range(8)]
    assert (write.refused, bench.ended) == (3, [])
    if network is RESIDUAL:
        ((cycle, read),) = bench.sent["residuals"]
        place = read.address, read.stride_words, read.row_words
        assert (cycle, *place, read.refused) == (5, header.residual_base_word, 2, 2, 4)


def test_a_handover_before_the_last_write_is_a_fault_of_the_model() -> None:
    bench = Bench()

    def body():  # type: ignore[no-untyped-def]
        yield from bench.configured()
        yield from bench.hand_over(5, 16)
        yield from bench.hand_over(9, 20)

    with pytest.raises(ProtocolError, match="a pass was handed over in cycle 9 before the last write"):
        bench.run(body())
