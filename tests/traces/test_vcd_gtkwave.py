"""GTKWave itself opens each kind of waveform with its layout: every row is there, at the moment that was chosen.

Needs gtkwave and a virtual display (Debian: gtkwave xvfb); a picture is taken where imagemagick is there too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gtkwave import MISSING, Seen, look, virtual_display
from layouts import read_layout
from waves import CHIP, Waves, small_network

import tlm
from tlm.chip.contract import PORTS
from tlm.chip.format.driver import SramName
from tlm.traces.waves.signal_kinds import start_ps

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")]


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with virtual_display() as found:
        yield found


def check(dump: Path, seen: Seen) -> None:
    """Nothing was dropped, and the view is the layout's."""
    layout = read_layout(dump.with_suffix(".gtkw"))
    assert seen.complaints == ()
    assert seen.shown == tuple(line.signal for line in layout.lines)
    assert abs(seen.from_ps - layout.start_ps) < 10 * layout.ps_per_pixel
    shown_ps = seen.until_ps - seen.from_ps
    assert 950 < shown_ps / layout.ps_per_pixel < 1300
    if shutil.which("import") is not None:
        assert seen.picture.stat().st_size > 20_000  # an empty screen compresses to much less


def values_at(cycle: int, dump: Path, display: str, names: tuple[str, ...]) -> Seen:
    return look(dump, display, start_ps(cycle, CHIP.clock_khz), names)


@pytest.mark.parametrize("suffix", [".vcd", ".fst"])
def test_a_waveform_of_passes(tmp_path: Path, display: str, suffix: str) -> None:
    dump = tmp_path / f"run{suffix}"
    network, activations = small_network()
    result = tlm.simulate(network, activations, CHIP, trace=tlm.TraceOptions(wave=dump))
    at = result.layers["res"].start_cycle + 3
    seen = values_at(at, dump, display, ("array", "engine.sequencer.pass", "waits for"))
    check(dump, seen)
    host = next(span for span in result.timeline.host if span.first_cycle <= at <= span.last_cycle)
    assert seen.values == ("computing", "0", host.waits_for or "-")
    assert seen.end_ps in (start_ps(result.cycles, CHIP.clock_khz), start_ps(result.cycles - 1, CHIP.clock_khz))


@pytest.mark.parametrize("window", [None, "layer:res,pass:2..4"])
def test_a_waveform_of_every_cycle(tmp_path: Path, display: str, window: str | None) -> None:
    dump = tmp_path / "run.vcd"
    network, activations = small_network()
    trace = tlm.TraceOptions(wave=dump, level="cycle", window=window)
    result = tlm.simulate(network, activations, CHIP, trace=trace)
    at = result.passes["res"][3].first_cycle + 2
    waves = Waves(dump)
    seen = values_at(at, dump, display, ("trace", "bank 0", "engine.sequencer.pass", "bank 1"))
    check(dump, seen)
    owners = [
        next((port for port in PORTS[SramName.AMEM] if waves.each_cycle(f"engine.amem.{port}")[at] >> bank & 1), "-")
        for bank in (0, 1)
    ]
    assert seen.values == ("recording", owners[0], "3", owners[1])
    declared = {name.split("[")[0] for name in seen.signals}
    assert declared == waves.names


@pytest.mark.parametrize("level", ["pass", "cycle"])
def test_what_a_failing_run_has_left(tmp_path: Path, display: str, level: str) -> None:
    network, activations = small_network()
    dump = tmp_path / "failed.vcd"
    faults = [tlm.BitFlip(tlm.FaultTarget.IMEM, word, 63, cycle=1500) for word in range(CHIP.imem_words)]
    with pytest.raises(tlm.TlmError):
        tlm.simulate(network, activations, CHIP, trace=tlm.TraceOptions(wave=dump, level=level), faults=faults)
    waves = Waves(dump)
    seen = values_at(waves.last_cycle, dump, display, ("load transfer",) if level == "cycle" else ("load",))
    check(dump, seen)
    assert seen.end_ps in (start_ps(waves.last_cycle + 1, CHIP.clock_khz), start_ps(waves.last_cycle, CHIP.clock_khz))
    assert seen.values == ("-",)
