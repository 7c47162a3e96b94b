"""cartesian-tlm: a transaction-level co-simulator of a 4-bit sparse CNN engine.

The names below are the public API. They are imported when first used, so that a command pays only for what it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlm.chip.config import ChipConfig
    from tlm.compiler.compile import compile_network as compile
    from tlm.compiler.program import Program
    from tlm.compiler.saved import load_program, save_program
    from tlm.core.errors import TlmError
    from tlm.network import golden as reference
    from tlm.network.layers import AvgPool2d, Conv2d, MaxPool2d
    from tlm.network.network import Network
    from tlm.networks.fuse import fuse_depthwise_pointwise
    from tlm.observe.energy_table import EnergyConfig
    from tlm.observe.faults import BitFlip, FaultTarget
    from tlm.results.result import LayerResult, Result
    from tlm.runs.evaluate import Evaluator, evaluate
    from tlm.runs.simulate import simulate
    from tlm.sweeps.api import sweep
    from tlm.traces.trace_options import TraceOptions

_HOMES = {
    "AvgPool2d": "tlm.network.layers",
    "BitFlip": "tlm.observe.faults",
    "ChipConfig": "tlm.chip.config",
    "Conv2d": "tlm.network.layers",
    "EnergyConfig": "tlm.observe.energy_table",
    "Evaluator": "tlm.runs.evaluate",
    "FaultTarget": "tlm.observe.faults",
    "LayerResult": "tlm.results.result",
    "MaxPool2d": "tlm.network.layers",
    "Network": "tlm.network.network",
    "Program": "tlm.compiler.program",
    "Result": "tlm.results.result",
    "TlmError": "tlm.core.errors",
    "TraceOptions": "tlm.traces.trace_options",
    "compile": "tlm.compiler.compile:compile_network",
    "evaluate": "tlm.runs.evaluate",
    "fuse_depthwise_pointwise": "tlm.networks.fuse",
    "load_program": "tlm.compiler.saved",
    "reference": "tlm.network.golden:",
    "save_program": "tlm.compiler.saved",
    "simulate": "tlm.runs.simulate",
    "sweep": "tlm.sweeps.api",
}

__all__ = [
    "AvgPool2d",
    "BitFlip",
    "ChipConfig",
    "Conv2d",
    "EnergyConfig",
    "Evaluator",
    "FaultTarget",
    "LayerResult",
    "MaxPool2d",
    "Network",
    "Program",
    "Result",
    "TlmError",
    "TraceOptions",
    "compile",
    "evaluate",
    "fuse_depthwise_pointwise",
    "load_program",
    "reference",
    "save_program",
    "simulate",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("cartesian-tlm")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tlm' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    found = importlib.import_module(module)
    value = found if home.endswith(":") else getattr(found, attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
