"""Checks of a command line that argparse does not make, each with the remedy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tlm.cli.commands import COMMANDS
from tlm.core.errors import InputError


def check_names(argv: Sequence[str]) -> None:
    """Nothing if the command and the long options exist.

    Raises:
        InputError: with the nearest name that does.
    """
    if not argv or argv[0].startswith("-"):
        return
    if argv[0] not in COMMANDS:
        raise InputError(f"{argv[0]!r} is not a command; {_near(argv[0], list(COMMANDS))}, see `tlm --help`")
    known = ["--help", *(name for one in COMMANDS[argv[0]].arguments for name in one.names if name.startswith("--"))]
    for text in argv[1:]:
        option = text.partition("=")[0]
        if option == "--":
            return
        if option.startswith("--") and not any(name.startswith(option) for name in known):
            raise InputError(f"{option}: no such option; {_near(option, known)}, see `tlm {argv[0]} --help`")


def _near(text: str, names: list[str]) -> str:
    from difflib import get_close_matches  # only mistakes need it

    near = get_close_matches(text, names, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"


def check_values(arguments: argparse.Namespace) -> None:
    """Nothing if no number of a parsed command line is too small, and one format is asked for at most.

    Raises:
        InputError: headed by the option.
    """
    for one in COMMANDS[arguments.command].arguments:
        value = getattr(arguments, one.key)
        if one.least is not None and value is not None and value < one.least:
            raise InputError(f"{one.names[0]}: {value} is not allowed; give {one.least} or more")
    if getattr(arguments, "json", False) and getattr(arguments, "csv", False):
        raise InputError("--csv: given beside --json; leave one of them out")


def options_given(arguments: argparse.Namespace) -> list[str]:
    """The options of a parsed command line, as they are written first in its help."""
    named = [one for one in COMMANDS[arguments.command].arguments if one.names[0].startswith("-")]
    return [one.names[0] for one in named if getattr(arguments, one.key) not in (None, False, [])]
