"""Which scenarios there are: those in ./scenarios, and those that come with the package, with networks and samples."""

from __future__ import annotations

import ast
from difflib import get_close_matches
from pathlib import Path

from msgspec import Struct

import tlm
from tlm.core.errors import InputError, one_line
from tlm.core.input_files import read_text
from tlm.inputs.natural_order import natural_key
from tlm.inputs.toml_files import read_toml

_SUFFIXES = (".toml", ".py")


class CatalogEntry(Struct, frozen=True):
    """A scenario file or script."""

    name: str
    path: Path

    def description(self) -> str:
        """The line that describes it, read from the file now."""
        try:
            if self.path.suffix == ".toml":
                return one_line(str(read_toml(self.path)[1].get("description", "")))
            return (ast.get_docstring(ast.parse(read_text(self.path))) or "").split("\n")[0]
        except (OSError, ValueError, SyntaxError, RecursionError, MemoryError, InputError) as error:
            return f"unreadable: {one_line(str(error))}"


def scenario_directories() -> list[Path]:
    """./scenarios, then the package's own: in an installed copy tlm/data/scenarios, in a checkout its scenarios/."""
    candidates = [Path("scenarios")]
    for package in map(Path, tlm.__path__):
        candidates += [package / "data" / "scenarios", package.parent / "scenarios"]
    found: list[Path] = []
    for directory in candidates:
        if directory.is_dir() and directory.resolve() not in [other.resolve() for other in found]:
            found.append(directory)
    return found


def catalog() -> list[CatalogEntry]:
    """All scenarios by name; of two with one name the one in ./scenarios."""
    entries: dict[str, CatalogEntry] = {}
    for directory in scenario_directories():
        for path in sorted(directory.iterdir()):
            if path.suffix in _SUFFIXES and not path.name.startswith(("_", ".")):
                entries.setdefault(path.stem, CatalogEntry(path.stem, path))
    return [entries[name] for name in sorted(entries, key=natural_key)]


def named(text: str) -> Path | None:
    """The file of the catalog that a name means, with or without its suffix."""
    path = Path(text)
    if path.name != text:
        return None
    return next((one.path for one in catalog() if text in (one.name, one.path.name)), None)


def find_scenario(text: str) -> Path:
    """The file that a user means: a path, or the name of one in the catalog.

    Raises:
        InputError: neither; with the nearest name.
    """
    path = Path(text)
    if path.exists():
        return path
    if found := named(text):
        return found
    near = get_close_matches(path.stem, [entry.name for entry in catalog()], 1)
    hint = f"did you mean {near[0]}?" if near else "`tlm list` shows those that there are"
    raise InputError(f"{text}: no such scenario; {hint}")


def shipped_files(directory: str) -> list[Path]:
    """The package's files of a kind, "networks" or "samples", by name."""
    return sorted(path for root in tlm.__path__ for path in (Path(root) / "data" / directory).glob("*.npz"))


def shipped(directory: str, name: str, key: str) -> Path:
    """A file of the package's data.

    Args:
        directory: "networks" or "samples".
        name: without its suffix.
        key: the scenario's key that gave the name, for messages.

    Raises:
        InputError: there is none of that name; with the nearest.
    """
    files = {path.stem: path for path in shipped_files(directory)}
    if name not in files:
        near = get_close_matches(name, files, 1)
        hint = f"did you mean {near[0]}?" if near else f"those that there are: {', '.join(sorted(files)) or 'none'}"
        raise InputError(f"{key}: {name!r} does not come with the package; {hint}")
    return files[name]
