"""Comparing runs with a baseline file, and rewriting it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.testing.baseline_file import Row, Section, baseline_path, file_text, read_sections
from tlm.testing.causes import changed_wait
from tlm.testing.expectation import Expectation, Verdict, indented
from tlm.testing.recipe import changed_text
from tlm.testing.reference import difference_lines
from tlm.testing.subject import WholeRun

if TYPE_CHECKING:
    import pytest


FIDELITY = "tlm_fidelity"
"""The parameter of a test that the marker ``fidelity`` makes."""


@dataclass(eq=False, repr=False)
class TestBaseline:
    """The baseline of one test: fixture ``tlm_baseline``.

    Args:
        test_file: where the test stands.
        test_name: heads the sections of its runs.
        update: store instead of compare.
    """

    __test__ = False  # no class of tests, whatever its name says

    test_file: Path
    test_name: str
    update: bool = False
    stored: dict[str, Section] = field(default_factory=dict)
    """What the test asked to store, by section; written if the test passes."""

    def __repr__(self) -> str:
        return f"<baseline {self.path.name}, section [{self.test_name}]>"

    @property
    def path(self) -> Path:
        """The file."""
        return baseline_path(self.test_file)

    def compare(self, run: WholeRun, name: str = "") -> Expectation:
        """The run took what the file says.

        Args:
            run: what is compared.
            name: tells the runs of one test apart.

        Raises:
            InputError: the file cannot be read, the name is none, or this test has used it for another run.
        """
        if not isinstance(name, str) or not name.isprintable():
            raise InputError(f"baseline: {name!r} is no name of a run; give one line of text, such as 'at 0.8 V'")
        section = self.test_name + (f" {name}" if name else "")
        now = Section.of(run.result)
        if self.update:
            if self.stored.setdefault(section, now) != now:
                raise InputError(f"baseline: two runs of [{section}] differ; give each run of a test a name of its own")
            return Expectation(run, Verdict(True, f"stored in {self.path.name}, section [{section}]"))
        then = read_sections(self.path).get(section)
        if then is None:
            return Expectation(run, self._missing(section, now))
        return Expectation(run, _verdict(run, then, now, f"{self.path.name}, section [{section}]"))

    def _missing(self, section: str, now: Section) -> Verdict:
        there = "has no section" if self.path.exists() else "is not there to hold"
        claim = f"{self.path.name} {there} [{section}]; review the lines below, then store them: pytest --tlm-update"
        return Verdict(False, claim, None, lambda: now.lines())


def _verdict(run: WholeRun, then: Section, now: Section, where: str) -> Verdict:
    if then.rows == now.rows:
        return Verdict(True, f"as in {where}")
    differing = [row for row in now.rows if row.kind != "part" and then.row(row.kind, row.name) != row]
    cycles = [row for row in differing if (then.row(row.kind, row.name) or row).cycles != row.cycles]
    what = "cycles" if cycles else "moments or causes"
    claim = f"{what} differ from {where}: {', '.join(_title(row) for row in (cycles or differing)[:4]) or 'layers'}"
    moment = _first_difference(then, now)
    return Verdict(False, claim, None if moment is None else moment[1], lambda: _explain(run, then, now))


def _explain(run: WholeRun, then: Section, now: Section) -> Iterator[str]:
    yield from difference_table(then, now)
    first = _first_difference(then, now)
    if first is not None:
        yield first[0]
    yield from _reference(run, then, now)
    yield "if this is what you want: pytest --tlm-update"


def difference_table(then: Section, now: Section) -> Iterator[str]:
    """Old, new and percent of everything that differs."""
    yield f"{'':<30}{'stored':>12}{'now':>12}{'change':>10}"
    for kind, name in dict.fromkeys((row.kind, row.name) for row in (*then.rows, *now.rows) if row.kind != "part"):
        old, new = then.row(kind, name), now.row(kind, name)
        if old is None or new is None:
            yield f"{kind} {name}".strip() + (" is new" if old is None else " is gone")
            continue
        causes = list(_changed_causes(old.causes, new.causes))
        if old.cycles != new.cycles or causes:
            yield _table_row(_title(new), old.cycles, new.cycles)
            yield from (_table_row(f"  {cause}", before, after) for cause, before, after in causes)


def _changed_causes(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    for cause in dict.fromkeys((*new, *old)):
        if old.get(cause, 0) != new.get(cause, 0):
            yield cause, old.get(cause, 0), new.get(cause, 0)


def _changed_waits(then: Section, now: Section) -> Iterator[str]:
    old, new = then.row("total", ""), now.row("total", "")
    if old is not None and new is not None:
        yield from (changed_wait(*change) for change in _changed_causes(old.causes, new.causes))


def _table_row(title: str, old: int, new: int) -> str:
    change = f"{100 * (new - old) / old:+.2f} %" if old else "new"
    return f"{title:<30}{old:>12,}{new:>12,}{change if new != old else '=':>10}"


def _title(row: Row) -> str:
    return "the run" if row.kind == "total" else f"layer {row.name!r}"


def _first_difference(then: Section, now: Section) -> tuple[str, int] | None:
    """The first layer or part, in the order of time, that begins or ends in another cycle."""
    parts = [row for row in now.rows if row.kind == "part"]
    split = {row.name.rpartition("[")[0] for row in parts}
    rows = [*parts, *(row for row in now.rows if row.kind == "layer" and row.name not in split)]
    for row in sorted(rows, key=lambda one: one.first_cycle):
        old = then.row(row.kind, row.name)
        if old is None:
            continue
        for verb, before, after in (
            ("begins", old.first_cycle, row.first_cycle),
            ("ends", old.last_cycle, row.last_cycle),
        ):
            if before != after:
                what = f"the first that is at another moment: {row.kind} {row.name!r} {verb} in cycle {after:,}"
                return f"{what}, stored was {before:,} ({after - before:+,})", min(before, after)
    return None


def _reference(run: WholeRun, then: Section, now: Section) -> Iterator[str]:
    """The run on the chip of the baseline, if that is another one."""
    if dict(then.chip) == dict(now.chip):
        yield "the chip is the one of the baseline, so the network, the compiler or the simulator has changed:"
        yield from indented(_changed_waits(then, now))
        return
    yield f"chip of the baseline: {changed_text(dict(then.chip)) or 'the default one'}"
    yield f"chip now:             {changed_text(dict(now.chip)) or 'the default one'}"
    other = run.on(dict(then.chip))
    if other is None or Section.of(other.result).rows != then.rows:
        yield "on the chip of the baseline the run is not the stored one either, so something else has changed, too:"
        yield from indented(_changed_waits(then, now))
        return
    yield "on the chip of the baseline the run is the stored one; in comparison with it:"
    yield from indented(difference_lines(run, other))


@dataclass
class BaselineUpdates:
    """Sections that passing tests asked to store, of all processes; written once, at the end.

    Sections of tests that are gone are dropped, where all tests of a file were collected.
    """

    sections: dict[str, dict[str, Section]] = field(default_factory=dict)
    """Test file -> sections."""
    tests: dict[str, set[str]] = field(default_factory=dict)
    """Test file -> names of its tests, where all were collected."""
    conflicts: set[tuple[str, str]] = field(default_factory=set)
    """(test file, section) whose runs differ; they are not stored."""
    problems: list[str] = field(default_factory=list)
    """What was not stored, and why; filled by :meth:`write`."""

    def add(self, baseline: TestBaseline) -> str | None:
        """Take what a test stored; a message if another test stored something else there."""
        different = self._take(str(baseline.test_file), baseline.stored)
        return f"baseline: two runs of [{different[0]}] {_DIFFER}" if different else None

    def merge(self, other: BaselineUpdates) -> None:
        """Take those of another process."""
        for file, sections in other.sections.items():
            self._take(file, sections)
        self.conflicts |= other.conflicts
        self.tests.update(other.tests)

    def miss(self, announced: Mapping[str, Set[str]]) -> None:
        """Complain of sections that tests asked to store (test file -> names) and nobody has handed over."""
        for file, names in sorted(announced.items()):
            for name in sorted(names - self.sections.get(file, {}).keys()):
                self.problems.append(
                    f"{baseline_path(Path(file)).name}: not stored: the worker that ran [{name}] died; run it again"
                )

    def _take(self, file: str, sections: Mapping[str, Section]) -> list[str]:
        """Add sections of a test file; those that are there already with other runs."""
        if not sections:
            return []
        own = self.sections.setdefault(file, {})
        different = [name for name, one in sections.items() if own.setdefault(name, one) != one]
        self.conflicts |= {(file, name) for name in different}
        return different

    def write(self) -> list[str]:
        """Rewrite the files; one line for each about what has changed, and one for each problem."""
        lines: list[str] = []
        for file, sections in sorted(self.sections.items()):
            path = baseline_path(Path(file))
            differ = sorted(name for name in sections if (file, name) in self.conflicts)
            self.problems += [f"{path.name}: not stored: two runs of [{name}] {_DIFFER}" for name in differ]
            agreed = {name: one for name, one in sections.items() if name not in differ}
            try:
                lines += list(self._rewrite(path, Path(file), agreed)) if agreed else []
            except InputError as error:
                self.problems.append(f"{path.name}: not stored: {error}")
        return lines + self.problems

    def _rewrite(self, path: Path, file: Path, sections: dict[str, Section]) -> Iterator[str]:
        old = dict[str, Section]()
        try:
            old = read_sections(path)
        except InputError:
            yield f"{path.name}: could not be read and is made anew"
        known = self.tests.get(str(file))
        new = {name: one for name, one in old.items() if known is None or belongs_to(name, known)} | sections
        counts = {
            "new": sum(name not in old for name in new),
            "changed": sum(name in old and old[name] != one for name, one in new.items()),
            "removed": sum(name not in new for name in old),
        }
        with whole_file(path) as temporary:
            temporary.write_text(file_text(file, new), encoding="utf-8", newline="\n")
        changes = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing changed"
        yield f"{path.name}: {len(new)} sections, {changes}"


_DIFFER = "differ, at two fidelities perhaps; they must agree"


def belongs_to(section: str, tests: Collection[str]) -> bool:
    """Whether a section is one of these tests': it has the test's name, perhaps with a blank and a run's name behind.

    Both names may have blanks and brackets of their own.
    """
    return section in tests or any(section.startswith(f"{test} ") for test in tests)


def section_of(item: pytest.Item) -> str:
    """Name of a test in its baseline file: both fidelities have the same, since they must agree."""
    # the file and what is in it; the test's id may have more behind it, such as a group of pytest-xdist
    _, *inside = [node.name for node in item.listchain() if node.path == item.path]
    name = ".".join(inside)
    callspec = getattr(item, "callspec", None)
    if callspec is None or FIDELITY not in callspec.params:
        return name
    head, _, parameters = name.partition("[")
    words = parameters[:-1].split("-")
    if callspec.params[FIDELITY] in words:
        words.remove(callspec.params[FIDELITY])
    return f"{head}[{'-'.join(words)}]" if words else head
