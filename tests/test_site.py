"""The site: every link leads somewhere, nothing comes from the network, and all that a user can call is on it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import REPOSITORY

from tlm.cli.commands import COMMANDS

PUBLIC = re.findall(r"import \w+ as (\w+)", (REPOSITORY / "tlm" / "__init__.pyi").read_text(encoding="utf-8"))


def test_the_python_reference_names_all_that_is_public() -> None:
    page = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
    paths = re.findall(r"^::: tlm\.([\w.]+)$", page, re.MULTILINE)
    named = ["reference" if path == "reference.run" else path.rpartition(".")[2] for path in paths]
    assert sorted(named) == sorted(PUBLIC)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_whole(tmp_path: Path) -> None:
    """The build executes the notebooks; a cell that fails is an error."""
    command = (sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    loaded = re.compile(r"<(script|img|iframe)[^>]*src=.?https?:|<link[^>]*stylesheet[^>]*href=.?https?:|url\(https?:")
    assert [name for name, text in pages.items() if loaded.search(text)] == []
    assert [name for name in COMMANDS if f'id="tlm-{name}"' not in pages["command-line.html"]] == []
    assert "<code>amem_banks</code>" in pages["scenario-keys.html"]
    assert "<code>outputs_sha256</code>" in pages["result-schema.html"]
    assert "golden model</th><td>not compared" in pages["first_run.html"]
    assert re.findall(r'src="(images/which_sparsity_pays_\w+\.png)"', pages["which_sparsity_pays.html"])
    assert "write of 64 bytes" in pages["own_block.html"]
    assert not list(tmp_path.glob("sitemap*"))
