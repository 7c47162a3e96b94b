"""With DRAM, too, fidelity "pass" equals "cycle": values, every pass, cycles, and the commands that were issued."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chip_cases import NetworkCase, chips, networks
from dram_cases import with_dram
from fidelities import assert_equal
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rich.console import Console

import tlm
from tlm.analysis.explain import bound_of, explain
from tlm.analysis.what_if import changes
from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import PRESETS, DramConfig
from tlm.chip.kernels.dram import DramCommand, DramCounts
from tlm.core.errors import CompileError, InputError
from tlm.core.sockets import Phase
from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.networks.blocks import build_block
from tlm.networks.resnet18 import resnet18_block
from tlm.networks.seeded import seeded_activations
from tlm.observe.watched import Watched
from tlm.plots.moments import layer_moments
from tlm.plots.sources import Source
from tlm.results.report import print_report
from tlm.results.result import Result
from tlm.results.result_json import load_result, result_json, result_record

QUICK = settings(max_examples=4, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=80, suppress_health_check=list(HealthCheck))
ACT, PRE, RD, WR, REF = DramCommand
ONES = np.ones((40, 40, 1, 1), np.int8)


class Seen:
    """Counts at the end of a run, and the commands that its observers saw."""

    def __init__(self) -> None:
        self.commands: Counter[DramCommand] = Counter()

    def __call__(self, watched: Watched) -> None:
        self._system = watched.system
        socket = watched.system.memory.parts.get("commands")
        if socket is not None:
            socket.observe(lambda phase, _, payload: self._see(phase, payload))  # type: ignore[attr-defined]

    def _see(self, phase: Phase, payload: object) -> None:
        if phase is Phase.END_RESP:
            self.commands[payload.command.kind] += 1  # type: ignore[attr-defined]

    def counts(self, result: Result) -> DramCounts:
        assert self._system.dram is not None
        return self._system.dram.counts(result.cycles)


def check(case: NetworkCase, chip: ChipConfig) -> None:
    try:
        program = tlm.compile(case.network, chip)
    except CompileError:
        assume(False)
    clear_seen, fast_seen = Seen(), Seen()
    clear = tlm.simulate(program, case.activations, fidelity="cycle", observers=[clear_seen])
    fast = tlm.simulate(program, case.activations, fidelity="pass", observers=[fast_seen])
    assert_equal(clear, fast)
    assert program.predicted_total_cycles == fast.cycles
    counts = clear_seen.counts(clear)
    assert counts == fast_seen.counts(fast)
    assert (clear_seen.commands[RD], clear_seen.commands[WR]) == (counts.reads, counts.writes)
    assert counts.row_hits + counts.row_misses + counts.row_conflicts == counts.reads + counts.writes
    assert counts.reads * chip.dram.access_bytes >= clear.traffic.load_bytes
    assert counts.writes * chip.dram.access_bytes >= clear.traffic.store_bytes
    assert sum(clear.account.by_cause().values()) == clear.cycles


@given(data=st.data(), case=networks(), chip=chips())
@QUICK
def test_generated_networks(data: st.DataObject, case: NetworkCase, chip: ChipConfig) -> None:
    check(case, data.draw(with_dram(chip)))


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
@given(data=st.data(), case=networks(), chip=chips())
@MANY
def test_many_generated_networks(data: st.DataObject, case: NetworkCase, chip: ChipConfig, preset: str) -> None:
    check(case, data.draw(with_dram(chip, preset)))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("policy", ["open", "closed"])
def test_the_compiler_predicts_the_main_job(preset: Any, policy: Any) -> None:
    block = resnet18_block("conv3_2", 3)
    values = seeded_activations(block.input_shape, 0, signed=False)
    network = build_block(block, values, seed=0, signed_input=False)
    chip = ChipConfig(memory_model="dram", dram=DramConfig(preset, page_policy=policy))
    result = tlm.simulate(network, values, chip)
    assert result.predicted_cycles == result.cycles


def test_a_layer_takes_longer_where_rows_conflict() -> None:
    """Its weights are consecutive bytes: with banks of two columns' bursts, every few accesses want another row."""
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 8, (96, 40, 3, 3)).astype(np.int8)
    network = Network((40, 9, 9), [Conv2d("c", weights, multiplier=300, shift=14, padding=(1, 1))])
    values = rng.integers(0, 16, (40, 9, 9))
    cycles = {}
    for columns in (16, 1024):
        dram = DramConfig(columns=columns, banks=1, address_order="bank_row_column", rows=1 << 18)
        chip = ChipConfig(memory_model="dram", dram=dram, wmem_words=1024, memory_bytes=1 << 20)
        cycles[columns] = tlm.simulate(network, values, chip).cycles
    assert cycles[16] > 1.5 * cycles[1024]


def test_a_result_says_what_the_dram_did(tmp_path: Path) -> None:
    network = Network((40, 9, 9), [Conv2d(name, ONES, multiplier=300, shift=14) for name in ("a", "b")])
    values = np.ones((40, 9, 9), np.int8)
    chip = ChipConfig(memory_model="dram")
    seen = Seen()
    result = tlm.simulate(network, values, chip, "cycle", observers=[seen])
    record = result_record(result)["dram"]
    counts = seen.counts(result)
    assert record["commands"]["activate"] == counts.activates == seen.commands[ACT]
    assert record["commands"]["precharge"] == counts.precharges
    rows = {"hits": counts.row_hits, "misses": counts.row_misses, "conflicts": counts.row_conflicts}
    assert record["rows"] == rows
    layers = record["layer_rows"].values()
    assert {key: sum(one[key] for one in layers) for key in rows} == rows  # no bytes belong to no layer
    assert all(sum(one.values()) for one in layers)
    tensors = record["tensors"]
    assert {key: sum(one["rows"][key] for one in tensors) for key in rows} == rows
    bytes_of = {(one["layer"], one["channel"], one["tensor"]): one["moved_bytes"] for one in tensors}
    assert bytes_of == {
        ("b", "load", "instructions"): sum(one.instruction_load_bytes for one in result.layers.values()),
        ("a", "load", "weights"): result.layers["a"].weight_load_bytes,
        ("a", "load", "input"): result.layers["a"].activation_load_bytes,
        ("b", "store", "b"): result.traffic.store_bytes,
    }
    for one in tensors:
        time_us = chip.time_us(one["transfer_cycles"])
        assert one["gb_per_s"] == pytest.approx(one["moved_bytes"] / time_us / 1000)
        assert 0 < one["gb_per_s"] < chip.bus_bytes * chip.frequency_mhz / 1000
    assert sum(one["transfer_cycles"] for one in tensors) == sum(
        sum(channel.by_cause().values()) - channel.idle for channel in result.account.dma.values()
    )
    moved = (counts.reads + counts.writes) * 32
    assert record["gb_per_s"] == pytest.approx(moved / result.time_us / 1000)
    assert record["peak_gb_per_s"] == 6.4
    assert record["active_clocks"] + record["precharged_clocks"] == record["clocks"]
    (tmp_path / "result.json").write_text(result_json(result))
    stored = load_result(tmp_path)
    assert stored.chip == chip
    for key in ("rows", "layer_rows/a", "tensors/0/rows"):
        assert_refused(result_json(result), f"dram/{key}/misses", -1, tmp_path)
    lines = [line.split() for line in explain(stored, runs=False).text().splitlines()]
    total = counts.row_hits + counts.row_misses + counts.row_conflicts
    assert ["total", *map("{:,}".format, rows.values()), f"{counts.row_hits / total:.1%}"] in lines
    tried = changes(chip)
    assert not {"memory_gb_per_s", "memory_latency_ns"} & {one.key for one in tried}
    of_dram = {one.text(chip): one.applied(chip).dram for one in tried if one.key.startswith("dram.")}
    assert of_dram["page open -> closed"] == DramConfig(page_policy="closed")
    assert of_dram["address row_bank_column -> bank_row_column"] == DramConfig(address_order="bank_row_column")
    assert len(of_dram) == 6
    assert not [one for one in changes(ChipConfig()) if "dram" in one.key]
    console = Console(width=300, file=io.StringIO())
    print_report(result, console, "n", "", [])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"DRAM rows: hits {counts.row_hits:,}," in " ".join(text.split())


def assert_refused(text: str, key: str, value: int, directory: Path) -> None:
    """A result in which one figure was replaced is no result."""
    record = json.loads(text)
    *path, last = key.split("/")
    place = record
    for name in path:
        place = place[int(name) if isinstance(place, list) else name]
    assert last in place
    place[last] = value
    (directory / "result.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=rf"Expected `int` >= 0 - at `\$\.{path[0]}\..*{last}`"):
        load_result(directory)


def cycles_of(spans: Iterable[dict[str, Any]]) -> set[int]:
    return {cycle for one in spans for cycle in range(one["first_cycle"], one["last_cycle"] + 1)}


@pytest.mark.parametrize("fidelity", ["pass", "cycle"])
def test_the_account_says_what_refreshes_and_rows_cost(fidelity: str, tmp_path: Path) -> None:
    """Each cycle of them is one that the timeline names, in which the host slept for a transfer and no program ran."""
    network = Network((40, 9, 9), [Conv2d(name, ONES, multiplier=300, shift=14) for name in ("a", "b")])
    dram = DramConfig(trefi_clocks=400, address_order="bank_column_row")
    result = tlm.simulate(network, np.ones((40, 9, 9), np.int8), ChipConfig(memory_model="dram", dram=dram), fidelity)
    causes, (loads, stores) = result.account.by_cause(), (result.account.dma[name] for name in ("load", "store"))
    record = result_record(result)
    timeline, lost = record["timeline"], Counter[str]()
    asleep = cycles_of(one for one in timeline["host"] if one["state"] == "sleep" and one["waits_for"] != "engine")
    for wait in timeline["dram_waits"]:
        assert asleep >= cycles_of([wait])
        lost[wait["cause"]] += len(cycles_of([wait]) - cycles_of(timeline["programs"]))
    assert lost == {cause: causes[cause] for cause in ("refresh", "row")}
    assert min(lost.values()) > 100
    assert lost.total() <= loads.memory + stores.memory  # nothing was moved then
    (tmp_path / "result.json").write_text(result_json(result))
    stored = load_result(tmp_path)
    assert Counter(one.what for one in layer_moments(Source(tmp_path, stored)).waits).keys() >= lost.keys()
    assert bound_of(stored.layers[0]).group == "DRAM"


def test_without_dram_nothing_speaks_of_it() -> None:
    network = Network((40, 9, 9), [Conv2d("a", ONES, multiplier=300, shift=14)])
    result = tlm.simulate(network, np.ones((40, 9, 9), np.int8))
    text = result_json(result)
    assert not {"refresh", "row"} & result.account.by_cause().keys()
    assert not [key for key in ('"refresh"', '"row"', '"dram_waits"') if key in text]
