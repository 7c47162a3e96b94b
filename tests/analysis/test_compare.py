"""`tlm compare`: two results side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import SMALL, refused, tlm

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


def test_a_result_equals_itself(results: Path) -> None:
    lines = tlm("compare", "a", "a", cwd=results).stdout.splitlines()
    assert "outputs: equal" in lines
    rows = [line.split() for line in lines if line.startswith("  ") and line.split()[0] != "A"]
    assert len(rows) > 30
    assert all(row[-2:] == ["0", "="] for row in rows)


def test_layers_of_one_side_only(results: Path) -> None:
    first, second = (tlm("compare", *pair, cwd=results).stdout for pair in (("a", "one"), ("one", "a")))
    assert "Layer c2: only in A\n" in first
    assert "Layer c2: only in B\n" in second
    assert "network.layers[1].name: c2 -> absent" in first


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
