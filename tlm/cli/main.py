"""Arguments in, exit status out; every failure becomes one message."""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from tlm.core.errors import CompileError, InputError, TlmError

COMMANDS = (
    "run", "eval", "sweep", "report", "wave", "plot", "explain", "compare", "reproduce", "train", "tradeoff", "import",
    "compile", "disasm", "list", "info", "schema",
)  # fmt: skip
"""Subcommands in the order of the help; each is a module of this package."""

OK, FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141

_EPILOG = """exit status:
  0    done; for `run` and `eval`: all that was compared equals the golden model (or checking was turned off)
  1    outputs differ from the golden model, or the simulation failed
  2    the input or the command line is wrong; nothing was run
  130  interrupted; no result was written (a sweep keeps its finished points)
"""


class _Parser(argparse.ArgumentParser):
    """One line on stderr where argparse prints the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(USAGE, f"tlm: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; default ``sys.argv[1:]``.

    Returns:
        The exit status.
    """
    try:
        status = _dispatch(argv)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as interrupt:
        # Where Ctrl-C meets code that Python itself runs from text (every dataclass does when it is made), Python kills
        # the process with the signal when it ends, whoever caught the exception; this leaves before that.
        atexit.register(os._exit, INTERRUPTED)
        return _complain(str(interrupt) or "interrupted; no result was written", INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone (`tlm list | head`); Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (InputError, CompileError) as error:
        return _complain(str(error), USAGE)
    except TlmError as error:
        return _complain(str(error), FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}", FAILED)


def _dispatch(argv: Sequence[str] | None) -> int:
    _refuse_empty(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(argv)
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
