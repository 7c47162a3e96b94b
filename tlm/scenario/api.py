"""``tlm.run`` and ``tlm.scenarios``: scenarios from Python, as the command runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlm.core.arguments import expect
from tlm.core.errors import InputError
from tlm.network.comparison import check_golden
from tlm.objects import Result, simulate
from tlm.scenario.catalog import catalog, find_scenario
from tlm.scenario.checking import value_text
from tlm.scenario.loading import load_scenario
from tlm.scenario.sources import KEY, Source, dotted, override_of, plain


def run(
    scenario: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    fidelity: str | None = None,
    batch: int | None = None,
    wave: str | Path | None = None,
    timeline: str | Path | None = None,
    check: bool = True,
) -> Result:
    """Run a scenario and compare its outputs with the golden model, as ``tlm run`` does.

    Args:
        scenario: file, or the name of one that :func:`scenarios` lists.
        settings: key -> value, for any key of a scenario file: ``{"chip.amem_banks": 8}``.
        fidelity: model of the chip; by default the scenario's, or "pass".
        batch: images that run as one program; by default the scenario's, or 1.
        wave: waveform to write, .vcd or .fst; by default what the scenario asks for.
        timeline: trace for timeline viewers to write, .json or .json.gz; likewise.
        check: False leaves the golden model out.

    Raises:
        InputError: anything wrong with the file or the settings, before anything runs.
        SimulationError: something went wrong in the chip, or an output differs from the golden model's.
    """
    nothing = type(None)
    expect("scenario", scenario, (str, Path))
    expect("settings", settings, (Mapping, nothing))
    sources = [_source(f"settings[{key!r}]", key, value) for key, value in (settings or {}).items()]
    arguments = {"fidelity": fidelity, "batch": batch, "wave": wave, "timeline": timeline}
    sections = {"wave": "trace.wave", "timeline": "trace.timeline"}
    for name, value in arguments.items():
        if value is not None:
            sources.append(_source(name, sections.get(name, name), value))
    job = load_scenario(find_scenario(str(scenario)), sources).build(golden=check)
    result = simulate(job.network, job.activations, job.chip, job.fidelity, job.trace, energy=job.energy)
    if job.golden is not None:
        check_golden(job.name, job.golden, result.tensors)
    return replace(result, scenario=job.name, settings=job.settings, matches_reference=True if check else None)


def scenarios() -> dict[str, str]:
    """Name -> description of the scenarios in ./scenarios and in the package, as ``tlm list`` shows them."""
    return {entry.name: entry.description() for entry in catalog()}


def _source(label: str, key: Any, value: Any) -> Source:
    if not isinstance(key, str) or not KEY.fullmatch(dotted(key)):
        raise InputError(f"settings: {key!r} is not a key; write them like chip.amem_banks")
    value = plain(value)
    return Source(f"{label} = {value_text(value)}", None, override_of(dotted(key), value))
