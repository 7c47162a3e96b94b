"""Topology files in the format of SCALE-Sim: what is read, what runs, and what a row of the result says."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from chip_cases import check_values
from command import files, tlm
from hypothesis import given, settings
from hypothesis import strategies as st

from tlm.compiler.compile import compile_network
from tlm.core.errors import InputError
from tlm.layer_tables.run import layer_tasks
from tlm.layer_tables.table import TableLayer, read_table
from tlm.networks.builder import NetworkBuilder
from tlm.networks.seeded import seeded_activations
from tlm.runs.simulate import simulate
from tlm.scenario.checking import checked
from tlm.scenario.loading import LoadedScenario
from tlm.sweeps.columns import COLUMNS
from tlm.sweeps.task import Task

HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"


def table(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_spaces_blank_lines_titles_and_empty_columns(tmp_path: Path) -> None:
    text = f"\ufeff{HEADER}\nAlexnet,\nc1 , 9 ,8, 3, 2, 5, 7, 2, , \n,,,\n c2,4,4,1,1,1,1,1\n".replace("\n", "\r\n")
    assert [(row.name, row.line, row.layer) for row in read_table(table(tmp_path, text))] == [
        ("c1", 4, TableLayer((5, 9, 8), 7, (3, 2), (2, 2))),
        ("c2", 6, TableLayer((1, 4, 4), 1)),
    ]


def test_a_product_has_a_pixel_for_each_row_of_the_left_matrix(tmp_path: Path) -> None:
    (row,) = read_table(table(tmp_path, "Layer,M,N,K,\nL0,196,192,384,\n"))
    assert row.layer == TableLayer((384, 196, 1), 192)


def test_a_second_stride_and_a_dense_sparsity_column(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, f"{HEADER}a,9,9,3,3,1,1,2,1,\nb,9,9,3,3,1,1,2,4:4,\nc,9,9,3,3,1,1,2,2:4,\n"))
    assert [row.layer and row.layer.stride for row in found] == [(2, 1), (2, 2), None]
    assert "2:4" in found[2].error
    assert "--density" in found[2].error


def test_a_window_as_large_as_the_map_is_a_fully_connected_layer(tmp_path: Path) -> None:
    small, large = read_table(table(tmp_path, f"{HEADER}a,6,6,6,6,8,4,1\nb,1,4096,1,4096,2,4,1\n"))
    assert small.layer == TableLayer((8, 6, 6), 4, (6, 6))
    assert large.layer == TableLayer((8192, 1, 1), 4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,9,9,3,3,1,1", "6 columns after the name; allowed: IFMAP Height"),
        ("a,9,9,3,3,1,1,1,1,5", "9 columns after the name"),
        ("a,9,9,3,,1,1,1", "Filter Width is ''; allowed: a whole number from 1 on"),
        ("a,9,0,3,3,1,1,1", "IFMAP Width is '0'"),
        ("a,9,9,3,3,1,-1,1", "Num Filter is '-1'"),
        ("a,9,9,3,3,1,1.5,1", "Num Filter is '1.5'"),
        ("a,9,9,3,3,1,\u0663,1", "Num Filter is '\u0663'"),
        ("a,9,2,3,3,1,1,1", "the filter of 3x3 is larger than the map of 9x2"),
    ],
)
def test_a_faulty_row_is_told_and_no_other_suffers(row: str, message: str, tmp_path: Path) -> None:
    faulty, good = read_table(table(tmp_path, f"{HEADER}{row}\nb,4,4,1,1,1,1,1\n"))
    assert faulty.layer is None
    assert faulty.error.startswith(message)
    assert good.layer == TableLayer((1, 4, 4), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "has no lines"),
        (b"\n ,\n", "has no lines"),
        (HEADER.encode(), "has a header and no layer"),
        (b"a,4,4,1,1,1,1,1\n", "t.csv:1: 'a, 4, 4, 1, 1, 1, 1, 1' is no header"),
        (b"Layer,M,N\n", "is no header"),
        (b"\xff\xfe", "is no CSV file in UTF-8"),
        (HEADER.encode() + b'"a,4,4\n', "is no CSV file in UTF-8"),
    ],
)
def test_what_is_no_table_ends_in_one_line(text: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_table(table(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file; give a topology file"):
        read_table(tmp_path / "none.csv")


@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.integers(1, 4),
    channels=st.integers(1, 4),
    filters=st.integers(1, 4),
)
@settings(max_examples=50, deadline=None)
def test_the_output_has_the_size_that_scale_sim_gives_it(
    size: tuple[int, int], kernel: tuple[int, int], stride: int, channels: int, filters: int
) -> None:
    """Its outputs: ceil((map - filter + stride) / stride) along each axis."""
    kernel = (min(kernel[0], size[0]), min(kernel[1], size[1]))
    layer = TableLayer((channels, *size), filters, kernel, (stride, stride))
    data = {"network": {"kind": "layers", "layers": [layer.section()]}, "input": {"shape": list(layer.shape)}}
    builder = NetworkBuilder(seeded_activations(layer.shape, 0), False)
    checked(data, ()).network.add_to(builder)
    high, wide = ((s - k + stride + stride - 1) // stride for s, k in zip(size, kernel, strict=True))
    assert builder.output_shape(None) == (filters, high, wide)


TABLE = f"""{HEADER}
conv, 10, 10, 3, 3, 8, 8, 1,
again, 10, 10, 3, 3, 8, 8, 1,
large, 70, 70, 64, 3, 3, 96, 4,
pw, 6, 6, 1, 1, 8, 40, 1,
"""


def test_the_command_writes_a_row_for_each_layer(tmp_path: Path) -> None:
    table(tmp_path, TABLE)
    ended = tlm("layers", "t.csv", "-o", "out.csv", "--processes", 1, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "3 of 4 layers ran alone, with outputs equal to the golden model's" in ended.stdout
    refused = "large (line 5) did not run: network.layers[0].kernel: [64, 3] is not allowed; give an integer in 1..63"
    assert refused in ended.stdout
    assert max(map(len, ended.stdout.split("3 of 4")[0].splitlines())) <= 80
    conv, again, large, pw = rows(tmp_path / "out.csv")
    assert [row["LayerID"] for row in (conv, again, large, pw)] == ["0", "1", "2", "3"]
    assert {**conv, "LayerID": "1", "Layer name": "again"} == again
    assert (large["status"], large["Total Cycles (incl. prefetch)"]) == ("failed", "")
    for row in (conv, pw):
        # the causes share out all cycles, and the utilisation follows from MACs and cycles
        causes = sum(int(row[f"{name}_cycles"] or 0) for name in CAUSE_COLUMNS)
        cycles = int(row["Total Cycles (incl. prefetch)"])
        assert causes == cycles
        assert float(row["utilization"]) == pytest.approx(int(row["macs"]) / (1024 * cycles))
        within = int(row["macs"]) / (1024 * int(row["compute_cycles"]))
        assert float(row["Compute Util %"]) == pytest.approx(100 * within, abs=1e-3)
        assert row["bound"]
    assert int(conv["macs"]) == 8 * 8 * 9 * 8 * 8


CAUSE_COLUMNS = [
    column.name.removesuffix("_cycles")
    for column in COLUMNS
    if column.name.endswith("_cycles") and column.name not in ("cycles", "compute_cycles")
]


def test_more_processes_change_no_byte(tmp_path: Path) -> None:
    table(tmp_path, TABLE)
    for count in (1, 2):
        assert tlm("layers", "t.csv", "-o", f"{count}.csv", "--processes", count, cwd=tmp_path).returncode == 0
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_pruned_words_cost_no_cycles(tmp_path: Path) -> None:
    table(tmp_path, f"{HEADER}conv,10,10,3,3,32,32,1\n")
    tlm("layers", "t.csv", "-o", "dense.csv", "--processes", 1, cwd=tmp_path)
    tlm("layers", "t.csv", "-o", "half.csv", "--processes", 1, "--word-density", 0.5, cwd=tmp_path)
    (dense,), (half,) = rows(tmp_path / "dense.csv"), rows(tmp_path / "half.csv")
    assert 2 * int(half["macs"]) == int(dense["macs"])
    assert 2 * int(half["computing_cycles"]) == int(dense["computing_cycles"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "network.seed=1"), "--set network.seed=1: the table gives network and input"),
        (("--set", "chip.lanes=33"), "chip.lanes: 33"),
        (("--density", "1.5"), "--density: 1.5 is not allowed; give a share from 0 to 1"),
        (("--density", "nan"), "--density: nan is not allowed"),
        (("--density", "0.5", "--word-density", "0.5"), "--word-density: given beside --density"),
        (("--processes", "0"), "--processes: 0 is not allowed"),
        (("-o", "out.txt"), "-o: out.txt does not end with .csv"),
    ],
)
def test_a_wrong_option_ends_before_anything_runs(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    table(tmp_path, TABLE)
    ended = tlm("layers", "t.csv", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert files(tmp_path) == ["t.csv"]


def test_a_table_of_which_nothing_runs_is_a_failure(tmp_path: Path) -> None:
    table(tmp_path, f"{HEADER}a,9,9,3,,1,1,1\n")
    ended = tlm("layers", "t.csv", "--processes", 1, cwd=tmp_path)
    assert ended.returncode == 1
    assert "0 of 1 layers ran" in ended.stdout


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("c, 43, 43, 11, 11, 3, 48, 4,", id="11x11"),
        pytest.param("c, 14, 14, 3, 3, 40, 36, 1,", id="3x3"),
        pytest.param("c, 1, 700, 1, 20, 12, 33, 2,", id="map of one row"),
        pytest.param("c, 1, 1300, 1, 1, 70, 9, 1,", id="point-wise on one row"),
        pytest.param("c, 8, 8, 8, 8, 70, 40, 1,", id="fully connected"),
    ],
)
def test_values_are_those_of_onnxruntime(row: str, tmp_path: Path) -> None:
    path = table(tmp_path, HEADER + row + "\n")
    (task,) = layer_tasks(path, read_table(path), {}, 3, [])
    assert isinstance(task, Task)
    job = LoadedScenario("row", task.config, ()).build()
    check_values(job.network, job.activations, simulate(compile_network(job.network, job.chip), job.activations))
