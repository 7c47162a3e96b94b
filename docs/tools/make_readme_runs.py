"""Puts what README.md's scenarios print into the page: ``python docs/tools/make_readme_runs.py``.

A fenced block whose first or second line ends in ``tlm run scenarios/FILE`` or ``tlm tradeoff`` is one of them; a test
compares.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"(^```\n(?:\$ make \w+\n)?(?:\$ )?\S*tlm (run scenarios/\S+|tradeoff)\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL
)


def printed(command: str) -> str:
    """Standard output of ``tlm`` with these words on an 80-column terminal, without trailing blanks."""
    done = subprocess.run(
        [sys.executable, "-m", "tlm", *command.split()],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"},
        check=True,
        capture_output=True,
        text=True,
    )
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.rstrip().splitlines())


def main() -> None:
    """Rewrite the page."""
    page = ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(BLOCK.sub(lambda found: found[1] + printed(found[2]) + found[4], text), encoding="utf-8")


if __name__ == "__main__":
    main()
