"""`tlm explain`: bounds, what changes buy, the run built again, and the text."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from command import SMALL, refused, tlm

from tlm.analysis.bars import bar, columns, stacked
from tlm.analysis.explain import GROUPS, bound_of, explain
from tlm.analysis.rebuild import rebuild
from tlm.analysis.what_if import Change, changes, outcome
from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.system import System
from tlm.cli.main import main
from tlm.core.errors import InputError
from tlm.observe.account import ArrayAccount, WaitAccount
from tlm.results.result_json import EnergyRecord, LayerRecord, load_result

GOLDEN = Path(__file__).with_name("golden_explain.txt")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a result of two small layers."""
    directory = tmp_path_factory.mktemp("small")
    (directory / "small.toml").write_text(SMALL)
    assert tlm("run", "small.toml", "-o", "out", "--fidelity", "pass", cwd=directory).returncode == 0
    return directory / "out"


def edited(result: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a result in which something was changed."""
    record = json.loads((result / "result.json").read_text())
    change(record)
    (tmp_path / "result.json").write_text(json.dumps(record))
    return tmp_path


# -- the command ----------------------------------------------------------------------------------------------------


def test_the_whole_text(small: Path) -> None:
    by_directory, by_file = tlm("explain", small), tlm("explain", small / "result.json", "--processes", "2")
    assert (by_directory.returncode, by_directory.stderr) == (0, "")
    assert by_directory.stdout == by_file.stdout == GOLDEN.read_text()


def test_without_runs(small: Path) -> None:
    done = tlm("explain", small, "--no-runs")
    head, tail = GOLDEN.read_text().split("What a change would buy", 1)
    lines = [line for line in head.splitlines() if "saves most" not in line]
    assert done.stdout.splitlines() == [*lines, "What a change would buy was not simulated (--no-runs)."]
    assert "AMem banks 4 -> 8" in tail


def test_a_file_of_the_scenario_is_found_by_name_and_hash(tmp_path: Path) -> None:
    (tmp_path / "scenario").mkdir()
    np.save(tmp_path / "scenario" / "x.npy", np.arange(8 * 6 * 7).reshape(8, 6, 7) % 16)
    scenario = tmp_path / "scenario" / "file.toml"
    scenario.write_text(SMALL.split("[input]")[0] + '[input]\nkind = "npy"\nfile = "x.npy"\n')
    assert tlm("run", scenario, "-o", tmp_path / "out").returncode == 0
    complaint = refused("explain", "out", cwd=tmp_path)
    assert complaint == (
        "out/result.json: input.file: x.npy is in none of the directories out, ., nor among the scenarios; "
        "name its directory with --files DIR, or `--no-runs` explains without simulating"
    )
    assert tlm("explain", "out", "--files", "scenario", cwd=tmp_path).returncode == 0
    assert tlm("explain", "../out", cwd=tmp_path / "scenario").returncode == 0
    np.save(tmp_path / "scenario" / "x.npy", np.zeros((8, 6, 7), np.int8))
    assert "input.file: scenario/x.npy has changed since the run" in refused(
        "explain", "out", "--files", "scenario", cwd=tmp_path
    )
    assert tlm("explain", "out", "--no-runs", cwd=tmp_path).returncode == 0


def shorter(record: dict[str, Any]) -> None:
    record["cycles"] -= 1
    record["account"]["causes"]["host"] -= 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda r: r.update(schema="tlm.result/9"), "schema: 'tlm.result/9' is not 'tlm.result/1'"),
        (lambda r: r.pop("schema"), "schema: None is no result's"),
        (lambda r: r.pop("account"), "not a whole result (Object missing required field `account`)"),
        (lambda r: r.pop("layers"), "not a whole result (Object missing required field `layers`)"),
        (lambda r: r["layers"][1].update(steps=-1), "`$.layers[1].steps`"),
        (lambda r: r["chip"].update(amem_banks=3), "chip.amem_banks: 3 is not one of 1, 2, 4, 8"),
        (lambda r: r["account"]["causes"].update(host=0), "account.causes: sums to"),
        (lambda r: r["layers"][0]["account"].update(drain=0), "layers[0].account: sums to"),
        (lambda r: r.update(settings={}), "settings: [] holds no network and input"),
        (lambda r: r["settings"]["network"].update(kind="nonsense"), "settings: cannot be built again"),
        (lambda r: r["settings"]["input"].update(sha256="0"), "input.sha256: the result says 0, but"),
        (lambda r: r["settings"]["network"].update(seed=9), "outputs_sha256: the result says"),
        (shorter, "cycles: the result says"),
    ],
)
def test_a_result_that_is_not_what_ran_is_refused(
    small: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    path = edited(small, tmp_path, change)
    with pytest.raises(InputError) as error:
        explain(load_result(path), [path])
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such result; `tlm run SCENARIO -o DIR` writes DIR/result.json"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "schema: None is no result's"),
        (b"{}", "schema: None is no result's"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "result.json").write_bytes(content)
    message = refused("explain", ".", cwd=tmp_path)
    assert message.startswith("result.json: ")
    assert complaint in message


def test_a_scenario_is_run_first(small: Path) -> None:
    done = tlm("explain", "small.toml", cwd=small.parent)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", GOLDEN.read_text())


def test_a_scenario_runs_on_its_own_chip_once_and_equal_values_are_computed_once(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, kernel, runs, layers = System.run, kernels.mac_layer, list[ChipConfig](), list[object]()

    def counted_run(self: System, *arguments: Any) -> None:
        runs.append(self.config)
        run(self, *arguments)

    def counted_layer(*arguments: Any) -> Any:
        layers.append(arguments)
        return kernel(*arguments)

    with mock.patch.object(System, "run", counted_run), mock.patch.object(kernels, "mac_layer", counted_layer):
        assert main(["explain", str(small.parent / "small.toml")]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text()
    assert len(runs) == len(set(runs)) == 1 + len(changes(ChipConfig()))
    assert 0 < len(layers) < 2 * len(runs)  # of two layers


def test_what_is_neither_result_nor_scenario(tmp_path: Path) -> None:
    message = refused("explain", "nowhere", cwd=tmp_path)
    assert message.startswith("nowhere: no such result or scenario; `tlm run SCENARIO -o DIR` writes DIR/result.json")


# -- what bounds a layer --------------------------------------------------------------------------------------------


def layer(**cycles: int) -> LayerRecord:
    of_array = ArrayAccount().by_cause()
    account = ArrayAccount(**{cause: count for cause, count in cycles.items() if cause in of_array})
    waits = WaitAccount(**{cause: count for cause, count in cycles.items() if cause not in of_array})
    counts = ("steps", "fetch_cycles", "passes", "macs", "useful_macs", "dense_macs", "peak_macs_per_cycle",
              "weight_words", "dense_weight_words", "start_cycle", "end_cycle", "predicted_compute_cycles")  # fmt: skip
    shares = ("utilization", "step_utilization", "lane_utilization", "column_utilization")
    energies = [name for name in EnergyRecord.__struct_fields__ if name != "components_pj"]
    return LayerRecord(
        name="c", kind="pointwise", input_shape=(1, 1, 1), output_shape=(1, 1, 1), kernel=(1, 1), stride=(1, 1),
        compute_cycles=account.total, account=account, waits=waits, outputs_sha256="",
        energy=EnergyRecord(components_pj={}, **dict.fromkeys(energies, 0.0)),
        **dict.fromkeys(counts, 0), **dict.fromkeys(shares, 0.0),
    )  # fmt: skip


def test_every_cause_is_in_one_group() -> None:
    grouped = [cause for causes in GROUPS.values() for cause in causes]
    assert sorted(grouped) == sorted({**ArrayAccount().by_cause(), **WaitAccount(refresh=0, row=0).by_cause()})


@pytest.mark.parametrize(
    ("cycles", "group", "share"),
    [
        ({"computing": 60, "pipeline": 20, "drain": 20}, "array", 0.6),
        ({"computing": 30, "bank_conflict": 50, "weights": 20}, "bank conflicts", 0.5),
        ({"computing": 30, "write_back": 40, "weights": 30}, "write-back", 0.4),
        ({"computing": 30, "pipeline": 20, "drain": 20}, "pipeline", 4 / 7),
        ({"computing": 30, "host": 70}, "host", 0.7),
        ({"computing": 30, "instruction": 20, "parameters": 20, "instructions": 30}, "instructions", 0.7),
        ({"computing": 30, "weights": 70}, "weights", 0.7),
        ({"computing": 30, "activations": 70}, "activations", 0.7),
    ],
)
def test_the_largest_group_bounds(cycles: dict[str, int], group: str, share: float) -> None:
    bound = bound_of(layer(**cycles))
    assert (bound.group, bound.share, bound.kind) == (group, share, "")


@pytest.mark.parametrize(
    ("chip", "kind"),
    [
        ({"memory_latency_ns": 2000.0, "memory_gb_per_s": 100.0}, "memory latency"),
        ({"memory_latency_ns": 0.0, "memory_gb_per_s": 0.1}, "memory bandwidth"),
        ({"memory_latency_ns": 0.0, "memory_gb_per_s": 100.0, "bus_bytes": 4}, "interconnect bandwidth"),
    ],
)
def test_runs_tell_latency_from_bandwidth(tmp_path: Path, chip: dict[str, float], kind: str) -> None:
    (tmp_path / "s.toml").write_text(SMALL.replace("out_channels = 16", "out_channels = 64"))
    sets = [item for key, value in chip.items() for item in ("--set", f"chip.{key}={value}")]
    sets += ["--set", "chip.host_access_ns=0", "--set", "chip.host_interrupt_ns=0", "--set", "input.shape=[64,6,7]"]
    assert tlm("run", "s.toml", "-o", "out", *sets, cwd=tmp_path).returncode == 0
    bound = explain(load_result(tmp_path / "out")).bounds[0]
    assert (bound.group, bound.kind) == ("weights", kind)


# -- changes --------------------------------------------------------------------------------------------------------


def test_changes_stay_within_the_limits() -> None:
    assert [change.text(ChipConfig()) for change in changes(ChipConfig())] == [
        "AMem banks 4 -> 8", "memory GB/s 3.2 -> 6.4", "memory latency ns 60 -> 30", "bursts in flight 2 -> 4",
        "bus bytes 8 -> 16", "gap cycles 3 -> 1", "WMem words 16384 -> 32768", "host access ns 20 -> 10",
        "host interrupt ns 100 -> 50",
    ]  # fmt: skip
    best = ChipConfig(
        amem_banks=8, memory_gb_per_s=1000, memory_latency_ns=0, dma_bursts_in_flight=64, bus_bytes=32,
        pass_gap_cycles=1, wmem_words=1 << 20, host_access_ns=0, host_interrupt_ns=0,
    )  # fmt: skip
    assert changes(best) == []


def test_gains_are_those_of_real_runs(small: Path) -> None:
    stored = load_result(small)
    explanation = explain(stored)
    assert [one.cycles for one in explanation.outcomes if one.cycles] == sorted(
        rebuild(stored, [])(change.applied(stored.chip)).cycles for change in changes(stored.chip)
    )


def test_a_change_that_does_not_fit_the_chip_says_why(small: Path) -> None:
    stored = load_result(small)
    rerun = rebuild(stored, [])
    change = Change("AMem words", "amem_words", 1001)
    found = outcome(rerun, stored.chip, stored.outputs_sha256, change)
    assert found.cycles is None
    assert "1001 is not a multiple of chip.amem_banks = 4" in found.problem


def test_what_travels_to_a_process_is_small(small: Path) -> None:
    stored = load_result(small)
    sent = pickle.dumps(partial(outcome, rebuild(stored, []), stored.chip, stored.outputs_sha256))
    assert len(sent) < 8_000
    change = changes(stored.chip)[0]
    found = pickle.loads(sent)(change)
    assert found == outcome(rebuild(stored, []), stored.chip, stored.outputs_sha256, change)
    assert pickle.loads(sent).args[0] is pickle.loads(sent).args[0]  # made once
    assert len(pickle.dumps(found)) < 8_000


# -- bars -----------------------------------------------------------------------------------------------------------


def test_bars() -> None:
    assert [bar(share, 10) for share in (0.0, 0.001, 0.5, 1.0)] == ["", "#", "#####", "#" * 10]
    assert stacked({"a": 1, "b": 1, "c": 1}, 10) == "aaaabbbccc"
    assert stacked({"a": 999, "b": 1}, 10) == "a" * 10
    assert stacked({"a": 0, "b": 0}, 3) == "   "


def test_columns_are_aligned() -> None:
    assert columns([["a", "1"], ["bcd", "234"]]) == ["  a      1", "  bcd  234"]
