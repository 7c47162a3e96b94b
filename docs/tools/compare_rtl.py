"""Runs shipped scenarios in fidelities pass and rtl, and compares outputs and every figure of result.json.

    python docs/tools/compare_rtl.py [SCENARIO ..]

By default all scenarios of the checkout, with one build of each circuit. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import tlm
from tlm.results.result_json import result_record
from tlm.scenario.loading import load_scenario

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"


def differences(path: Path) -> list[str]:
    """What differs between the two runs of a scenario; prints one line."""
    job = load_scenario(path).build()
    program, seconds, runs = tlm.compile(job.network, job.chip), [], []
    for fidelity in ("pass", "rtl"):
        started = time.process_time()
        runs.append(tlm.simulate(program, job.activations, fidelity=fidelity, energy=job.energy))
        seconds.append(time.process_time() - started)
    clear, circuit = ({**result_record(run), "fidelity": "", "passes": run.passes} for run in runs)
    found = [key for key, value in clear.items() if circuit[key] != value]
    found += [name for name, tensor in runs[0].tensors.items() if not np.array_equal(tensor, runs[1].tensors[name])]
    print(
        f"{path.stem:24} {runs[0].cycles:>10,} cycles [S]  pass {seconds[0]:6.1f} s  rtl {seconds[1]:6.1f} s  "
        f"{'differs: ' + ', '.join(found) if found else 'equal'}",
        flush=True,
    )
    return found


if __name__ == "__main__":
    chosen = [Path(name) for name in sys.argv[1:]] or sorted(SCENARIOS.glob("*.toml"))
    sys.exit(sum(bool(differences(path)) for path in chosen) > 0)
