"""The waveform, read back by two independent readers: it shows what the run reports, and disturbs nothing."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from examples import quick_of
from layouts import declared, read_layout
from vcd.reader import RealChange, ScalarChange, StringChange, TokenKind, VectorChange, tokenize
from waves import CHIP, Waves, causes_from, layers_from, layers_of, small_network, stop_in

import tlm
from tlm.chip.format.driver import SramName, StartEngine, StartTransfer, Unit, Wait
from tlm.chip.system import System
from tlm.core.errors import DriverError, InputError, TraceWarning
from tlm.traces.waves.labels import short_label
from tlm.traces.waves.signal_kinds import start_ps
from tlm.traces.waves.wave_file import WaveFile


def cycles_to(path: Path, window: str | None = None, limit_mb: int = 256) -> tlm.TraceOptions:
    """A waveform of every cycle."""
    return tlm.TraceOptions(wave=path, level="cycle", window=window, limit_mb=limit_mb)


class Run:
    """One traced run and its dump."""

    def __init__(self, directory: Path) -> None:
        network, self.activations = small_network()
        self.program = tlm.compile(network, CHIP)
        self.path = directory / "run.vcd"
        self.result = tlm.simulate(self.program, self.activations, trace=cycles_to(self.path))
        self.waves = Waves(self.path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("vcd"))


def test_the_example_has_every_kind_of_event(run: Run) -> None:
    assert run.result.layers["down"].parts > 1
    assert {"aligner", "residual", "write_back", "dma_load"} <= set(run.result.bank_conflicts)


def layer_spans(waves: Waves) -> Iterator[tuple[str, range]]:
    """(layer without its part, cycles until the sequencer shows another one)."""
    changes = [*waves.changes("engine.sequencer.layer"), (waves.last_cycle, "-")]
    for (first, name), (end, _) in pairwise(changes):
        if name != "-":
            yield name.partition("[")[0], range(first, end)


def test_layers_recomputed_from_the_dump_alone(run: Run) -> None:
    waves = run.waves
    states = waves.states("engine.sequencer.state")
    counters = {
        "passes": [cycle for cycle, state in states if state == "steps"],
        "steps": waves.cycles("engine.sequencer.step"),
        "fetch_cycles": [c for c, busy in enumerate(waves.each_cycle("engine.aligner.busy")) if busy],
        "busy": [c for c, busy in enumerate(waves.each_cycle("engine.mac_array.busy")) if busy],
        "writes": waves.cycles("engine.requantiser.write"),
    }
    found: dict[str, Counter[str]] = {name: Counter() for name in run.result.layers}
    ends: dict[str, list[int]] = {}
    for name, span in layer_spans(waves):
        inside = {key: [cycle for cycle in cycles if cycle in span] for key, cycles in counters.items()}
        first, last = inside["passes"][0], inside["writes"][-1]
        found[name].update({key: len(cycles) for key, cycles in inside.items()}, compute_cycles=last - first + 1)
        ends[name] = [ends.get(name, [first])[0], last]
    for name, layer in run.result.layers.items():
        expected = {key: getattr(layer, key) for key in ("passes", "steps", "fetch_cycles", "compute_cycles")}
        assert {key: found[name][key] for key in expected} == expected
        assert found[name]["busy"] == layer.steps
        assert ends[name] == [layer.start_cycle, layer.end_cycle]
        slots = 6 if name == "scores" else 1
        assert found[name]["writes"] == layer.passes // -(-layer.output_shape[0] // 8) * layer.output_shape[0] * slots


def test_states_of_a_pass_begin_and_end_in_the_cycles_of_engine_md(run: Run) -> None:
    waves = run.waves
    states = waves.states("engine.sequencer.state")
    at = next(i for i, (_, state) in enumerate(states) if state == "steps")
    (first, _), (drain, name), (after, gap) = states[at : at + 3]
    assert (name, gap) == ("drain", "gap")
    handover = drain - 1 + CHIP.pipeline_cycles + 1  # h = e + 1 + pipeline, free as the first pass is
    assert after == handover + 1
    ends = [cycle for cycle, state in waves.states("engine.mac_array.state") if state == "idle" and cycle]
    drains = [cycle for cycle, state in waves.states("engine.requantiser.state") if state == "writes"]
    assert (ends[0], drains[0]) == (handover + 1, handover + 1)
    assert waves.cycles("engine.requantiser.write")[0] == handover + 1 + CHIP.requantiser_cycles
    assert first == run.result.layers["pw1"].start_cycle


def test_a_step_shows_in_the_last_cycle_of_its_fetch_with_its_weight_word(run: Run) -> None:
    fetches = run.waves.each_cycle("engine.wmem.fetch")
    assert run.waves.cycles("engine.sequencer.step") == [cycle for cycle, mask in enumerate(fetches) if mask]


def test_passes_are_numbered_by_group_and_tile(run: Run) -> None:
    waves = run.waves
    tiles = run.result.layers["pw1"].passes // 2
    name, span = next(layer_spans(waves))
    assert name == "pw1"
    starts = [cycle for cycle, state in waves.states("engine.sequencer.state") if state == "steps" and cycle in span]
    shown = [waves.each_cycle(f"engine.sequencer.{key}") for key in ("pass", "group", "tile")]
    expected = [(index, index // tiles, index % tiles) for index in range(2 * tiles)]
    assert [tuple(signal[cycle] for signal in shown) for cycle in starts] == expected


@pytest.mark.parametrize("sram", [sram.name.lower() for sram in SramName])
def test_no_bank_serves_two_accesses_in_a_cycle(run: Run, sram: str) -> None:
    waves, scope = run.waves, f"engine.{sram}"
    ports = {"amem": ("aligner", "write_back", "residual", "dma_load", "dma_store")}.get(
        sram, ("fetch", "dma_load", "dma_store")
    )
    accesses = waves.each_cycle(f"{scope}.accesses")
    masks = list(zip(*(waves.each_cycle(f"{scope}.{port}") for port in ports), strict=True))
    before = 0
    for cycle, (count, now) in enumerate(zip(accesses, masks, strict=True)):
        assert count - before == sum(mask.bit_count() for mask in now), f"cycle {cycle}"
        assert sum(now) == int(np.bitwise_or.reduce(now)), f"cycle {cycle}: two ports in one bank"
        before = count
    assert before > 0


def test_refused_accesses_are_the_bank_conflicts_of_the_result(run: Run) -> None:
    waves = run.waves
    counts: Counter[str] = Counter()
    for name in waves.names:
        if name.endswith("_wait"):
            port = name.rpartition(".")[2].removesuffix("_wait")
            counts[port] += sum(mask.bit_count() for mask in waves.each_cycle(name))
    expected = {port: count for port, count in run.result.bank_conflicts.items() if port != "aligner"}
    assert +counts == expected


def test_transfers_and_interrupts(run: Run) -> None:
    waves, steps = run.waves, run.program.steps
    moved = [waves.each_cycle(f"dma.{channel}.bytes")[-1] for channel in ("load", "store")]
    assert moved == [run.result.traffic.load_bytes, run.result.traffic.store_bytes]
    for unit, scope in ((Unit.LOAD, "dma.load"), (Unit.STORE, "dma.store"), (Unit.ENGINE, "engine.sequencer")):
        interrupts = waves.cycles(f"{scope}.irq")
        assert len(interrupts) == sum(isinstance(step, Wait) and step.unit is unit for step in steps)
        assert waves.cycles(f"host.irq_{unit.value}") == interrupts
    last = max(cycle for unit in Unit for cycle in waves.cycles(f"host.irq_{unit.value}"))
    assert last == run.result.cycles - 1
    for unit in (Unit.LOAD, Unit.STORE):
        shown = [text for _, text in waves.changes(f"dma.{unit.value}.transfer") if text != "-"]
        started = [step.transfer for step in steps if isinstance(step, StartTransfer) and step.unit is unit]
        assert shown == [short_label(transfer.label) for transfer in started]


def test_the_host_shows_its_register_accesses_and_its_sleep(run: Run) -> None:
    waves = run.waves
    sleeps = [cycle for cycle, state in waves.states("host.state") if state == "sleep"]
    assert len(sleeps) > 2
    assert all(waves.each_state("host.waits_for")[cycle] != "-" for cycle in sleeps)
    begins = [cycle for cycle, access in waves.changes("host.access") if access]
    shown = [tuple(waves.each_cycle(f"host.{key}")[cycle] for key in ("unit", "register", "write")) for cycle in begins]
    starts = Counter(unit for unit, register, write in shown if register == "START" and write)
    expected = Counter("engine" if isinstance(s, StartEngine) else s.unit.value for s in run.program.steps
                       if not isinstance(s, Wait))  # fmt: skip
    assert starts == expected
    assert ("load", "STATUS", 0) in shown


def test_scopes_bear_the_names_of_the_blocks(run: Run) -> None:
    modules = {module.path for module in System(CHIP).simulation.modules()} - {"dma", "engine"}
    layers = set(run.waves.layer_scopes().values())
    assert {name.rpartition(".")[0] for name in run.waves.names} == modules | layers | {"clock", "power", "engine"}


def test_tracing_changes_no_cycle_and_no_output(run: Run) -> None:
    plain = tlm.simulate(run.program, run.activations)
    assert plain.layers == run.result.layers
    assert (plain.cycles, plain.traffic, plain.bank_conflicts) == (
        run.result.cycles,
        run.result.traffic,
        run.result.bank_conflicts,
    )
    for name, tensor in plain.tensors.items():
        np.testing.assert_array_equal(tensor, run.result.tensors[name])


def test_two_runs_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "another name.vcd"
    tlm.simulate(run.program, run.activations, trace=cycles_to(other))
    assert other.read_bytes() == run.path.read_bytes()


def check_well_formed(path: Path, clock_khz: int) -> int:
    """Read by pyvcd: declarations first, time ascending by whole cycles, one value each. Returns the end's cycle."""
    times, seen, headers = [], set[str](), []
    for token in tokenize(io.BytesIO(path.read_bytes())):
        if token.kind is TokenKind.CHANGE_TIME:
            times.append(token.time_change)
            seen.clear()
        elif isinstance(token.data, (ScalarChange, VectorChange, StringChange, RealChange)):
            assert token.data.id_code not in seen, f"two values at {times[-1]}"
            seen.add(token.data.id_code)
        else:
            headers.append(token.kind)
            if token.kind is TokenKind.END:  # of the initial values
                seen.clear()
            assert token.kind is not TokenKind.VAR or not times
            assert token.kind is not TokenKind.DATE
    assert TokenKind.TIMESCALE in headers
    cycles = [-(-time * clock_khz // 10**9) for time in times]
    assert [start_ps(cycle, clock_khz) for cycle in cycles] == times
    assert cycles == sorted(set(cycles))
    return cycles[-1]


@pytest.mark.parametrize("voltage_v", quick_of([1.1, 0.8, 0.93], 0.8))
def test_time_is_real_and_exact_at_every_operating_point(run: Run, tmp_path: Path, voltage_v: float) -> None:
    chip = tlm.ChipConfig(**{**vars(CHIP), "voltage_v": voltage_v, "frequency_mhz": None})
    path = tmp_path / "run.vcd"
    result = tlm.simulate(run.program, run.activations, chip=chip, trace=cycles_to(path))
    last_irq_ps = Waves(path).raw("host.irq_store")[-1][0]
    assert last_irq_ps == (result.cycles - 1) * 10**9 // chip.clock_khz
    assert check_well_formed(path, chip.clock_khz) > result.cycles


def files_of(dump: Path) -> list[Path]:
    """A waveform, its layout, the names of its states."""
    return [dump.with_suffix(suffix) for suffix in (".gtkw", ".labels.txt", ".sucl", ".vcd")]


def test_a_failing_run_leaves_a_readable_file_up_to_the_failure(run: Run, tmp_path: Path) -> None:
    layer = run.result.layers["res"]
    # the whole opcode of every word changes, so whatever the sequencer reads next is no instruction
    faults = [
        tlm.BitFlip(tlm.FaultTarget.IMEM, word, 63, cycle=layer.start_cycle + 50) for word in range(CHIP.imem_words)
    ]
    path = tmp_path / "failed.vcd"
    with pytest.raises(DriverError, match="illegal instruction"):
        tlm.simulate(run.program, run.activations, trace=cycles_to(path), faults=faults)
    assert sorted(tmp_path.iterdir()) == files_of(path)
    last = check_well_formed(path, CHIP.clock_khz)
    waves = Waves(path)
    assert "res" in [name.partition("[")[0] for _, name in waves.changes("engine.sequencer.layer")]
    assert waves.changes("host.register")[-1][1] == "ERROR_CYCLE"  # the driver's last word
    assert waves.changes("host.register")[-1][0] < last < run.result.cycles
    whole = [change for change in run.waves.changes("engine.sequencer.pass") if change[0] < layer.start_cycle + 50]
    assert waves.changes("engine.sequencer.pass")[: len(whole)] == whole


def test_ctrl_c_leaves_a_readable_file(run: Run, tmp_path: Path) -> None:
    path, stop_cycle = tmp_path / "stopped.vcd", 1500
    stop_in(run.program, run.activations, stop_cycle, cycles_to(path), "cycle")
    assert check_well_formed(path, CHIP.clock_khz) == stop_cycle + 1
    whole = [change for change in run.waves.changes("dma.load.bytes") if change[0] < stop_cycle]
    assert Waves(path).changes("dma.load.bytes")[: len(whole)] == whole
    assert sorted(tmp_path.iterdir()) == files_of(path)


@pytest.mark.parametrize("kind", ["missing directory", "directory", "device"])
def test_a_path_that_cannot_be_written_is_told_before_the_run(run: Run, tmp_path: Path, kind: str) -> None:
    (tmp_path / "d.vcd").mkdir()
    (tmp_path / "null.vcd").symlink_to("/dev/null")
    before = sorted(tmp_path.iterdir())
    path = tmp_path / {"missing directory": "no/x.vcd", "directory": "d.vcd", "device": "null.vcd"}[kind]
    broken = [tlm.BitFlip(tlm.FaultTarget.MEMORY, 7, 7)]  # the run itself would fail with something else
    with pytest.raises(InputError, match=f"wave: {path} .*; give"):
        tlm.simulate(run.program, run.activations, trace=cycles_to(path), faults=broken)
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_is_told_in_one_message(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.vcd"
    full = Path("/dev/full").open("w", buffering=4096)  # noqa: SIM115 - the writer closes it
    monkeypatch.setattr(WaveFile, "_open", lambda _: full)
    with pytest.raises(InputError, match=r"x\.vcd cannot be written \(No space left on device\); give"):
        tlm.simulate(run.program, run.activations, trace=cycles_to(path))


def test_layers_by_their_own_signals(run: Run) -> None:
    assert layers_from(run.waves) == layers_of(run.result)


def test_every_cycle_has_the_cause_that_the_account_counts_it_under(run: Run) -> None:
    assert +causes_from(run.waves, run.result.cycles) == +Counter(run.result.account.by_cause())
    active = {name: run.waves.each_cycle(f"{scope}.active") for name, scope in run.waves.layer_scopes().items()}
    causes = run.waves.each_state("engine.cause")
    for name, layer in run.result.layers.items():
        counts = Counter(cause for cause, one in zip(causes, active[name], strict=True) if one)
        assert +counts == +Counter(layer.account.by_cause())


def test_the_integral_of_power_is_the_energy_and_of_utilisation_the_work(run: Run) -> None:
    waves, end = run.waves, run.waves.last_cycle + 1
    pj_per_mw_cycle = 1000 / CHIP.frequency_mhz
    beyond = end - run.result.cycles
    core = waves.integral("power.core_mw", end) * pj_per_mw_cycle
    leaking = beyond * (waves.final("power.core_mw")) * pj_per_mw_cycle
    assert core - leaking == pytest.approx(run.result.energy.total_pj, rel=2e-3)
    for channel, moved in (("load", run.result.traffic.load_bytes), ("store", run.result.traffic.store_bytes)):
        mb_cycles = waves.integral(f"dma.{channel}.mb_per_s", end)
        assert mb_cycles / CHIP.frequency_mhz == pytest.approx(moved, rel=1e-4)
    work = waves.integral("power.utilisation", end) * CHIP.peak_macs_per_cycle
    assert work == pytest.approx(run.result.macs, rel=1e-4)


@pytest.mark.parametrize(
    ("window", "name"), [("layer:res", "res"), ("layer:down", "down"), ("layer:res,pass:2..4", None)]
)  # fmt: skip
def test_a_window_shows_what_the_whole_shows_then(run: Run, tmp_path: Path, window: str, name: str | None) -> None:
    path = tmp_path / "window.vcd"
    result = tlm.simulate(run.program, run.activations, trace=cycles_to(path, window))
    assert result.layers == run.result.layers
    part, whole = Waves(path), run.waves
    inside = {cycle for cycle, value in part.changes("clock.cycle") if isinstance(value, int) and cycle}
    passes = run.result.passes[name or "res"]
    wanted = passes if name else passes[2:5]
    assert max(inside) == max(one.last_write_cycle for one in wanted)
    if name is None:
        assert inside == set(range(wanted[0].first_cycle, wanted[-1].last_write_cycle + 1))
    for signal in ("engine.sequencer.pass", "engine.amem.aligner", "engine.cause", "engine.requantiser.write"):
        assert [c for c in part.changes(signal) if c[0] in inside and c[0] - 1 in inside] == [
            c for c in whole.changes(signal) if c[0] in inside and c[0] - 1 in inside
        ]


def test_a_window_of_cycles(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "window.vcd"
    tlm.simulate(run.program, run.activations, trace=cycles_to(path, "cycles:1500..1600"))
    cycles = [cycle for cycle, value in Waves(path).changes("clock.cycle") if isinstance(value, int) and cycle]
    assert cycles == list(range(1500, 1601))


def test_what_a_trace_lacks_is_said(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.vcd"
    with pytest.warns(TraceWarning, match=r"x\.vcd is empty: the run ended with cycle \d+, before the window .* began"):
        tlm.simulate(run.program, run.activations, trace=cycles_to(path, "cycles:9000000..9000001"))


def test_a_waveform_ends_at_its_limit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.vcd"
    monkeypatch.setattr("tlm.traces.waves.cycle_wave.BYTES_PER_MB", 100_000)
    with pytest.warns(TraceWarning, match=r"was cut in cycle \d+ of \d+, where it had grown to 1 MB; give") as seen:
        tlm.simulate(run.program, run.activations, trace=cycles_to(path, limit_mb=1))
    cut = int(str(seen[0].message).partition("cut in cycle ")[2].split()[0])
    assert 100_000 < path.stat().st_size < 110_000
    waves = Waves(path)
    time_ps, status = waves.raw("clock.trace")[-1]
    assert (waves.legend[status], time_ps) == ("cut", start_ps(cut, CHIP.clock_khz))
    assert waves.last_cycle == cut - 1


@pytest.mark.parametrize(
    "window",
    [
        *(None, "layer:res,pass:2..4", "cycles:1500..1900", "pass:0", "pass:5", "pass:11"),
        *(pytest.param(f"pass:{one}", marks=pytest.mark.slow) for one in range(12) if one not in (0, 5, 11)),
    ],
)
def test_every_name_of_the_layout_is_in_the_dump_and_the_view_in_its_time(
    run: Run, tmp_path: Path, window: str | None
) -> None:
    path = tmp_path / "x.vcd"
    tlm.simulate(run.program, run.activations, trace=cycles_to(path, window))
    layout, waves = read_layout(path.with_suffix(".gtkw")), Waves(path)
    names = [line.signal for line in layout.lines]
    assert set(names) <= declared(path)
    assert len(set(names)) == len(names)
    first = start_ps(min(c for c, v in waves.changes("clock.cycle") if c or window is None), CHIP.clock_khz)
    assert window is None or layout.start_ps == first
    assert first <= layout.start_ps < start_ps(waves.last_cycle, CHIP.clock_khz)
