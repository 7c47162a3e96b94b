"""Run one program at both fidelities and hold everything that they report side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import tlm
from tlm.chip.config import ChipConfig
from tlm.compiler.program import Program
from tlm.results.result import Result
from tlm.results.result_json import result_record


def both(program: Program, activations: npt.ArrayLike, chip: ChipConfig | None = None) -> tuple[Result, Result]:
    """(beat, burst); the latter layer by layer, and also pass by pass, as where somebody watches."""
    beat, burst = (tlm.simulate(program, activations, chip, fidelity=fidelity) for fidelity in ("cycle", "pass"))
    assert_equal(tlm.simulate(program, activations, chip, fidelity="pass", observers=[lambda _: None]), burst)
    return beat, burst


def figures(result: Result) -> dict[str, Any]:
    """Every figure of result.json but the name of the fidelity."""
    record = result_record(result)
    del record["fidelity"]
    return record


def assert_equal(beat: Result, burst: Result) -> None:
    """Outputs, every pass's s, e, h and last write, and every figure."""
    for name, tensor in beat.tensors.items():
        assert tensor.dtype == burst.tensors[name].dtype
        assert np.array_equal(tensor, burst.tensors[name]), f"values of {name}"
    for name, passes in beat.passes.items():
        for index, (clear, fast) in enumerate(zip(passes, burst.passes[name], strict=True)):
            assert clear == fast, f"{name}, pass {index}: {clear} at beat, {fast} at burst"
    clear_figures, fast_figures = figures(beat), figures(burst)
    for key, value in clear_figures.items():
        assert fast_figures[key] == value, key
