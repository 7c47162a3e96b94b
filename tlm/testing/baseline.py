"""Baselines: what runs took when somebody reviewed it, in a TOML file beside the tests.

A file has a table for each run of a test, and in it a line for the run, each layer and each part of a split layer.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.core.input_files import read_text
from tlm.inputs.natural_order import natural_key
from tlm.results.result import Result
from tlm.testing.expectation import Expectation, indented
from tlm.testing.explain import changed_causes, difference_lines
from tlm.testing.simulated import Simulated, changed_text, chip_changes

_SUFFIX = ".tlm-baseline.toml"
_HEADER = (
    "# Timing baseline of {name}: cycles of each run and layer, and where they went (docs/testing.md).\n"
    "# `pytest --tlm-update` rewrites it; review the difference before you commit it.\n"
)


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A run, a layer or a part of a layer."""

    cycles: int
    first: int
    """Its first cycle, since the first host access."""
    last: int
    causes: dict[str, int] = {}
    """Cause -> cycles, where there are any; "before_weights" is a wait in front of a layer."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One run."""

    chip: dict[str, Any]
    """What differs from the default chip."""
    run: Row
    layers: dict[str, Row] = {}
    parts: dict[str, Row] = {}
    """Of layers that have several."""

    def rows(self) -> dict[str, Row]:
        """Title -> row; parts before their layer."""
        parts = {f"part {name!r}": row for name, row in self.parts.items()}
        return {"the run": self.run} | parts | {f"layer {name!r}": row for name, row in self.layers.items()}

    def lines(self) -> Iterator[str]:
        """Its lines in the file, without the heading."""
        yield f"chip = {_inline(self.chip)}"
        yield f"run = {_inline(self.run)}"
        for table, rows in (("layers", self.layers), ("parts", self.parts)):
            yield from (f"{table}.{_key(name)} = {_inline(row)}" for name, row in rows.items())


def section_of(result: Result) -> Section:
    """What a run took."""
    layers: dict[str, Row] = {}
    parts: dict[str, Row] = {}
    for name, layer in result.layers.items():
        waits = {f"before_{cause}": cycles for cause, cycles in layer.waits.by_cause().items()}
        causes = _without_zeros(layer.account.by_cause() | waits)
        layers[name] = Row(layer.compute_cycles, layer.start_cycle, layer.end_cycle, causes)
        own = [part for part in result.timeline.parts if part.layer == name]
        for part in own if len(own) > 1 else ():
            parts[part.name] = Row(part.last_cycle - part.first_cycle + 1, part.first_cycle, part.last_cycle)
    run = Row(result.cycles, 0, result.cycles - 1, _without_zeros(result.account.by_cause()))
    return Section(chip_changes(result.chip), run, layers, parts)


def _without_zeros(causes: Mapping[str, int]) -> dict[str, int]:
    return {cause: cycles for cause, cycles in causes.items() if cycles}


def _inline(value: Any) -> str:
    """As an inline table, or what is in one."""
    plain = msgspec.to_builtins(value)
    if not isinstance(plain, dict):
        return json.dumps(plain)
    values = ", ".join(f"{_key(key)} = {_inline(one)}" for key, one in plain.items())
    return f"{{ {values} }}" if values else "{}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else json.dumps(name, ensure_ascii=False)


def baseline_path(test_file: Path) -> Path:
    """The file beside a test file."""
    return test_file.with_name(f"{test_file.stem}{_SUFFIX}")


def file_text(test_file: Path, sections: Mapping[str, Section]) -> str:
    """The whole file of a test file, from its sections by name."""
    tables = (
        "\n".join([f"\n[{_key(name)}]", *sections[name].lines(), ""]) for name in sorted(sections, key=natural_key)
    )
    return _HEADER.format(name=test_file.name) + "".join(tables)


def read_sections(path: Path) -> dict[str, Section]:
    """What a file holds, by name; nothing if there is no file.

    Raises:
        InputError: it cannot be read, or is no baseline.
    """
    try:
        return msgspec.toml.decode(read_text(path), type=dict[str, Section])
    except FileNotFoundError:
        return {}
    except (InputError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        place = "" if isinstance(error, InputError) else f"{path.name}: "
        raise InputError(f"{place}{error}; restore the file, or rewrite it with --tlm-update") from None


class TestBaseline:
    """The baseline of one test: fixture ``tlm_baseline``.

    Args:
        test_file: where the test stands.
        test_name: heads the sections of its runs.
        update: store instead of compare.
    """

    __test__ = False  # no class of tests, whatever its name says

    def __init__(self, test_file: Path, test_name: str, update: bool = False) -> None:
        self.path = baseline_path(test_file)
        self.stored: dict[str, Section] = {}
        """What the test asked to store, by section; written if the test passes."""
        self._test_name = test_name
        self._update = update

    def __repr__(self) -> str:
        return f"<baseline {self.path.name}, section [{self._test_name}]>"

    def plain(self) -> dict[str, Any]:
        """What is to be stored, in plain types."""
        plain: dict[str, Any] = msgspec.to_builtins(self.stored)
        return plain

    def compare(self, run: Simulated, name: str = "") -> Expectation:
        """The run took what the file says.

        Args:
            run: what is compared.
            name: tells the runs of one test apart.

        Raises:
            InputError: the file cannot be read, the name is none, or this test has used it for another run.
        """
        if not isinstance(name, str) or not name.isprintable():
            raise InputError(f"baseline: {name!r} is no name of a run; give one line of text, such as 'at 0.8 V'")
        section = self._test_name + (f" {name}" if name else "")
        where = f"{self.path.name}, section [{section}]"
        now = section_of(run.result)
        if self._update:
            if self.stored.setdefault(section, now) != now:
                raise InputError(f"baseline: two runs of [{section}] differ; give each run of a test a name of its own")
            return Expectation(run, True, f"stored in {where}")
        then = read_sections(self.path).get(section)
        if then is not None:
            return _compared(run, then, now, where)
        there = "has no section" if self.path.exists() else "is not there to hold"
        claim = f"{self.path.name} {there} [{section}]; review the lines below, then store them: pytest --tlm-update"
        return Expectation(run, False, claim, None, lambda _: now.lines())


def _compared(run: Simulated, then: Section, now: Section, where: str) -> Expectation:
    if (then.run, then.layers, then.parts) == (now.run, now.layers, now.parts):
        return Expectation(run, True, f"as in {where}")
    old, new = then.rows(), now.rows()
    differing = [title for title in new if old.get(title) != new[title]]
    longer = [title for title in differing if title in old and old[title].cycles != new[title].cycles]
    what = "cycles" if longer else "moments or causes"
    claim = f"{what} differ from {where}: {', '.join((longer or differing)[:4]) or 'layers'}"
    moment, first = _first_difference(then, now)
    return Expectation(run, False, claim, moment, lambda one: _explain(run, then, now, first, one))


def _explain(run: Simulated, then: Section, now: Section, first: str, expectation: Expectation) -> Iterator[str]:
    yield from difference_table(then, now)
    if first:
        yield first
    waits = indented(changed_causes(then.run.causes, now.run.causes))
    if then.chip == now.chip:
        yield "the chip is the one of the baseline, so the network, the compiler or the simulator has changed:"
    else:
        yield f"chip of the baseline: {changed_text(then.chip) or 'the default one'}"
        yield f"chip now:             {changed_text(now.chip) or 'the default one'}"
        other = run.on(then.chip)
        stored = other is not None and section_of(other.result) == then
        is_stored = "is the stored one; in comparison with it:"
        if not stored:
            is_stored = "is not the stored one either, so something else has changed, too:"
        yield f"on the chip of the baseline the run {is_stored}"
        if other is not None and stored:
            waits = indented(difference_lines(run, run.whole, other, other.whole, expectation))
    yield from waits
    yield "if this is what you want: pytest --tlm-update"


def difference_table(then: Section, now: Section) -> Iterator[str]:
    """Old, new and percent of everything that differs."""
    yield f"{'':<30}{'stored':>12}{'now':>12}{'change':>10}"
    old_rows, new_rows = then.rows(), now.rows()
    for title in dict.fromkeys((*old_rows, *new_rows)):
        if title not in old_rows or title not in new_rows:
            yield f"{title} is {'new' if title in new_rows else 'gone'}"
            continue
        old, new = old_rows[title], new_rows[title]
        if old.causes != new.causes or old.cycles != new.cycles:
            yield _table_row(title, old.cycles, new.cycles)
        for cause in new.causes | old.causes:
            before, after = old.causes.get(cause, 0), new.causes.get(cause, 0)
            if before != after:
                yield _table_row(f"  {cause}", before, after)


def _table_row(title: str, old: int, new: int) -> str:
    change = f"{100 * (new - old) / old:+.2f} %" if old else "new"
    return f"{title:<30}{old:>12,}{new:>12,}{change if new != old else '=':>10}"


def _first_difference(then: Section, now: Section) -> tuple[int | None, str]:
    """When the first layer or part begins or ends in another cycle, and a line that says so."""
    old_rows = then.rows()
    for title, row in sorted(now.rows().items(), key=lambda item: item[1].last):
        old = old_rows.get(title, row)
        for verb, before, after in (("begins", old.first, row.first), ("ends", old.last, row.last)):
            if before != after:
                what = f"the first that is at another moment: {title} {verb} in cycle {after:,}"
                return min(before, after), f"{what}, stored was {before:,} ({after - before:+,})"
    return None, ""


# -- rewriting --------------------------------------------------------------------------------------------------------


def write_baselines(stored: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Rewrite the files.

    Args:
        stored: of each test that passed its "file", its "sections" in plain types, and the names of all "tests" of the
            file, or None; sections of other tests are dropped.

    Returns:
        A line for each file about what has changed, and one for each problem.
    """
    sections: dict[str, dict[str, Section]] = defaultdict(dict)
    tests = {one["file"]: one["tests"] for one in stored}
    lines: list[str] = []
    problems: dict[tuple[str, str], str] = {}
    for one in stored:
        path, own = baseline_path(Path(one["file"])), sections[one["file"]]
        for name, section in msgspec.convert(one["sections"], dict[str, Section]).items():
            if own.setdefault(name, section) != section:
                problems[one["file"], name] = (
                    f"{path.name}: not stored: two runs of [{name}] differ, at two fidelities perhaps; they must agree"
                )
    for file, own in sorted(sections.items()):
        agreed = {name: section for name, section in own.items() if (file, name) not in problems}
        try:
            lines += _rewritten(Path(file), agreed, tests[file]) if agreed else []
        except InputError as error:
            problems[file, ""] = f"{baseline_path(Path(file)).name}: not stored: {error}"
    return lines, [problems[key] for key in sorted(problems)]


def _rewritten(file: Path, sections: dict[str, Section], tests: Collection[str] | None) -> list[str]:
    path = baseline_path(file)
    lines: list[str] = []
    old: dict[str, Section] = {}
    try:
        old = read_sections(path)
    except InputError:
        lines.append(f"{path.name}: could not be read and is made anew")
    new = {name: one for name, one in old.items() if tests is None or belongs_to(name, tests)} | sections
    counts = {
        "new": sum(name not in old for name in new),
        "changed": sum(name in old and old[name] != one for name, one in new.items()),
        "removed": sum(name not in new for name in old),
    }
    with whole_file(path) as temporary:
        temporary.write_text(file_text(file, new), encoding="utf-8", newline="\n")
    changes = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing changed"
    return [*lines, f"{path.name}: {len(new)} sections, {changes}"]


def belongs_to(section: str, tests: Collection[str]) -> bool:
    """Whether a section is one of these tests': it has the test's name, perhaps with a blank and a run's name behind.

    Both names may have blanks and brackets of their own.
    """
    return section in tests or any(section.startswith(f"{test} ") for test in tests)
