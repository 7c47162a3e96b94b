"""Puts the files of docs/examples/timing_suite and what a failure prints into docs/testing.md.

    python docs/tools/make_testing_page.py            rewrite the page
    python docs/tools/make_testing_page.py --check    exit status 1 if the page is out of date

A block stands between ``<!-- file NAME -->`` or ``<!-- failure -->`` and ``<!-- end -->``. The failure is that of the
example project after one latency was changed, as pytest prints it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
SUITE = DOCS / "examples" / "timing_suite"
_BLOCK = re.compile(r"(<!-- (file|failure) ?(\S*) -->\n).*?(<!-- end -->)", re.DOTALL)
_CHANGE = ('"host_access_ns": 100}', '"host_access_ns": 100, "requantiser_cycles": 4}')
_SHOWN = "test_cycles or test_nothing_has_moved"


def failure() -> str:
    """What the example prints when the requantiser is a cycle slower."""
    with tempfile.TemporaryDirectory() as place:
        project = Path(place)
        for path in SUITE.iterdir():
            if path.is_file():
                shutil.copy(path, project)
        conftest = project / "conftest.py"
        conftest.write_text(conftest.read_text(encoding="utf-8").replace(*_CHANGE), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-k", _SHOWN, "-p", "no:cacheprovider", "--tb=short"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    wanted = re.compile(r"^(E  |_{3}|-{3}.*waveform|\.tlm-waves|test_\w+\.py:\d+: in|    assert)")
    lines = [line for line in done.stdout.splitlines() if wanted.match(line)]
    once = [index for index, line in enumerate(lines) if "[pass]" in line and line.startswith("_")]
    return "\n".join(lines[: once[0]] if once else lines)


def block(match: re.Match[str]) -> str:
    """A block as it should be."""
    head, kind, name, end = match.groups()
    if kind == "failure":
        return f"{head}```\n{failure()}\n```\n{end}"
    path = SUITE / name
    language = {".py": "python", ".toml": "toml"}[path.suffix]
    return f"{head}```{language}\n{path.read_text(encoding='utf-8')}```\n{end}"


def main() -> int:
    """Rewrite or check the page."""
    page = DOCS / "testing.md"
    text = page.read_text(encoding="utf-8")
    made = _BLOCK.sub(block, text)
    if "--check" in sys.argv[1:]:
        if made != text:
            print(f"{page.name} is out of date: run python docs/tools/make_testing_page.py")
        return int(made != text)
    page.write_text(made, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
