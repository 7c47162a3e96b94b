"""Waveforms of passes: from the dump alone the figures of the result follow, the same in every fidelity."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chip_cases import NetworkCase, chips
from deep_networks import MEMORIES, SHARES, deep_networks, program_between
from examples import quick_of
from hypothesis import HealthCheck, given, settings
from layouts import WAVES_PIXELS, declared, read_layout
from msgspec import structs
from waves import CHIP, Waves, causes_from, layers_from, layers_of, small_network, stop_in

import tlm
from tlm.core.errors import DriverError, InputError
from tlm.scenario.loading import load_scenario
from tlm.traces.waves.signal_kinds import start_ps

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"


class Passes:
    """A run with a waveform of passes."""

    def __init__(self, network: Any, activations: Any, chip: tlm.ChipConfig, path: Path, fidelity: str) -> None:
        trace = tlm.TraceOptions(wave=path, level="pass")
        self.path = path
        self.result = tlm.simulate(network, activations, chip, fidelity=fidelity, trace=trace)
        self.waves = Waves(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Passes:
    return Passes(*small_network(), CHIP, tmp_path_factory.mktemp("small") / "run.vcd", "pass")


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Passes:
    job = load_scenario(SCENARIOS / "resnet18_3of9.toml").build()
    path = tmp_path_factory.mktemp("resnet18") / "run.vcd"
    return Passes(job.network, job.activations, job.chip, path, "pass")


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Passes:
    job = load_scenario(SCENARIOS / "resnet18_conv3_2_3of9.toml").build()
    return Passes(job.network, job.activations, job.chip, tmp_path_factory.mktemp("block") / "run.vcd", "pass")


@pytest.fixture(params=quick_of(["small", "block", "resnet18"], "small", "block"))
def passes(request: pytest.FixtureRequest) -> Passes:
    found: Passes = request.getfixturevalue(request.param)
    return found


def test_layers_recomputed_from_the_dump_alone(passes: Passes) -> None:
    assert layers_from(passes.waves) == layers_of(passes.result)


def test_totals_recomputed_from_the_dump_alone(passes: Passes) -> None:
    waves, result = passes.waves, passes.result
    assert waves.raw("host.irq_engine")
    last = max(waves.cycles(f"host.irq_{unit}")[-1] for unit in ("load", "store", "engine"))
    assert last + 1 == result.cycles
    assert waves.final("engine.mac_array.steps") == sum(layer.steps for layer in result.layers.values())
    moved = {channel: waves.final(f"dma.{channel}.bytes") for channel in ("load", "store")}
    assert moved == {"load": result.traffic.load_bytes, "store": result.traffic.store_bytes}
    refused = {
        "aligner": waves.final("engine.aligner.bank_conflict_cycles"),
        "write_back": waves.final("engine.requantiser.refused_writes"),
        "residual": waves.final("engine.requantiser.refused_residual_reads"),
    }
    assert refused == {who: result.bank_conflicts.get(who, 0) for who in refused}


def test_causes_recomputed_from_the_dump_alone(passes: Passes) -> None:
    found, account = causes_from(passes.waves, passes.result.cycles), passes.result.account
    # within a pass's fetches and within the last drain the dump does not say which cycles were lost
    fetching = sum(account.by_cause()[cause] for cause in ("computing", "bank_conflict", "instruction"))
    last_refused = sum(one[-1].refused_writes for one in _passes_of_parts(passes.result))
    expected = Counter(account.by_cause())
    expected["computing"], expected["bank_conflict"], expected["instruction"] = fetching, 0, 0
    expected["drain"] += last_refused
    expected["write_back"] -= last_refused
    assert +found == +expected


def _passes_of_parts(result: tlm.Result) -> list[list[Any]]:
    every = sorted((one for passes in result.passes.values() for one in passes), key=lambda one: one.first_cycle)
    return [
        [one for one in every if part.first_cycle <= one.first_cycle <= part.last_cycle]
        for part in result.timeline.parts
    ]


def test_the_integral_of_power_is_the_energy_and_of_utilisation_the_work(passes: Passes) -> None:
    waves, result = passes.waves, passes.result
    pj_per_mw_cycle = 1000 / result.chip.frequency_mhz
    core, off_chip = (
        waves.integral(f"power.{name}", result.cycles) * pj_per_mw_cycle for name in ("core_mw", "off_chip_mw")
    )
    assert core == pytest.approx(result.energy.total_pj, rel=1e-5)
    assert off_chip == pytest.approx(result.energy.off_chip_pj, rel=1e-5)
    changes = waves.raw("engine.mac_array.utilisation")
    assert all(0 <= value <= 1 for _, value in changes)
    work = waves.integral("engine.mac_array.utilisation", result.cycles) * result.chip.peak_macs_per_cycle
    assert work == pytest.approx(result.macs, rel=1e-4)


def test_a_part_without_a_step_has_its_energy_too(tmp_path: Path) -> None:
    network = tlm.Network((8, 4, 4), [tlm.Conv2d("nothing", np.zeros((8, 8, 1, 1), np.int8))])
    run = Passes(network, np.ones((8, 4, 4), np.int8), CHIP, tmp_path / "run.vcd", "pass")
    assert run.result.layers["nothing"].steps == 0
    core_pj = run.waves.integral("power.core_mw", run.result.cycles) * 1000 / run.result.chip.frequency_mhz
    assert core_pj == pytest.approx(run.result.energy.total_pj, rel=1e-5)


def test_both_models_write_the_same_bytes_and_every_time(tmp_path: Path) -> None:
    files = []
    for fidelity in ("cycle", "pass", "pass"):
        Passes(*small_network(), CHIP, tmp_path / "run.vcd", fidelity)
        files.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert files[0] == files[1] == files[2]
    assert sorted(files[0]) == ["run.gtkw", "run.labels.txt", "run.sucl", "run.vcd"]


def test_it_shows_what_a_waveform_of_every_cycle_shows(tmp_path: Path) -> None:
    coarse = Passes(*small_network(), CHIP, tmp_path / "pass.vcd", "pass")
    trace = tlm.TraceOptions(wave=tmp_path / "cycle.vcd", level="cycle")
    network, activations = small_network()
    tlm.simulate(network, activations, CHIP, trace=trace)
    fine, cycles = Waves(tmp_path / "cycle.vcd"), coarse.result.cycles
    scopes = fine.layer_scopes().values()
    assert list(scopes) == list(coarse.waves.layer_scopes().values())
    same = ["dma.load.busy", "dma.load.transfer", "dma.store.busy", "dma.store.transfer", "engine.requantiser.state"]
    same += ["dma.load.sram", "dma.store.sram", "host.state", "host.waits_for", "engine.mac_array.hold"]
    same += [f"{scope}.{key}" for scope in scopes for key in ("active", "passes", "steps", "load_bytes")]
    for name in same:
        assert coarse.waves.each_cycle(name)[:cycles] == fine.each_cycle(name)[:cycles], name
    for unit in ("load", "store", "engine"):
        assert coarse.waves.cycles(f"host.irq_{unit}") == fine.cycles(f"host.irq_{unit}")
    steps = [[s == "steps" for s in w.each_state("engine.sequencer.state")[:cycles]] for w in (coarse.waves, fine)]
    assert steps[0] == steps[1]
    for key in ("pass", "group", "tile"):
        shown = [w.each_cycle(f"engine.sequencer.{key}") for w in (coarse.waves, fine)]
        assert all(a == b for a, b, stepping in zip(*shown, steps[0], strict=False) if stepping)


def test_tracing_changes_no_cycle_and_no_output(small: Passes) -> None:
    network, activations = small_network()
    plain = tlm.simulate(network, activations, CHIP)
    assert plain.layers == small.result.layers
    assert (plain.cycles, plain.account, plain.energy) == (
        small.result.cycles, small.result.account, small.result.energy
    )  # fmt: skip
    for name, tensor in plain.tensors.items():
        np.testing.assert_array_equal(tensor, small.result.tensors[name])


@pytest.mark.slow
def test_the_size_of_a_whole_network_is_bounded(resnet18: Passes) -> None:
    assert resnet18.path.stat().st_size < 20_000_000


# -- the layout -------------------------------------------------------------------------------------------------------


def test_every_name_of_the_layout_is_in_the_dump(passes: Passes) -> None:
    layout = read_layout(passes.path.with_suffix(".gtkw"))
    names = [line.signal for line in layout.lines]
    assert set(names) <= declared(passes.path)
    assert len(set(names)) == len(names)
    shown = {name.partition(".")[0] for name in names}
    assert shown == {"clock", "host", "dma", "engine", "layers", "power"}
    assert layout.dump == passes.path.name
    assert layout.label_files == {"run.labels.txt"}


@pytest.mark.parametrize("name", ["block", "resnet18"])
def test_the_first_view_shows_the_whole_longest_wait(name: str, request: pytest.FixtureRequest) -> None:
    run: Passes = request.getfixturevalue(name)
    parts, khz = run.result.timeline.parts, run.result.chip.clock_khz
    before, after = max(pairwise(parts), key=lambda pair: pair[1].first_cycle - pair[0].last_cycle)
    layout = read_layout(run.path.with_suffix(".gtkw"))
    begins_ps, ends_ps = start_ps(before.last_cycle, khz), start_ps(after.first_cycle, khz)
    end_ps = layout.start_ps + WAVES_PIXELS * layout.ps_per_pixel
    margin_ps = 0.1 * (ends_ps - begins_ps)
    assert layout.start_ps < begins_ps - margin_ps < ends_ps + margin_ps < end_ps


def test_markers_stand_where_parts_begin(passes: Passes) -> None:
    layout, chip = read_layout(passes.path.with_suffix(".gtkw")), passes.result.chip
    parts = passes.result.timeline.parts
    if len(parts) > 26:  # A to Z: where layers begin, then
        parts = tuple({part.layer: part for part in reversed(parts)}.values())[::-1]
        parts = tuple(structs.replace(part, name=part.layer) for part in parts)
    assert list(layout.markers_ps) == [start_ps(part.first_cycle, chip.clock_khz) for part in parts]
    assert layout.marker_names == tuple(part.name for part in parts)


def test_label_file_and_legend_say_the_same(small: Passes) -> None:
    lines = small.path.with_suffix(".labels.txt").read_text().splitlines()
    table = {int(line.split()[0], 16): line.rpartition("?")[2] for line in lines}
    assert table == small.waves.legend


# -- ends -------------------------------------------------------------------------------------------------------------


def test_a_failing_run_leaves_what_happened_before(tmp_path: Path) -> None:
    network, activations = small_network()
    whole = tlm.simulate(network, activations, CHIP)
    at = whole.layers["res"].start_cycle + 50
    faults = [tlm.BitFlip(tlm.FaultTarget.IMEM, word, 63, cycle=at) for word in range(CHIP.imem_words)]
    path = tmp_path / "failed.vcd"
    with pytest.raises(tlm.TlmError):
        tlm.simulate(network, activations, CHIP, None, tlm.TraceOptions(wave=path, level="pass"), faults)
    waves = Waves(path)
    found = {name: waves.final(f"{scope}.passes") for name, scope in waves.layer_scopes().items()}
    assert found["pw1"] == layers_of(whole)["pw1"]["passes"]
    assert waves.last_cycle < whole.cycles
    assert found["res"] < whole.layers["res"].passes
    last = {name: waves.states(name)[-1][1] for name in ("engine.cause", "engine.activity")}
    assert last == dict.fromkeys(last, "-")  # what the array did in the part in which it failed is not known
    assert {line.signal for line in read_layout(path.with_suffix(".gtkw")).lines} <= declared(path)


def test_a_transfer_that_had_not_ended_goes_on_to_the_end_of_the_dump(tmp_path: Path) -> None:
    network, activations = small_network()
    faults = [tlm.BitFlip(tlm.FaultTarget.IMEM, word, 63, cycle=2_300) for word in range(CHIP.imem_words)]
    path = tmp_path / "failed.vcd"
    slow = replace(CHIP, memory_latency_ns=600.0)
    with pytest.raises(tlm.TlmError):
        tlm.simulate(network, activations, slow, trace=tlm.TraceOptions(wave=path), faults=faults)
    waves = Waves(path)
    begun = [cycle for cycle, busy in waves.changes("dma.load.busy") if busy]
    assert len(begun) == len(waves.cycles("host.irq_load")) + 1
    assert (waves.final("dma.load.busy"), waves.final("dma.load.transfer")) == (1, "res")


@pytest.mark.parametrize("cycle", [541, 691])
def test_the_first_view_of_a_run_that_fails_before_its_first_pass(tmp_path: Path, cycle: int) -> None:
    network, activations = small_network()
    faults = [tlm.BitFlip(tlm.FaultTarget.IMEM, word, 63, cycle) for word in range(CHIP.imem_words)]
    path = tmp_path / "failed.vcd"
    with pytest.raises(tlm.TlmError):
        tlm.simulate(network, activations, CHIP, trace=tlm.TraceOptions(wave=path), faults=faults)
    layout, waves = read_layout(path.with_suffix(".gtkw")), Waves(path)
    assert waves.final(f"{next(iter(waves.layer_scopes().values()))}.passes") == 0
    end_ps = max(int(line[1:]) for line in path.read_text().splitlines() if line.startswith("#"))
    assert layout.start_ps < end_ps


@pytest.mark.parametrize("fidelity", ["pass", "cycle"])
@pytest.mark.parametrize("offset", [-3, -1, 0, 1, 4])
def test_an_interrupted_run_shows_the_write_backs_until_then(
    small: Passes, tmp_path: Path, fidelity: str, offset: int
) -> None:
    """Around a handover, when the pass is on the engine, waits, or is being written."""
    network, activations = small_network()
    stop, path = small.result.passes["res"][3].handover_cycle + offset, tmp_path / "stopped.vcd"
    trace = tlm.TraceOptions(wave=path, level="pass")
    stop_in(tlm.compile(network, CHIP), activations, stop, trace, fidelity)
    waves = Waves(path)
    for name in ("engine.requantiser.busy", "engine.requantiser.pass"):
        assert waves.each_cycle(name)[:stop] == small.waves.each_cycle(name)[:stop], name


def test_fst_is_the_same_waveform(small: Passes, tmp_path: Path) -> None:
    if shutil.which("vcd2fst") is None:
        pytest.skip("not installed: vcd2fst (Debian: gtkwave)")
    path = tmp_path / "run.fst"
    network, activations = small_network()
    contents = []
    for _ in range(2):
        tlm.simulate(network, activations, CHIP, trace=tlm.TraceOptions(wave=path))
        contents.append(path.read_bytes())
        time.sleep(1.1)  # a date in it would be another one
    assert contents[0] == contents[1]
    waves = Waves(path)
    assert waves.names == small.waves.names
    for name in ("engine.sequencer.pass", "engine.sequencer.layer", "engine.cause", "power.core_mw", "host.irq_load"):
        assert waves.raw(name) == small.waves.raw(name), name
    assert sorted(one.name for one in tmp_path.iterdir()) == ["run.fst", "run.gtkw", "run.labels.txt", "run.sucl"]


def test_fst_without_its_converter_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    network, activations = small_network()
    with pytest.raises(InputError, match=r"run\.fst needs the program vcd2fst, which is not installed .* give a \.vcd"):
        tlm.simulate(network, activations, CHIP, trace=tlm.TraceOptions(wave=tmp_path / "run.fst"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("level", ["pass", "cycle"])
def test_a_converter_that_fails_leaves_the_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    program = tmp_path / "bin" / "vcd2fst"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no room >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    network, activations = small_network()
    trace = tlm.TraceOptions(wave=tmp_path / "run.fst", level=level)
    said = r"run\.fst was not made: vcd2fst ended with exit code 3 \(no room\); the waveform is in run\.vcd"
    with pytest.raises(InputError, match=said):
        tlm.simulate(network, activations, CHIP, trace=trace)
    assert Waves(tmp_path / "run.vcd").last_cycle > 0
    (tmp_path / "run.vcd").unlink()
    faults = [tlm.BitFlip(tlm.FaultTarget.IMEM, word, 63, cycle=1500) for word in range(CHIP.imem_words)]
    with pytest.raises(DriverError):  # not what the converter says
        tlm.simulate(network, activations, CHIP, trace=trace, faults=faults)
    assert (tmp_path / "run.vcd").exists()


# -- any network ------------------------------------------------------------------------------------------------------


def check_both_levels(case: NetworkCase, chip: tlm.ChipConfig, share: float, directory: Path) -> None:
    """Small memories, so that layers are split and spilled; both levels give the figures of the result."""
    program = program_between(case, chip, share)[1]
    paths = {level: directory / f"{level}.vcd" for level in ("pass", "cycle")}
    for level, path in paths.items():
        result = tlm.simulate(program, case.activations, trace=tlm.TraceOptions(wave=path, level=level))
    for path in paths.values():
        assert layers_from(Waves(path)) == layers_of(result)
        layout = read_layout(path.with_suffix(".gtkw"))
        assert {line.signal for line in layout.lines} <= declared(path)
    assert +causes_from(Waves(paths["cycle"]), result.cycles) == +Counter(result.account.by_cause())


@given(case=deep_networks(max_side=12), chip=chips(**MEMORIES), share=SHARES)
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
def test_any_network(case: NetworkCase, chip: tlm.ChipConfig, share: float, tmp_path_factory: Any) -> None:
    check_both_levels(case, chip, share, tmp_path_factory.mktemp("any"))


@pytest.mark.slow
@given(case=deep_networks(max_side=16), chip=chips(**MEMORIES), share=SHARES)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_any_network_at_length(case: NetworkCase, chip: tlm.ChipConfig, share: float, tmp_path_factory: Any) -> None:
    check_both_levels(case, chip, share, tmp_path_factory.mktemp("any"))
