"""How matplotlib draws figures, and how they become files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_INK, _PALE = "#202020", "#d0d0d0"

FONT_PT = 9.0
SMALL_PT = 8.5
"""The smallest text in any figure, at the size at which it is shown."""
WIDTH_INCHES = 9.0
_DPI = 150
_MAX_PIXELS = 1 << 15
_FEW_DECADES = 1.7
_LETTER_INCHES, _PATCH_INCHES = 0.075, 0.5

FORMATS = ("png", "svg")
_METADATA: Mapping[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
"""Neither a date nor a version, so that equal results give equal bytes."""

_SETTINGS: Mapping[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.labelsize": FONT_PT,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": FONT_PT,
    "figure.titlesize": 10.5,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": FONT_PT,
    "grid.color": _PALE,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.fontsize": SMALL_PT,
    "legend.frameon": False,
    "patch.linewidth": 0.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "cartesian-tlm",
    "text.color": _INK,
    "text.parse_math": False,  # a dollar in the name of a scenario is a dollar
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
}


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

    settings: Any = _SETTINGS
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield


def new_figure(width_inches: float, height_inches: float, title: str) -> Figure:
    """A figure with its title and nothing else; without pyplot's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def save(figure: Figure, path: Path, format_name: str) -> None:
    """Write a figure; to be called within :func:`style`, for the SVG backend reads settings when it writes."""
    dpi = min(_DPI, int(_MAX_PIXELS / max(figure.get_size_inches())))
    content = io.BytesIO()  # whose errors would not be the system's
    figure.savefig(content, format=format_name, dpi=dpi, metadata=_METADATA[format_name])
    path.write_bytes(content.getvalue())


def legend(figure: Figure, colours: Mapping[str, str], title: str = "") -> None:
    """Label -> colour, below all axes, where it covers nothing."""
    from matplotlib.patches import Patch

    if colours:
        patches = [
            Patch(facecolor=colour, edgecolor=_PALE, linewidth=0.5, label=name) for name, colour in colours.items()
        ]
        entry_inches = max(map(len, colours)) * _LETTER_INCHES + _PATCH_INCHES
        figure.legend(
            handles=patches, loc="outside lower left", ncols=max(1, int(figure.get_figwidth() / entry_inches)),
            handlelength=1.2, title=title or None, title_fontsize=SMALL_PT, alignment="left",
        )  # fmt: skip


def plain_numbers(axis: Axis, integer: bool = False) -> None:
    """Numbers as ``1,200,000`` or ``0.25``; cycles and other counts are integers."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(5, integer=integer, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def scaled(factor: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """What a second axis needs whose values are ``factor`` times those of the first: there and back."""
    return lambda value: value * factor, lambda value: value / factor


def note(axes: Axes, text: str, at: tuple[float, float], offset_pt: tuple[float, float] = (0, 0), **looks: Any) -> None:
    """A small text beside a spot of the axes; centred on it unless ``looks`` says otherwise."""
    defaults = {"ha": "center", "va": "center", "fontsize": SMALL_PT}
    axes.annotate(text, at, offset_pt, textcoords="offset points", **{**defaults, **looks})


def plain_logarithms(axis: Axis, limits: tuple[float, float]) -> None:
    """Numbers of a logarithmic axis without exponents; between the powers of ten only where there are few of those."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    few = log10(limits[1] / limits[0]) < _FEW_DECADES
    between = FuncFormatter(lambda value, _: f"{value:,.10g}" if f"{value:e}"[0] in "25" else "")
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(between if few else NullFormatter())
    axis.set_tick_params(which="minor", labelsize=SMALL_PT)
