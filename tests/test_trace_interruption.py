"""Ctrl-C while a trace is being written loses neither the trace nor the interruption."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from waves import CHIP, small_network

import tlm
from tlm.core.files import PendingFile


@pytest.fixture
def answered_ctrl_c() -> Iterator[None]:
    """Python's own handler, which a parallel run of the tests takes away."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("answered_ctrl_c")
@pytest.mark.parametrize("suffix", [".vcd", ".json"])
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_while_a_trace_is_being_written_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, presses: int
) -> None:
    network, activations = small_network()
    key = "wave" if suffix == ".vcd" else "timeline"

    def run(name: str) -> None:
        tlm.simulate(network, activations, CHIP, trace=tlm.TraceOptions(**{key: tmp_path / name}))

    run(f"whole{suffix}")
    take_place = PendingFile.take_place

    def press(pending: PendingFile) -> None:
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
        take_place(pending)

    monkeypatch.setattr(PendingFile, "take_place", press)
    with pytest.raises(KeyboardInterrupt):
        run(f"pressed{suffix}")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    left = {path.name for path in tmp_path.iterdir() if path.suffix == suffix}
    if presses == 1:
        assert (tmp_path / f"pressed{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    else:
        assert left == {f"whole{suffix}"}
