"""GTKWave itself opens a dump: it lists every signal, reaches the end, and shows layers and states as words.

Needs gtkwave and a virtual display (Debian: gtkwave xvfb); a picture is taken where imagemagick is there too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import pywellen
from test_vcd import CHIP, Run, Waves, small_network

import tlm

_MISSING = [tool for tool in ("gtkwave", "Xvfb") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")

_SHOWN = ("engine.sequencer.layer", "engine.sequencer.state", "engine.sequencer.pass", "engine.amem.aligner[1:0]")

_SCRIPT = """
puts "end=[gtkwave::getMaxTime]"
for {{set i 0}} {{$i < [gtkwave::getNumFacs]}} {{incr i}} {{ puts "signal=[gtkwave::getFacName $i]" }}
puts "added=[gtkwave::addSignalsFromList [list {names}]]"
gtkwave::setMarker {marker_ps}
foreach name [list {names}] {{ puts "value=[gtkwave::getTraceValueAtMarkerFromName $name]" }}
gtkwave::setZoomFactor -14
gtkwave::setFromEntry {marker_ps}ps
after 500 set drawn 1
vwait drawn
catch {{ exec import -window root {picture} }}
exit
"""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1200x700x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as numbers:
        number = numbers.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(timeout=20)


def gtkwave(dump: Path, marker_ps: int, display: str) -> dict[str, list[str]]:
    """What GTKWave says about a dump: key -> lines."""
    names = " ".join(f"{{{name}}}" for name in _SHOWN)
    picture = dump.with_suffix(".png")
    script = dump.with_suffix(".tcl")
    script.write_text(_SCRIPT.format(names=names, marker_ps=marker_ps, picture=picture))
    output = subprocess.run(
        ["gtkwave", "--rcvar", "splash_disable on", "--script", script.name, dump.name],
        cwd=dump.parent,
        env={**os.environ, "DISPLAY": display, "HOME": str(dump.parent), "GDK_BACKEND": "x11", "NO_AT_BRIDGE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said: dict[str, list[str]] = {}
    for line in output.stdout.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            said.setdefault(key, []).append(value)
    assert "end" in said, output.stdout + output.stderr
    return said


def test_gtkwave_shows_the_run(tmp_path: Path, display: str) -> None:
    run = Run(tmp_path)
    banks = run.waves.each_cycle("engine.amem.aligner")
    cycle = next(c for c in range(run.result.layers["res"].start_cycle, len(banks)) if banks[c])
    said = gtkwave(run.path, cycle * 10**9 // 534_000, display)
    assert said["end"] == [str((run.waves.last_cycle + 1) * 10**9 // 534_000)]
    declared = {name.split("[")[0] for name in said["signal"]}
    assert declared == {variable.full_name for variable in pywellen.Waveform(str(run.path)).all_vars()}
    assert said["added"] == [str(len(_SHOWN))]
    assert said["value"] == ["res", "steps", "0", f"{banks[cycle]:02b}"]
    picture = run.path.with_suffix(".png")
    if shutil.which("import") is not None:
        assert picture.stat().st_size > 10_000  # an empty screen compresses to much less


def test_gtkwave_opens_what_a_failing_run_has_left(tmp_path: Path, display: str) -> None:
    network, activations = small_network()
    path = tmp_path / "failed.vcd"
    faults = [tlm.BitFlip(tlm.FaultTarget.IMEM, word, 63, cycle=1500) for word in range(CHIP.imem_words)]
    with pytest.raises(tlm.TlmError):
        tlm.simulate(tlm.compile(network, CHIP), activations, vcd=path, faults=faults)
    waves = Waves(path)
    said = gtkwave(path, waves.raw("clock.cycle")[-1][0], display)
    assert said["end"] == [str((waves.last_cycle + 1) * 10**9 // 534_000)]
    assert said["value"][:2] == ["-", "idle"]
