"""With DRAM, too, fidelity "pass" equals "cycle": values, every pass, cycles, and the commands that were issued."""

from __future__ import annotations

import io
from collections import Counter
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
from tlm.analysis.explain import explain
from tlm.analysis.what_if import changes
from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import PRESETS, DramConfig
from tlm.chip.kernels.dram import DramCommand, DramCounts
from tlm.core.errors import CompileError
from tlm.core.sockets import Phase
from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.networks.blocks import build_block
from tlm.networks.resnet18 import resnet18_block
from tlm.networks.seeded import seeded_activations
from tlm.observe.watched import Watched
from tlm.results.report import print_report
from tlm.results.result import Result
from tlm.results.result_json import load_result, result_json, result_record

QUICK = settings(max_examples=4, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=200, suppress_health_check=list(HealthCheck))
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
    moved = (counts.reads + counts.writes) * 32
    assert record["gb_per_s"] == pytest.approx(moved / result.time_us / 1000)
    assert record["peak_gb_per_s"] == 6.4
    assert record["active_clocks"] + record["precharged_clocks"] == record["clocks"]
    (tmp_path / "result.json").write_text(result_json(result))
    stored = load_result(tmp_path)
    assert stored.chip == chip
    lines = [line.split() for line in explain(stored, runs=False).text().splitlines()]
    total = counts.row_hits + counts.row_misses + counts.row_conflicts
    assert ["total", *map("{:,}".format, rows.values()), f"{counts.row_hits / total:.1%}"] in lines
    assert not {"memory_gb_per_s", "memory_latency_ns"} & {one.key for one in changes(chip)}
    console = Console(width=300, file=io.StringIO())
    print_report(result, console, "n", "", [])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"DRAM {counts.row_hits:,} row hits" in " ".join(text.split())
