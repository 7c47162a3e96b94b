"""A network and its input, run on many chips."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlm.analysis.what_if import FIDELITY
from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.network import Network
from tlm.results.result import Result
from tlm.runs.values_once import ValuesOnce


@dataclass(frozen=True, eq=False)
class NetworkRerun:
    """Runs the same network and input, compiled for a chip; a process that gets a copy begins with no values.

    Args:
        network: what runs.
        activations: its input, (C, H, W), or (N, C, H, W) of a batch.
        values: simulates, and may have done so before.
    """

    network: Network
    activations: Int8Array
    values: ValuesOnce = field(default_factory=ValuesOnce)

    def __call__(self, chip: ChipConfig) -> Result:
        """The result.

        Raises:
            CompileError, SimulationError: as of every run.
        """
        batch = len(self.activations) if self.activations.ndim == 4 else 1
        program = compile_network(self.network, chip, batch)
        return self.values.simulate(program, self.activations, fidelity=FIDELITY)

    def __reduce__(self) -> tuple[type[NetworkRerun], tuple[Network, Int8Array]]:
        return NetworkRerun, (self.network, self.activations)
