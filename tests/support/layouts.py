"""What a GTKWave save file says, read without the code that wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PIXELS_PER_ZOOM_FRAME = 200
WAVES_PIXELS = 1100
"""Of the window that a save file asks for, without the names."""

_FLAG_ANALOG, _FLAG_TRANSLATED, _FLAG_GROUP, _FLAG_END, _FLAG_CLOSED = 0x8000, 0x2000, 0x800000, 0x1000000, 0x400000
_FLAG_BLANK = 0x200


@dataclass(frozen=True)
class Line:
    """A signal of the layout."""

    signal: str
    analog: bool
    translated: bool
    hidden: bool
    """In a closed group."""


@dataclass(frozen=True)
class Layout:
    """A save file."""

    dump: str
    start_ps: int
    ps_per_pixel: float
    markers_ps: tuple[int, ...]
    marker_names: tuple[str, ...]
    lines: tuple[Line, ...]
    label_files: frozenset[str]


def read_layout(path: Path) -> Layout:
    """Parse a save file."""
    text = path.read_text()
    flags, closed, lines = 0, False, []
    for line in text.splitlines():
        if line.startswith("@"):
            flags = int(line[1:], 16)
        elif flags & _FLAG_GROUP and line.startswith("-"):
            closed = bool(flags & _FLAG_CLOSED)
        elif flags & _FLAG_END and line.startswith("-"):
            closed = False
        elif not flags & _FLAG_BLANK and re.match(r"[A-Za-z+]", line):
            lines.append(
                Line(line.rpartition(" ")[2], bool(flags & _FLAG_ANALOG), bool(flags & _FLAG_TRANSLATED), closed)
            )
    zoom = re.search(r"^\*(\S+) -?\d+ (.*)$", text, re.MULTILINE)
    start = re.search(r"^\[timestart\] (\d+)$", text, re.MULTILINE)
    dump = re.search(r'^\[dumpfile\] "(.*)"$', text, re.MULTILINE)
    assert zoom is not None
    assert start is not None
    assert dump is not None
    return Layout(
        dump=dump[1],
        start_ps=int(start[1]),
        ps_per_pixel=2 ** -float(zoom[1]) / PIXELS_PER_ZOOM_FRAME,
        markers_ps=tuple(int(marker) for marker in zoom[2].split() if marker != "-1"),
        marker_names=tuple(re.findall(r"^\[markername\] [A-Z](.*)$", text, re.MULTILINE)),
        lines=tuple(lines),
        label_files=frozenset(re.findall(r"^\^\d+ (.*)$", text, re.MULTILINE)),
    )


def declared(path: Path) -> set[str]:
    """Full names of a dump's signals, with their ranges, from the text of its head."""
    scopes: list[str] = []
    names = set()
    for line in path.read_text().partition("$enddefinitions")[0].splitlines():
        words = line.split()
        if words[:1] == ["$scope"]:
            scopes.append(words[2])
        elif words[:1] == ["$upscope"]:
            scopes.pop()
        elif words[:1] == ["$var"]:
            names.add(".".join([*scopes, words[4]]))
    return names
