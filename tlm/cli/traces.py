"""Options of ``tlm run`` that record a run."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.errors import InputError, TlmError, TraceWarning, one_line

if TYPE_CHECKING:
    from tlm.traces.trace_options import TraceOptions

TRACE_FLAGS = {
    "wave": "--wave",
    "wave_level": "--wave-level",
    "trace_window": "--trace-window",
    "wave_limit_mb": "--wave-limit-mb",
    "timeline": "--timeline",
}
"""Name of the parsed option -> flag."""

_KEYS = {
    "wave": "wave", "level": "wave_level", "window": "trace_window", "limit_mb": "wave_limit_mb", "timeline": "timeline"
}  # fmt: skip
"""Key of the scenario's section -> name of the parsed option."""


def add_traces(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("traces (docs/waveforms.md)")
    group.add_argument(
        "--wave", "--vcd", metavar="FILE", type=Path, help="write a waveform, .vcd or .fst, with a layout for GTKWave"
    )
    group.add_argument(
        "--wave-level",
        metavar="LEVEL",
        help="pass (cheap, default) or cycle (everything; fidelity cycle, default with a window)",
    )
    group.add_argument(
        "--trace-window",
        metavar="WINDOW",
        help="cycles of the waveform: layer:NAME, pass:A..B, layer:NAME,pass:A..B or cycles:A..B",
    )
    group.add_argument(
        "--wave-limit-mb", metavar="N", type=int, help="end a waveform of every cycle at N megabytes (default 256)"
    )
    group.add_argument(
        "--timeline", metavar="FILE", type=Path, help="write a trace for timeline viewers (Perfetto), .json or .json.gz"
    )


def trace_options(arguments: argparse.Namespace, section: TraceOptions, directory: Path) -> TraceOptions:
    """What to record: the scenario's section, with what the options change.

    Args:
        arguments: parsed options.
        section: of the scenario.
        directory: where the section's relative paths belong.

    Raises:
        InputError: an option or the section asks for what cannot be.
    """
    given = _given(arguments)
    placed = {
        key: directory / path for key in ("wave", "timeline") if (path := getattr(section, key)) is not None
    }  # fmt: skip
    try:
        options = replace(section, **(placed | given))
        if "limit_mb" in given and (options.wave is None or options.level == "pass"):
            raise InputError("trace.limit_mb: limits a waveform of every cycle, but none is asked for; leave it out")
        return options
    except InputError as error:
        raise InputError(_by_flag(str(error), given)) from None


def _by_flag(message: str, given: Mapping[str, Any]) -> str:
    """A message that names flags instead of keys of the section, if flags were given at all."""
    for key, name in _KEYS.items() if given else ():
        message = message.replace(f"trace.{key}", TRACE_FLAGS[name])
    return message


def check_trace_files(trace: TraceOptions) -> None:
    """Nothing if the files can be written.

    Raises:
        InputError: headed by the option that a user would change.
    """
    from tlm.results.files import check_writable_file

    for path in trace.wave_files():
        check_writable_file(path, "--wave")
    if trace.timeline_path is not None:
        check_writable_file(trace.timeline_path, "--timeline")


@contextmanager
def trace_messages(arguments: argparse.Namespace, files: Sequence[Path]) -> Iterator[None]:
    """Say on stderr, in one line each, what a trace lacks and what an unfinished run has left in ``files``.

    Errors name the options that were given.
    """
    before = [_written(path) for path in files]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TraceWarning)
        try:
            yield
        except InputError as error:
            raise InputError(_by_flag(str(error), _given(arguments))) from None
        except (KeyboardInterrupt, TlmError):
            left = [str(path) for path, old in zip(files, before, strict=True) if _written(path) != old]
            if left:
                print(f"tlm: the run up to its end is in {', '.join(left)}", file=sys.stderr)
            raise
        finally:
            for one in caught:
                print(f"tlm: warning: {one_line(_by_flag(str(one.message), _given(arguments)))}", file=sys.stderr)


def _written(path: Path) -> tuple[int, int] | None:
    """Tells whether a file is another one than before."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Key of the section -> what its option says."""
    found = {key: getattr(arguments, name) for key, name in _KEYS.items()}
    return {key: value for key, value in found.items() if value is not None}
