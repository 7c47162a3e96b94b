"""Ctrl-C is never lost, and never a traceback: not in callbacks, nor before or after a command's work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator

import pytest

from tlm.core.interruption import Terminated, interruption_waits, signals_interrupt


class Thing:
    """Something that can be referred to weakly."""


class Finalised(Thing):
    """Interrupts when it goes."""

    def __init__(self, press: Callable[[], None]) -> None:
        self._press = press

    def __del__(self) -> None:
        self._press()


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """As in a process of its own; tracing, which some tools use, comes back."""
    numbers, trace = (signal.SIGINT, signal.SIGTERM), sys.gettrace()
    before = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    sys.settrace(trace)


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
@pytest.mark.parametrize("swallowing", ["weakref", "finaliser", "both"])
def test_an_interruption_that_python_swallows_is_raised_again(
    capsys: pytest.CaptureFixture[str], number: signal.Signals, error: type[BaseException], swallowing: str
) -> None:
    reached = []

    def press() -> None:
        os.kill(os.getpid(), number)

    def drop_thing(_: object = None) -> None:
        thing = Thing()
        reference = weakref.ref(thing, lambda _: press())
        del thing
        reached.append(reference)

    def work() -> None:
        if swallowing == "weakref":
            drop_thing()
        else:
            Finalised(press if swallowing == "finaliser" else drop_thing)
        reached.append(drop_thing)

    with pytest.raises(error), signals_interrupt():
        work()
    assert reached == []
    assert capsys.readouterr().err == ""
    assert sys.gettrace() is None


@pytest.mark.usefixtures("usual_signals")
def test_an_interruption_that_waits_counts_also_where_the_block_fails() -> None:
    def work() -> None:
        with interruption_waits():
            os.kill(os.getpid(), signal.SIGTERM)
            raise EOFError

    with pytest.raises(Terminated), signals_interrupt():
        work()


AT_IMPORT = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "MODULE":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""
AT_EXIT = """
import atexit, os, runpy, signal, sys

atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
"""
RUN = """
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["tlm", *sys.argv[1:]]
runpy.run_module("tlm", run_name="__main__", alter_sys=True)
"""


def run_interrupted(moment: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", moment + RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("moment", [AT_IMPORT.replace("MODULE", "tlm.cli.commands"), AT_EXIT], ids=["import", "exit"])
def test_ctrl_c_before_and_after_a_command_is_one_line(moment: str) -> None:
    done = run_interrupted(moment, "--version")
    assert (done.returncode, done.stderr) == (130, "tlm: interrupted\n")
    assert done.stdout.startswith("tlm ") == (moment is AT_EXIT)


@pytest.mark.parametrize("module", ["msgspec._core", "datetime", "numpy.linalg", "_cffi_backend"])
def test_ctrl_c_while_a_command_is_imported_is_one_line(module: str) -> None:
    """Some extension modules crash when an import of their own is interrupted: msgspec's, in that of datetime."""
    done = run_interrupted(AT_IMPORT.replace("MODULE", module), "run", "none.toml")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "tlm: interrupted; no result was written\n")
