"""Limits that a test gives: one that nothing can exceed is refused, since its sentence would always hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from timing_project import Project, body

from tlm.core.errors import InputError
from tlm.testing.checks import limit, nearest_rank, percent_of

NAN, INF = math.nan, math.inf


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


REFUSED = (
    ("takes(at_most=nan)", "at_most: nan is not allowed; give a number, 0 or more"),
    ("takes(at_most=inf)", "at_most: inf is not allowed; give a number, 0 or more"),
    ("takes(at_least=-5)", "at_least: -5 is not allowed; give a number, 0 or more"),
    ("takes('2576')", "cycles: '2576' is not allowed; give a number, 0 or more"),
    ("takes('')", "cycles: '' is not allowed; give a number, 0 or more"),
    ("takes(True)", "cycles: True is not allowed; give a number, 0 or more"),
    ("takes(2576, within='5')", "within: '5' is not allowed; give a number, 0 or more"),
    ("takes(2576, within_percent=nan)", "within_percent: nan is not allowed; give a number, 0 or more"),
    ("at('host.bus').latency.at_most(nan)", "at_most: nan is not allowed; give a number, 0 or more"),
    ("at('host.bus').latency.at_least(-3)", "at_least: -3 is not allowed; give a number, 0 or more"),
    ("at('host.bus').latency.exactly(nan)", "exactly: nan is not allowed; give a number, 0 or more"),
    ("at('host.bus').latency.percentile('a')", "percentile: 'a' is not allowed; give 0..100"),
    ("at('host.bus').throughput().at_least(-1)", "bytes_per_cycle: -1 is not allowed; give a number, 0 or more"),
    ("at('host.bus').throughput().at_most(gb_per_s=nan)", "gb_per_s: nan is not allowed; give a number, 0 or more"),
    ("at('host.bus').throughput(64.0)", "window_cycles: 64.0 is not allowed; at host.bus are 2,645 cycles, give a whole number, 1..2645"),
    ("energy_at_most(uj=nan)", "uj: nan is not allowed; give a number, 0 or more"),
    ("energy_at_most(nj=-1)", "nj: -1 is not allowed; give a number, 0 or more"),
)  # fmt: skip


def test_a_limit_that_is_none_is_refused(project: Project) -> None:
    bodies = [body(f"assert small.{sentence}") for sentence, _ in REFUSED]
    texts = project.fail_each(bodies, "from math import inf, nan\n")
    assert texts == [f"tlm.core.errors.InputError: {message}" for _, message in REFUSED]


@pytest.mark.parametrize("value", [0, 7, 7.5, np.int64(7), np.float32(7)])
def test_numbers_of_every_kind_are_limits(value: float) -> None:
    assert limit("at_most", value) is value


def test_percentages_are_exact() -> None:
    """As floats 6000 * 86.9 / 100 is 5214.000000000001, and 6000 * 87.1 / 100 is 5225.999999999999."""
    assert nearest_rank(86.9, 6000) == 5213
    assert percent_of(87.1, 6000) == 5226
    assert [nearest_rank(percent, 4) for percent in (0, 25, 25.1, 50, 100)] == [0, 0, 1, 1, 3]
    for percent in (NAN, INF, -1, 100.1, True):
        with pytest.raises(InputError, match=r"give 0\.\.100"):
            nearest_rank(percent, 4)
