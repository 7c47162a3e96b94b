"""Every error that the package raises on purpose.

SimPy rebuilds an exception that crosses a process as ``type(e)(*e.args)``, so each class takes exactly
one argument: the message, complete, with place, value, what is allowed and the remedy.
"""

from __future__ import annotations


class TlmError(Exception):
    """Base of every deliberate error; its only argument is the whole message."""


class InputError(TlmError):
    """A scenario, network, array or option that the user gave is wrong; found before any work starts."""


class CompileError(TlmError):
    """A valid network that does not fit this chip."""


class ElaborationError(TlmError):
    """Modules were connected wrongly, or the topology was touched after the simulation had started."""


class SimulationError(TlmError):
    """Something went wrong while the simulation ran; the message names component, address and cycle."""


class ProtocolError(SimulationError):
    """A component broke the rules of transport (for example a target that forgot to answer)."""


class UnwrittenReadError(SimulationError):
    """A memory word was read that nobody had ever written."""


class DriverError(SimulationError):
    """The host's driver stopped on an error that a block reported through its status register."""


class DeadlockError(SimulationError):
    """Nothing can happen any more, but the work is not finished; lists every open transaction."""


class TraceWarning(UserWarning):
    """A trace does not hold all that was asked for; the run itself is whole."""
