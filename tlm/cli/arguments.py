"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from tlm.core.errors import CompileError

if TYPE_CHECKING:
    from tlm.scenario.loading import LoadedScenario

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]


def add_scenario(parser: argparse.ArgumentParser, scripts: bool = False) -> None:
    """``SCENARIO`` and ``--set``."""
    what = "scenario file (.toml) or Python script" if scripts else "scenario file (.toml)"
    parser.add_argument("scenario", metavar="SCENARIO", help=f"{what}, or the name of one that `tlm list` shows")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one key, e.g. --set chip.voltage_v=0.8 (TOML value; may be repeated)",
    )


@contextmanager
def naming(scenario: str) -> Iterator[None]:
    """Errors of the compiler know layers, not files; this adds the scenario's name."""
    try:
        yield
    except CompileError as error:
        raise CompileError(f"{scenario}: {error}") from None


def load(arguments: argparse.Namespace) -> LoadedScenario:
    """The scenario that the arguments name, with all overrides.

    Raises:
        InputError: anything wrong with it.
    """
    from tlm.scenario.catalog import find_scenario
    from tlm.scenario.loading import load_scenario
    from tlm.scenario.sources import Source

    overrides: list[str | Source] = list(arguments.overrides)
    fidelity = getattr(arguments, "fidelity", None)
    if fidelity is not None:
        overrides.append(Source(f"--fidelity {fidelity}", "", {"fidelity": fidelity}))
    return load_scenario(find_scenario(arguments.scenario), overrides)
