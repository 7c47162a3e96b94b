"""Ctrl-C, and signals that end a command like Ctrl-C, even while a trace is being written."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


SIGNALLED = 128
"""Exit status of a command that a signal ended, less the signal's number."""
PRESSES = 5
"""Of Ctrl-C, that cannot cut short what would leave a mess."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP as an exception, for the same clean-up as Ctrl-C; its argument is the signal's number."""

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.args[0]).name}; no result was written"


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


_TERMINATING = (signal.SIGTERM, signal.SIGHUP)
INTERRUPTING = frozenset({signal.SIGINT, *_TERMINATING})
_RAISING: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
    signal.SIGINT: signal.default_int_handler, **dict.fromkeys(_TERMINATING, _terminate),
}  # fmt: skip


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    if sys.stderr is not None:  # else the number belongs to another file
        with suppress(OSError):
            os.write(2, b"tlm: interrupted\n")
    os._exit(SIGNALLED + number)


def leave_on_ctrl_c() -> None:
    """Ctrl-C ends the process at once, with a line; for moments when nothing has to be cleaned up."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """SIGINT raises ``KeyboardInterrupt``, SIGTERM and SIGHUP :class:`Terminated` while the block runs.

    Not if somebody has said otherwise (nohup). An exception that Python swallows, since it met a callback or a
    finaliser, is raised again behind that.
    """
    before = {number: signal.getsignal(number) for number in _RAISING}
    usual = [number for number, handler in before.items() if handler in (signal.SIG_DFL, _leave)]
    if threading.current_thread() is not threading.main_thread():
        usual = []
    hook = sys.unraisablehook

    def raise_again(unraisable: UnraisableHookArgs) -> None:
        swallowed = unraisable.exc_value
        if isinstance(swallowed, KeyboardInterrupt):
            _raise_in(sys._getframe(1), swallowed)
        else:
            hook(unraisable)

    sys.unraisablehook = raise_again
    for number in usual:
        signal.signal(number, _RAISING[number])
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, before[number])
        sys.unraisablehook = hook


def _raise_in(frame: FrameType, error: BaseException) -> None:
    """Raise an error as soon as a frame goes on, which only tracing can do from outside."""

    def trace(*_: Any) -> NoReturn:
        frame.f_trace = None
        sys.settrace(None)
        raise error

    frame.f_trace = trace
    sys.settrace(lambda *_: None)  # no other frame is of interest, but tracing has to be on


def stopped_by(interrupt: BaseException | None) -> int:
    """The signal behind an interruption."""
    while interrupt is not None:
        if isinstance(interrupt, Terminated):
            return int(interrupt.args[0])
        interrupt = interrupt.__context__
    return signal.SIGINT


@contextmanager
def interruption_waits(presses: int = 1) -> Iterator[None]:
    """Ctrl-C counts when the block is left, so that a file can be finished; a second one counts at once.

    Args:
        presses: as many wait. People press more than once, and what leaves a mess when it is cut should stand that.

    So do the other signals that interrupt. Nothing changes in other threads, which Python interrupts never, and for
    signals for which the program has a handler of its own.
    """
    usual = [number for number, handler in _RAISING.items() if signal.getsignal(number) is handler]
    if threading.current_thread() is not threading.main_thread():
        usual = []
    pressed: list[signal.Signals] = []

    def press(number: int, frame: FrameType | None) -> None:
        if len(pressed) >= presses:
            _RAISING[signal.Signals(number)](number, frame)
        pressed.append(signal.Signals(number))

    for number in usual:
        signal.signal(number, press)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, _RAISING[number])
        for number in pressed:  # also where the block has failed, since that may be the signal's doing
            _RAISING[number](number, None)
