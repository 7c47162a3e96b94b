"""The frame of a report: one HTML file that holds its style, its scripts, its library and its data.

What a page says and where it draws is a template in assets; the script of the same name draws there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.core.labels import IN_RUNS
from tlm.results.files import check_writable_file

PJ_PER_UJ = 1e6

Number: TypeAlias = tuple[str, str, str]
"""Name, value and label of a number of the summary."""


def require_plotly() -> None:
    """Prove that a report can be drawn.

    Raises:
        InputError: plotly is missing.
    """
    try:
        import plotly  # noqa: F401
    except ImportError:
        raise InputError("report: plotly is not installed: pip install 'cartesian-tlm[explore]'") from None


def write_page(file: Path, text: Callable[[], str], key: str) -> Path:
    """Write what ``text`` makes as a whole file; gives its path.

    Raises:
        InputError: plotly is missing; the file cannot be written (headed by ``key``).
    """
    require_plotly()
    check_writable_file(file, key)
    made = text()
    with whole_file(file) as temporary:
        temporary.write_text(made, encoding="utf-8")
    return file


def page(
    kind: str, title: str, numbers: Iterable[Number], data: Mapping[str, Any], script: str = "", **texts: str
) -> str:
    """A whole page.

    Args:
        kind: of which template and script are among the assets.
        title: of the window.
        numbers: the summary.
        data: what the script draws.
        script: of another kind, if its own is that.
        texts: what else the template asks for.
    """
    from plotly.offline import get_plotlyjs

    body = Template(_asset(f"{kind}.html")).substitute(
        {name: escape(text) for name, text in texts.items()},
        summary=_summary(numbers),
        labels=escape("; ".join(f"{one.value} {one.meaning}" for one in IN_RUNS)) + " (docs/chip.md).",
    )
    return Template(_asset("page.html")).substitute(
        title=escape(title),
        css=_asset("report.css"),
        library=get_plotlyjs(),
        body=body,
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        common=_asset("report.js"),
        script=_asset(f"{script or kind}.js"),
    )


def energy_text(energy_pj: float) -> str:
    """Microjoules, with three digits at least."""
    energy_uj = energy_pj / PJ_PER_UJ
    return f"{energy_uj:,.2f} µJ" if energy_uj >= 1 else f"{energy_uj:.3g} µJ"


def _summary(numbers: Iterable[Number]) -> str:
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <span class=faint>{label}</span></dd></div>"
        for name, value, label in numbers
    )
    return f'<dl class="summary">{"".join(cells)}</dl>'


def _asset(name: str) -> str:
    return (files("tlm.report") / "assets" / name).read_text(encoding="utf-8")
