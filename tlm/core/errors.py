"""Every error that the package raises on purpose.

SimPy rebuilds an exception that crosses a process as ``type(e)(*e.args)``, so each class takes exactly
one argument: the message, complete, with place, value, what is allowed and the remedy.
"""

from __future__ import annotations

import re

_RAW = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal interprets instead of showing (controls, escapes, direction marks), or cannot encode."""

_HEAD_CHARACTERS, _TAIL_CHARACTERS = 1_000, 500
"""Parts of a long message that are kept: place and value are at its start, the allowed values and remedy at its end."""


def one_line(text: str) -> str:
    """``text`` as one line that a terminal can print, whatever a user's file or option put into it.

    Line breaks and control characters are escaped as in Python. A long text loses its middle.
    """
    left_out = len(text) - _HEAD_CHARACTERS - _TAIL_CHARACTERS
    if left_out > 0:
        text = f"{text[:_HEAD_CHARACTERS]}[.. {left_out} characters ..]{text[-_TAIL_CHARACTERS:]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escaped(text: str) -> str:
    """``text``, possibly several lines, with everything that a terminal would interpret escaped as in Python."""
    return _RAW.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class TlmError(Exception):
    """Base of every deliberate error; its only argument is the whole message, which is kept as one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class InputError(TlmError):
    """A scenario, network, array or option from the user is wrong; raised before any work starts."""


class CompileError(TlmError):
    """A valid network that does not fit this chip."""


class ElaborationError(TlmError):
    """Modules were connected wrongly, or the topology was touched after the simulation had started."""


class SimulationError(TlmError):
    """Something went wrong while the simulation ran; the message names component, address and cycle."""


class ProtocolError(SimulationError):
    """A component broke the rules of transport (for example a target that forgot to answer)."""


class UnwrittenReadError(SimulationError):
    """A memory word was read that was never written."""


class DriverError(SimulationError):
    """The host's driver stopped on an error that a block reported through its status register."""


class DeadlockError(SimulationError):
    """No event is left, but the work is not finished; lists every open transaction, one per line."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, "\n".join(one_line(line) for line in message.split("\n")))


class TraceWarning(UserWarning):
    """A trace does not contain everything that was requested; the run itself is complete."""
