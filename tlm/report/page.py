"""The frame of a report: one HTML file that holds its style, its scripts, its library and its data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple

from tlm.core.errors import InputError
from tlm.core.labels import IN_RUNS

PJ_PER_UJ = 1e6


class Number(NamedTuple):
    """A number of the summary."""

    name: str
    value: str
    label: str = ""


def require_plotly() -> None:
    """Prove that a report can be drawn.

    Raises:
        InputError: plotly is missing.
    """
    try:
        import plotly  # noqa: F401
    except ImportError:
        raise InputError("report: plotly is not installed: pip install 'cartesian-tlm[explore]'") from None


def page(title: str, body: str, data: Mapping[str, Any], script: str) -> str:
    """A whole page.

    Args:
        title: of the window.
        body: HTML.
        data: what the script draws.
        script: name of a file of assets, without its suffix.
    """
    from plotly.offline import get_plotlyjs

    return Template(_asset("page.html")).substitute(
        title=escape(title),
        css=_asset("report.css"),
        library=get_plotlyjs(),
        body=body,
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        common=_asset("report.js"),
        script=_asset(f"{script}.js"),
    )


def summary(numbers: Iterable[Number]) -> str:
    """Numbers with their units and labels."""
    cells = (
        f"<div><dt>{escape(one.name)}</dt><dd>{escape(one.value)} <span class=faint>{one.label}</span></dd></div>"
        for one in numbers
    )
    return f'<dl class="summary">{"".join(cells)}</dl>'


def energy_text(energy_pj: float) -> str:
    """Microjoules, with three digits at least."""
    energy_uj = energy_pj / PJ_PER_UJ
    return f"{energy_uj:,.2f} µJ" if energy_uj >= 1 else f"{energy_uj:.3g} µJ"


def section(title: str, content: str, note: str = "", long: bool = False) -> str:
    """A part of the page; a long one may be broken between printed pages."""
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section{' class=long' if long else ''}><h2>{escape(title)}</h2>{below}{content}</section>"


def figure(name: str) -> str:
    """Where a script draws."""
    return f'<div class="figure" id="{name}"></div>'


def table(name: str) -> str:
    """Where a script writes rows."""
    return f'<div class="scroll"><table id="{name}"></table></div><p class="note more" id="{name}-more"></p>'


LABELS = f'<p class="note">{escape("; ".join(f"{one.value} {one.meaning}" for one in IN_RUNS))} (docs/chip.md).</p>'


def _asset(name: str) -> str:
    return (files("tlm.report") / "assets" / name).read_text(encoding="utf-8")
