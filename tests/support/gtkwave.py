"""GTKWave itself on a virtual display: what it shows of a dump with its layout, and a picture of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MISSING = [tool for tool in ("gtkwave", "Xvfb") if shutil.which(tool) is None]

_SCRIPT = """
puts "end=[gtkwave::getMaxTime]"
for {{set i 0}} {{$i < [gtkwave::getNumFacs]}} {{incr i}} {{ puts "signal=[gtkwave::getFacName $i]" }}
foreach name [gtkwave::getDisplayedSignals] {{ puts "shown=$name" }}
puts "from=[gtkwave::getWindowStartTime]"
puts "until=[gtkwave::getWindowEndTime]"
puts "cursor=[gtkwave::getMarker]"
{marker}
after 700 set drawn 1
vwait drawn
catch {{ exec import -window root {picture} }}
exit
"""
_AT_MARKER = """
gtkwave::setMarker {time_ps}
foreach name [list {names}] {{ puts "value=[gtkwave::getTraceValueAtMarkerFromName $name]" }}
"""


@dataclass(frozen=True)
class Seen:
    """What GTKWave says."""

    end_ps: int
    signals: tuple[str, ...]
    shown: tuple[str, ...]
    """Signals of the rows, those of closed groups too."""
    from_ps: int
    until_ps: int
    cursor_ps: int
    """Where the layout has put GTKWave's own marker; -1 if nowhere."""
    values: tuple[str, ...]
    """At the marker that was asked for."""
    complaints: tuple[str, ...]
    picture: Path


@contextmanager
def virtual_display() -> Iterator[str]:
    """A display of its own."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1500x1000x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as numbers:
        number = numbers.readline().strip()
    try:
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def look(dump: Path, display: str, marker_ps: int | None = None, names: tuple[str, ...] = ()) -> Seen:
    """Open a dump with the layout beside it, as `tlm wave` does, and ask what is there.

    Args:
        dump: .vcd or .fst with its .gtkw.
        display: of an X server.
        marker_ps: where to read values.
        names: labels of the rows to read there.
    """
    picture, script = dump.with_suffix(".png"), dump.with_suffix(".tcl")
    wanted = " ".join(f"{{{name}}}" for name in names)
    marker = "" if marker_ps is None else _AT_MARKER.format(time_ps=marker_ps, names=wanted)
    script.write_text(_SCRIPT.format(marker=marker, picture=picture))
    done = subprocess.run(
        ["gtkwave", "--rcvar", "splash_disable on", "--script", script.name, dump.name, dump.with_suffix(".gtkw").name],
        cwd=dump.parent,
        env={**os.environ, "DISPLAY": display, "HOME": str(dump.parent), "GDK_BACKEND": "x11", "NO_AT_BRIDGE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            said.setdefault(key, []).append(value)
    assert "until" in said, done.stdout + done.stderr
    return Seen(
        end_ps=int(said["end"][0]),
        signals=tuple(said["signal"]),
        shown=tuple(said.get("shown", ())),
        from_ps=int(said["from"][0]),
        until_ps=int(said["until"][0]),
        cursor_ps=int(said["cursor"][0]),
        values=tuple(said.get("value", ())),
        complaints=tuple(line for line in done.stdout.splitlines() + done.stderr.splitlines() if "Could not" in line),
        picture=picture,
    )
