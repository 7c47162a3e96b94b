"""The objects that a user of the package holds: results and programs that show, save and compare themselves.

The parts below find figures and know nothing of pictures, pages and explanations; these classes stand above them all.
What only some methods need is imported there, so that a simulation does not pay for it.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from msgspec import structs

from tlm.compiler import compile as compiling
from tlm.compiler import program, saved
from tlm.core.errors import InputError
from tlm.results import result, result_json
from tlm.results.files import OUTPUTS_NAME, RESULT_NAME, check_writable, write_result
from tlm.runs import simulate as running

if TYPE_CHECKING:
    import pandas as pd

    from tlm.analysis.comparison import Comparison
    from tlm.analysis.explain import Explanation
    from tlm.plots.render import Picture

P = ParamSpec("P")
T = TypeVar("T")

_HTML_LAYERS = 40
"""Layers that a notebook shows."""


class _Shown:
    """What a result of a run and one that was read back have in common."""

    @abstractmethod
    def _record(self) -> result_json.RunRecord:
        """All figures, as in result.json."""

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each layer, by its name: the figures of docs/result.md, nested keys with dots, and what follows
        from them (``cycles``, ``main_cause``, ``density``).

        Raises:
            InputError: pandas is missing.
        """
        try:
            import pandas as pd
        except ImportError:
            raise InputError("to_dataframe: pandas is not installed: pip install 'cartesian-tlm[explore]'") from None
        return pd.DataFrame(map(result_json.layer_row, self._record().layers)).set_index("name")

    def plot(self, kind: str = "timeline") -> Picture:
        """A picture that notebooks show; its ``save(FILE)`` writes .png or .svg.

        Args:
            kind: "network", "timeline", "causes", "roofline" or "energy" (docs/plots.md).

        Raises:
            InputError: another kind; matplotlib is missing.
        """
        from tlm.plots.render import picture

        return picture(self._record(), kind)

    def report(self, file: str | Path = "report.html") -> Path:
        """Write the page of ``tlm report``, one HTML file; gives its path.

        Raises:
            InputError: plotly is missing, or the file cannot be written.
        """
        from tlm.plots.sources import Source
        from tlm.report.page import write_page
        from tlm.report.run_page import run_page

        return write_page(Path(file), lambda: run_page([Source(Path("result"), self._record())]), "report")

    def explain(self, runs: bool | None = None, files: Sequence[str | Path] = ()) -> Explanation:
        """What bounds each layer and what changes would buy; prints as ``tlm explain`` does.

        Args:
            runs: simulate the changes; by default where the result has the settings of a scenario.
            files: directories of the files that the scenario reads.

        Raises:
            InputError: the run cannot be built again.
        """
        from tlm.analysis.explain import explain

        stored = self._record()
        return explain(stored, [*map(Path, files), Path()], bool(stored.settings) if runs is None else runs)

    def compare(self, *others: result.Result | result_json.RunRecord) -> Comparison:
        """This result (A) beside others (B, C ..); prints as ``tlm compare`` does."""
        from tlm.analysis.comparison import compare

        return compare([self._record(), *map(_record_of, others)])

    def _repr_html_(self) -> str:
        from html import escape

        stored = self._record()
        energy = f"{stored.energy.total_pj / 1e6:,.2f} µJ [A]"
        facts = {
            "chip": f"{stored.chip.lanes}x{stored.chip.columns} MACs, {stored.chip.frequency_mhz:g} MHz; "
            f"fidelity {stored.fidelity}",
            "cycles": f"{stored.cycles:,} = {stored.time_us:,.2f} µs [S]",
            "utilisation": f"{stored.utilization:.1%}, within layers {stored.compute_utilization:.1%} [S]",
            "energy": f"{energy}, {stored.energy.power_mw:,.1f} mW on average",
            "golden model": result.VERDICTS[stored.matches_reference],
        }
        head = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in facts.items())
        rows = "".join(
            f"<tr><td>{escape(layer.name)}</td><td>{layer.kind}</td><td>{'x'.join(map(str, layer.output_shape))}</td>"
            f"<td>{layer.compute_cycles:,}</td><td>{layer.utilization:.1%}</td>"
            f"<td>{layer.energy.total_pj / 1e6:,.3f}</td></tr>"
            for layer in stored.layers[:_HTML_LAYERS]
        )
        left = len(stored.layers) - _HTML_LAYERS
        more = f"<p>and {left:,} more layers: to_dataframe() has all</p>" if left > 0 else ""
        titles = ("layer", "kind", "output", "cycles [S]", "utilisation [S]", "energy µJ [A]")
        heads = "".join(f"<th>{title}</th>" for title in titles)
        return f"<b>{escape(stored.name)}</b><table>{head}</table><table><tr>{heads}</tr>{rows}</table>{more}"


class Result(_Shown, result.Result):
    """Values and figures of one simulated run; picklable. It shows, saves, draws, explains and compares itself."""

    def _record(self) -> result_json.RunRecord:
        return result_json.as_stored(self)

    def summary(self) -> str:
        """What ``tlm run`` prints, 80 columns wide."""
        from tlm.results.console import Terminal
        from tlm.results.report import print_report

        differing = {True: (), False: ("some layers",), None: None}[self.matches_reference]
        text = io.StringIO()
        print_report(self, Terminal(file=text, width=80), self.scenario or "a network", "", differing)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def save(self, directory: str | Path) -> list[Path]:
        """Write result.json and outputs.npz, as ``tlm run -o DIR`` does; gives their paths.

        Raises:
            InputError: they cannot be written there.
        """
        place = check_writable(Path(directory), "save", RESULT_NAME, OUTPUTS_NAME)
        return write_result(place, result_json.result_json(self), self.tensors)


class StoredResult(_Shown, result_json.RunRecord, frozen=True, kw_only=True):
    """A result that was read back; its attributes are the keys of docs/result.md."""

    def _record(self) -> result_json.RunRecord:
        return self


class Program(program.Program):
    """A network compiled for a chip; picklable, reusable for any input, also from a file."""

    def save(self, path: str | Path) -> None:
        """See :func:`tlm.save_program`."""
        saved.save_program(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Program:
        """See :func:`tlm.load_program`."""
        return load_program(path)


def _record_of(one: object) -> result_json.RunRecord:
    if isinstance(one, result_json.RunRecord):
        return one
    if isinstance(one, result.Result):
        return _as(Result, one)._record()
    raise InputError(f"compare: {type(one).__name__} is no result; give what tlm.run, simulate or load_result returned")


def _as(kind: type[T], found: object) -> T:
    """What a part below found, as the class that users hold."""
    shown = object.__new__(kind)
    vars(shown).update(vars(found))
    return shown


def _giving(kind: type[T], function: Callable[P, object]) -> Callable[P, T]:
    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return _as(kind, function(*args, **kwargs))

    return call


simulate = _giving(Result, running.simulate)
compile = _giving(Program, compiling.compile)
load_program = _giving(Program, saved.load_program)


def load_result(path: str | Path) -> StoredResult:
    """Read a result file or the one in a directory; its attributes are the keys of docs/result.md.

    Raises:
        InputError: missing or unreadable, not a result, of another schema, sums that do not close.
    """
    found: dict[str, Any] = structs.asdict(result_json.load_result(path))
    return StoredResult(**found)
