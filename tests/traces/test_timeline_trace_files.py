"""Files of the timeline trace: equal bytes, runs that do not end, the limit, paths; and what its page says."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from command import SCENARIOS
from trace_reader import Trace, levels
from traced_runs import FIDELITIES, Run
from waves import CHIP

import tlm
from tlm.core.errors import DriverError, InputError
from tlm.core.kernel import Activity
from tlm.results.result_json import result_json
from tlm.scenario.loading import load_scenario
from tlm.traces.timeline.timeline_trace import MAX_EVENTS, timeline_trace
from tlm.traces.trace_file import TraceFile


@pytest.fixture(scope="module", params=FIDELITIES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("trace"), request.param)


# -- determinism, no disturbance --------------------------------------------------------------------------------------


def test_two_runs_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    contents = []
    for name in ("another name.json", "one.json.gz"):
        path = tmp_path / name
        tlm.simulate(run.program, run.activations, fidelity=run.fidelity, trace=tlm.TraceOptions(timeline=str(path)))
        contents.append(path.read_bytes())
        assert Trace(path).events == run.trace.events
    assert contents[0] == run.path.read_bytes() == gzip.decompress(contents[1])
    assert contents[1][:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # neither a name nor a date
    assert str(tmp_path).encode() not in contents[0]


def test_tracing_changes_no_cycle_and_no_output(run: Run) -> None:
    plain = tlm.simulate(run.program, run.activations, fidelity=run.fidelity)
    assert result_json(plain) == result_json(run.result)
    assert all((tensor == run.result.tensors[name]).all() for name, tensor in plain.tensors.items())


# -- runs that do not end ----------------------------------------------------------------------------------------------


def check_beginning(run: Run, stopped: Trace) -> None:
    """What ended before a run was stopped stands in its trace as in that of the whole run."""
    stopped.check()
    end = stopped.head["cycles"]
    assert stopped.head["finished"] is False
    for track in run.trace.track_names.values():
        whole = {(e["args"]["first_cycle"], e["name"]): e["args"]["last_cycle"] for e in run.trace.slices(track)}
        ended = {key for key, last_cycle in whole.items() if last_cycle < end - 1}  # the last cycle is not complete
        shown, found = stopped.slices(track), {}
        begun = {key for key in whole if key[0] < end - 1}
        if track == "cause of each cycle" and shown and not shown[-1]["name"].startswith("wait"):
            shown = shown[:-1]  # the last may still change its name
        for event in shown:
            key = (event["args"]["first_cycle"], event["name"].removesuffix(", not ended"))
            found[key] = event["args"]["last_cycle"]
            assert found[key] == whole[key] or (found[key] < whole[key] and key not in ended), event
        if track == "host" or track.startswith(("dma.", "engine")):
            assert begun <= found.keys()
        assert ended <= found.keys() or (track == "cause of each cycle" and len(ended - found.keys()) == 1)
    for channel in ("dma.load", "dma.store"):
        for shown, whole in zip(stopped.slices(channel), run.trace.slices(channel), strict=False):
            assert ("unfinished" in shown["args"]) == (shown["args"]["bytes"] < whole["args"]["bytes"])
    for part, whole in zip(stopped.parts(), run.trace.parts(), strict=False):
        if "unfinished" not in part["args"]:
            keys = part["args"].keys() - {"store_bytes", "load_bytes"}
            assert {key: part["args"][key] for key in keys} == {key: whole["args"][key] for key in keys}


@pytest.mark.parametrize(
    "at",
    [
        *(0, 1, 300, 1100, 1800, 2600, 4100),
        *(pytest.param(at, marks=pytest.mark.slow) for at in (40, 700, 1000, 1345, 1500, 2000, 2345, 2900, 3300)),
    ],
)
def test_ctrl_c_leaves_everything_up_to_that_moment(run: Run, tmp_path: Path, at: int) -> None:
    path, watched = tmp_path / "stopped.json", run.watched()
    assert at < run.result.cycles

    def press() -> Activity:
        yield watched.system.simulation.clock.cycles(at)
        raise KeyboardInterrupt

    watched.system.simulation.add_process(press)
    with pytest.raises(KeyboardInterrupt), timeline_trace(watched, path):
        watched.system.run(run.program.steps)
    stopped = Trace(path)
    assert (stopped.head["cycles"], stopped.head["stopped_by"]) == (at + 1, "KeyboardInterrupt")
    assert [e["name"] for e in stopped.of("i")] == ["stopped by KeyboardInterrupt"]
    check_beginning(run, stopped)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_run_leaves_a_valid_file_up_to_the_failure(run: Run, tmp_path: Path) -> None:
    layer = run.result.layers["res"]
    # the whole opcode of every word changes, so whatever the sequencer reads next is no instruction
    cycle = layer.start_cycle + 50
    faults = [tlm.BitFlip(tlm.FaultTarget.IMEM, word, 63, cycle=cycle) for word in range(CHIP.imem_words)]
    path = tmp_path / "failed.json.gz"
    options = tlm.TraceOptions(timeline=path)
    with pytest.raises(DriverError, match="illegal instruction"):
        tlm.simulate(run.program, run.activations, fidelity=run.fidelity, trace=options, faults=faults)
    assert list(tmp_path.iterdir()) == [path]
    trace = Trace(path)
    trace.check()
    assert trace.head["stopped_by"].startswith("DriverError: engine.sequencer: illegal instruction")
    assert trace.parts()[0] == run.trace.parts()[0]
    assert "res" in [part["name"].partition("[")[0] for part in trace.parts()]
    whole = [one for one in run.trace.passes() if one["args"]["last_cycle"] < cycle]
    assert trace.passes()[: len(whole)] == whole != []


# -- limits ------------------------------------------------------------------------------------------------------------


def limited(run: Run, path: Path, max_events: int) -> Trace:
    watched = run.watched()
    with timeline_trace(watched, path, max_events):
        watched.system.run(run.program.steps)
    return Trace(path)


def test_the_finest_levels_go_first_and_the_trace_says_so(run: Run, tmp_path: Path) -> None:
    whole = limited(run, tmp_path / "whole.json", 10**6)
    assert whole.events == run.trace.events
    seen = set()
    for max_events in (whole.count + 200, whole.count - 1, whole.count // 2, whole.count // 4, whole.count // 8, 60, 1):
        trace = limited(run, tmp_path / "limited.json", max_events)
        trace.check()
        left_out = trace.head["left_out"]
        seen.add(tuple(left_out))
        assert trace.head["max_events"] == max_events
        levels_there = {event["cat"] for event in trace.of("X")}
        assert levels_there == {event["cat"] for event in run.trace.of("X")} - set(left_out)
        assert set(trace.track_names) == {event["tid"] for event in [*trace.of("X"), *trace.of("i")]}
        assert left_out == ["transfer", "pass", "burst"][3 - len(left_out) :]
        assert trace.count <= max_events or left_out == ["transfer", "pass", "burst"]
        assert [e["name"] for e in trace.of("i")] == [
            f"left out, since there were too many: {', '.join(left_out)}" for _ in range(bool(left_out))
        ]
        assert [(part["name"], part["args"]) for part in trace.parts()] == [
            (part["name"], part["args"]) for part in run.trace.parts()
        ]
        steps = levels(trace.counter("MAC utilisation"), run.result.cycles)
        total = sum(value * (end - first) for first, end, value in steps)
        assert total == pytest.approx(run.result.utilization * run.result.cycles, rel=1e-4)
    assert {(), ("transfer", "pass", "burst"), ("pass", "burst")} < seen | {("burst",)}
    if run.fidelity == "cycle":
        assert ("burst",) in seen


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["missing directory", "directory", "device"])
def test_a_path_that_cannot_be_written_is_told_before_the_run(run: Run, tmp_path: Path, kind: str) -> None:
    (tmp_path / "directory.json").mkdir()
    device = tmp_path / "device.json"
    device.symlink_to("/dev/null")
    before = sorted(tmp_path.iterdir())
    path = {"missing directory": tmp_path / "no" / "x.json", "directory": tmp_path / "directory.json", "device": device}
    broken = [tlm.BitFlip(tlm.FaultTarget.MEMORY, 7, 7)]  # the run itself would fail with something else
    with pytest.raises(InputError, match=f"trace.timeline: {path[kind]} .*; give"):
        tlm.simulate(run.program, run.activations, trace=tlm.TraceOptions(timeline=path[kind]), faults=broken)
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_is_told_in_one_message(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("wb", buffering=4096)  # noqa: SIM115 - the writer closes it
    monkeypatch.setattr(TraceFile, "_open", lambda _: full)
    path = tmp_path / "x.json"
    with pytest.raises(InputError, match=r"trace\.timeline: .*x\.json cannot be written \(No space left on device\)"):
        tlm.simulate(run.program, run.activations, trace=tlm.TraceOptions(timeline=path))
    assert list(tmp_path.iterdir()) == []


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_tells_the_figures_of_real_runs(tmp_path: Path) -> None:
    page = " ".join((SCENARIOS.parent / "docs" / "timeline-trace.md").read_text(encoding="utf-8").split())
    path = tmp_path / "run.json"
    said = []
    for bursts in (2, 4):
        job = load_scenario(SCENARIOS / "resnet18_3of9.toml", [f"chip.dma_bursts_in_flight={bursts}"]).build()
        options = tlm.TraceOptions(timeline=path)
        result = tlm.simulate(job.network, job.activations, job.chip, trace=options)
        trace = Trace(path)
        waits = [one["args"] for one in trace.slices("cause of each cycle", "layer") if one["name"] == "wait: weights"]
        longest = max(waits, key=lambda args: args["cycles"])
        load = next(one for one in trace.slices("dma.load") if one["name"] == "weights of conv5_2.pw1")
        bandwidth = dict(trace.counter("dma.load"))[load["args"]["first_cycle"]]
        if bursts == 2:
            said += [f"{longest['cycles']:,} cycles before `{longest['before']}`", f"{bandwidth:,.0f} MB/s, less than"]
            said += [f"has {trace.causes()['weights']:,} of {result.cycles:,} cycles"]
            said += [f"`pass` | {round(trace.count, -3):,} | {path.stat().st_size / 1e6:.1f} MB"]
        else:
            said += [f"reaches {bandwidth:,.0f} MB/s", f"takes {trace.causes()['weights']:,} cycles"]
            said += [f"the run {result.cycles:,}."]
    said.append(f"at most {MAX_EVENTS:,} events")
    assert [text for text in said if text not in page] == []
    names = trace.track_names.values()  # with fidelity "pass" none of bursts
    assert [name for name in names if f"`{name}`" not in page] == []
