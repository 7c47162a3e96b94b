"""The labels: one definition, and none printed outside of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import REPOSITORY

from tlm.core.labels import LEGEND, Label

PACKAGE = REPOSITORY / "tlm"
LABEL = re.compile(r"(?<!\w)\[[A-Z]\]")
BRACKETED = {label.value for label in Label if label.value.startswith("[")}
DERIVED_ALONE = ("tlm/reproduction/", "tlm/core/labels.py", "tlm/chip/operating_point.py")
"""Where figures are derived from published numbers by arithmetic alone; whatever a run gives is not."""


def texts(path: Path) -> Iterator[str]:
    """String literals of a source file, those of f-strings included, docstrings not; none where no label stands."""
    source = path.read_text()
    if not LABEL.search(source):
        return
    tree = ast.parse(source)
    docs = {
        id(node.value)
        for body in (getattr(node, "body", []) for node in ast.walk(tree))
        if isinstance(body, list)
        for node in body
        if isinstance(node, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def test_every_printed_label_is_defined_and_none_is_derived_that_was_simulated() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(REPOSITORY).as_posix()
        for text in texts(path):
            labels = {label for label in LABEL.findall(text) if "A-Z" not in text}
            assert labels <= BRACKETED, f"{name}: {text!r}"
            assert "[D]" not in labels or name.startswith(DERIVED_ALONE), f"{name}: {text!r}"
            found |= labels
    assert found == BRACKETED


@pytest.mark.parametrize("page", ["chip.md", "reproduction.md"])
def test_the_pages_have_the_definition(page: str) -> None:
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    for label in Label:
        assert f"| {label.value} | {label.meaning} |" in text, label


@pytest.mark.parametrize("page", [path.name for path in (REPOSITORY / "docs").glob("*.md")])
def test_pages_call_derived_what_has_no_assumption(page: str) -> None:
    """[D] stands on the pages about the publication and in the glossary, and on no page about what runs give."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    assert "[D]" not in text or page in ("chip.md", "glossary.md", "reproduction.md", "timing.md")


def test_who_uses_the_labels_cites_the_definition() -> None:
    assert LEGEND.endswith("docs/chip.md")
    for page in ("result.md", "timing.md", "plots.md", "account.md"):
        assert "chip.md#labels" in (REPOSITORY / "docs" / page).read_text(encoding="utf-8"), page
    assert "docs/chip.md#labels" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
