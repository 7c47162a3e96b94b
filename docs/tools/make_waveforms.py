"""Makes the pictures of docs/waveforms.md: GTKWave on a virtual display, and the figures beside them.

    python docs/tools/make_waveforms.py            rewrite pictures and page
    python docs/tools/make_waveforms.py --check    only compare the figures; exit status 1 if the page is out of date

Needs gtkwave, Xvfb and imagemagick (Debian: gtkwave xvfb imagemagick); the comparison needs none of them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from make_timing_tables import DOCS, filled
from PIL import Image

import tlm
from tlm.scenario.loading import load_scenario

sys.path.insert(0, str(DOCS.parent / "tests" / "support"))  # GTKWave is started here as in the tests

SCENARIO = "resnet18_conv5_2_1of9"
MORE_BURSTS = "chip.dma_bursts_in_flight=8"
WINDOW = "cycles:100000..100200"
PAGE = DOCS / "waveforms.md"
_COLOURS = 48


def main(arguments: Sequence[str]) -> int:
    """Rewrite the page, or only compare."""
    text = filled(PAGE, {"stall": figures()})
    if "--check" in arguments:
        stale = PAGE.read_text(encoding="utf-8") != text
        if stale:
            print(f"{PAGE.name}: out of date; run docs/tools/make_waveforms.py")
        return int(stale)
    PAGE.write_text(text, encoding="utf-8")
    pictures()
    return 0


def figures() -> list[str]:
    """Where the time of the block goes before and after the change."""
    lines = ["| | cycles [S] | computing | weights | activations | load |", "|---|---|---|---|---|---|"]
    for name, overrides in (("as it is", []), (f"`--set {MORE_BURSTS}`", [MORE_BURSTS])):
        job = load_scenario(DOCS.parent / "scenarios" / f"{SCENARIO}.toml", overrides).build()
        result = tlm.simulate(job.network, job.activations, job.chip)
        causes = result.account.by_cause()
        busy = result.cycles - result.account.dma["load"].idle
        speed = result.traffic.load_bytes / result.chip.time_us(busy)
        shares = [f"{causes[cause] / result.cycles:.1%}" for cause in ("computing", "weights", "activations")]
        lines.append(f"| {name} | {result.cycles:,} | {' | '.join(shares)} | {speed:.0f} MB/s while it was busy |")
    return lines


def pictures() -> None:
    """The three pictures of the page."""
    from gtkwave import virtual_display

    with virtual_display() as display, tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        _picture("waveform_passes.png", tlm.TraceOptions(wave=place / "passes.vcd"), [], display)
        window = tlm.TraceOptions(wave=place / "cycles.vcd", window=WINDOW)
        _picture("waveform_wait.png", window, [], display)
        job = load_scenario(DOCS.parent / "scenarios" / "resnet18_conv3_2_3of9.toml").build()
        refused = tlm.TraceOptions(wave=place / "refused.vcd", window="layer:conv3_2.dwpw2,pass:3..4")
        tlm.simulate(job.network, job.activations, job.chip, trace=refused)
        _shoot("waveform_refused.png", place / "refused.vcd", display)


def _picture(name: str, trace: tlm.TraceOptions, overrides: Sequence[str], display: str) -> None:
    job = load_scenario(DOCS.parent / "scenarios" / f"{SCENARIO}.toml", overrides).build()
    tlm.simulate(job.network, job.activations, job.chip, trace=trace)
    assert trace.wave_path is not None
    _shoot(name, trace.wave_path, display)


def _shoot(name: str, dump: Path, display: str) -> None:
    from gtkwave import look

    with Image.open(look(dump, display).picture) as picture:
        # without the toolbar, whose look depends on the desktop
        small = picture.convert("RGB").crop((0, 98, 1412, 940)).quantize(_COLOURS)
        small.save(DOCS / "images" / name, optimize=True)
    print(f"docs/images/{name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
