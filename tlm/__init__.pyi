"""The public API: each name once, read by type checkers here and by tlm/__init__.py when it is first used."""

from tlm import reference as reference
from tlm.chip.config import ChipConfig as ChipConfig
from tlm.chip.dram_config import DramConfig as DramConfig
from tlm.compiler.saved import save_program as save_program
from tlm.core.errors import TlmError as TlmError
from tlm.network.layers import AvgPool2d as AvgPool2d
from tlm.network.layers import Conv2d as Conv2d
from tlm.network.layers import MaxPool2d as MaxPool2d
from tlm.network.network import Network as Network
from tlm.networks.fuse import fuse_depthwise_pointwise as fuse_depthwise_pointwise
from tlm.objects import Program as Program
from tlm.objects import Result as Result
from tlm.objects import StoredResult as StoredResult
from tlm.objects import compile as compile
from tlm.objects import load_program as load_program
from tlm.objects import load_result as load_result
from tlm.objects import simulate as simulate
from tlm.observe.energy_table import EnergyConfig as EnergyConfig
from tlm.observe.faults import BitFlip as BitFlip
from tlm.observe.faults import FaultTarget as FaultTarget
from tlm.results.result import LayerResult as LayerResult
from tlm.runs.evaluate import Evaluator as Evaluator
from tlm.runs.evaluate import evaluate as evaluate
from tlm.scenario.api import run as run
from tlm.scenario.api import scenarios as scenarios
from tlm.sweeps.api import sweep as sweep
from tlm.traces.trace_options import TraceOptions as TraceOptions

__version__: str
