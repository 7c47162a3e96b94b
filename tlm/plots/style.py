"""How every figure looks, and how it becomes a file.

A colour belongs to a role and is the same in every figure: computing is green, moving data blue, and what keeps the
array from computing red, orange or yellow, from the largest to the rarest told apart by lightness too, so that they
differ for colour-blind readers (a test works that out).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

CAUSES: Mapping[str, str] = {
    "computing": "#009e73",
    "bank_conflict": "#d99000",
    "instruction": "#fff8cc",
    "pipeline": "#ffdd80",
    "parameters": "#7a2f5a",
    "write_back": "#a04a3a",
    "drain": "#ffdd00",
    "weights": "#b23000",
    "activations": "#ff8fa3",
    "instructions": "#6b0700",
    "host": "#4c001f",
}
"""Cause of the account (docs/account.md) -> colour, in the order in which bars are stacked."""

SRAMS: Mapping[str, str] = {"wmem": "#08519c", "amem": "#4292c6", "imem": "#9ecae1"}
"""Memory that data move to or from -> colour."""

COMPONENTS: Mapping[str, str] = {
    "mac_array": "#009e73",
    "aligner": "#66c9a8",
    "requantiser": "#d8f5c8",
    "clock": "#606060",
    "leakage": "#d9d9d9",
    "amem": SRAMS["amem"],
    "wmem": SRAMS["wmem"],
    "imem": SRAMS["imem"],
    "interconnect": "#6a6fc9",
}
"""Component of the core's energy -> colour, in the order in which bars are stacked."""

OFF_CHIP = "#1a2a6c"
HOST_RUNS = "#404040"
SLEEPS: Mapping[str, str] = {"engine": "#d5ece4", "load": "#d6e6f4", "store": "#b9c9e8"}
"""Unit that the host sleeps for -> colour."""

_LAYERS = ("#00614a", "#2fb58d", "#008763", "#86d3b8")
_INK, _PALE = "#202020", "#d0d0d0"

FONT_PT = 9.0
SMALL_PT = 8.5
"""The smallest text in any figure, at the size at which it is shown."""
WIDTH_INCHES = 9.0
_DPI = 150
_MAX_PIXELS = 1 << 15
_FEW_DECADES, _LIGHT = 1.7, 150
_LONG_NAME, _NAME_INCHES = 18, 0.08

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


def new_figure(height_inches: float, names: Iterable[str] = ()) -> Figure:
    """An empty figure without pyplot's global state; it is wider where the names beside its rows are long."""
    from matplotlib.figure import Figure

    extra = max((len(name) - _LONG_NAME for name in names), default=0)
    return Figure(figsize=(WIDTH_INCHES + max(0, extra) * _NAME_INCHES, height_inches), layout="constrained")


def save(figure: Figure, path: Path, format_name: str) -> None:
    """Write a figure; to be called within :func:`style`, for the SVG backend reads settings when it writes."""
    dpi = min(_DPI, int(_MAX_PIXELS / max(figure.get_size_inches())))
    content = io.BytesIO()  # whose errors would not be the system's
    figure.savefig(content, format=format_name, dpi=dpi, metadata=_METADATA[format_name])
    path.write_bytes(content.getvalue())


def layer_colour(index: int) -> str:
    """Of a layer on the engine: neighbours differ."""
    return _LAYERS[index % len(_LAYERS)]


def words(key: str) -> str:
    """A key as text."""
    return key.replace("_", " ")


def patches(colours: Mapping[str, str]) -> list[Patch]:
    """What a legend shows for label -> colour."""
    from matplotlib.patches import Patch

    return [Patch(facecolor=colour, edgecolor=_PALE, linewidth=0.5, label=label) for label, colour in colours.items()]


def legend(figure: Figure, colours: Mapping[str, str], columns: int, title: str | None = None) -> None:
    """Label -> colour, below all axes, where it covers nothing."""
    figure.legend(
        handles=patches(colours), loc="outside lower left", ncols=columns, handlelength=1.2, title=title,
        title_fontsize=SMALL_PT, alignment="left",
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


def value(axes: Axes, text: str, at: tuple[float, float], upright: bool = False) -> None:
    """What a bar comes to, behind its end (above it if it is upright), on white, so that no grid line crosses it."""
    ground = {"facecolor": "white", "pad": 0.5}
    looks: dict[str, Any] = {"va": "bottom"} if upright else {"ha": "left"}
    note(axes, text, at, (0, 2) if upright else (4, 0), bbox=ground, **looks)


def plain_logarithms(axis: Axis, limits: tuple[float, float]) -> None:
    """Numbers of a logarithmic axis without exponents; between the powers of ten only where there are few of those."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    few = log10(limits[1] / limits[0]) < _FEW_DECADES
    between = FuncFormatter(lambda value, _: f"{value:,.10g}" if f"{value:e}"[0] in "25" else "")
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(between if few else NullFormatter())
    axis.set_tick_params(which="minor", labelsize=SMALL_PT)


def ink_on(colour: str) -> str:
    """Black or white, whichever can be read on a colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < _LIGHT else _INK


def rows(axes: Axes, names: Iterable[str]) -> None:
    """A row for each name, the first on top."""
    labels = list(names)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def bands(axes: Axes, count: int) -> None:
    """Every second row on a pale ground, to lead the eye from a name to its bars."""
    for index in range(1, count, 2):
        axes.axhspan(index - 0.5, index + 0.5, color="#f4f4f4", zorder=0)
