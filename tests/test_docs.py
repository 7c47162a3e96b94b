"""The documentation is true: its code runs, its figures are those of real runs, the files that it names exist."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command import REPOSITORY, tlm

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of the fenced blocks."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


PYTHON_PAGES = [
    pytest.param(page, marks=[pytest.mark.slow] * (page.stem == "timeline-trace"), id=page.name)  # of a whole network
    for page in PAGES
    if "python" in dict(blocks(page))
]


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_python_in_the_pages_runs_and_prints_what_they_say(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page's ```python blocks run one after the other; a ```text block behind one is what it prints."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    found = blocks(page)
    for index, (language, code) in enumerate(found):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{page.name}, block {index}", "exec"), names)
        following = found[index + 1] if index + 1 < len(found) else ("", "")
        expected = following[1] if following[0] == "text" else ""
        assert printed.getvalue() == expected


@pytest.mark.slow
def test_python_in_the_pages_is_typed(tmp_path: Path) -> None:
    """As code outside of this repository; only tests of the plugin's users need no annotations."""
    for page in PAGES:
        code = "\n".join(code for language, code in blocks(page) if language == "python")
        (tmp_path / f"{page.stem.replace('-', '_').lower()}_page.py").write_text(code, encoding="utf-8")
    pages, own = sorted(tmp_path.iterdir()), [DOCS / "examples", REPOSITORY / "scenarios"]
    tests = ["testing_page", *sorted(path.stem for directory in own for path in directory.rglob("*.py"))]
    config = tmp_path / "pyproject.toml"
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    config.write_text(f"{project}\n[[tool.mypy.overrides]]\nmodule = {tests}\ndisallow_untyped_defs = false\n")
    # with the options of `make lint` its cache serves here, too
    cache = f"--cache-dir={REPOSITORY / '.mypy_cache'}"
    command = [sys.executable, "-m", "mypy", f"--config-file={config}", cache, *pages, *own]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


CONSOLE_PAGES = [
    pytest.param(page, marks=[pytest.mark.slow] if page.stem == "rtl" else [], id=page.name)  # needs the extra "rtl"
    for page in PAGES
    if "console" in dict(blocks(page))
]


@pytest.mark.parametrize("page", CONSOLE_PAGES)
def test_commands_in_the_pages_print_what_they_say(page: Path, tmp_path: Path) -> None:
    """In ```console blocks a line "$ .." is a command, what follows is what it prints; "..." is anything."""
    for text in (text for language, text in blocks(page) if language == "console"):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            name, *arguments = shlex.split(command)
            if name == "tlm":
                done = tlm(*arguments, cwd=tmp_path)
            else:
                done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            how = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert doctest.OutputChecker().check_output(expected, done.stdout, how), f"{command}:\n{done.stdout}"


WHOLLY_CHECKED = {"api", "reproduction", "stalls", "timing"}
"""Made from docstrings, by `tlm reproduce`, or of tables that a script below makes again; each rule has its test."""


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_page_has_an_example_that_runs(page: Path) -> None:
    shown = {"python", "console"} & set(dict(blocks(page)))
    assert bool(shown) != (page.stem in WHOLLY_CHECKED)


SCRIPTS = ("make_timing_tables.py", "make_stall_timelines.py", "make_waveforms.py", "make_testing_page.py")
"""They know how to compare their pages."""


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_tables_are_those_of_real_runs(script: str) -> None:
    command = [sys.executable, DOCS / "tools" / script, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_table_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    for name in ("tools/make_timing_tables.py", "tools/measuring.py", "timing.md", "architecture.md"):
        (tmp_path / name).write_bytes((DOCS / name).read_bytes())
    page = tmp_path / "timing.md"
    page.write_text(page.read_text(encoding="utf-8").replace("handover h |", "handover |"), encoding="utf-8")
    command = [sys.executable, tmp_path / "tools" / "make_timing_tables.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "timing.md: out of date" in done.stdout


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


SHOWN_RUNS = [lines(text) for _, text in blocks(REPOSITORY / "README.md")]
"""Blocks that show a command, ``$ .venv/bin/tlm run FILE`` or the line that make echoes, and what it prints."""


@pytest.mark.parametrize(
    "command", ["run scenarios/resnet18_3of9.toml", "run scenarios/which_sparsity_pays.py", "tradeoff"]
)
def test_the_readme_shows_what_the_command_prints(command: str) -> None:
    (shown,) = [block for block in SHOWN_RUNS if any(line.endswith(f"tlm {command}") for line in block[:2])]
    first = next(i for i, line in enumerate(shown) if line.endswith(command))
    done = tlm(*command.split(), cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert shown[first + 1 :] == lines(done.stdout)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_tests_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    files = re.findall(r"`((?:tlm|tests|kernels|docs|scenarios)/[\w/.-]+\.\w+)`", text)
    assert not [name for name in files if not (REPOSITORY / name).exists() and name not in IMAGINED]
    for file, test in re.findall(r"`tests/([\w/]*test_\w+\.py)::(\w+)`", text):
        assert re.search(rf"^def {test}\(", (REPOSITORY / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE), (
            f"{page.name} names {file}::{test}, which does not exist"
        )


IMAGINED = {"tlm/chip/around/cycle_counter.py"}
"""The file that the tutorial would add."""


def test_the_architecture_page_names_the_sockets_that_there_are() -> None:
    """Per file of a block, all sockets of the modules that it defines, with their directions."""
    from tlm.chip.config import ChipConfig
    from tlm.chip.system import System
    from tlm.core.sockets import Socket

    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| `(tlm/chip/[\w/]+\.py)` \| (`(?:->|<-)[^|]+) \|", text, re.MULTILINE)
    named = {file: set(re.findall(r"(->|<-) (\w+)", cell)) for file, cell in rows}
    found: dict[str, set[tuple[str, str]]] = {}
    for module in System(ChipConfig()).simulation.modules():
        file = type(module).__module__.replace(".", "/") + ".py"
        sockets = [part for part in module.parts.values() if isinstance(part, Socket)]
        arrows = {("->" if socket.direction == "initiator" else "<-", socket.name) for socket in sockets}
        found.setdefault(file, set()).update(arrows)
    del found["tlm/chip/cycle/engine.py"]  # the engine as a whole has none of its own
    assert {file: named[file] for file in found} == found


def test_every_rule_of_time_names_a_test() -> None:
    """In the tables that have a column "pinned by" no cell of it is empty."""
    lines = (DOCS / "timing.md").read_text(encoding="utf-8").splitlines()
    pinned, checked = False, 0
    for line in lines:
        if not line.startswith("|"):
            pinned = False
        elif line.endswith("| pinned by |"):
            pinned = True
        elif pinned and not line.startswith("|---"):
            checked += 1
            assert re.search(r"`tests/[\w/]*test_\w+\.py::\w+`(, `tests/[\w/]*test_\w+\.py::\w+`)* \|$", line), line
    assert checked > 40


def test_every_duration_of_the_configuration_is_in_the_page() -> None:
    from dataclasses import fields

    from tlm.chip.config import ChipConfig

    text = (DOCS / "timing.md").read_text(encoding="utf-8")
    durations = [item.name for item in fields(ChipConfig) if item.name.endswith(("_cycles", "_ns", "_gb_per_s"))]
    assert len(durations) >= 9
    assert not [name for name in durations if f"`{name}`" not in text]


def test_no_page_names_a_machine_path() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(work|tmp|home|root)\b", page.read_text(encoding="utf-8")), page.name
