"""Rows of a sweep for others: pandas, CSV, Parquet. Always in the order of the points."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.errors import InputError
from tlm.core.files import whole_file

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

SUFFIXES = (".csv", ".parquet")


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
    from tlm.results.files import check_writable_file

    if path.suffix not in SUFFIXES:
        raise InputError(f"--export: {path} ends with none of {', '.join(SUFFIXES)}; give such a name")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise InputError(
                "--export: pyarrow is not installed: pip install 'cartesian-tlm[explore]', or export to .csv"
            ) from None
    check_writable_file(path, "--export")


def export(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as a whole file, in the format of its suffix."""
    with whole_file(path) as temporary:
        if path.suffix == ".csv":
            temporary.write_text(csv_text(rows), encoding="utf-8", newline="")
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist(_alike(rows)), temporary)


def csv_text(rows: Sequence[Row]) -> str:
    """Rows as CSV; lists as JSON."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _plain(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _alike(rows: Sequence[Row]) -> list[Row]:
    """A column of one type each: what mixes kinds (``3`` and ``[9, 3]``) becomes text."""
    kinds: dict[str, set[type]] = {}
    for row in rows:
        for key, value in row.items():
            if value is not None:
                kinds.setdefault(key, set()).add(type(value))
    text = {
        key for key, found in kinds.items() if found & {list, dict} or not (len(found) == 1 or found <= {int, float})
    }
    numbers = {key for key, found in kinds.items() if found == {int, float}}

    def cell(key: str, value: Any) -> Any:
        if value is None:
            return None
        if key in text:
            return value if isinstance(value, str) else json.dumps(value)
        return float(value) if key in numbers else value

    return [{key: cell(key, value) for key, value in row.items()} for row in rows]
