"""The variables of a value change dump, each of the kind that viewers show best, and their changes in real time."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from operator import itemgetter
from typing import IO, Any, NamedTuple, TypeAlias

from vcd import VCDWriter
from vcd.common import VarType
from vcd.writer import Variable

from tlm.traces.waves import labels

Value: TypeAlias = int | float | str | None
"""Of a variable; None shows as z: nobody drives it."""

_PS_PER_MS = 1_000_000_000


class Change(NamedTuple):
    """A variable's new value from a cycle on."""

    cycle: int
    variable: Variable[Any]
    value: Value


class Totals:
    """Counters that only grow."""

    def __init__(self) -> None:
        self._totals: Counter[Variable[Any]] = Counter()

    def add(self, cycle: int, variable: Variable[Any], count: int) -> Change:
        """So much more from a cycle on."""
        self._totals[variable] += count
        return Change(cycle, variable, self._totals[variable])


BY_CYCLE = itemgetter(0)
"""Key for sorting changes."""


class Kind(enum.Enum):
    """How a variable is to be read."""

    TEXT = "text"
    STATE = "state"
    NUMBER = "number"
    BITS = "bits"
    REAL = "real"
    EVENT = "event"


def start_ps(cycle: int, clock_khz: int) -> int:
    """Where a cycle begins, in whole picoseconds, rounded down.

    Computed from the cycle's number, so that no rounding adds up; the same on every machine.
    """
    return cycle * _PS_PER_MS // clock_khz


class _Counted:
    """A text stream that knows how much went into it."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.written = 0

    def write(self, text: str) -> int:
        self.written += len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


class Variables:
    """Declares variables and writes their changes.

    Args:
        stream: where the text goes.
        comment: for the header; must not tell the machine or the date.
        date: for the header; "" leaves it out.
    """

    def __init__(self, stream: IO[str], comment: str, date: str = "") -> None:
        self._stream = _Counted(stream)
        self._writer = VCDWriter(
            self._stream,  # type: ignore[arg-type]  # it only writes and flushes
            timescale="1 ps", date=date, comment=f"{comment}\n{labels.legend()}", check_values=False,
        )  # fmt: skip
        self._all: list[Variable[Any]] = []
        self.kinds: dict[str, Kind] = {}
        """Full name as GTKWave has it ("engine.sequencer.state[7:0]") -> kind."""
        self.by_name: dict[str, Variable[Any]] = {}

    @property
    def written_bytes(self) -> int:
        """Size of the dump until now."""
        return self._stream.written

    # -- declaring ----------------------------------------------------------------------------------------------

    def text(self, scope: str, name: str, init: str = "-") -> Variable[Any]:
        """Words."""
        return self._add(Kind.TEXT, scope, name, var_type="string", init=init)

    def state(self, scope: str, name: str, init: str = "-") -> Variable[Any]:
        """Codes of :mod:`tlm.traces.waves.labels`."""
        return self.bits(scope, name, labels.STATE_BITS, labels.code(init), Kind.STATE)

    def integer(self, scope: str, name: str, init: int | None = 0, bits: int = 32) -> Variable[Any]:
        """A number that viewers show in decimal: a count, an index, a word address."""
        # pyvcd takes None for "no initial value", that is x
        return self._add(
            Kind.NUMBER, scope, name, var_type="integer", size=bits, init="z" if init is None else init
        )  # fmt: skip

    def bits(
        self, scope: str, name: str, width: int = 1, init: int = 0, kind: Kind = Kind.BITS
    ) -> Variable[Any]:  # fmt: skip
        """Wires, which viewers show in hexadecimal, or as a line if there is only one."""
        index = (width - 1, 0) if width > 1 else None
        return self._add(kind, scope, name, var_type="wire", size=width, init=init, bit_index=index)

    def real(self, scope: str, name: str) -> Variable[Any]:
        """A quantity that has fractions; at first 0."""
        return self._add(Kind.REAL, scope, name, var_type="real", init=0.0)

    def event(self, scope: str, name: str) -> Variable[Any]:
        """Something that happens at most once a cycle: its change to 1."""
        return self._add(Kind.EVENT, scope, name, var_type="event")

    def alias(self, variable: Variable[Any], scope: str, name: str) -> None:
        """Let a variable of one bit or word appear at a second place too."""
        self._writer.register_alias(scope, name, variable)
        self.kinds[f"{scope}.{name}"] = Kind.EVENT

    def _add(self, kind: Kind, scope: str, name: str, **how: Any) -> Variable[Any]:
        variable = self._writer.register_var(scope, name, **how)
        index = how.get("bit_index")
        full_name = f"{scope}.{name}" + (f"[{index[0]}:{index[1]}]" if index else "")
        self.kinds[full_name] = kind
        self.by_name[full_name] = variable
        self._all.append(variable)
        return variable

    def has_words(self, name: str) -> bool:
        """Whether viewers write its values into boxes."""
        return self.kinds[name] in (Kind.TEXT, Kind.STATE, Kind.NUMBER) or "[" in name

    @staticmethod
    def is_event(variable: Variable[Any]) -> bool:
        """Whether it happens and has no value."""
        return variable.type is VarType.event

    def start(self) -> None:
        """Write the declarations and initial values; nothing can be declared afterwards."""
        self._writer.flush(0)

    # -- changing -----------------------------------------------------------------------------------------------

    def change(self, variable: Variable[Any], time_ps: int, value: Value) -> None:
        """A new value; times must not go back."""
        self._writer.change(variable, time_ps, value)

    def note(self, values: Mapping[Variable[Any], Value]) -> None:
        """New values while nothing is written."""
        for variable, value in values.items():
            variable.value = value

    def pause(self, time_ps: int, keep: Variable[Any]) -> None:
        """From now on nothing is written; everything but ``keep`` shows x."""
        self._writer.dump_off(time_ps)
        self._stream.write(f"{keep.format_value(keep.value, False)}\n")

    def resume(self, time_ps: int) -> None:
        """Everything shows its value again."""
        self._writer.dump_on(time_ps)

    def close(self, time_ps: int) -> None:
        """The dump ends here."""
        self._writer.close(time_ps)
