"""Fidelity "pass" moves values pass by pass or a layer at a time: nothing but the events of passes tells which."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from band_programs import BandCase, BandProgram, generated
from examples import examples
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

import tlm
from tlm.chip.contract import PassId
from tlm.chip.fidelity import DataFlow
from tlm.chip.format.driver import StartTransfer
from tlm.core.errors import InputError, UnwrittenReadError
from tlm.observe.watched import Watched
from tlm.results.result_json import result_json
from tlm.traces.trace_options import TraceOptions

NETWORK = tlm.Network(
    (8, 6, 6),
    [
        tlm.Conv2d("a", np.ones((40, 8, 3, 3), np.int8), multiplier=30, padding=1),
        tlm.MaxPool2d("p", 2, stride=2, channels=40),
        tlm.Conv2d("b", np.ones((40, 40, 1, 1), np.int8), multiplier=30, residual="p", residual_multiplier=99),
    ],
)
VALUES = np.arange(8 * 36).reshape(8, 6, 6) % 16


def outcome(program: BandProgram, flow: DataFlow) -> object:
    """What a run gave, or the error that stopped it."""
    try:
        run = program.run("pass", flow=flow)
    except UnwrittenReadError as error:
        return str(error)
    return run.output.tolist(), run.cycles, run.part, run.account


@pytest.mark.parametrize("read", ["input", "residual"])
@examples(80, suppress_health_check=list(HealthCheck))
@given(case=generated(), data=st.data())
def test_words_that_were_never_written(read: str, case: BandCase, data: st.DataObject) -> None:
    """An error where a step reads one, in the cycle of its pass; else they do not matter."""
    program = BandProgram(case)
    first, *rest = program.steps
    assert isinstance(first, StartTransfer)
    assume(read in case.bases)
    after = min(base for base in case.bases.values() if base > case.bases[read])
    words = max(data.draw(st.integers(case.bases[read], after)), 1)
    shorter = StartTransfer(first.unit, replace(first.transfer, row_words=words))
    program.steps = (shorter, *rest)
    assert outcome(program, DataFlow.LAYERS) == outcome(program, DataFlow.PASSES)


def test_observers_see_every_pass() -> None:
    seen = list[PassId]()

    def watch(watched: Watched) -> None:
        watched.system.engine.events.pass_written.listen(seen.append)

    result = tlm.simulate(NETWORK, VALUES, observers=[watch])
    assert len(seen) == sum(map(len, result.passes.values()))


def moments(**keys: object) -> list[int]:
    """The cycles at which a run told how far it was."""
    told = list[int]()
    tlm.simulate(NETWORK, VALUES, progressed=told.append, **keys)  # type: ignore[arg-type]
    return told


def test_progress_is_told_by_layers_or_by_passes() -> None:
    program = tlm.compile(NETWORK)
    by_layers, by_passes = moments(), moments(observers=[lambda _: None])
    assert len(by_layers) == len(program.parts) + len(program.jobs) < len(by_passes)
    assert set(by_layers) < set(by_passes)
    assert by_layers == sorted(by_layers)
    assert moments(fidelity="cycle") == by_passes


def test_a_program_that_time_could_change_runs_pass_by_pass() -> None:
    with mock.patch("tlm.runs.simulate.values_are_timeless", return_value=False):
        assert moments() == moments(observers=[lambda _: None])


def test_a_trace_that_writes_nothing_is_none() -> None:
    assert moments(trace=TraceOptions()) == moments()


def test_results_are_equal_to_the_byte() -> None:
    by_layers, by_passes = (tlm.simulate(NETWORK, VALUES, observers=own) for own in ((), [lambda _: None]))
    assert result_json(by_layers) == result_json(by_passes)
    for name, tensor in by_layers.tensors.items():
        np.testing.assert_array_equal(tensor, by_passes.tensors[name])


def test_progress_is_told_to_what_can_be_called() -> None:
    with pytest.raises(InputError, match="progressed: "):
        tlm.simulate(NETWORK, VALUES, progressed=3)  # type: ignore[arg-type]
