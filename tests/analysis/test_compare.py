"""`tlm compare`: two results side by side."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from command import SMALL, refused, tlm
from msgspec import structs

from tlm.analysis.comparison import Comparison, Section, compare
from tlm.chip.dram_config import DramConfig
from tlm.results.result_json import load_result

GOLDEN = Path(__file__).with_name("golden_compare.txt")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with results "a" (2 AMem banks), "b" (4 banks, another seed) and "one" (another network)."""
    directory = tmp_path_factory.mktemp("results")
    (directory / "small.toml").write_text(SMALL)
    (directory / "one.toml").write_text(SMALL.split('[[network.layers]]\nname = "c2"')[0])
    runs = (("a", "small.toml", "chip.amem_banks=2"), ("b", "small.toml", "network.seed=5"))
    for name, scenario, change in (*runs, ("one", "one.toml", "input.shape=[8,6,7]")):
        done = tlm("run", scenario, "-o", name, "--fidelity", "pass", "--set", change, cwd=directory)
        assert done.returncode == 0
    return directory


def test_the_whole_text(results: Path) -> None:
    done = tlm("compare", "a", "b/result.json", cwd=results)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == GOLDEN.read_text()


def test_of_dram_only_what_was_chosen_is_compared(results: Path) -> None:
    """A preset's values follow from it; a result without DRAM has none of its keys."""
    plain = load_result(results / "a")
    dram = structs.replace(plain, chip=replace(plain.chip, memory_model="dram"))
    other = structs.replace(plain, chip=replace(dram.chip, dram=DramConfig("ddr3l_1600_x16", trp_clocks=12)))
    assert compare([plain, dram]).settings == {"chip.memory_model": ("fixed", "dram")}
    assert compare([dram, other]).settings == {
        "chip.dram.preset": ("lpddr3_1600_x32", "ddr3l_1600_x16"), "chip.dram.trp_clocks": (15, 12)
    }  # fmt: skip
    assert compare([plain, other]).settings == {
        "chip.memory_model": ("fixed", "dram"), "chip.dram.preset": ("absent", "ddr3l_1600_x16"),
        "chip.dram.trp_clocks": ("absent", 12),
    }  # fmt: skip


def test_counts_of_dram_that_differ_are_shown(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    changes = {"fixed": [], "open": ["memory_model=dram"], "closed": ["memory_model=dram", "dram.page_policy=closed"]}
    stored = {}
    for name, keys in changes.items():
        settings = [part for key in keys for part in ("--set", f"chip.{key}")]
        assert tlm("run", "small.toml", "-o", name, *settings, cwd=tmp_path).returncode == 0
        stored[name] = load_result(tmp_path / name)
    titles = [one.title for one in compare([stored["fixed"], stored["fixed"]]).sections]
    assert "DRAM [S]" not in titles
    both = compare([stored["open"], stored["closed"]])
    figures = next(one for one in both.sections if one.title == "DRAM [S]")
    rows = [one.dram.rows for one in both.results]  # type: ignore[union-attr]
    assert figures.rows["row_misses"] == tuple(one.misses for one in rows)
    assert rows[0].misses < rows[1].misses
    assert "  row misses " in both.text()
    assert "  peak GB per s " not in both.text()
    one_sided = next(one for one in compare([stored["fixed"], stored["open"]]).sections if one.title == "DRAM [S]")
    assert one_sided.rows["row_hits"] == (None, rows[0].hits)


def test_a_result_equals_itself(results: Path) -> None:
    assert tlm("compare", "a", "a", cwd=results).stdout == (
        "A: small, fidelity pass\nB: small, fidelity pass\noutputs: equal\n\n"
        "layers without a difference: c1, c2\nfigures that are equal are left out; --all shows them\n"
    )
    lines = tlm("compare", "a", "a", "--all", cwd=results).stdout.splitlines()
    rows = [line.split() for line in lines if line.startswith("  ") and line.split()[0] != "A"]
    assert len(rows) > 40
    assert all(row[-1] == "=" for row in rows)


def test_layers_of_one_side_only(results: Path) -> None:
    text = tlm("compare", "a", "one", cwd=results).stdout
    layer = text.split("Layer c2 ")[1].splitlines()
    assert layer[1].split() == ["A", "B", "B", "to", "A"]
    assert all(line.split()[-2:] == ["-", "-"] for line in layer[2:] if line.startswith("  "))
    assert "network.layers[1].name: c2 -> absent" in text


def test_three_results_fit_80_columns(results: Path) -> None:
    lines = tlm("compare", "a", "b", "one", cwd=results).stdout.splitlines()
    assert "network.seed: 1 -> 5 -> 1" in lines
    assert ["A", "B", "C", "B", "to", "A", "C", "to", "A"] in [line.split() for line in lines]
    assert max(len(line) for line in lines if line.startswith("  ")) <= 80


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_large_figures_of_many_results_fit_80_columns(results: Path, count: int) -> None:
    values = tuple(1_234_567_890_123 + 10**12 * index for index in range(count))
    one = load_result(results / "a")
    lines = Comparison([one] * count, {}, True, [Section("Whole run [S]", {"useful_macs": values})]).text().splitlines()
    assert max(map(len, lines)) <= 80
    numbers = [word for line in lines if line.startswith("  useful MACs") for word in line.split() if "," in word]
    assert numbers == [f"{value:,}" for value in values], "each once, in their order"
    assert any("%" in line for line in lines) is (count < 3), "changes go first where there is no room"


def test_json_and_csv_have_all_figures_of_result_json(results: Path) -> None:
    printed = tlm("compare", "a", "b", "one", "--json", cwd=results).stdout
    record = json.loads(printed)
    runs = [json.loads((results / name / "result.json").read_text()) for name in ("a", "b", "one")]
    totals, energy, causes, size, *layers = record["sections"]
    assert totals["figures"]["cycles"] == [run["cycles"] for run in runs]
    assert totals["figures"]["total_bytes"] == [run["traffic_bytes"]["total"] for run in runs]
    assert energy["figures"]["energy_uj"] == [run["energy"]["total_pj"] / 1e6 for run in runs]
    assert energy["figures"]["power_mw"] == [run["energy"]["power_mw"] for run in runs]
    parts = [
        row for key, row in energy["figures"].items() if key.endswith("_uj") and key not in ("energy_uj", "off_chip_uj")
    ]
    assert [sum(column) for column in zip(*parts, strict=True)] == pytest.approx(energy["figures"]["energy_uj"])
    assert [sum(column) for column in zip(*causes["figures"].values(), strict=True)] == totals["figures"]["cycles"]
    assert layers[1]["figures"]["compute_cycles"][2] is None
    assert size["figures"]["multipliers"] == [run["chip"]["lanes"] * run["chip"]["columns"] for run in runs]
    assert size["figures"]["amem_bytes"] == [run["chip"]["amem_words"] * run["chip"]["lanes"] // 2 for run in runs]
    rows = list(csv.reader(tlm("compare", "a", "b", "one", "--csv", cwd=results).stdout.splitlines()))
    assert rows[0] == ["layer", "figure", "A", "B", "C"]
    assert ["", "cycles", *(str(run["cycles"]) for run in runs)] in rows
    assert len(rows) == 1 + sum(len(section["figures"]) for section in record["sections"])


def test_a_batch_is_compared_by_image(results: Path) -> None:
    done = tlm("run", "small.toml", "--batch", 3, "-o", "batch", cwd=results)
    assert done.returncode == 0, done.stderr
    record = json.loads(tlm("compare", "a", "batch", "--json", cwd=results).stdout)
    (figures,) = (section["figures"] for section in record["sections"] if section["title"].startswith("Batch"))
    one, three = (json.loads((results / name / "result.json").read_text()) for name in ("a", "batch"))
    assert figures["images"] == [1, 3]
    assert figures["cycles_per_image"] == [one["cycles"], three["cycles"] / 3]
    assert figures["steady_cycles_per_image"] == [None, three["batch"]["steady_cycles_per_image"]]
    assert figures["images_per_s"][1] == pytest.approx(three["batch"]["images_per_s"])
    assert figures["energy_per_image_uj"][1] == pytest.approx(three["batch"]["energy_pj_per_image"] / 1e6)
    text = tlm("compare", "a", "batch", cwd=results).stdout
    assert "Batch [S], energy [A]" in text
    assert max(map(len, text.splitlines())) <= 80


def test_json_beside_csv_is_refused(results: Path) -> None:
    assert refused("compare", "a", "b", "--json", "--csv", cwd=results).startswith("--csv: given beside --json")


def test_results_of_different_schemas_are_refused(results: Path, tmp_path: Path) -> None:
    record = json.loads((results / "b" / "result.json").read_text())
    record["schema"] = "tlm.result/2"
    (tmp_path / "result.json").write_text(json.dumps(record))
    why = "schema: 'tlm.result/2' is not 'tlm.result/1', which this version reads; run the scenario again"
    for pair in ((results / "a", "."), (".", results / "a")):
        assert refused("compare", *pair, cwd=tmp_path) == f"result.json: {why}"


def test_missing_and_foreign_files_are_refused(results: Path) -> None:
    assert refused("compare", "a", "nowhere", cwd=results).startswith("nowhere: no such result")
    assert refused("compare", "small.toml", "a", cwd=results).startswith("small.toml: not JSON")
    assert refused("compare", "a", cwd=results).startswith("the following arguments are required: B")
