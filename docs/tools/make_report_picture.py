"""Takes the picture of docs/exploration.md: ``python docs/tools/make_report_picture.py [FILE.png]``.

Sweeps the block conv3_2 over banks and taps, opens the report in a headless Chromium, and keeps what answers the page's
question: how cycles depend on banks at 3 of 9 taps. Needs Chromium (Debian: chromium); nothing leaves this machine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(DOCS.parent / "tests" / "support"))

import chromium  # noqa: E402 - the path above
import report_pages  # noqa: E402

SWEEP = ("resnet18_conv3_2_3of9", "--over", "chip.amem_banks=1,2,4,8", "--over", "network.taps=1..9", "-o", "banks")
WIDTH = 1100


def take(picture: Path) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as directory:
        for command in (("sweep", *SWEEP), ("report", "banks")):
            subprocess.run(
                [sys.executable, "-m", "tlm", *command], check=True, cwd=directory, stdout=subprocess.DEVNULL
            )
        with report_pages.opened(Path(directory) / "banks" / "report.html", WIDTH, 1080) as report:
            report.choose("[data-filter='network.taps']", "2")
            time.sleep(1)
            picture.write_bytes(report.page.screenshot())


def main(arguments: list[str]) -> int:
    """Take it, or say what is missing."""
    if chromium.program() is None:
        print("not installed: chromium", file=sys.stderr)
        return 1
    take(Path(arguments[0]) if arguments else DOCS / "images" / "report_banks.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
