"""Arguments in, exit status out; every failure becomes one message."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from tlm.cli.checks import check_names, check_values
from tlm.cli.commands import COMMANDS, USAGE, parser
from tlm.cli.streams import OutputError, escaped_streams, open_closed_streams
from tlm.core.errors import CompileError, InputError, TlmError, one_line
from tlm.core.interruption import PRESSES, SIGNALLED, interruption_waits, signals_interrupt, stopped_by
from tlm.core.version import __version__

OK, FAILED, BROKEN_PIPE = 0, 1, SIGNALLED + signal.SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; default ``sys.argv[1:]``.

    Returns:
        The exit status.
    """
    if "_ARGCOMPLETE" in os.environ:
        import_module("tlm.cli.completion").complete()
    open_closed_streams()
    with escaped_streams():
        try:
            with signals_interrupt():
                status = _run(sys.argv[1:] if argv is None else argv)
        except (KeyboardInterrupt, RuntimeError) as error:  # out here, another Ctrl-C ends the process at once
            # Python up to 3.11 wraps what meets a class whose fields are told their names.
            interrupt = error if isinstance(error, KeyboardInterrupt) else error.__cause__
            if not isinstance(interrupt, KeyboardInterrupt):
                raise
            # The subclasses are this package's own; what others say when they are interrupted is for their own readers.
            own = str(interrupt) if type(interrupt) is not KeyboardInterrupt else ""
            status = _complain(own or "interrupted; no result was written", SIGNALLED + stopped_by(interrupt))
        with suppress(OutputError):  # what was printed before another failure
            sys.stdout.flush()
    return status


def _run(argv: Sequence[str]) -> int:
    try:
        status = _dispatch(argv)
        sys.stdout.flush()
        return status
    except OutputError as error:
        (cause,) = error.args
        if isinstance(cause, BrokenPipeError):  # the reader has gone (`tlm list | head`)
            return BROKEN_PIPE
        return _complain(f"standard output: cannot be written ({cause.strerror or cause})", FAILED)
    except (InputError, CompileError) as error:
        return _complain(str(error), USAGE)
    except TlmError as error:
        return _complain(str(error), FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(one_line(f"{where}{error.strerror or error}"), FAILED)
    except MemoryError as error:
        what = f" ({error})" if str(error) else ""
        return _complain(one_line(f"not enough memory{what}; take a smaller network or input, or more memory"), FAILED)
    except RecursionError:
        return _complain("the input is nested too deeply; flatten it", USAGE)
    except UnicodeError as error:
        return _complain(one_line(f"a name or text cannot be encoded or decoded ({error}); change it"), USAGE)


def _dispatch(argv: Sequence[str]) -> int:
    _refuse_empty(argv)
    check_names(argv)
    try:
        arguments = parser(argv[0] if argv and argv[0] in COMMANDS else None).parse_args(argv)
    except SystemExit:  # after --help
        sys.stdout.flush()
        raise
    if arguments.version:
        print(f"tlm {__version__}")
        return OK
    if arguments.command is None:
        parser().print_help()
        return USAGE
    check_values(arguments)
    try:
        with interruption_waits(PRESSES):  # msgspec's import crashes where it is interrupted
            command = import_module(f"tlm.cli.{arguments.command}_command")
        status: int = command.run(arguments)
    except CompileError as error:  # knows layers, not files
        where = f"{arguments.scenario}: " if "scenario" in arguments else ""
        raise CompileError(f"{where}{error}") from None
    return status


def _refuse_empty(argv: Sequence[str]) -> None:
    """An empty path would mean the current directory, an empty name nothing at all."""
    for before, text in zip(("tlm", *argv), argv, strict=False):
        option, equals, value = text.partition("=")
        empty_value = option.startswith("-") and equals and not value
        if not text or empty_value or "\0" in text:
            what = "is empty" if not text or empty_value else "holds a zero byte"
            raise InputError(f"{option if empty_value else before}: the value {what}; give another, or leave it out")


def _complain(message: str, status: int) -> int:
    print(f"tlm: {message}", file=sys.stderr, flush=True)
    return status
