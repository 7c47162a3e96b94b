"""Traces for DRAM simulators: what is in them, read by parsers of their own, in every fidelity."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chip_cases import NetworkCase, networks
from command import SMALL
from dram_reader import dramsim3, expected, ramulator2
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from traced_runs import stalling_network
from waves import CHIP, small_network

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import DramConfig, Preset
from tlm.chip.fidelity import Fidelity
from tlm.chip.system import System
from tlm.cli import main
from tlm.compiler.program import Program
from tlm.core.errors import CompileError, InputError
from tlm.traces.dram_trace import dram_cycle, dram_trace

BURSTS = (8, 16, 64)


@cache
def program_of(kind: str) -> tuple[Program, Any]:
    """A program with transfers of every kind: 2-D rows, rows that begin and end within bursts, several stores."""
    network, activations = small_network() if kind == "small" else stalling_network()
    return tlm.compile(network, CHIP if kind == "small" else ChipConfig()), activations


def traced(path: Path, fidelity: str, kind: str = "small", **keys: Any) -> tuple[Program, tlm.Result]:
    program, activations = program_of(kind)
    return program, tlm.simulate(program, activations, fidelity=fidelity, trace=tlm.TraceOptions(dram=path, **keys))


@pytest.mark.parametrize("kind", ["small", "stalling"])
@pytest.mark.parametrize(("dram_format", "burst_bytes"), [("dramsim3", None), ("dramsim3", 8), ("ramulator2", 16)])
def test_pass_and_cycle_write_the_same_bytes(
    tmp_path: Path, kind: str, dram_format: str, burst_bytes: int | None
) -> None:
    for fidelity in ("pass", "cycle"):
        traced(tmp_path / fidelity, fidelity, kind, dram_format=dram_format, dram_burst_bytes=burst_bytes)
    assert (tmp_path / "pass").read_bytes() == (tmp_path / "cycle").read_bytes()


@pytest.mark.parametrize("preset", ["lpddr3_1600_x32", "lpddr4_3200_x16", "ddr3l_1600_x16"])
def test_requests_to_dram_are_its_reads_and_writes(tmp_path: Path, preset: Preset) -> None:
    """By default a request is one of the DRAM's bursts, and each of them is one RD or WR of the model."""
    network, activations = small_network()
    program = tlm.compile(network, replace(CHIP, memory_model="dram", dram=DramConfig(preset=preset)))
    systems: list[System] = []
    for fidelity in ("pass", "cycle"):
        options = tlm.TraceOptions(dram=tmp_path / fidelity)
        tlm.simulate(
            program, activations, fidelity=fidelity, trace=options, observers=[lambda run: systems.append(run.system)]
        )
    assert (tmp_path / "pass").read_bytes() == (tmp_path / "cycle").read_bytes()
    lines = dramsim3(tmp_path / "pass")
    assert Counter((line.address, line.is_write) for line in lines) == expected(
        program, program.config.dram.access_bytes
    )
    for system in systems:
        assert system.dram is not None
        counts = system.dram.counts(system.simulation.clock.now + 1)
        assert (counts.reads, counts.writes) == tuple(
            sum(one.is_write is kind for one in lines) for kind in (False, True)
        )


@given(case=networks(), bus_bytes=st.sampled_from((4, 8, 32)), burst_bytes=st.sampled_from((32, 128)))
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_generated_networks(
    case: NetworkCase, bus_bytes: int, burst_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("traces")
    try:
        program = tlm.compile(case.network, replace(CHIP, bus_bytes=bus_bytes, burst_bytes=burst_bytes))
    except CompileError:
        assume(False)
    for fidelity in ("pass", "cycle"):
        options = tlm.TraceOptions(dram=directory / fidelity, dram_burst_bytes=32)
        tlm.simulate(program, case.activations, fidelity=fidelity, trace=options)
    assert (directory / "pass").read_bytes() == (directory / "cycle").read_bytes()
    lines = dramsim3(directory / "pass")
    assert Counter((line.address, line.is_write) for line in lines) == expected(program, 32)


@pytest.mark.parametrize("kind", ["small", "stalling"])
@pytest.mark.parametrize("burst_bytes", BURSTS)
def test_requests_are_those_of_the_programs_transfers(tmp_path: Path, kind: str, burst_bytes: int) -> None:
    program, _ = traced(tmp_path / "t", "pass", kind, dram_burst_bytes=burst_bytes)
    lines = dramsim3(tmp_path / "t")
    assert Counter((line.address, line.is_write) for line in lines) == expected(program, burst_bytes)
    traced(tmp_path / "r", "pass", kind, dram_burst_bytes=burst_bytes, dram_format="ramulator2")
    assert ramulator2(tmp_path / "r") == [line._replace(cycle=-1) for line in lines]


def test_requests_of_a_bus_beat_move_the_results_bytes(tmp_path: Path) -> None:
    _, result = traced(tmp_path / "t", "pass", "stalling", dram_burst_bytes=8)  # words of 8 and 16 bytes
    lines = dramsim3(tmp_path / "t")
    moved = {is_write: 8 * sum(line.is_write == is_write for line in lines) for is_write in (False, True)}
    assert moved == {False: result.traffic.load_bytes, True: result.traffic.store_bytes}


@pytest.mark.parametrize("fidelity", ["pass", "cycle"])
def test_addresses_lie_in_the_programs_regions_and_times_never_decrease(tmp_path: Path, fidelity: str) -> None:
    program, result = traced(tmp_path / "t", fidelity)
    lines = dramsim3(tmp_path / "t")
    regions = [(chunk.offset_bytes, len(chunk.data)) for chunk in program.chunks]
    tensors = [(tensor.offset_bytes, tensor.size_bytes) for tensor in program.tensors.values()]
    for line in lines:
        end = line.address + program.config.burst_bytes
        inside = tensors if line.is_write else regions + tensors
        assert any(first < end and line.address < first + size for first, size in inside), line
        assert line.address % program.config.burst_bytes == 0
    assert all(a.cycle <= b.cycle for a, b in pairwise(lines))
    assert lines[-1].cycle <= dram_cycle(result.cycles, program.config, None)


def test_the_documented_journey_arrives_when_it_says(tmp_path: Path) -> None:
    """docs/architecture.md: the first beat of AMem data reaches the memory in core cycle 446, at 534 MHz."""
    weights = np.zeros((2, 2, 1, 3), np.int8)
    weights[:, 0, 0, 0], weights[:, 0, 0, 1], weights[:, 1, 0, 0] = (1, 2), (3, -1), (2, 1)
    layer = tlm.Conv2d("tiny", weights, padding=(0, 1), shift=2)
    options = tlm.TraceOptions(dram=tmp_path / "t", dram_clock_mhz=534)
    tlm.simulate(tlm.Network((2, 1, 32), [layer]), np.ones((2, 1, 32), np.int8), trace=options)
    cycles = {line.address: line.cycle for line in dramsim3(tmp_path / "t")}
    assert cycles[0x200] == 446
    assert cycles[0x300] == 767


@pytest.mark.parametrize(
    ("voltage_v", "frequency_mhz", "core_cycle", "cycle"),
    [
        (1.1, 800.0, 0, 0),
        (1.1, 800.0, 1, 2),  # 1 x 800 / 534 = 1.498
        (1.1, 800.0, 534, 800),
        (1.1, 800.0, 535, 802),  # 801.498
        (0.8, 800.0, 234, 800),
        (0.8, 800.0, 1, 4),  # 3.419
        (1.1, 1600.0, 267, 800),
        (1.1, 933.3, 5340, 9333),
        (1.1, 267.0, 1, 1),  # 0.5
    ],
)
def test_the_dram_clock_is_exact_and_never_early(
    voltage_v: float, frequency_mhz: float, core_cycle: int, cycle: int
) -> None:
    chip = ChipConfig.at(voltage_v)
    assert dram_cycle(core_cycle, chip, frequency_mhz) == cycle
    if frequency_mhz in (800.0, 1600.0):
        preset: Preset = "lpddr3_1600_x32" if frequency_mhz == 800.0 else "lpddr4_3200_x16"
        of_model = replace(chip, memory_model="dram", dram=DramConfig(preset=preset))
        assert dram_cycle(core_cycle, of_model, None) == cycle


def test_the_clock_scales_the_times(tmp_path: Path) -> None:
    traced(tmp_path / "slow", "pass")
    traced(tmp_path / "fast", "pass", dram_clock_mhz=1600)
    for slow, fast in zip(dramsim3(tmp_path / "slow"), dramsim3(tmp_path / "fast"), strict=True):
        assert 2 * slow.cycle - 1 <= fast.cycle <= 2 * slow.cycle


def test_tracing_changes_nothing_and_the_file_appears_at_the_end(tmp_path: Path) -> None:
    program, activations = program_of("small")
    _, result = traced(tmp_path / "whole", "pass")
    assert result.cycles == tlm.simulate(program, activations).cycles
    system, path = System(program.config, Fidelity.PASS), tmp_path / "cut"
    system.preload(program.image(program.network.check_activations(activations)))
    path.write_text("older")

    def interrupted() -> None:
        with dram_trace(system, path, tlm.TraceOptions(dram=path)):
            system.run(program.steps)
            assert path.read_text() == "older"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cut", "whole"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"dram_format": "dramsim2"}, "trace.dram_format: 'dramsim2' is not one of dramsim3, ramulator2"),
        ({"dram_clock_mhz": 0.5}, "trace.dram_clock_mhz: 0.5 is outside 1..10000 MHz"),
        ({"dram_clock_mhz": float("nan")}, "trace.dram_clock_mhz: nan is outside"),
        ({"dram_clock_mhz": 800, "dram_format": "ramulator2"}, "the format 'ramulator2' holds no times"),
        ({"dram_burst_bytes": 24}, "trace.dram_burst_bytes: 24 is not one of 8, 16, 32, 64, 128, 256"),
        ({"dram": None, "dram_format": "dramsim3"}, "trace.dram_format: 'dramsim3' needs a DRAM trace"),
        ({"dram": None, "dram_burst_bytes": 64}, "trace.dram_burst_bytes: 64 needs a DRAM trace"),
        ({"dram": "result.json"}, r"trace.dram: result.json ends in .json, which says another kind of file; give NAME"),
        ({"dram": Path("run.labels.txt")}, r"trace.dram: run.labels.txt ends in .labels.txt, which says another kind"),
    ],
)
def test_options_that_make_no_trace(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tlm.TraceOptions(**{"dram": "t", **keys})


def test_a_burst_that_the_chips_do_not_consist_of(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trace.dram_burst_bytes: 128 is outside 8..64, from chip.bus_bytes to"):
        traced(tmp_path / "t", "pass", dram_burst_bytes=128)
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario, trace = tmp_path / "small.toml", tmp_path / "out.trace"
    scenario.write_text(SMALL)
    assert main(["run", str(scenario), "--dram-trace", str(trace)]) == 0
    assert "arrivals count cycles of a clock of 800 MHz [A] from the first host access" in capsys.readouterr().out
    assert dramsim3(trace)
    assert main(["run", str(scenario), "--dram-trace", str(trace), "--format", "ramulator2"]) == 0
    assert "holds no times: requests stand in order of arrival" in capsys.readouterr().out
    assert ramulator2(trace)


def test_the_command_does_not_replace_the_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "small.toml"
    scenario.write_text(SMALL)
    assert main(["run", str(scenario), "--dram-trace", str(scenario)]) == 2
    assert f"--dram-trace: {scenario} ends in .toml, which says another kind of file" in capsys.readouterr().err
    assert scenario.read_text() == SMALL


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "ramulator2"], "--format: 'ramulator2' needs a DRAM trace; give --dram-trace, too"),
        (["--dram-trace", "DIR/t", "--format", "gem5"], "--format: 'gem5' is not one of dramsim3, ramulator2"),
        (["--dram-trace", "DIR"], "--dram-trace: DIR "),
        (["--dram-trace", "DIR/t", "--dram-burst-bytes", "256"], "--dram-burst-bytes: 256 is outside 8..64"),
    ],
)
def test_the_command_names_its_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    scenario = tmp_path / "small.toml"
    scenario.write_text(SMALL)
    here = str(tmp_path)
    assert main(["run", str(scenario), *(option.replace("DIR", here) for option in options)]) == 2
    assert message.replace("DIR", here) in capsys.readouterr().err
