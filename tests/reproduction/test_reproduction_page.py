"""docs/reproduction.md and the command that writes it: slow, since it runs whole networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import REPOSITORY, tlm

pytestmark = pytest.mark.slow

PAGE = REPOSITORY / "docs" / "reproduction.md"


def test_the_page_is_what_the_command_writes(tmp_path: Path) -> None:
    done = tlm("reproduce", "-o", "page.md", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote page.md\n", "")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), (
        "out of date; run `tlm reproduce -o docs/reproduction.md`"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_quick_prints_three_levels() -> None:
    done = tlm("reproduce", "--quick", "--processes", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "levels 9/9, 3/9, 1/9" in done.stdout
    assert "| 2/9 |" not in done.stdout
    whole = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in done.stdout.splitlines() if line not in whole and "a part of it" not in line] == []
