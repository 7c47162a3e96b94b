"""The trace for timeline viewers, read back from the file alone: it shows what a run reports, and disturbs nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from trace_reader import Trace, levels
from traced_runs import FIDELITIES, Run
from waves import CHIP

import tlm
from tlm.chip.format.driver import StartTransfer, Unit
from tlm.chip.states import ArrayState, RequantiserState
from tlm.core.sockets import Phase


@pytest.fixture(scope="module", params=FIDELITIES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("trace"), request.param)


@pytest.fixture(scope="module")
def stalls(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("stalls"), run.fidelity, stalls=True)


def test_the_examples_have_every_kind_of_event(run: Run, stalls: Run) -> None:
    for cause, count in run.record["account"]["causes"].items():
        assert count or stalls.record["account"]["causes"][cause], cause
    assert {"aligner", "residual", "write_back", "dma_load"} <= set(run.result.bank_conflicts)
    assert run.result.layers["down"].parts > 1


# -- figures from the trace alone -------------------------------------------------------------------------------------


def test_layers_recomputed_from_the_trace_alone(run: Run, stalls: Run) -> None:
    for example in (run, stalls):
        check_layers(example)


def check_layers(run: Run) -> None:
    parts, passes = defaultdict(list), defaultdict(list)
    for part in run.trace.parts():
        parts[part["args"]["layer"]].append(part)
        span = range(part["args"]["first_cycle"], part["args"]["last_cycle"] + 1)
        passes[part["args"]["layer"]] += [one for one in run.trace.passes() if one["args"]["first_cycle"] in span]
    for layer in run.record["layers"]:
        own, its_passes = (
            [part["args"] for part in parts[layer["name"]]],
            [one["args"] for one in passes[layer["name"]]],
        )
        assert (own[0]["first_cycle"], own[-1]["last_cycle"]) == (layer["start_cycle"], layer["end_cycle"])
        assert sum(one["cycles"] for one in own) == layer["compute_cycles"]
        assert len(own) == layer["parts"] == own[0]["parts"]
        for key in ("steps", "fetch_cycles"):
            assert sum(one[key] for one in its_passes) == sum(one[key] for one in own) == layer[key]
        assert sum(one["steps"] * one["pixels"] * one["channels"] for one in its_passes) == layer["macs"]
        assert len(its_passes) == sum(one["passes"] for one in own) == layer["passes"]
        assert sum(one["load_bytes"] for one in own) == layer["load_bytes"]
        assert sum(one["store_bytes"] for one in own) == layer["store_bytes"]


def test_causes_of_layers_and_of_the_run(run: Run, stalls: Run) -> None:
    for example in (run, stalls):
        example.trace.check()
        check_causes(example)


def check_causes(run: Run) -> None:
    account = run.record["account"]
    assert run.trace.causes() == +Counter(account["causes"])
    waits: dict[str | None, Counter[str]] = defaultdict(Counter)
    for event in run.trace.slices("cause of each cycle", "layer"):
        waits[event["args"]["before"]].update(event["args"]["causes"])
    assert waits[None] == +Counter(account["waits_at_end"])
    for layer in run.record["layers"]:
        own = [part for part in run.trace.parts() if part["args"]["layer"] == layer["name"]]
        spans = [range(part["args"]["first_cycle"], part["args"]["last_cycle"] + 1) for part in own]
        found = sum((run.trace.causes(span) for span in spans), Counter[str]())
        assert found == +Counter(layer["account"])
        assert found == sum((Counter(part["args"]["causes"]) for part in own), Counter[str]())
        assert sum((waits[part["name"]] for part in own), Counter[str]()) == +Counter(layer["waits"])


def test_transfers_carry_the_bytes_of_the_result(run: Run) -> None:
    moved: dict[str, Counter[str]] = {"load": Counter(), "store": Counter()}
    layer_of = {part["name"]: part["args"]["layer"] for part in run.trace.parts()}
    for channel, shares in moved.items():
        slices = run.trace.slices(f"dma.{channel}")
        assert sum(one["args"]["bytes"] for one in slices) == run.record["traffic_bytes"][channel]
        for one in slices:
            assert sum(one["args"]["bytes_of_parts"].values()) == one["args"]["bytes"] > 0
            for name, size in one["args"]["bytes_of_parts"].items():
                shares[layer_of[name]] += size
        labels = [
            step.transfer.label
            for step in run.program.steps
            if isinstance(step, StartTransfer) and step.unit.value == channel
        ]
        assert [one["name"] for one in slices] == labels
        busy = run.result.cycles - run.result.account.dma[channel].idle
        assert sum(one["args"]["cycles"] for one in slices) == busy
        spans = [one for one in run.record["timeline"]["transfers"] if one["channel"] == channel]
        for shown, span in zip(slices, spans, strict=True):
            assert {key: shown["args"][key] for key in ("first_cycle", "last_cycle", "sram")}.items() <= span.items()
    for layer in run.record["layers"]:
        assert (moved["load"][layer["name"]], moved["store"][layer["name"]]) == (
            layer["load_bytes"],
            layer["store_bytes"],
        )


def test_bank_conflicts_in_args_and_counters(run: Run) -> None:
    expected = run.record["bank_conflict_cycles"]
    found = Counter[str]()
    for part in run.trace.parts():
        found.update(part["args"]["bank_conflicts"])
    for channel in ("load", "store"):
        refused = (one["args"]["refused_accesses"] for one in run.trace.slices(f"dma.{channel}"))
        found[f"dma_{channel}"] += sum(refused)
    assert +found == Counter(expected)
    of_passes = [one["args"] for one in run.trace.passes()]
    assert sum(one["refused_writes"] for one in of_passes) == expected["write_back"]
    assert sum(one["refused_residual_reads"] for one in of_passes) == expected["residual"]
    names = {e["name"] for e in run.trace.of("C") if e["name"].startswith("conflicts")}
    assert names == {f"conflicts of {initiator}" for initiator in expected}
    for initiator, count in expected.items():
        values = [value for _, value in run.trace.counter(f"conflicts of {initiator}")]
        assert (values[0], values[-1], values) == (0, count, sorted(values))


def test_the_host_is_seen_all_the_time(run: Run) -> None:
    shown = [(one["args"]["first_cycle"], one["args"]["last_cycle"]) for one in run.trace.slices("host")]
    assert shown == [(one["first_cycle"], one["last_cycle"]) for one in run.record["timeline"]["host"]]
    names = {one["name"] for one in run.trace.slices("host")}
    assert {"registers", *(f"sleeps until {unit} is done" for unit in ("dma.load", "dma.store", "engine"))} <= names


# -- form --------------------------------------------------------------------------------------------------------------


def test_slices_nest_and_arrows_have_both_ends(run: Run) -> None:
    run.trace.check()
    assert run.trace.head["cycles"] == run.result.cycles
    assert (run.trace.head["finished"], run.trace.head["left_out"]) == (True, [])
    assert list(run.trace.track_names.values()) == [
        name
        for name in (
            "host", "dma.load", "dma.load burst 0", "dma.load burst 1", "dma.store", "dma.store burst 0",
            "dma.store burst 1", "engine", "cause of each cycle", "mac_array", "requantiser",
        )
        if run.fidelity == "cycle" or "burst" not in name
    ]  # fmt: skip


def test_arrows_lead_from_loads_to_passes_and_from_parts_to_stores(run: Run) -> None:
    ends = {event["id"]: event for event in run.trace.of("f")}
    found = []
    for start in run.trace.of("s"):
        source, target = run.trace.innermost(start), run.trace.innermost(ends[start["id"]])
        assert source["args"]["last_cycle"] < target["args"]["first_cycle"]
        if start["name"] == "loaded for":
            assert target["name"] == "pass 0"
            (part,) = [one for one in run.trace.parts() if one["ts"] == target["ts"]]
            found.append(("load", source["args"]["index"], part["name"]))
        else:
            end = source["args"]["last_cycle"]
            assert run.trace.track_names[source["tid"]] == "requantiser"  # the slice that began last on its track
            (part,) = [one for one in run.trace.parts() if one["args"]["last_cycle"] == end]
            found.append(("store", target["args"]["index"], part["name"]))
    expected = [
        (channel, one["args"]["index"], name)
        for channel in ("load", "store")
        for one in run.trace.slices(f"dma.{channel}")
        for name in one["args"]["bytes_of_parts"]
    ]
    assert sorted(found) == sorted(expected)
    assert {channel for channel, _, _ in found} == {"load", "store"}


@pytest.mark.parametrize("voltage_v", [0.8, 0.93, 1.2])
def test_time_is_real_and_exact_at_every_operating_point(tmp_path: Path, voltage_v: float) -> None:
    run = Run(tmp_path, "pass")
    chip = tlm.ChipConfig(**{**vars(CHIP), "voltage_v": voltage_v, "frequency_mhz": None})
    path = tmp_path / "run.json"
    result = tlm.simulate(run.program, run.activations, chip=chip, trace=tlm.TraceOptions(timeline=path))
    trace = Trace(path)
    assert trace.head["clock_khz"] == chip.clock_khz != CHIP.clock_khz
    assert trace.head["cycles"] == result.cycles
    trace.check()


# -- counters ----------------------------------------------------------------------------------------------------------


def test_utilisation_is_that_of_the_layers_and_0_outside(run: Run) -> None:
    steps = list(levels(run.trace.counter("MAC utilisation"), run.result.cycles))
    assert all(0 <= value <= 1 for _, _, value in steps)
    assert max(value for _, _, value in steps) > 0.5
    spans = [range(one["args"]["first_cycle"], one["args"]["last_cycle"] + 1) for one in run.trace.parts()]
    assert all(value == 0 for first, _, value in steps if not any(first in span for span in spans))
    for layer in run.record["layers"]:
        own = [part["args"] for part in run.trace.parts() if part["args"]["layer"] == layer["name"]]
        sums = sum(
            value * (end - first)
            for first, end, value in steps
            if any(part["first_cycle"] <= first <= part["last_cycle"] for part in own)
        )
        assert sums / layer["compute_cycles"] == pytest.approx(layer["utilization"], abs=1e-5)


def test_bandwidth_times_duration_is_the_bytes_that_moved(run: Run) -> None:
    for channel in ("load", "store"):
        steps = levels(run.trace.counter(f"dma.{channel}"), run.result.cycles)
        moved = sum(value * (end - first) for first, end, value in steps) * 1000 / CHIP.clock_khz
        assert moved == pytest.approx(run.record["traffic_bytes"][channel], rel=1e-5)


def test_the_integral_of_power_is_the_energy(run: Run) -> None:
    for name, energy_pj in (
        ("core power", run.result.energy.total_pj),
        ("off-chip power", run.result.energy.off_chip_pj),
    ):
        steps = levels(run.trace.counter(name), run.result.cycles)
        shown_pj = sum(value * (end - first) for first, end, value in steps) * 1e6 / CHIP.clock_khz
        assert shown_pj == pytest.approx(energy_pj, rel=1e-5)


# -- what only the blocks know -----------------------------------------------------------------------------------------


def test_array_and_requantiser_are_shown_when_the_blocks_were_busy(tmp_path: Path) -> None:
    """Against the probes and sockets of fidelity "cycle"."""
    run = Run(tmp_path, "cycle")
    watched = run.watched()
    clock, config = watched.system.simulation.clock, run.program.config
    holds, drains, vectors = list[int](), list[int](), list[int]()
    engine = watched.system.engine
    engine.mac_array.state.observe(lambda probe: holds.append(clock.now) if probe.value is ArrayState.HOLD else None)
    engine.requantiser.state.observe(
        lambda probe: drains.append(clock.now) if probe.value is RequantiserState.DRAIN else None
    )
    engine.aligner.vectors.observe(
        lambda _phase, _socket, payload: vectors.append(clock.now) if payload.activations is not None else None,
        (Phase.BEGIN_REQ,),
    )
    watched.system.run(run.program.steps)
    shown = run.trace.slices("mac_array")
    assert [one["args"]["first_cycle"] for one in shown if one["name"].startswith("hold")] == holds
    assert {one["args"]["first_cycle"] for one in run.trace.slices("requantiser")} <= set(drains)
    assert len(run.trace.slices("requantiser")) == sum(layer.passes for layer in run.result.layers.values())
    computing = [one["args"] for one in shown if one["name"].startswith("compute")]
    for one, of_pass in zip(
        computing, (one["args"] for one in run.trace.passes() if one["args"]["steps"]), strict=True
    ):
        inside = [cycle for cycle in vectors if one["first_cycle"] <= cycle <= one["last_cycle"]]
        assert len(inside) == one["steps"]
        assert inside[0] == one["first_cycle"] or of_pass["fetch_cycles"] > of_pass["steps"]
    assert vectors[-1] + config.accumulate_cycles == shown[-2]["args"]["last_cycle"]


def test_bursts_lie_within_their_transfers_and_carry_their_bytes(tmp_path: Path) -> None:
    run = Run(tmp_path, "cycle")
    for unit in (Unit.LOAD, Unit.STORE):
        tracks = [name for name in run.trace.track_names.values() if name.startswith(f"dma.{unit.value} burst")]
        assert len(tracks) == run.program.config.dma_bursts_in_flight
        bursts = [one["args"] for track in tracks for one in run.trace.slices(track)]
        for transfer in run.trace.slices(f"dma.{unit.value}"):
            args = transfer["args"]
            own = [one for one in bursts if one["transfer_index"] == args["index"]]
            assert {one["transfer"] for one in own} == {transfer["name"]}
            assert sorted(one["burst"] for one in own) == list(range(len(own)))
            assert sum(one["bytes"] for one in own) == args["bytes"]
            assert min(one["first_cycle"] for one in own) == args["first_cycle"]
            assert max(one["last_cycle"] for one in own) == args["last_cycle"]
            assert max(one["bytes"] for one in own) <= run.program.config.burst_bytes
