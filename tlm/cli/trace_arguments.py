"""Options of ``tlm run`` that record a run."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlm.cli.commands import TRACES
from tlm.core.errors import InputError, TlmError, TraceWarning, one_line
from tlm.results.files import check_writable_file
from tlm.traces.trace_options import TraceOptions

Given = Mapping[str, Any]
"""Key of the scenario's section [trace] -> what its option says."""

_FLAGS = {option.key: option.names[0] for option in TRACES}


def traces_given(arguments: argparse.Namespace) -> Given:
    """The options for traces that were given."""
    return {key: value for key in _FLAGS if (value := getattr(arguments, key)) is not None}


def trace_options(given: Given, section: TraceOptions, directory: Path) -> TraceOptions:
    """What to record: the scenario's section, with what the options change; its files can be written.

    Args:
        given: the options.
        section: of the scenario.
        directory: where the section's relative paths belong.

    Raises:
        InputError: an option or the section asks for what cannot be.
    """
    paths = {"wave": section.wave, "timeline": section.timeline, "dram": section.dram}
    placed = {key: directory / path for key, path in paths.items() if path is not None}
    with _naming_options(given):
        options = replace(section, **{**placed, **given})
        if "limit_mb" in given and (options.wave is None or options.level == "pass"):
            raise InputError("trace.limit_mb: limits a waveform of every cycle, but none is asked for; leave it out")
    for path in options.wave_files():
        check_writable_file(path, "--wave")
    if options.timeline_path is not None:
        check_writable_file(options.timeline_path, "--timeline")
    if options.dram_path is not None:
        check_writable_file(options.dram_path, "--dram-trace")
    return options


@contextmanager
def trace_messages(given: Given, files: Sequence[Path]) -> Iterator[None]:
    """Say on stderr, in one line each, what a trace lacks and what an unfinished run has left in ``files``.

    Errors name the options that were given.
    """
    before = [_written(path) for path in files]
    with warnings.catch_warnings(record=True) as caught, _naming_options(given):
        warnings.simplefilter("always", TraceWarning)
        try:
            yield
        except InputError:
            raise
        except (KeyboardInterrupt, TlmError):
            left = [str(path) for path, old in zip(files, before, strict=True) if _written(path) != old]
            if left:
                print(f"tlm: the run up to its end is in {', '.join(left)}", file=sys.stderr)
            raise
        finally:
            for one in caught:
                print(f"tlm: warning: {one_line(_with_flags(str(one.message), given))}", file=sys.stderr)


@contextmanager
def _naming_options(given: Given) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(_with_flags(str(error), given)) from None


def _with_flags(message: str, given: Given) -> str:
    """A message that names flags instead of keys of the section, if flags were given at all."""
    return re.sub(r"trace\.(\w+)", lambda match: _FLAGS.get(match[1], match[0]), message) if given else message


def _written(path: Path) -> tuple[int, int] | None:
    """Tells whether a file is another one than before."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
