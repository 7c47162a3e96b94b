"""Waveforms of tests, and what a run that came to no end was waiting for."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tlm.chip.fidelity import Fidelity
from tlm.core.errors import TraceWarning
from tlm.core.probe import Probe
from tlm.observe.watched import Watched
from tlm.testing.recipe import Recipe
from tlm.traces.trace_options import TraceOptions, WaveLevel

_AROUND_CYCLES = 400
"""A waveform shows every cycle so far before and behind the moment."""
_MOST_CYCLES = 300_000
"""Of longer runs passes are shown instead of cycles: the clear model takes long."""
_MOST_SHOWN_CYCLES = 50_000
"""The same where no moment limits what is shown: the file would be large."""
_LONGEST_NAME = 100
_STATES = ("state", "waits_for")


def directory_name(test_id: str) -> str:
    """A test's id as the name of a directory; different ids give different names."""
    file, _, test = test_id.partition("::")
    head, bracket, parameters = test.partition("[")
    words = [re.sub(r"[/\\]", "-", file), *head.split("::")]
    plain = "-".join(words) + (f".{parameters.removesuffix(']')}" if bracket else "")
    name = re.sub(r"[^\w.\-]+", "_", plain, flags=re.ASCII)
    if name == plain and "-" not in file and len(name) <= _LONGEST_NAME:  # nothing else can have this name
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(test_id.encode()).hexdigest()[:8]}"


def write_wave(recipe: Recipe, directory: Path, name: str, end_cycle: int, moment_cycle: int | None) -> Path:
    """Makes a run again, with a waveform.

    Args:
        recipe: the run.
        directory: where to; made if it is not there.
        name: of the file, without suffix.
        end_cycle: last cycle of the run.
        moment_cycle: where the waveform opens, with every cycle around it; by default the whole run is shown.

    Returns:
        The dump; GTKWave's layout is beside it.

    Raises:
        InputError, OSError: it cannot be written there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.vcd"
    every_cycle = end_cycle <= (_MOST_SHOWN_CYCLES if moment_cycle is None else _MOST_CYCLES)
    window = None
    if every_cycle and moment_cycle is not None:
        window = f"cycles:{max(0, moment_cycle - _AROUND_CYCLES)}..{moment_cycle + _AROUND_CYCLES}"
    options = TraceOptions(
        wave=path,
        level=(WaveLevel.CYCLE if every_cycle else WaveLevel.PASS).value,
        window=window,
        moment_cycle=moment_cycle,
    )
    fidelity = Fidelity.CYCLE if every_cycle else Fidelity.PASS
    with warnings.catch_warnings(), suppress(Exception):  # the run may fail again, and the dump is closed nevertheless
        warnings.simplefilter("ignore", TraceWarning)
        path.unlink(missing_ok=True)
        recipe.simulate(fidelity=fidelity.value, trace=options)
    if not path.is_file():
        recipe.simulate(fidelity=fidelity.value, trace=options)  # says why
    return path


def standstill_lines(watched: Watched) -> Iterator[str]:
    """What a run was waiting for when nothing could happen any more.

    Args:
        watched: a run that has failed.
    """
    simulation = watched.system.simulation
    now = simulation.clock.now
    transactions = sorted(simulation.kernel.open_transactions, key=lambda one: one.since_cycle)
    yield (
        f"cycle {now:,}; open transactions, the oldest first:"
        if transactions
        else f"cycle {now:,}; no open transaction"
    )
    for one in transactions:
        phase = "accepted" if one.payload.accepted else "not accepted"
        yield f"  {now - one.since_cycle:>8,} cycles  {one.way}: {one.payload.describe()}, {phase}"
    yield "who was doing what:"
    for module in simulation.modules():
        probes = [module.parts[name] for name in _STATES if name in module.parts]
        states = [probe.value for probe in probes if isinstance(probe, Probe)]
        words = [str(getattr(state, "value", state)) for state in states if state is not None]
        if words:
            yield f"  {module.path:<20} {', waits for '.join(words)}"
