"""Which part of a run a waveform of every cycle is written for.

``layer:NAME``: from the layer's header to its last write, all its parts. ``pass:A..B``: passes A to B, counted from 0
in the order of execution, of the whole run or, after ``layer:NAME,``, of that layer. ``cycles:A..B``: these cycles.
Both ends belong to it; ``A`` alone means A..A.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlm.core.errors import InputError

if TYPE_CHECKING:
    from tlm.compiler.program import Program

_FORMS = "layer:NAME, pass:A..B, layer:NAME,pass:A..B or cycles:A..B"


@dataclass(frozen=True, slots=True)
class TraceWindow:
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
        head, separator, tail = text.rpartition(",pass:")
        if separator and head.startswith("layer:"):
            return cls(layer=_name(head, text), passes=_range("pass:" + tail, text))
        match text.partition(":")[0]:
            case "layer":
                return cls(layer=_name(text, text))
            case "pass":
                return cls(passes=_range(text, text))
            case "cycles":
                return cls(cycles=_range(text, text))
        raise InputError(f"trace.window: {text!r} is not of the form {_FORMS}")

    def passes_of(self, program: Program) -> frozenset[tuple[int, int]] | None:
        """(tag, pass index) of every pass in the window; None if cycles decide, or everything is in it.

        Raises:
            InputError: there is no such layer or pass.
        """
        if self.layer is None and self.passes is None:
            return None
        tags = [tag for job in program.jobs for tag in job.parts]  # in the order of execution
        if self.layer is not None:
            names = [one.name for one in program.network.layers]
            if self.layer not in names:
                raise InputError(
                    f"trace.window: layer {self.layer!r} is not in the network; its layers: {', '.join(names)}"
                )
            tags = [tag for tag in tags if program.parts[tag].layer_index == names.index(self.layer)]
        counts = [program.parts[tag].groups * program.parts[tag].tiles for tag in tags]
        everything = [(tag, index) for tag, count in zip(tags, counts, strict=True) for index in range(count)]
        if self.passes is None:
            return frozenset(everything)
        first, last = self.passes
        if last >= len(everything):
            what = "the run" if self.layer is None else f"layer {self.layer!r}"
            starts = [str(place) for place, (_, index) in enumerate(everything) if not index]
            parts = f" in {len(tags)} parts, which begin with {', '.join(starts[:8])}" if len(tags) > 1 else ""
            raise InputError(
                f"trace.window: pass:{first}..{last}, but {what} has passes 0..{len(everything) - 1}{parts}; "
                "choose among these"
            )
        return frozenset(everything[first : last + 1])


def _name(text: str, whole: str) -> str:
    name = text.partition(":")[2]
    if not name:
        raise InputError(f"trace.window: {whole!r} names no layer; the forms are {_FORMS}")
    return name


def _range(text: str, whole: str) -> tuple[int, int]:
    found = re.fullmatch(r"\w+:(\d{1,18})(?:\.\.(\d{1,18}))?", text)
    if found is None:
        raise InputError(f"trace.window: {whole!r} is not of the form {_FORMS}")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if last < first:
        raise InputError(f"trace.window: {whole!r} ends before it begins; give the lower number first")
    return first, last
