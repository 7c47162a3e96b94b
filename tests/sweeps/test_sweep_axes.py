"""What can be varied, and which points come of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import SMALL

from tlm.core.errors import InputError
from tlm.sweeps.api import sweep
from tlm.sweeps.axes import Axis, axes_of, parse_axis
from tlm.sweeps.plan import Request, make_plan, snapshot_text
from tlm.sweeps.sampling import grid, sample


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("chip.amem_banks=1,2,4,8", (1, 2, 4, 8)),
        ("network.taps=1..9", tuple(range(1, 10))),
        ("chip.voltage_v=[0.8, 0.9, 1.0, 1.1]", (0.8, 0.9, 1.0, 1.1)),
        ("network.taps=[[9, 9, 3, 3, 3, 3, 1, 1]]", ([9, 9, 3, 3, 3, 3, 1, 1],)),
        ("chip.voltage_v=0.8", (0.8,)),
        ("fidelity=cycle,pass,rtl", ("cycle", "pass", "rtl")),
        ("network.residual=true,false", (True, False)),
        ("network.taps=3,[9, 9, 3, 3, 3, 3, 1, 1]", (3, [9, 9, 3, 3, 3, 3, 1, 1])),
        ('network.stage="a,b","c"', ("a,b", "c")),
        ("chip.lanes=8,8,16", (8, 16)),
        ("network.residual=true,1", (True, 1)),
    ],
)
def test_values_as_they_are_written(text: str, values: tuple[object, ...]) -> None:
    axis = parse_axis(text)
    assert axis.key == text.partition("=")[0]
    assert axis.values == values
    assert [type(value) for value in axis.values] == [type(value) for value in values]


def test_a_range_of_real_numbers_without_a_step_is_continuous() -> None:
    axis = parse_axis("chip.voltage_v=0.8..1.2")
    assert axis == Axis("chip.voltage_v", (), 0.8, 1.2)
    assert [axis.at(share) for share in (0.0, 0.5, 1 / 3)] == [0.8, 1.0, 0.933333]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("chip.amem_banks", "KEY=VALUES is missing"),
        ("chip.amem_banks=", "the values are missing"),
        ("=3", "missing"),
        ("chip.amem_banks=1,,2", "neither a TOML array, bare words nor a range"),
        ("chip.amem_banks=9..1", "9..1 goes down"),
        ("chip.amem_words=0..1000000000", "more than 100,000 values"),
        ("chip.voltage_v=1.0,0.8..1.1", "neither a TOML array"),
        ("chip.amem_banks=1..9:2", "neither a TOML array"),
    ],
)
def test_what_is_no_axis(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as error:
        parse_axis(text)
    assert str(error.value).startswith(f"--over {text}: ")


def test_axes_of_a_table_are_dotted_or_nested() -> None:
    table = {"chip.amem_banks": [1, 2], "network": {"taps": "1..3"}, "fidelity": "pass"}
    assert axes_of(table, "x") == [
        Axis("chip.amem_banks", (1, 2)), Axis("network.taps", (1, 2, 3)), Axis("fidelity", ("pass",))
    ]  # fmt: skip


def test_axes_from_python_are_any_sequence(tmp_path: Path) -> None:
    numbers, shares = np.array([1, 2]), np.linspace(0.8, 1.2, 3)
    for given in ([1, 2], (1, 2), range(1, 3), numbers, list(numbers), "1..2"):
        (axis,) = axes_of({"chip.amem_banks": given}, "over")
        assert axis.values == (1, 2)
        assert {type(value) for value in axis.values} == {int}
    assert axes_of({"chip.voltage_v": shares}, "over")[0].values == (0.8, 1.0, 1.2)
    assert axes_of({"network.file": [tmp_path]}, "over")[0].values == (str(tmp_path),)
    with pytest.raises(InputError, match="over: '3' is not a key"):
        axes_of({3: [1]}, "over")  # type: ignore[dict-item]


def test_a_grid_changes_its_last_axis_fastest() -> None:
    assert grid([Axis("a", (1, 2)), Axis("b", (3, 4))]) == [(1, 3), (1, 4), (2, 3), (2, 4)]
    with pytest.raises(InputError, match="a grid needs a list of values"):
        grid([Axis("a", (), 0.0, 1.0)])


def test_a_latin_hypercube_covers_each_axis_evenly() -> None:
    axes = [Axis("a", tuple(range(10))), Axis("b", (), 0.0, 1.0)]
    rows = sample(axes, 40, "lhs", 7)
    assert rows == sample(axes, 40, "lhs", 7)
    assert rows[0] == (2, 0.0236727)  # as scipy draws it
    assert rows != sample(axes, 40, "lhs", 8)
    assert sorted(row[0] for row in rows) == sorted([*range(10)] * 4)
    assert sorted(int(row[1] * 40) for row in rows) == list(range(40))


def test_a_seed_is_not_negative() -> None:
    with pytest.raises(InputError, match="--seed: -1 is not allowed; give 0 or more"):
        sample([Axis("a", (1, 2))], 2, "random", -1)


def test_draws_that_are_equal_are_one_point(small: Path) -> None:
    for method in ("random", "lhs"):
        plan = make_plan(small, Request(["chip.amem_banks=1,2"], sample=50, method=method))
        assert sorted(point.parameters["chip.amem_banks"] for point in plan.points) == [1, 2]
        assert [point.index for point in plan.points] == [0, 1]


def test_random_draws_are_the_same_with_one_seed() -> None:
    axes = [Axis("a", (1, 2, 4)), Axis("b", (), -1.0, 1.0)]
    rows = sample(axes, 100, "random", 3)
    assert rows == sample(axes, 100, "random", 3)
    assert {row[0] for row in rows} == {1, 2, 4}
    assert all(-1 <= row[1] < 1 for row in rows)


def test_constraints_leave_out_points(small: Path) -> None:
    pytest.importorskip("simpleeval")
    over = ["chip.amem_banks=1,2,4,8", "chip.wmem_banks=1,2,4"]
    plan = make_plan(small, Request(over, where=["chip.amem_banks * chip.wmem_banks == 8", "chip.lanes == 32"]))
    assert [tuple(point.parameters.values()) for point in plan.points] == [(2, 4), (4, 2), (8, 1)]
    assert [point.index for point in plan.points] == [0, 1, 2]


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("chip.amem_banks >", "not an expression"),
        ("chip.banks > 1", "'banks'"),
        ("chip.amem_banks + 1", "gives 2, neither true nor false"),
        ("chip.amem_banks > 8", "none of the 2 points meets"),
        ("__import__('os')", "not defined"),
    ],
)
def test_constraints_that_cannot_be(small: Path, where: str, complaint: str) -> None:
    pytest.importorskip("simpleeval")
    with pytest.raises(InputError, match=complaint):
        make_plan(small, Request(["chip.amem_banks=1,2"], where=[where]))


def test_an_axis_within_another_is_refused(small: Path) -> None:
    with pytest.raises(InputError, match=r"--over chip: chip.amem_banks lies in it"):
        make_plan(small, Request(["chip.amem_banks=1,2", "chip={amem_banks=4}"]))


def test_every_value_is_checked_before_anything_runs(small: Path) -> None:
    with pytest.raises(InputError, match=r"^--over chip.amem_banks=3: chip.amem_banks: 3 is not one of 1, 2, 4, 8"):
        make_plan(small, Request(["chip.amem_banks=1,2,3"]))
    with pytest.raises(InputError, match=r"^--over chip.amem_bank=1: chip.amem_bank: unknown key; did you mean"):
        make_plan(small, Request(["chip.amem_bank=1"]))
    with pytest.raises(InputError, match=r"^--over fidelity=\"beat\": fidelity: \"beat\" is not allowed.*cycle"):
        make_plan(small, Request(["fidelity=beat,burst"]))
    with pytest.raises(InputError, match=r"^over.chip.amem_banks=3: chip.amem_banks: 3 is not one of 1, 2, 4, 8"):
        sweep(small, {"chip.amem_banks": [1, 3]})
    with pytest.raises(InputError, match="changes no result"):
        make_plan(small, Request(["trace.limit_mb=1,2"]))


def test_a_section_of_the_file_and_the_command_line(small: Path) -> None:
    small.write_text(SMALL + '\n[sweep.over]\n"chip.amem_banks" = [1, 2]\n"network.layers.0.taps" = "1..3"\n')
    assert len(make_plan(small, Request()).points) == 6
    plan = make_plan(small, Request(["chip.amem_banks=8"]))
    assert [dict(point.parameters) for point in plan.points] == [
        {"chip.amem_banks": 8, "network.layers.0.taps": taps} for taps in (1, 2, 3)
    ]


def test_the_snapshot_gives_the_same_plan(small: Path, tmp_path: Path) -> None:
    request = Request(
        ["chip.voltage_v=0.8..1.1", "network.layers.0.taps=1..9"], sample=9, seed=5, overrides=["input.seed=4"]
    )
    plan = make_plan(small, request)
    copy = tmp_path / "scenario.toml"
    copy.write_text(snapshot_text(plan, tmp_path))
    again = make_plan(copy, Request(), "small")
    assert [point.key for point in again.points] == [point.key for point in plan.points]
    assert again.base_key == plan.base_key
    assert str(tmp_path) not in copy.read_text()


def test_equal_settings_are_one_point_however_they_are_said(small: Path) -> None:
    said = make_plan(small, Request(["chip.voltage_v=1.1"])).points[0]
    default = make_plan(small, Request(["chip.amem_banks=4"])).points[0]
    other = make_plan(small, Request(["chip.amem_banks=2"])).points[0]
    assert said.key == default.key != other.key
    assert said.group == other.group
