"""Many inputs beside one timed run: their number, the fingerprint of all outputs, and the cycles that they take."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tlm.core.errors import SimulationError
from tlm.results.result import Result, Tensor


@dataclass(frozen=True, kw_only=True)
class BatchSummary:
    """What a batch adds to a result."""

    count: int
    """Inputs, that of the timed run included."""
    outputs_sha256: str
    """``tlm.results.result.tensor_sha256`` of all outputs in one array (N, O, H', W')."""
    cycles_per_image: int
    """Those of the timed run: timing depends on no value, so every input takes as many."""
    total_cycles: int
    """Of all inputs, one run after the other."""

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def line(self, result: Result) -> str:
        """For reports, with the time at the clock of the chip that ran."""
        per_second = 1e6 / result.time_us
        return (
            f"{self.count:,} input{'s' if self.count > 1 else ''} one after another: {self.total_cycles:,} cycles = "
            f"{result.chip.time_us(self.total_cycles) / 1000:,.2f} ms, {per_second:,.1f} a second [S]"
        )


class Batch:
    """Takes the outputs of a batch one after the other, and keeps none of them.

    Args:
        result: the timed run of the first input.
        count: inputs, at least 1.
    """

    def __init__(self, result: Result, count: int) -> None:
        self._result = result
        self._count = count
        self._added = 0
        shape = "x".join(map(str, (count, *result.outputs.shape)))
        self._digest = hashlib.sha256(f"{result.outputs.dtype.name} {shape}\n".encode())

    def add(self, output: Tensor) -> None:
        """The next input's output by the untimed model.

        Raises:
            SimulationError: that of the first input differs from the timed run's.
        """
        if not self._added and not np.array_equal(output, self._result.outputs):
            raise SimulationError(
                f"batch: the untimed output {self._result.output_name!r} differs from that of the timed run; "
                "one of the two models is wrong"
            )
        self._added += 1
        self._digest.update(np.ascontiguousarray(output, output.dtype.newbyteorder("<")).tobytes())

    def summary(self) -> BatchSummary:
        """When all outputs were added."""
        assert self._added == self._count, f"{self._added} of {self._count} outputs"
        return BatchSummary(
            count=self._count,
            outputs_sha256=self._digest.hexdigest(),
            cycles_per_image=self._result.cycles,
            total_cycles=self._count * self._result.cycles,
        )
