"""Baseline files: what runs took when somebody reviewed it, as text that shows well in a difference.

A file has a section for each run of a test, in the order of their names. A line has a kind, a name, the cycles and
then ``cause=cycles`` for each cause that is not zero; ``first..last`` are moments. Names are quoted as in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.errors import InputError
from tlm.core.input_files import read_text
from tlm.inputs.natural_order import natural_key
from tlm.testing.recipe import chip_changes

if TYPE_CHECKING:
    from tlm.results.result import Result

_SUFFIX = ".tlm-baseline.txt"
_HEADER = (
    "# Timing baseline of {name}: cycles of each run and layer, and where they went (docs/testing.md).",
    "# `pytest --tlm-update` rewrites it; review the difference before you commit it.",
)
_NUMBER = r"\d{1,18}"
_ROW = re.compile(
    rf'(total|layer|part) ("(?:[^"\\]|\\.)*")? *({_NUMBER}) cycles +({_NUMBER})\.\.({_NUMBER})((?: +[\w.]+={_NUMBER})*)'
)
_NAME_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Row:
    """A run, a layer or a part of a layer."""

    kind: str
    """"total", "layer" or "part"."""
    name: str
    cycles: int
    first_cycle: int
    last_cycle: int
    causes: Mapping[str, int] = field(default_factory=dict)
    """Cause -> cycles; those of a layer's waits are headed by "before."."""

    def text(self) -> str:
        """The line."""
        name = "" if self.kind == "total" else json.dumps(self.name, ensure_ascii=False)
        causes = " ".join(f"{cause}={cycles}" for cause, cycles in self.causes.items() if cycles)
        moments = f"{self.first_cycle}..{self.last_cycle}"
        return f"{self.kind} {name:<{_NAME_WIDTH}} {self.cycles:>9} cycles {moments:>17}  {causes}".rstrip()


@dataclass(frozen=True, slots=True)
class Section:
    """One run."""

    chip: Mapping[str, Any]
    """What differs from the default chip."""
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, result: Result) -> Section:
        """What a run took."""
        return cls(chip_changes(result.chip), tuple(_rows(result)))

    def row(self, kind: str, name: str) -> Row | None:
        """The row of something."""
        return next((row for row in self.rows if (row.kind, row.name) == (kind, name)), None)

    def lines(self) -> Iterator[str]:
        """Its lines without the heading."""
        chip = " ".join(f"{key}={json.dumps(value)}" for key, value in self.chip.items())
        yield f"chip {chip or 'default'}"
        yield from (row.text() for row in self.rows)


def _rows(result: Result) -> Iterator[Row]:
    account = {cause: cycles for cause, cycles in result.account.by_cause().items() if cycles}
    yield Row("total", "", result.cycles, 0, result.cycles - 1, account)
    for name, layer in result.layers.items():
        waits = {f"before.{cause}": cycles for cause, cycles in layer.waits.by_cause().items()}
        causes = {cause: cycles for cause, cycles in (layer.account.by_cause() | waits).items() if cycles}
        yield Row("layer", name, layer.compute_cycles, layer.start_cycle, layer.end_cycle, causes)
        parts = [part for part in result.timeline.parts if part.layer == name]
        for part in parts if len(parts) > 1 else ():
            cycles = part.last_cycle - part.first_cycle + 1
            yield Row("part", part.name, cycles, part.first_cycle, part.last_cycle)


def baseline_path(test_file: Path) -> Path:
    """The file beside a test file."""
    return test_file.with_name(f"{test_file.stem}{_SUFFIX}")


def file_text(test_file: Path, sections: Mapping[str, Section]) -> str:
    """The whole file.

    Args:
        test_file: whose tests they are.
        sections: by name.
    """
    lines = [line.format(name=test_file.name) for line in _HEADER]
    for name in sorted(sections, key=natural_key):
        lines += ["", f"[{name}]", *sections[name].lines()]
    return "\n".join(lines) + "\n"


def read_sections(path: Path) -> dict[str, Section]:
    """What a file holds, by name; nothing if there is no file.

    Raises:
        InputError: it cannot be read, or a line is none of a baseline.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return {}
    except InputError as error:
        raise InputError(f"{error}; restore the file, or rewrite it with --tlm-update") from None
    sections: dict[str, Section] = {}
    name, chip, rows = "", dict[str, Any](), list[Row]()
    for number, line in enumerate([*text.splitlines(), "["], 1):
        if line.startswith("["):
            if name:
                sections[name] = Section(chip, tuple(rows))
            name, chip, rows = line[1:-1], {}, []
            if name in sections:
                raise InputError(
                    f"{path.name}, line {number}: section [{name}] is there twice; leave one of them, "
                    "or rewrite the file with --tlm-update"
                )
        elif line.startswith("chip ") and name:
            chip = _chip(path, number, line)
        elif line and not line.startswith("#"):
            if not name:
                raise _bad_line(path, number, line)
            rows.append(_row(path, number, line))
    return sections


def _chip(path: Path, number: int, line: str) -> dict[str, Any]:
    words = [word.partition("=") for word in line.split()[1:] if word != "default"]
    try:
        return {key: json.loads(value) for key, _, value in words}
    except (ValueError, RecursionError):
        raise _bad_line(path, number, line) from None


def _row(path: Path, number: int, line: str) -> Row:
    found = _ROW.fullmatch(line)
    if found is None:
        raise _bad_line(path, number, line)
    kind, name, cycles, first, last, causes = found.groups()
    pairs: Iterable[tuple[str, str, str]] = (word.partition("=") for word in causes.split())
    by_cause = {cause: int(count) for cause, _, count in pairs}
    try:
        return Row(kind, json.loads(name) if name else "", int(cycles), int(first), int(last), by_cause)
    except ValueError:
        raise _bad_line(path, number, line) from None


def _bad_line(path: Path, number: int, line: str) -> InputError:
    return InputError(
        f"{path.name}, line {number}: {line!r} is no line of a baseline; "
        "restore the file from version control, or rewrite it with --tlm-update"
    )
