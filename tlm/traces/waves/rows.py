"""The words that stand in the rows of a layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vcd.writer import Variable

from tlm.traces.waves import labels
from tlm.traces.waves.layout import Group, Look, Row
from tlm.traces.waves.variables import Change, Value, Variables
from tlm.traces.waves.view import Boxes


def rows_with_words(variables: Variables, groups: Sequence[Group]) -> Iterator[Row]:
    """The rows of open groups in which viewers write words."""
    for group in groups:
        if not group.closed:
            yield from (row for row in group.rows if row.look is not Look.CURVE and variables.has_words(row.signal))


def boxes_of(
    variables: Variables, groups: Sequence[Group], changes: Sequence[Change], finer: bool
) -> dict[str, Boxes]:  # fmt: skip
    """The words of the rows that are open, without or only with the finer ones: name -> row.

    Args:
        variables: of the dump.
        groups: its layout.
        changes: of the rows, in the order of time.
        finer: which rows.
    """
    rows = [row for row in rows_with_words(variables, groups) if row.finer is finer]
    looks = {variables.by_name[row.signal]: row.look for row in rows}
    found: dict[Variable[Any], tuple[list[int], list[str]]] = {variable: ([0], ["-"]) for variable in looks}
    for cycle, variable, value in changes:
        if variable in found:
            starts, texts = found[variable]
            text = _text(value, looks[variable], variable.size)
            if texts[-1] != text:
                if starts[-1] == cycle:
                    texts[-1] = text
                else:
                    starts.append(cycle)
                    texts.append(text)
    return {row.signal: Boxes(*found[variables.by_name[row.signal]]) for row in rows}


def _text(value: Value, look: Look, bits: object) -> str:
    if look is Look.STATE and isinstance(value, int):
        return labels.name(value)
    if look is Look.HEX and isinstance(value, int) and isinstance(bits, int):
        return f"{value:0{-(-bits // 4)}x}"  # viewers write all digits
    return "z" if value is None else str(value)
