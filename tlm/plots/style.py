"""How matplotlib draws figures, and how they become files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL_PT = 8.5
"""The smallest text in any figure, at the size at which it is shown."""
WIDTH_INCHES = 9.0
_DPI = 150
_MAX_PIXELS = 1 << 15
_MAX_INCHES = _MAX_PIXELS / 20
_METADATA: Mapping[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
"""Neither a date nor a version, so that equal results give equal bytes."""


def require_matplotlib() -> None:
    """Prove that figures can be drawn.

    Raises:
        InputError: matplotlib is missing.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InputError("plot: matplotlib is not installed: pip install 'cartesian-tlm[plot]'") from None


@contextmanager
def style() -> Iterator[None]:
    """What is drawn and saved inside looks like this project's, whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rc_file(Path(__file__).with_suffix(".mplstyle"))
        yield


def new_figure(width_inches: float, height_inches: float, title: str) -> Figure:
    """A figure with its title and nothing else; without pyplot's global state."""
    from matplotlib.figure import Figure

    size_inches = (min(width_inches, _MAX_INCHES), min(height_inches, _MAX_INCHES))  # a name may have any length
    figure = Figure(figsize=size_inches, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def content(figure: Figure, format_name: str) -> bytes:
    """A figure as a file's bytes; to be called within :func:`style`: the SVG backend reads settings when it writes."""
    dpi = min(_DPI, int(_MAX_PIXELS / max(figure.get_size_inches())))
    found = io.BytesIO()
    figure.savefig(found, format=format_name, dpi=dpi, metadata=_METADATA[format_name])
    return found.getvalue()


def save(figure: Figure, path: Path, format_name: str) -> None:
    """Write a figure; see :func:`content`."""
    path.write_bytes(content(figure, format_name))
