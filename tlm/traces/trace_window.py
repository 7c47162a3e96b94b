"""Which part of a run a waveform of every cycle is written for.

``layer:NAME``: from the layer's header to its last write, all its parts. ``pass:A..B``: passes A to B, counted from 0
in the order of execution, of the whole run or, after ``layer:NAME,``, of that layer. ``cycles:A..B``: these cycles.
Both ends belong to it; ``A`` alone means A..A.
"""

from __future__ import annotations

import re

from msgspec import Struct

from tlm.core.errors import InputError

FORMS = "layer:NAME, pass:A..B, layer:NAME,pass:A..B or cycles:A..B"
_FORM = re.compile(
    r"(?:(?P<head>layer)(?::(?P<layer>.*?))?(?:,(?=pass:)|$))?"
    r"(?:(?P<unit>pass|cycles):(?P<first>\d{1,18})(?:\.\.(?P<last>\d{1,18}))?)?",
    re.DOTALL,
)


class TraceWindow(Struct, frozen=True):
    """A window as it was asked for; with nothing set it is the whole run."""

    layer: str | None = None
    passes: tuple[int, int] | None = None
    cycles: tuple[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> TraceWindow:
        """A window from its text.

        Raises:
            InputError: it has none of the forms.
        """
        found = _FORM.fullmatch(text)
        if found is None or not text:
            raise InputError(f"trace.window: {text!r} is not of the form {FORMS}")
        if found["head"] and not found["layer"]:
            raise InputError(f"trace.window: {text!r} names no layer; the forms are {FORMS}")
        if found["unit"] is None:
            return cls(layer=found["layer"])
        first, last = int(found["first"]), int(found["last"] or found["first"])
        if last < first:
            raise InputError(f"trace.window: {text!r} ends before it begins; give the lower number first")
        if found["unit"] == "cycles":
            return cls(cycles=(first, last))
        return cls(layer=found["layer"], passes=(first, last))
