"""Arguments in, exit status out; every failure becomes one message."""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from tlm.cli.streams import OutputError, escaped_streams, open_closed_streams
from tlm.core.errors import CompileError, InputError, TlmError, one_line
from tlm.core.interruption import stopped_by, termination_interrupts

COMMANDS = (
    "run", "eval", "sweep", "report", "wave", "plot", "explain", "compare", "reproduce", "train", "tradeoff", "import",
    "compile", "disasm", "list", "info", "schema",
)  # fmt: skip
"""Subcommands in the order of the help; each is a module of this package."""

OK, FAILED, USAGE, SIGNALLED, BROKEN_PIPE = 0, 1, 2, 128, 141

_EPILOG = """exit status:
  0    done; for `run` and `eval`: all that was compared equals the golden model (or checking was turned off)
  1    outputs differ from the golden model, or the simulation failed
  2    the input or the command line is wrong and nothing was run, or a file could not be written
  130  interrupted (143: SIGTERM, 129: SIGHUP); no result was written (a sweep keeps its finished points)
"""


class _Parser(argparse.ArgumentParser):
    """One line on stderr where argparse prints the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(USAGE, f"tlm: {one_line(message)}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; default ``sys.argv[1:]``.

    Returns:
        The exit status.
    """
    open_closed_streams()
    with escaped_streams(), termination_interrupts():
        status = _run(argv)
        with suppress(OutputError):  # what was printed before another failure
            sys.stdout.flush()
    return status


def _run(argv: Sequence[str] | None) -> int:
    try:
        status = _dispatch(argv)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as interrupt:
        status = SIGNALLED + stopped_by(interrupt)
        # Where Ctrl-C meets code that Python itself runs from text (every dataclass does when it is made), Python kills
        # the process with the signal when it ends, whoever caught the exception; this leaves before that.
        atexit.register(os._exit, status)
        return _complain(str(interrupt) or "interrupted; no result was written", status)
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


def _dispatch(argv: Sequence[str] | None) -> int:
    _refuse_empty(sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit:  # after --help
        sys.stdout.flush()
        raise
    if arguments.version:
        from importlib.metadata import version

        print(f"tlm {version('cartesian-tlm')}")
        return OK
    if arguments.run is None:
        _parser().print_help()
        return USAGE
    status: int = arguments.run(arguments)
    return status


def _refuse_empty(argv: Sequence[str]) -> None:
    """An empty path would mean the current directory, an empty name nothing at all."""
    for before, text in zip(("tlm", *argv), argv, strict=False):
        option, equals, value = text.partition("=")
        empty_value = option.startswith("-") and equals and not value
        if not text or empty_value or "\0" in text:
            what = "is empty" if not text or empty_value else "holds a zero byte"
            raise InputError(f"{option if empty_value else before}: the value {what}; give another, or leave it out")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tlm",
        description="Transaction-level co-simulator of a 4-bit sparse CNN engine with a Cartesian-product MAC array.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"tlm.cli.{name}_command").add_parser(commands)
    return parser


def _complain(message: str, status: int) -> int:
    print(f"tlm: {message}", file=sys.stderr, flush=True)
    return status
