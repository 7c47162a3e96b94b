"""Image files as network input: any image becomes a tensor of 4-bit activations.

What happens to an image, in this order; all of it is [A], the sources say nothing about the input's preparation:

1. The first frame is decoded and turned upright (EXIF orientation).
2. It becomes 8-bit RGB. Grey is repeated in all three channels; of 16-bit samples the upper 8 bits count; transparent
   pixels are laid over black, round(colour * alpha / 255), since zero is also what the engine pads with. Embedded
   colour profiles are ignored.
3. The largest centred part with the target's aspect ratio, in whole pixels, is cut out.
4. It is resized with Pillow's bilinear filter (antialiased where it shrinks), which works on 8-bit samples with
   fixed-point weights. A part that has the target's size is not resampled.
5. Each sample is quantised to the nearest of the 16 levels 0, 17, ..., 255: q = (v + 8) // 17.

Lossless files give the same tensor on every machine. The decoders of lossy formats (JPEG, lossy WebP) may differ in the
last bit between releases.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.inputs.integer_arrays import Int8Array
from tlm.inputs.natural_order import natural_key

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
"""What counts as an image in a directory; a file that is named itself may have any name."""

MAX_SIDE = 65_535
"""Longest side of an image file and of a tensor, pixels."""

MAX_PIXELS = 2**26
"""Most pixels of an image file and of a tensor; more would take gigabytes, as decompression bombs do."""


def load_image(path: str | Path, height: int, width: int) -> Int8Array:
    """An image file as activations.

    Args:
        path: an image in a format that Pillow decodes by itself.
        height: rows of the result, pixels, 1..65,535.
        width: columns of the result, pixels, 1..65,535; height * width at most 2^26.

    Returns:
        int8 (3, height, width), red, green and blue, 0..15.

    Raises:
        InputError: no such file, unreadable, no image, truncated, without pixels, too large, samples that are neither
            of 8 nor of 16 bits; a height or width out of range.
    """
    return quantised(load_pixels(path, height, width))


def load_pixels(path: str | Path, height: int, width: int) -> npt.NDArray[np.uint8]:
    """The same before it is quantised: uint8 (3, height, width)."""
    _check_target(height, width)
    file = Path(path)
    with warnings.catch_warnings():
        # Pillow warns of odd metadata, which does not matter here, and of large images, which are refused below
        warnings.simplefilter("ignore")
        samples = np.asarray(_fitted(_decoded(file), height, width))
    return samples.transpose(2, 0, 1)


def load_images(paths: str | Path | Iterable[str | Path], height: int, width: int) -> Int8Array:
    """Several image files as activations.

    Args:
        paths: files and directories, see :func:`image_files`.
        height: see :func:`load_image`.
        width: see :func:`load_image`.

    Returns:
        int8 (N, 3, height, width), 0..15, in the order of :func:`image_files`.

    Raises:
        InputError: as :func:`load_image` and :func:`image_files`.
    """
    _check_target(height, width)
    files = image_files(paths)
    images = np.empty((len(files), 3, height, width), np.int8)
    for index, file in enumerate(files):
        images[index] = load_image(file, height, width)
    return images


def image_files(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The files that paths stand for; a directory stands for its images in natural order, a file for itself.

    Images in a directory are known by their suffix (``IMAGE_SUFFIXES``, upper or lower case). Hidden files and
    subdirectories do not count.

    Raises:
        InputError: no path at all, a directory that cannot be read or holds no image.
    """
    found: list[Path] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        found += _images_in(Path(path)) if Path(path).is_dir() else [Path(path)]
    if not found:
        raise InputError("images: no path is given; give image files or directories of them")
    return found


def quantised(samples: npt.NDArray[np.uint8]) -> Int8Array:
    """Samples of 8 bits to activations of 4: the nearest of the levels 0, 17, ..., 255 [A].

    Args:
        samples: uint8, any shape.

    Returns:
        int8 of the same shape, contiguous, 0..15: (v + 8) // 17.
    """
    return np.ascontiguousarray((samples.astype(np.int16) + 8) // 17, np.int8)


def _images_in(directory: Path) -> list[Path]:
    try:
        entries = sorted(directory.iterdir(), key=lambda path: (natural_key(path.name), path.name))
    except OSError as error:
        raise InputError(f"image directory {directory} cannot be read ({error.strerror or error})") from None
    images = [path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]
    images = [path for path in images if not path.is_dir()]
    if not images:
        suffixes = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise InputError(f"image directory {directory} holds no image; allowed suffixes: {suffixes}")
    return images


def _check_target(height: int, width: int) -> None:
    for name, side in (("height", height), ("width", width)):
        if not 1 <= side <= MAX_SIDE:
            raise InputError(f"image {name}: {side} is outside 1..{MAX_SIDE:,}")
    if height * width > MAX_PIXELS:
        raise InputError(f"image height and width: {height} x {width} is more than {MAX_PIXELS:,} pixels; give less")


def _decoded(file: Path) -> Image:
    """The first frame, upright, 8-bit RGB."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        data = read_file(file)
    except FileNotFoundError:
        raise InputError(f"image {file} does not exist; check the path") from None
    except InputError as error:
        raise InputError(f"image {error}") from None
    try:
        with Image.open(io.BytesIO(data)) as image:
            _check_source(file, image)
            image.verify()  # checksums of a PNG, which decoding the pixels leaves unread
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return _rgb(file, ImageOps.exif_transpose(image))
    except InputError:
        raise
    except UnidentifiedImageError:
        what = (
            "is no image that can be read: another kind of file, damaged, or without pixels; give e.g. a PNG or JPEG"
            if data
            else "is an empty file; give an image file, e.g. PNG or JPEG"
        )
        raise InputError(f"image {file} {what}") from None
    except Image.DecompressionBombError:
        raise InputError(f"image {file} has too many pixels; allowed: {MAX_PIXELS:,}; scale it down") from None
    except Exception as error:
        # damaged data make the decoders raise errors of any kind: SyntaxError, struct.error, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"image {file} cannot be decoded ({reason}); it is damaged, truncated or of a kind that Pillow does not "
            "read: save it again, e.g. as PNG"
        ) from None


def _check_source(file: Path, image: Image) -> None:
    if image.format == "EPS":
        raise InputError(f"image {file} is PostScript, which is a program; save it as PNG")
    width, height = image.size
    if not width or not height:
        raise InputError(f"image {file} has no pixels: it is {width} x {height}; allowed: 1..{MAX_SIDE:,} on each side")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            f"image {file} is {width} x {height} pixels; allowed: {MAX_SIDE:,} on a side and {MAX_PIXELS:,} in all; "
            "scale it down"
        )


def _rgb(file: Path, image: Image) -> Image:
    from PIL import Image

    if image.mode == "F":
        raise InputError(f"image {file} holds floating-point samples; allowed: 8 or 16 bits; convert it")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _grey_from_16_bits(file, image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    transparent = image.convert("RGBA")
    black = Image.new("RGB", image.size)
    black.paste(transparent, mask=transparent)
    return black


def _grey_from_16_bits(file: Path, image: Image) -> Image:
    """The upper 8 bits: Pillow decodes 16-bit colour so, but leaves grey as it is (and its convert() would clip)."""
    from PIL import Image

    samples = np.asarray(image)
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 0xFFFF:
        raise InputError(f"image {file} holds samples {low}..{high}; allowed: 8 or 16 bits, unsigned; convert it")
    grey = (samples >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey[samples == transparent] = 0
    return Image.fromarray(grey)


def _fitted(image: Image, height: int, width: int) -> Image:
    """The largest centred part with the aspect ratio height : width, resized where that is not its size already."""
    from PIL import Image

    part_width = min(image.width, max(1, (2 * image.height * width + height) // (2 * height)))
    part_height = min(image.height, max(1, (2 * image.width * height + width) // (2 * width)))
    left, top = (image.width - part_width) // 2, (image.height - part_height) // 2
    part = image.crop((left, top, left + part_width, top + part_height))
    return part if part.size == (width, height) else part.resize((width, height), Image.Resampling.BILINEAR)
