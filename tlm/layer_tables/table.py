"""Read a topology file as SCALE-Sim takes it: a row for each convolution, or for each product of two matrices."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.network.layers.base import KERNEL_LIMIT

CONVOLUTION: tuple[str, ...] = (
    "Layer name", "IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels", "Num Filter", "Strides",
)  # fmt: skip
"""Columns of a table of convolutions; a ninth may give the stride along the width."""
GEMM: tuple[str, ...] = ("Layer", "M", "N", "K")
"""Columns of a table of matrix products: (M x K) times (K x N)."""


@dataclass(frozen=True)
class TableLayer:
    """What a row asks for.

    Attributes:
        shape: (channels, rows, columns) of its input.
        out_channels: filters.
        kernel: (rows, columns).
        stride: (rows, columns).
    """

    shape: tuple[int, int, int]
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)

    def section(self) -> dict[str, Any]:
        """The layer as an entry of ``[[network.layers]]``, which computes the same products.

        SCALE-Sim pads nothing by itself and rounds the size of the output up: rows and columns of zeros after the map
        complete the last windows.
        """
        axes = zip(self.shape[1:], self.kernel, self.stride, strict=True)
        behind = [-(size - kernel) % step for size, kernel, step in axes]
        return {
            "name": "layer",
            "out_channels": self.out_channels,
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": [[0, after] for after in behind],
        }


LayerOf: TypeAlias = Callable[[Sequence[int]], TableLayer]
"""What the numbers of a row mean."""


@dataclass(frozen=True)
class Row:
    """A row of a table: a layer, or what is wrong with it.

    Attributes:
        name: as the table has it.
        line: of the file, from 1.
        layer: None if the row makes none.
        error: why; empty if it does.
    """

    name: str
    line: int
    layer: TableLayer | None
    error: str = ""


def read_table(path: Path) -> list[Row]:
    """The rows of a table in its order.

    Blank lines and lines that hold nothing but a title are left out; so are empty columns at the end of a line.

    Raises:
        InputError: no such file, no CSV file, another header, or no row below it.
    """
    lines = list(_lines(path))
    if not lines:
        raise InputError(f"{path}: has no lines; the first must be {_header(CONVOLUTION)} or {_header(GEMM)}")
    number, header = lines[0]
    names = [cell.lower() for cell in header]
    if names[1:4] == ["m", "n", "k"]:
        columns, layer_of = GEMM, _product
    elif len(names) >= len(CONVOLUTION) and names[1].startswith("ifmap"):
        columns, layer_of = CONVOLUTION, _convolution
    else:
        raise InputError(
            f"{path}:{number}: {', '.join(header)!r} is no header; allowed: {_header(CONVOLUTION)} or {_header(GEMM)}"
        )
    rows = [_row(line, cells, columns, layer_of) for line, cells in lines[1:] if any(cells[1:])]
    if not rows:
        raise InputError(f"{path}: has a header and no layer below it; add a row for each layer")
    return rows


def _row(line: int, cells: Sequence[str], columns: Sequence[str], layer_of: LayerOf) -> Row:
    try:
        return Row(cells[0], line, layer_of(_sizes(cells[1:], columns[1:])))
    except InputError as error:
        return Row(cells[0], line, None, str(error))


def _header(columns: Sequence[str]) -> str:
    return repr(", ".join(columns))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines with something in them, as stripped cells without the empty ones at the end."""
    try:
        text = read_file(path).decode("utf-8-sig")
        for number, row in enumerate(csv.reader(text.splitlines(), strict=True), 1):
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                yield number, cells
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a topology file of SCALE-Sim (.csv)") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is no CSV file in UTF-8 ({error}); export the table again") from None


def _sizes(given: Sequence[str], names: Sequence[str]) -> list[int]:
    """The numbers of a row; those of a sparsity column (``2:4``) must be equal."""
    if given and ":" in given[-1]:
        kept, _, of = given[-1].partition(":")
        if kept != of:
            raise InputError(
                f"sparsity {given[-1]} within blocks is no pruning that this engine has; remove the column and prune "
                "with --density or --word-density"
            )
        given = given[:-1]
    most = len(names) + (names[-1] == CONVOLUTION[-1])
    if not len(names) <= len(given) <= most:
        raise InputError(f"{len(given)} columns after the name; allowed: {', '.join(names)}")
    for name, cell in zip((*names, "Stride Width"), given, strict=False):
        if not (cell.isascii() and cell.isdigit() and int(cell) > 0):
            raise InputError(f"{name} is {cell!r}; allowed: a whole number from 1 on")
    return [int(cell) for cell in given]


def _convolution(sizes: Sequence[int]) -> TableLayer:
    height, width, kernel_h, kernel_w, channels, filters, *strides = sizes
    if kernel_h > height or kernel_w > width:
        raise InputError(
            f"the filter of {kernel_h}x{kernel_w} is larger than the map of {height}x{width}; SCALE-Sim's maps "
            "include their padding"
        )
    if (height, width) == (kernel_h, kernel_w) and max(kernel_h, kernel_w) > KERNEL_LIMIT:
        # the window sees all of the map once: a fully connected layer, whose pixels are as good as channels
        return TableLayer((channels * height * width, 1, 1), filters)
    return TableLayer((channels, height, width), filters, (kernel_h, kernel_w), (strides[0], strides[-1]))


def _product(sizes: Sequence[int]) -> TableLayer:
    """A row of the left matrix is a pixel: M rows of one pixel each, so that bands can hold any number of them."""
    rows, columns, depth = sizes
    return TableLayer((depth, rows, 1), columns)
