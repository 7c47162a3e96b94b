"""Which words of an input's plane a range of a layer's tiles can see: for the engine's checks, and to split layers."""

from __future__ import annotations


def input_words(
    *,
    height: int,
    width: int,
    out_width: int,
    out_pixels: int,
    stride_y: int,
    pad_top: int,
    dilation_y: int,
    kernel_h: int,
    first_tile: int,
    tile_count: int,
    lanes: int,
) -> tuple[int, int]:
    """(first word, end word) of each channel's plane with every input row that the tiles' outputs can see.

    Rows ``max(0, y_first * stride_y - pad_top) .. min(height - 1, y_last * stride_y - pad_top + dilation_y *
    (kernel_h - 1))`` of the whole layer's input, y_first and y_last being the first and last output row that the tiles
    touch (engine.md, Bands [A]). Which of the rows' pixels and taps are really used makes no difference.

    Args:
        height, width: the whole input, pixels.
        out_width, out_pixels: the whole output: its width, and its width times its height.
        first_tile, tile_count: tiles of ``lanes`` output pixels in raster order; at least one, all in the layer.

    Returns:
        (0, 0) if the tiles see nothing but padding: then any window is legal.
    """
    first_pixel, end_pixel = first_tile * lanes, min((first_tile + tile_count) * lanes, out_pixels)
    row_first = max(0, first_pixel // out_width * stride_y - pad_top)
    row_last = min(height - 1, (end_pixel - 1) // out_width * stride_y - pad_top + dilation_y * (kernel_h - 1))
    if row_first > row_last:
        return 0, 0
    return row_first * width // lanes, (row_last * width + width - 1) // lanes + 1
