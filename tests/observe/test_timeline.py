"""The timeline of a run: the same figures as elsewhere in the result, at their moments."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from waves import CHIP, small_network

import tlm
from tlm.results.result_json import result_json


@pytest.fixture(scope="module", params=["pass", "cycle"])
def result(request: pytest.FixtureRequest) -> tlm.Result:
    network, activations = small_network()
    return tlm.simulate(network, activations, CHIP, fidelity=request.param)


def test_parts_are_the_layers(result: tlm.Result) -> None:
    for name, layer in result.layers.items():
        own = [part for part in result.timeline.parts if part.layer == name]
        assert len(own) == layer.parts
        assert (own[0].first_cycle, own[-1].last_cycle) == (layer.start_cycle, layer.end_cycle)
        assert sum(part.last_cycle - part.first_cycle + 1 for part in own) == layer.compute_cycles


def test_transfers_carry_all_bytes(result: tlm.Result) -> None:
    layer_of = {part.tag: part.layer for part in result.timeline.parts}
    moved: dict[str, Counter[str]] = {"load": Counter(), "store": Counter()}
    for transfer in result.timeline.transfers:
        assert sum(transfer.part_bytes.values()) == transfer.moved_bytes > 0
        for tag, count in transfer.part_bytes.items():
            moved[transfer.channel][layer_of[tag]] += count
    assert moved["load"].total() == result.traffic.load_bytes
    assert moved["store"].total() == result.traffic.store_bytes
    for name, layer in result.layers.items():
        assert (moved["load"][name], moved["store"][name]) == (layer.load_bytes, layer.store_bytes)


def test_spans_of_a_channel_are_when_it_was_not_idle(result: tlm.Result) -> None:
    for channel, account in result.account.dma.items():
        spans = [one for one in result.timeline.transfers if one.channel == channel]
        assert [one.index for one in spans] == list(range(len(spans)))
        assert sum(one.last_cycle - one.first_cycle + 1 for one in spans) == result.cycles - account.idle


def test_the_host_is_seen_all_the_time(result: tlm.Result) -> None:
    edges = [(span.first_cycle, span.last_cycle) for span in result.timeline.host]
    assert [first for first, _ in edges] == [0, *(last + 1 for _, last in edges[:-1])]
    assert edges[-1][1] == result.cycles - 1
    assert {span.waits_for for span in result.timeline.host if span.state == "sleep"} == {"load", "store", "engine"}


def test_every_part_ran_in_a_program(result: tlm.Result) -> None:
    programs = [range(one.first_cycle, one.last_cycle + 1) for one in result.timeline.programs]
    for part in result.timeline.parts:
        assert any(part.first_cycle in one and part.last_cycle in one for one in programs)


def test_both_models_have_the_same_timeline() -> None:
    network, activations = small_network()
    records = [json.loads(result_json(tlm.simulate(network, activations, CHIP, fidelity=f))) for f in ("cycle", "pass")]
    assert records[0]["timeline"] == records[1]["timeline"]
    assert {name for one in records[0]["timeline"]["transfers"] for name in one["part_bytes"]} == {
        part["name"] for part in records[0]["timeline"]["parts"]
    }
