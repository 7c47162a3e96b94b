"""The waveform, read back by two independent readers: it shows what the run reports, and disturbs nothing."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pywellen
from vcd.reader import ScalarChange, StringChange, TokenKind, VectorChange, tokenize

import tlm
from tlm.chip.chip import System
from tlm.chip.driver import SramName, StartEngine, StartTransfer, Unit, Wait
from tlm.core.errors import DriverError, InputError
from tlm.core.module import Activity
from tlm.observe.waves.cycle_wave import CycleWave
from tlm.observe.waves.dump import start_ps

CHIP = tlm.ChipConfig(
    lanes=8, columns=8, amem_banks=2, amem_words=1024, wmem_words=128, imem_words=512, memory_bytes=1 << 16
)


def small_network() -> tuple[tlm.Network, Any]:
    """Every kind of event on an 8x8 array: conflicts (stride 2), a residual, a split layer, accumulator output."""
    rng = np.random.default_rng(5)

    def weights(*shape: int, density: float = 1.0) -> Any:
        return (rng.integers(-8, 8, shape) * (rng.random((1, *shape[1:])) < density)).astype(np.int8)

    scale: dict[str, Any] = {"multiplier": 300, "shift": 12}
    pruned = weights(12, 12, 3, 3, density=0.3)
    layers = [
        tlm.Conv2d("pw1", weights(12, 6, 1, 1), **scale),
        tlm.Conv2d("res", pruned, padding=1, residual="pw1", residual_multiplier=9, **scale),
        tlm.Conv2d("down", weights(20, 12, 3, 3, density=0.9), padding=1, stride=2, **scale),
        tlm.Conv2d("scores", weights(3, 20, 1, 1), accumulator_output=True),
    ]  # fmt: skip
    return tlm.Network((6, 7, 8), layers), rng.integers(0, 16, (6, 7, 8))


class Waves:
    """A dump as pywellen reads it; nothing but times and values."""

    def __init__(self, path: Path) -> None:
        self._waveform = pywellen.Waveform(str(path))
        self._vars = {v.full_name: v for v in self._waveform.all_vars()}
        self.names = set(self._vars)
        counter = self.raw("clock.cycle")
        self._cycle_of_ps = {time: value for time, value in counter if isinstance(value, int)}
        self.last_cycle = max(self._cycle_of_ps.values())

    def raw(self, name: str) -> list[tuple[int, Any]]:
        """(time in ps, value) of every change."""
        return list(self._vars[name].signal)

    def changes(self, name: str) -> list[tuple[int, Any]]:
        """(cycle, value) of every change, by the dump's own cycle counter."""
        return [(self._cycle_of_ps[time], value) for time, value in self.raw(name)]

    def cycles(self, name: str) -> list[int]:
        """The cycles in which an event happens."""
        return [cycle for cycle, _ in self.changes(name)]

    def each_cycle(self, name: str) -> list[Any]:
        """The value in every cycle from 0 on."""
        changes = [*self.changes(name), (self.last_cycle + 1, None)]
        return [value for (a, value), (b, _) in pairwise(changes) for _ in range(a, b)]


class Run:
    """One traced run and its dump."""

    def __init__(self, directory: Path) -> None:
        network, self.activations = small_network()
        self.program = tlm.compile(network, CHIP)
        self.path = directory / "run.vcd"
        trace = tlm.TraceOptions(wave=self.path, level="cycle")
        self.result = tlm.simulate(self.program, self.activations, trace=trace)
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
    states = waves.changes("engine.sequencer.state")
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
    states = waves.changes("engine.sequencer.state")
    at = next(i for i, (_, state) in enumerate(states) if state == "steps")
    (first, _), (drain, name), (after, gap) = states[at : at + 3]
    assert (name, gap) == ("drain", "gap")
    handover = drain - 1 + CHIP.pipeline_cycles + 1  # h = e + 1 + pipeline, free as the first pass is
    assert after == handover + 1
    holds = [cycle for cycle, state in waves.changes("engine.mac_array.state") if state == "hold"]
    drains = [cycle for cycle, state in waves.changes("engine.requantiser.state") if state == "drain"]
    assert (holds[0], drains[0]) == (handover, handover + 1)
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
    starts = [cycle for cycle, state in waves.changes("engine.sequencer.state") if state == "steps" and cycle in span]
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
        assert shown == [s.transfer.label for s in steps if isinstance(s, StartTransfer) and s.unit is unit]


def test_the_host_shows_its_register_accesses_and_its_sleep(run: Run) -> None:
    waves = run.waves
    sleeps = [cycle for cycle, state in waves.changes("host.state") if state == "sleep"]
    assert len(sleeps) > 2
    assert all(waves.each_cycle("host.waits_for")[cycle] != "-" for cycle in sleeps)
    begins = [cycle for cycle, access in waves.changes("host.access") if access]
    shown = [tuple(waves.each_cycle(f"host.{key}")[cycle] for key in ("unit", "register", "write")) for cycle in begins]
    starts = Counter(unit for unit, register, write in shown if register == "START" and write)
    expected = Counter("engine" if isinstance(s, StartEngine) else s.unit.value for s in run.program.steps
                       if not isinstance(s, Wait))  # fmt: skip
    assert starts == expected
    assert ("load", "STATUS", 0) in shown


def test_scopes_bear_the_names_of_the_blocks(run: Run) -> None:
    modules = {module.path for module in System(CHIP).simulation.modules()} - {"dma", "engine"}
    assert {name.rpartition(".")[0] for name in run.waves.names} == modules | {"clock"}


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
    tlm.simulate(run.program, run.activations, vcd=str(other))
    assert other.read_bytes() == run.path.read_bytes()


def check_well_formed(path: Path, clock_khz: int) -> int:
    """Read by pyvcd: declarations first, time ascending by whole cycles, one value each. Returns the end's cycle."""
    times, seen, headers = [], set[str](), []
    for token in tokenize(io.BytesIO(path.read_bytes())):
        if token.kind is TokenKind.CHANGE_TIME:
            times.append(token.time_change)
            seen.clear()
        elif isinstance(token.data, (ScalarChange, VectorChange, StringChange)):
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


@pytest.mark.parametrize("voltage_v", [1.1, 0.8, 0.93])
def test_time_is_real_and_exact_at_every_operating_point(run: Run, tmp_path: Path, voltage_v: float) -> None:
    chip = tlm.ChipConfig(**{**vars(CHIP), "voltage_v": voltage_v, "frequency_mhz": None})
    path = tmp_path / "run.vcd"
    result = tlm.simulate(run.program, run.activations, chip=chip, vcd=path)
    last_irq_ps = Waves(path).raw("host.irq_store")[-1][0]
    assert last_irq_ps == (result.cycles - 1) * 10**9 // chip.clock_khz
    assert check_well_formed(path, chip.clock_khz) > result.cycles


def test_a_failing_run_leaves_a_readable_file_up_to_the_failure(run: Run, tmp_path: Path) -> None:
    layer = run.result.layers["res"]
    # the whole opcode of every word changes, so whatever the sequencer reads next is no instruction
    faults = [
        tlm.BitFlip(tlm.FaultTarget.IMEM, word, 63, cycle=layer.start_cycle + 50) for word in range(CHIP.imem_words)
    ]
    path = tmp_path / "failed.vcd"
    with pytest.raises(DriverError, match="illegal instruction"):
        tlm.simulate(run.program, run.activations, vcd=path, faults=faults)
    assert list(tmp_path.iterdir()) == [path]
    last = check_well_formed(path, CHIP.clock_khz)
    waves = Waves(path)
    assert "res" in [name for _, name in waves.changes("engine.sequencer.layer")]
    assert waves.changes("host.register")[-1][1] == "ERROR_CYCLE"  # the driver's last word
    assert waves.changes("host.register")[-1][0] < last < run.result.cycles
    whole = [change for change in run.waves.changes("engine.sequencer.pass") if change[0] < layer.start_cycle + 50]
    assert waves.changes("engine.sequencer.pass")[: len(whole)] == whole


def test_ctrl_c_leaves_a_readable_file(run: Run, tmp_path: Path) -> None:
    path, stop_cycle = tmp_path / "stopped.vcd", 1500
    system = System(CHIP)
    system.preload(run.program.image(run.program.network.check_activations(run.activations)))

    def press() -> Activity:
        yield system.simulation.clock.cycles(stop_cycle)
        raise KeyboardInterrupt

    system.simulation.add_process(press)
    with pytest.raises(KeyboardInterrupt), CycleWave(system, run.program, path):
        system.run(run.program.steps)
    assert check_well_formed(path, CHIP.clock_khz) == stop_cycle + 1
    whole = [change for change in run.waves.changes("dma.load.bytes") if change[0] < stop_cycle]
    assert Waves(path).changes("dma.load.bytes")[: len(whole)] == whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["missing directory", "directory", "device"])
def test_a_path_that_cannot_be_written_is_told_before_the_run(run: Run, tmp_path: Path, kind: str) -> None:
    path = {"missing directory": tmp_path / "no" / "x.vcd", "directory": tmp_path, "device": Path("/dev/null")}[kind]
    broken = [tlm.BitFlip(tlm.FaultTarget.MEMORY, 7, 7)]  # the run itself would fail with something else
    with pytest.raises(InputError, match=f"vcd: {path} .*; give"):
        tlm.simulate(run.program, run.activations, vcd=path, faults=broken)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_one_message(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.vcd"
    full = Path("/dev/full").open("w", buffering=4096)  # noqa: SIM115 - the writer closes it
    monkeypatch.setattr(CycleWave, "_open", lambda _: full)
    with pytest.raises(InputError, match=r"x\.vcd cannot be written \(No space left on device\); give"):
        tlm.simulate(run.program, run.activations, vcd=path)
