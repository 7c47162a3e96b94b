"""The structure of the package, read from its sources: layers, blocks, cycles, file sizes, and the page about them.

Imports count wherever they stand in a file, those of functions and those for type checkers alone included. Only what a
module *reaches* when it is imported leaves ``if TYPE_CHECKING:`` out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 400

LAYERS: dict[str, set[str]] = {
    "tlm.core": {"tlm.core"},
    "tlm.chip": {"tlm.core", "tlm.chip", "tlm._kernels"},
    "tlm.inputs": {"tlm.core", "tlm.inputs"},
    "tlm.network": {"tlm.core", "tlm.inputs", "tlm.network"},
    "tlm.compiler": {"tlm.core", "tlm.inputs", "tlm.network", "tlm.chip", "tlm.compiler"},
    "tlm.networks": {"tlm.core", "tlm.inputs", "tlm.network", "tlm.networks"},
    "tlm.observe": {"tlm.core", "tlm.network", "tlm.chip", "tlm.compiler", "tlm.observe"},
    "tlm.traces": {"tlm.core", "tlm.network", "tlm.chip", "tlm.compiler", "tlm.observe", "tlm.traces"},
    "tlm.results": {"tlm.core", "tlm.network", "tlm.chip", "tlm.compiler", "tlm.observe", "tlm.results"},
    "tlm.runs": {
        "tlm.core", "tlm.inputs", "tlm.network", "tlm.networks", "tlm.chip", "tlm.compiler", "tlm.observe",
        "tlm.traces", "tlm.results", "tlm.runs",
    },
    "tlm.hardware": {
        "tlm.core", "tlm.network", "tlm.chip", "tlm.compiler", "tlm.observe", "tlm.runs", "tlm.hardware",
    },
}  # fmt: skip
"""What each lower part may import; whatever is not named here stands above all of them."""

MODULE = "tlm.core.module.Module"
WIRING = {"tlm.chip.system", "tlm.chip.cycle.engine", "tlm.chip.passes.engine"}
"""Know the blocks and bind their sockets."""

BASES = {f"tlm.chip.base.{name}" for name in ("engine", "dma", "memory", "unit", "sequencer", "sram")}
CONTRACTS = BASES | {"tlm.chip.contract"}
"""Base classes of blocks and of their wiring: what the models share."""

Graph = Mapping[str, set[str]]


class Sources:
    """The modules of a package directory and what they import."""

    def __init__(self, package: Path) -> None:
        self.trees = {self._name(package, path): ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))}
        self.imports: dict[str, set[str]] = {name: set() for name in self.trees}
        """Module -> modules of the package, and of others as they are written."""
        self.at_run_time: dict[str, set[str]] = {name: set() for name in self.trees}
        """The same without what type checkers alone import."""
        self._aliases: dict[str, dict[str, str]] = {name: {} for name in self.trees}
        for name, tree in self.trees.items():
            for node in ast.walk(tree):
                self._read_import(name, node, self.imports)
            for node in _runtime_nodes(tree):
                self._read_import(name, node, self.at_run_time)
        self.internal: Graph = {name: found & self.trees.keys() for name, found in self.imports.items()}
        self._parents = {
            f"{name}.{node.name}": {self._written_out(name, parent) for parent in node.bases}
            for name, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
        }

    @staticmethod
    def _name(package: Path, path: Path) -> str:
        parts = path.relative_to(package.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _read_import(self, name: str, node: ast.AST, imports: dict[str, set[str]]) -> None:
        if isinstance(node, ast.Import):
            imports[name] |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{name}: relative imports are not used here"
            assert node.level == 0, f"{name}: relative imports are not used here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                imports[name].add(whole if whole in self.trees else node.module)
                self._aliases[name][alias.asname or alias.name] = whole

    def classes_derived_from(self, base: str) -> set[str]:
        """Modules that define a class below ``base``, at whatever depth."""
        derived = {base}
        while True:
            found = {name for name, parents in self._parents.items() if parents & derived}
            if found <= derived:
                return {cls.rpartition(".")[0] for cls in derived - {base}}
            derived |= found

    def _written_out(self, name: str, node: ast.expr) -> str:
        """What a name that a module uses (``Module``, ``dma.Dma``) stands for."""
        head, dot, rest = ast.unparse(node).partition(".")
        return self._aliases[name].get(head, f"{name}.{head}") + dot + rest

    def reachable(self, start: str) -> set[str]:
        """Everything of the package that is imported when ``start`` is."""
        seen, todo = {start}, [start]
        while todo:
            new = (self.at_run_time[todo.pop()] & self.trees.keys()) - seen
            seen |= new
            todo += sorted(new)
        return seen


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that is executed: not what stands under ``if TYPE_CHECKING:``."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            todo += node.orelse
        else:
            yield node
            todo += ast.iter_child_nodes(node)


def find_cycle(graph: Graph) -> list[str] | None:
    """Modules that import each other in a ring, or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(ROOT / "tlm")


@pytest.fixture(scope="module")
def blocks(sources: Sources) -> set[str]:
    """Files of tlm/chip that define a block of the diagram."""
    modules = {name for name in sources.classes_derived_from(MODULE) if within(name, "tlm.chip")}
    return modules - WIRING - CONTRACTS


def forbidden(sources: Sources, part: str, allowed: set[str]) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, targets in sources.imports.items()
        if within(name, part)
        for target in sorted(targets)
        if within(target, "tlm") and not any(within(target, other) for other in allowed)
    ]


@pytest.mark.parametrize(("part", "allowed"), LAYERS.items(), ids=LAYERS)
def test_a_layer_imports_only_what_lies_below_it(sources: Sources, part: str, allowed: set[str]) -> None:
    assert any(within(name, part) for name in sources.trees)
    assert forbidden(sources, part, allowed) == []


def test_there_are_no_import_cycles(sources: Sources) -> None:
    assert find_cycle(sources.internal) is None


def test_the_transaction_layer_needs_simpy_and_msgspec_alone(sources: Sources) -> None:
    standard = {
        "__future__", "abc", "atexit", "collections", "contextlib", "dataclasses", "enum", "gc", "heapq", "numbers",
        "os", "pathlib", "re", "signal", "sys", "threading", "types", "typing",
    }  # fmt: skip
    roots = {
        target.partition(".")[0]
        for name, targets in sources.imports.items()
        if within(name, "tlm.core")
        for target in targets
    }
    assert roots <= standard | {"simpy", "msgspec", "tlm"}


def test_only_the_simulated_hardware_knows_simpy(sources: Sources) -> None:
    users = {name for name, found in sources.imports.items() if any(within(target, "simpy") for target in found)}
    assert {name for name in users if not within(name, "tlm.core") and not within(name, "tlm.chip")} == set()


@pytest.mark.parametrize(
    ("library", "home"), [("torch", "tlm.training"), ("onnx", "tlm.exchange"), ("onnxruntime", "tlm.exchange")]
)
def test_only_one_part_knows_a_large_library(sources: Sources, library: str, home: str) -> None:
    users = {name for name, found in sources.imports.items() if any(within(target, library) for target in found)}
    assert users
    assert {name for name in users if not within(name, home)} == set()


def test_the_training_files_that_promise_it_do_without_torch(sources: Sources) -> None:
    for stem in ("datasets", "architecture", "recipe"):
        reached = sources.reachable(f"tlm.training.{stem}")
        assert not [name for name in reached if any(within(target, "torch") for target in sources.at_run_time[name])]


def test_the_blocks_are_found(blocks: set[str]) -> None:
    around, engine = "host off_chip_memory interconnect", "dma sram sequencer aligner mac_array requantiser"
    assert {f"tlm.chip.around.{name}" for name in around.split()} <= blocks
    assert {f"tlm.chip.{model}.{name}" for model in ("cycle", "passes") for name in engine.split()} <= blocks
    assert not blocks & {"tlm.chip.payloads", "tlm.chip.config", "tlm.chip.format.registers"}


def test_blocks_do_not_import_each_other(sources: Sources, blocks: set[str]) -> None:
    """A model's block may refine the block of the same name."""
    assert [
        f"{name} imports {target}"
        for name in sorted(blocks)
        for target in sorted(sources.internal[name] & blocks)
        if name.rpartition(".")[2] != target.rpartition(".")[2]
    ] == []


def test_only_the_wiring_imports_blocks(sources: Sources, blocks: set[str]) -> None:
    """Who watches listens to the contracts."""
    assert [
        f"{name} imports {target}"
        for name, targets in sources.internal.items()
        if name not in blocks | WIRING
        for target in sorted(targets & blocks)
    ] == []


def test_nothing_in_the_chip_imports_its_wiring(sources: Sources) -> None:
    users = {name for name, found in sources.internal.items() if within(name, "tlm.chip") and WIRING & found}
    assert users == {"tlm.chip.system"}  # which binds the engine that it is asked for


@pytest.mark.parametrize("model", ["cycle", "passes", "untimed"])
def test_a_model_does_not_know_another(sources: Sources, model: str) -> None:
    others = {f"tlm.chip.{other}" for other in ("cycle", "passes", "untimed")} - {f"tlm.chip.{model}"}
    assert [
        name
        for name in sources.trees
        if within(name, f"tlm.chip.{model}")
        and any(within(target, other) for target in sources.internal[name] for other in others)
    ] == []


def test_the_compiler_reaches_no_block_and_no_simulator(sources: Sources, blocks: set[str]) -> None:
    for name in sources.trees:
        if within(name, "tlm.compiler"):
            assert sources.reachable(name) & (blocks | WIRING | {"tlm.runs.simulate", "tlm.core.simulation"}) == set()


def test_the_golden_model_shares_no_code_with_chip_and_compiler(sources: Sources) -> None:
    others = ("tlm.chip", "tlm.compiler", "tlm.observe")
    assert [name for name in sources.reachable("tlm.network.golden") if any(within(name, p) for p in others)] == []
    assert "tlm._kernels" not in sources.imports["tlm.network.golden"]


def test_the_command_line_is_on_top(sources: Sources) -> None:
    users = [name for name, found in sources.internal.items() if any(within(target, "tlm.cli") for target in found)]
    assert [name for name in users if not within(name, "tlm.cli") and name != "tlm.__main__"] == []


def test_nothing_needs_the_test_tool(sources: Sources) -> None:
    users = [name for name, found in sources.internal.items() if any(within(target, "tlm.testing") for target in found)]
    assert [name for name in users if not within(name, "tlm.testing")] == []
    imports = sources.at_run_time.items()
    assert [name for name, found in imports if any(within(target, "pytest") for target in found)] == [
        "tlm.testing.plugin"
    ]


def source_files() -> Iterator[Path]:
    for directory in ("tlm", "kernels", "tests", "scenarios", "docs"):
        for path in sorted((ROOT / directory).rglob("*")):
            if path.suffix in (".py", ".pyi", ".c", ".h"):
                yield path


def test_no_file_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in source_files()}
    assert len(lengths) > 50
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


# -- the page that a newcomer reads -------------------------------------------------------------------------------


def files_in_architecture_page() -> set[str]:
    text = (ROOT / "docs" / "architecture.md").read_text()
    return set(re.findall(r"`(tlm/[\w/]+\.py)`", text))


def test_every_file_that_the_architecture_page_names_exists() -> None:
    named = files_in_architecture_page()
    assert named
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_the_architecture_page_names_every_block_and_the_wiring(blocks: set[str]) -> None:
    files = {f"{name.replace('.', '/')}.py" for name in blocks | WIRING | CONTRACTS}
    assert files - files_in_architecture_page() == set()


# -- the checks themselves ----------------------------------------------------------------------------------------


def write_package(root: Path, **files: str) -> Sources:
    package = root / "tlm"
    for name, text in files.items():
        path = package / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Sources(package)


def test_imports_are_seen_in_functions_and_told_apart_from_those_for_type_checking(tmp_path: Path) -> None:
    found = write_package(
        tmp_path,
        a="def f():\n    from tlm import b\n",
        b="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tlm.c\nelse:\n    import os.path\n",
        c="from tlm.a import f as g\nimport tlm.b\n",
    )
    run_time = {"tlm.a": {"tlm.b"}, "tlm.b": {"typing", "os.path"}, "tlm.c": {"tlm.a", "tlm.b"}}
    assert found.at_run_time == run_time
    assert found.imports == {**run_time, "tlm.b": {"typing", "os.path", "tlm.c"}}
    assert find_cycle(found.internal) is not None, "a ring of imports for type checkers is one, too"
    assert found.reachable("tlm.c") == {"tlm.a", "tlm.b", "tlm.c"}
    assert found.reachable("tlm.a") == {"tlm.a", "tlm.b"}


def test_a_cycle_is_found(tmp_path: Path) -> None:
    found = write_package(
        tmp_path, a="import tlm.b\n", b="def f():\n    from tlm.c import x\n", c="from tlm import a\n"
    )
    assert set(find_cycle(found.internal) or []) == {"tlm.a", "tlm.b", "tlm.c"}


def test_a_forbidden_import_is_found(tmp_path: Path) -> None:
    found = write_package(tmp_path, core__x="import tlm.chip.y\nimport enum\n", chip__y="import tlm.core.x\n")
    assert forbidden(found, "tlm.core", LAYERS["tlm.core"]) == ["tlm.core.x imports tlm.chip.y"]
    assert forbidden(found, "tlm.chip", LAYERS["tlm.chip"]) == []


def test_a_block_is_known_by_its_base_class_at_any_depth(tmp_path: Path) -> None:
    found = write_package(
        tmp_path,
        core__module="class Module: ...\n",
        chip__base="from tlm.core.module import Module as M\nclass Base(M): ...\n",
        chip__leaf="from tlm.chip import base\nclass Leaf(base.Base): ...\n",
        chip__other="class Leaf: ...\nclass Module: ...\nclass More(Module): ...\n",
    )
    assert found.classes_derived_from(MODULE) == {"tlm.chip.base", "tlm.chip.leaf"}
