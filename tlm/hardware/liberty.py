"""Liberty files: of each standard cell its area, whether it is a flip-flop, and how long its arcs take.

Delays are those of a cell that drives ``FAN_OUT`` inputs of a NAND2, driven by a NAND2 that does the same: interpolated
in the file's tables, the slower edge. The format: Liberty User Guide, as far as these figures need it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from tlm.core.errors import InputError

DEBIAN_FILE = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
"""Of Debian's package qflow-tech-osu018: a 180 nm library of Oklahoma State University."""

FAN_OUT = 4
"""NAND2 inputs that every cell drives."""

_SETTLED = 20
"""Rounds after which the transition of a NAND2 behind NAND2s no longer changes."""
_TOKEN = re.compile(r'"[^"]*"|[{}();:,]|[^\s{}();:,"]+')
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass
class Group:
    """``kind (name) { .. }``: simple and complex attributes as text, and the groups inside."""

    kind: str
    name: str
    values: dict[str, str] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def all(self, kind: str) -> Iterator[Group]:
        """The groups of a kind."""
        return (group for group in self.groups if group.kind == kind)


@dataclass(frozen=True)
class Cell:
    """A standard cell; areas and times in the library's units."""

    area: float
    is_flip_flop: bool
    arcs: Mapping[tuple[str, str], float]
    """Input and output pin -> delay."""


@dataclass(frozen=True)
class Library:
    """The cells of a file, and which of them is the NAND2 that counts as one gate."""

    name: str
    nand2: str
    cells: Mapping[str, Cell]

    def gates(self, cell: str) -> float:
        """Its area in NAND2s."""
        return self.cells[cell].area / self.cells[self.nand2].area

    @property
    def nand2_delay(self) -> float:
        """The unit of paths."""
        return max(self.cells[self.nand2].arcs.values())


def read_library(path: Path) -> Library:
    """Read a liberty file.

    Raises:
        InputError: it is missing, is damaged, or lacks a NAND2 or a flip-flop; one line, with the remedy.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            f"--liberty: {path} cannot be read ({error.strerror}); name a liberty file, or install Debian's: "
            "apt install qflow-tech-osu018"
        ) from None
    try:
        return _library(_parsed(text))
    except (ValueError, IndexError, KeyError, StopIteration) as error:
        raise InputError(
            f"--liberty: {path} is no complete liberty file ({error or 'it ends too early'}); name another one"
        ) from None


def _parsed(text: str) -> Group:
    tokens = _TOKEN.findall(_COMMENT.sub(" ", text).replace("\\\n", " "))
    top, at = Group("", ""), 0
    open_groups = [top]
    while at < len(tokens):
        word = tokens[at]
        if word == "}":
            open_groups.pop()
            if not open_groups:
                raise ValueError("a '}' too many")
            at += 1
        elif word == ";":
            at += 1
        elif tokens[at + 1] == ":":
            open_groups[-1].values[word] = tokens[at + 2].strip('"')
            at += 3
        elif tokens[at + 1] == "(":
            end = tokens.index(")", at)
            inside = " ".join(token.strip('"') for token in tokens[at + 2 : end]).replace(",", " ")
            at = end + 1
            if tokens[at : at + 1] == ["{"]:
                group = Group(word, inside)
                open_groups[-1].groups.append(group)
                open_groups.append(group)
                at += 1
            else:
                open_groups[-1].values[word] = inside
        else:
            raise ValueError(f"'{word[:20]}' is not followed by ':' or '('")
    if len(open_groups) > 1:
        raise ValueError(f"group '{open_groups[-1].kind}' does not end")
    return top


def _library(top: Group) -> Library:
    library = next(top.all("library"), None)
    if library is None:
        raise ValueError("it has no group 'library'")
    templates = {group.name: group for group in library.all("lu_table_template")}
    cells = {group.name: group for group in library.all("cell")}
    areas = {name: float(group.values.get("area", 0)) for name, group in cells.items()}
    nands = [name for name, group in cells.items() if areas[name] > 0 and _is_nand2(group)]
    if not nands:
        raise ValueError("it has no NAND2 with an area")
    if not any(any(group.all("ff")) for group in cells.values()):
        raise ValueError("it has no flip-flop")
    nand2 = min(nands, key=lambda name: areas[name])
    load = FAN_OUT * max(_number(pin, "capacitance") for pin in cells[nand2].all("pin"))
    transition = 0.0
    for _ in range(_SETTLED):
        transition = max(_arcs(cells[nand2], "transition", templates, load, transition).values())
    found = {
        name: Cell(areas[name], any(group.all("ff")), _arcs(group, "", templates, load, transition))
        for name, group in cells.items()
    }
    return Library(library.name, nand2, found)


def _is_nand2(cell: Group) -> bool:
    pins = {pin.name: pin.values for pin in cell.all("pin")}
    inputs = [name for name, values in pins.items() if values.get("direction") == "input"]
    functions = [values["function"] for values in pins.values() if "function" in values]
    if len(inputs) != 2 or len(functions) != 1:
        return False
    text = re.sub(rf"\b({'|'.join(inputs)})\b", lambda found: "xy"[inputs.index(found[0])], functions[0])
    if not re.fullmatch(r"[xy()!&|*+\s]+", text):
        return False
    text = re.sub(r"(?<=[xy)])\s+(?=[xy(!])", "&", text).replace("*", "&").replace("+", "|").replace("!", "~")
    code = compile(text, cell.name, "eval")
    return all(eval(code, {"x": x, "y": y}) & 1 == 1 - x * y for x, y in product((0, 1), repeat=2))


def _arcs(
    cell: Group, what: str, templates: Mapping[str, Group], load: float, transition: float
) -> dict[tuple[str, str], float]:
    """Pins -> the slower edge's delay, or with ``what`` "transition" its transition."""
    names = ("rise_transition", "fall_transition") if what else ("cell_rise", "cell_fall")
    slowest: dict[tuple[str, str], float] = {}
    for pin in cell.all("pin"):
        for timing in pin.all("timing"):
            for table in (group for group in timing.groups if group.kind in names):
                value = _looked_up(table, templates, load, transition)
                for source in timing.values["related_pin"].split():
                    slowest[source, pin.name] = max(value, slowest.get((source, pin.name), 0.0))
    return slowest


def _looked_up(table: Group, templates: Mapping[str, Group], load: float, transition: float) -> float:
    """Bilinear; beyond the table's ends its last values."""
    values = [float(word) for word in table.values["values"].split()]
    template = templates.get(table.name, Group("", ""))
    corners = [(0, 1.0)]
    for number in (1, 2):
        variable = template.values.get(f"variable_{number}")
        if variable is None:
            continue
        axis = [float(word) for word in (template.values | table.values)[f"index_{number}"].split()]
        at = load if variable == "total_output_net_capacitance" else transition
        low = max(0, min(bisect_right(axis, at) - 1, len(axis) - 2))
        step = axis[low + 1] - axis[low]
        share = min(1.0, max(0.0, (at - axis[low]) / step))
        corners = [
            (index * len(axis) + low + more, weight * (share if more else 1 - share))
            for index, weight in corners
            for more in (0, 1)
        ]
    return sum(values[index] * weight for index, weight in corners)


def _number(pin: Group, key: str) -> float:
    return float(pin.values.get(key, 0))
