"""Rows of a sweep for others: pandas, CSV, Parquet. Always in the order of the points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.results.files import check_writable_file, csv_text, json_unless

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

_SUFFIXES = (".csv", ".parquet")


def table(rows: Sequence[Row]) -> pd.DataFrame | list[Row]:
    """The rows as a DataFrame if pandas is installed, else as they are."""
    try:
        import pandas as pd
    except ImportError:
        return list(rows)
    return pd.DataFrame(rows)


def check_export(path: Path) -> None:
    """Prove that rows can be exported to a file.

    Raises:
        InputError: another suffix, pyarrow is missing, or the directory cannot be written.
    """
    if path.suffix not in _SUFFIXES:
        raise InputError(f"--export: {path} ends with none of {', '.join(_SUFFIXES)}; give such a name")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise InputError(
                "--export: pyarrow is not installed: pip install 'cartesian-tlm[explore]', or export to .csv"
            ) from None
    check_writable_file(path, "--export")


def export(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as a whole file, in the format of its suffix; lists as JSON."""
    with whole_file(path) as temporary:
        if path.suffix == ".csv":
            temporary.write_text(csv_text(rows), encoding="utf-8", newline="")
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            columns = {name: _alike([row[name] for row in rows]) for name in rows[0]}
            pq.write_table(pa.table(columns), temporary)


def _alike(values: Sequence[Any]) -> Sequence[Any]:
    """Values of one type: what mixes kinds (``3`` and ``[9, 3]``) becomes text."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1 or kinds & {list, dict}:
        return [json_unless(value, (str,)) for value in values]
    return values
