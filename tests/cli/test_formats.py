"""What commands print for other programs, sweeps side by side, reports of several runs, and what 80 columns hold."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from command import SMALL, on_terminal, refused, tlm

from tlm.analysis.bars import fitted
from tlm.reproduction.page import print_page
from tlm.results.console import ReportTerminal
from tlm.sweeps.front import failures, front, front_cells

WIDTH = 80


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with results "a" and "b" of long names, and sweeps "s" and "t" whose points are not all the same."""
    directory = tmp_path_factory.mktemp("made")
    long = "a_layer_with_a_rather_long_name_as_importers_like_to_give_them"
    for name in ("small", "small_but_with_a_long_name"):
        (directory / f"{name}.toml").write_text(SMALL.replace('"c1"', f'"{long}"'))
    for command in (
        ("run", "small.toml", "-o", "a"),
        ("run", "small.toml", "-o", "b", "--set", "chip.amem_banks=1"),
        ("sweep", "small.toml", "--over", "chip.amem_banks=1,2,4", "--over", "chip.amem_words=8,16384",
         "--processes", 1, "-o", "s"),
        ("sweep", "small.toml", "--over", "chip.amem_banks=2,4", "--over", "chip.amem_words=16384",
         "--set", "chip.host_access_ns=30", "--processes", 1, "-o", "t"),
    ):  # fmt: skip
        done = tlm(*command, cwd=directory)
        assert done.returncode == 0, done.stderr
    return directory


FORMATS = {
    "compare a b": ("sections", "figure"),
    "compare s t": ("points", "chip.amem_banks"),
    "explain a --no-runs": ("layers", "bound_by"),
    "eval small.toml --count 2": ("inputs", "output_sha256"),
    "compile small.toml": ("groups", "predicted_cycles"),
    "sweep s": ("points", "cycles"),
    "list": ("scenarios", "description"),
    "tradeoff model2_1of9": ("points", "accuracy"),
}
"""Command -> key of its rows in JSON, and a column in CSV."""


@pytest.mark.parametrize("command", FORMATS)
def test_json_and_csv_say_the_same_and_nothing_else(made: Path, command: str) -> None:
    key, column = FORMATS[command]
    printed = [tlm(*command.split(), option, cwd=made) for option in ("--json", "--csv")]
    assert [done.returncode for done in printed] == [0, 0]
    record, rows = json.loads(printed[0].stdout), list(csv.DictReader(io.StringIO(printed[1].stdout)))
    assert {row[column] for row in rows} != {""}
    if key != "sections":
        assert len(record[key]) == len(rows)


def test_two_formats_are_one_too_many() -> None:
    assert refused("list", "--json", "--csv") == "--csv: given beside --json; leave one of them out"


def test_sweeps_side_by_side(made: Path) -> None:
    text = tlm("compare", "s", "t", cwd=made).stdout
    assert text.startswith("A: sweep of small, 6 points\nB: sweep of small, 2 points\n")
    assert "points in all: 2, of these with different results: 2" in text
    rows = {row["chip.amem_banks"]: row for row in json.loads(tlm("compare", "s", "t", "--json", cwd=made).stdout)[
        "points"] if row["cycles_B"]}  # fmt: skip
    row = rows[2]
    change = 100 * (row["cycles_B"] - row["cycles_A"]) / row["cycles_A"]
    assert re.search(
        rf"amem_banks=2, .* {row['cycles_A']:,} +{row['cycles_B']:,} +{re.escape(f'{change:+.1f} %')}", text
    )
    equal = tlm("compare", "s", "s", cwd=made).stdout
    assert equal.endswith("different results: 0\npoints whose results are equal are left out; --all shows them\n")
    assert "failed" in tlm("compare", "s", "s", "--all", cwd=made).stdout
    assert refused("compare", "s", "a", cwd=made).startswith("a/sweep.sqlite: no such sweep")


def test_a_sweep_ends_with_its_front_and_its_failures(made: Path) -> None:
    text = tlm("sweep", "s", cwd=made).stdout
    rows = json.loads(tlm("sweep", "s", "--json", cwd=made).stdout)["points"]
    best = min((row for row in rows if row["cycles"]), key=lambda row: row["cycles"])
    (line,) = [line for line in text.splitlines() if "fastest" in line]
    assert f"{best['cycles']:,}" in line
    assert "point 0 failed: " in text


def row_of(point: int, time_us: float, energy_pj: float | None, status: str = "ok") -> dict[str, object]:
    cycles = None if energy_pj is None else int(500 * time_us)
    return {"point": point, "k": point, "status": status, "error": "why", "cycles": cycles, "time_us": time_us,
            "energy_pj": energy_pj, "images": 1}  # fmt: skip


def test_the_front_has_what_no_other_point_beats() -> None:
    rows = [row_of(0, 3, 5), row_of(1, 1, 9), row_of(2, 2, 9), row_of(3, 3, 5), row_of(4, 4, 1), row_of(5, 0, None)]
    assert [row["point"] for row in front(rows)] == [1, 0, 4]
    assert [cells[-1] for cells in front_cells(rows, ["k"])] == ["fastest", "between", "thriftiest"]
    batch = row_of(6, 8, 16) | {"images": 16}  # half a us and 1 pJ for each image
    assert [row["point"] for row in front([*rows, batch])] == [6]
    many = [row_of(point, point, 100 - point) for point in range(50)]
    shown = [int(cells[1]) for cells in front_cells(many, ["k"])]
    assert (len(shown), shown[0], shown[-1]) == (8, 0, 49)
    failed = [row_of(point, 0, None, "failed") for point in range(10)]
    assert list(failures(failed))[7:] == [
        "point 7 failed: why", "and 2 more; the table has their messages (column error)"
    ]  # fmt: skip


def test_several_runs_on_one_page_and_a_page_on_stdout(made: Path) -> None:
    pytest.importorskip("plotly")
    done = tlm("report", "a", "b", "-o", "-", cwd=made)
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert set(data["figures"]) == {"levels", "causes"}
    cycles = [json.loads((made / name / "result.json").read_text())["cycles"] for name in ("a", "b")]
    rows = data["tables"]["layers"]["rows"]
    assert {"layer": "", "figure": "cycles", "A": cycles[0], "B": cycles[1]} in rows
    assert {"write back cycles", "time us"} <= {row["figure"] for row in rows}
    assert tlm("report", "a", "b", "-o", "page.html", cwd=made).stdout == "wrote page.html\n"
    assert (made / "page.html").read_text() == done.stdout
    assert refused("report", "s", "a", cwd=made).startswith("s: is a sweep")


COMMANDS = (
    "run small_but_with_a_long_name.toml", "eval small.toml --count 2", "sweep s", "explain a", "compare a b",
    "compare a b --all",
    "compare s t", "compile small.toml", "disasm small.toml", "show small.toml", "list", "info", "--help",
)  # fmt: skip


@pytest.mark.parametrize("command", [*COMMANDS, pytest.param("tradeoff", marks=pytest.mark.slow)])
def test_everything_fits_a_terminal(made: Path, command: str) -> None:
    lines = on_terminal(*command.split(), cwd=made)
    assert not [line for line in lines if len(line) > WIDTH]
    assert not [line for line in lines if "\\x1b" in line], "control characters were shown instead of sent"
    assert not [line for line in lines if "\N{HORIZONTAL ELLIPSIS}" in line]
    printed = tlm(*command.split(), cwd=made).stdout
    assert not [line for line in printed.splitlines() if line.endswith(" ")]
    if command.startswith("run"):
        assert any(re.fullmatch(r"host: [\d,]+ simulated cycles a second in [\d.]+ s \(measured\)", x) for x in lines)


def test_wide_tables_leave_out_what_matters_least() -> None:
    rows = [["layer", "a", "b", "c"], ["x" * 30, "1" * 20, "2" * 20, "3" * 20]]
    assert fitted(rows, ["b", "a"])[0].split() == ["layer", "a", "c"]
    assert fitted(rows, ["b", "a"], width=0)[0].split() == ["layer", "a", "b", "c"]
    assert fitted(rows, [])[1].split()[0] == "x" * 10 + ".."
    assert all(len(line) <= WIDTH for line in fitted(rows, []))


def test_the_published_figures_fit_a_terminal() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reproduction.md"
    for width, found in ((WIDTH, "  published: 352 mW [P]; "), (400, "deviation")):
        text = io.StringIO()
        print_page(page.read_text(encoding="utf-8"), ReportTerminal(file=text, width=width))
        assert found in text.getvalue()
        assert max(map(len, text.getvalue().splitlines())) <= width
        assert not [line for line in text.getvalue().splitlines() if line.endswith(" ")]
