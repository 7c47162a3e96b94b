"""A value change dump: declares a table of signals and writes their changes in real time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

from vcd import VCDWriter
from vcd.writer import Variable

from tlm.traces.waves import labels
from tlm.traces.waves.signal_kinds import Kind, Signal, Value


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


class Writer:
    """Writes declarations and initial values at once; then changes, whose times must not go back.

    Args:
        stream: where the text goes.
        comment: for the header; must not tell the machine or the date.
        signals: all of them.
        date: for the header; "" leaves it out.
    """

    def __init__(self, stream: IO[str], comment: str, signals: Sequence[Signal], date: str = "") -> None:
        self._stream = _Counted(stream)
        self._writer = VCDWriter(
            self._stream,  # type: ignore[arg-type]  # it only writes and flushes
            timescale="1 ps",
            date=date,
            comment=f"{comment}\n{labels.legend()}",
            check_values=False,
        )
        self._kinds = {signal.name: signal.kind for signal in signals}
        self._variables = {signal.name: self._declare(signal) for signal in signals}
        self._writer.flush(0)

    def _declare(self, signal: Signal) -> Variable[Any]:
        kind, init, name = signal.kind, signal.init, signal.name.rpartition(".")[2]
        how: dict[str, Any] = {"var_type": kind.value}
        match kind:
            case Kind.STATE:
                how = {"var_type": "wire", "size": labels.STATE_BITS}
                init = labels.code(str(init))
            case Kind.BITS:
                how["size"] = signal.width
            case Kind.NUMBER:
                how["size"] = 64 if signal.scope == "clock" else 32
                init = "z" if init is None else init  # pyvcd takes None for x
            case Kind.EVENT:
                init = None
        if kind in (Kind.STATE, Kind.BITS) and how["size"] > 1:
            name += f"[{how['size'] - 1}:0]"
        return self._writer.register_var(signal.scope, name, init=init, **how)

    @property
    def written_bytes(self) -> int:
        """Size of the dump until now."""
        return self._stream.written

    def change(self, time_ps: int, name: str, value: Value) -> None:
        """A signal's new value."""
        self._writer.change(self._variables[name], time_ps, self._encoded(name, value))

    def note(self, values: Mapping[str, Value]) -> None:
        """New values while nothing is written."""
        for name, value in values.items():
            self._variables[name].value = self._encoded(name, value)

    def pause(self, time_ps: int, keep: str) -> None:
        """From now on nothing is written; everything but ``keep`` shows x."""
        self._writer.dump_off(time_ps)
        kept = self._variables[keep]
        self._stream.write(f"{kept.format_value(kept.value, False)}\n")

    def resume(self, time_ps: int, values: Mapping[str, Value]) -> dict[str, Value]:
        """Everything shows its value again, those given first; returns events, which have no value and are left."""
        self.note(values)
        self._writer.dump_on(time_ps)
        return {name: value for name, value in values.items() if self._kinds[name] is Kind.EVENT}

    def close(self, time_ps: int) -> None:
        """The dump ends here."""
        self._writer.close(time_ps)

    def _encoded(self, name: str, value: Value) -> Value:
        return labels.code(str(value)) if self._kinds[name] is Kind.STATE else value
