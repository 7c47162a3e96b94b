"""Other names of what :mod:`tlm.results.result_json` reads, until plots and report use that."""

from tlm.results.result_json import LayerRecord as StoredLayer
from tlm.results.result_json import RunRecord as StoredResult
from tlm.results.result_json import load_pair, load_result, result_path

__all__ = ["StoredLayer", "StoredResult", "load_pair", "load_result", "result_path"]
