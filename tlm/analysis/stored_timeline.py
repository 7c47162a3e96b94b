"""Other names of what :mod:`tlm.results.result_json` reads, until plots and report use that."""

from tlm.results.result_json import EnergyRecord as StoredEnergy
from tlm.results.result_json import RunEnergyRecord as StoredRunEnergy
from tlm.results.result_json import SpanRecord as StoredSpan
from tlm.results.result_json import TimelineRecord as StoredTimeline
from tlm.results.result_json import TransferRecord as StoredTransfer

__all__ = ["StoredEnergy", "StoredRunEnergy", "StoredSpan", "StoredTimeline", "StoredTransfer"]
