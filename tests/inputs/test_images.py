"""Images as network input: every kind of image against values worked out by hand."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import SCENARIOS
from PIL import Image

from tlm.inputs.images import load_image, quantised

PHOTO = SCENARIOS / "images" / "astronaut.png"

LEVELS = [0, 1, 8, 9, 25, 26, 127, 128, 246, 247, 254, 255]
QUANTISED = [0, 0, 0, 1, 1, 2, 7, 8, 14, 15, 15, 15]
"""By hand: level k stands for 17 * k, and a sample goes to the nearest one."""


@pytest.fixture(autouse=True)
def in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(array: Any, name: str = "x.png", mode: str | None = None, **options: Any) -> str:
    image = Image.fromarray(np.array(array, np.uint8))
    (image if mode is None else image.convert(mode)).save(name, **options)
    return name


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> str:
    """A PNG made byte by byte, for what Pillow does not write; each row begins with a zero."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    Path("x.png").write_bytes(data)
    return "x.png"


# -- values -----------------------------------------------------------------------------------------------------


def test_quantisation_is_to_the_nearest_of_16_levels() -> None:
    assert quantised(np.array(LEVELS, np.uint8)).tolist() == QUANTISED
    nearest = [min(range(16), key=lambda level: abs(17 * level - value)) for value in range(256)]
    assert quantised(np.arange(256, dtype=np.uint8)).tolist() == nearest


def test_an_image_of_the_wanted_size_is_not_resampled() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (9, 7, 3))
    loaded = load_image(saved(noise), 9, 7)
    assert (loaded.shape, loaded.dtype, loaded.flags.c_contiguous) == ((3, 9, 7), np.int8, True)
    assert loaded.tolist() == ((noise + 8) // 17).transpose(2, 0, 1).tolist()


GREY = [[0, 9, 128], [255, 247, 26]]
GREY_4 = [[0, 1, 8], [15, 15, 2]]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_grey_is_the_same_in_every_mode(mode: str) -> None:
    assert load_image(saved(GREY, mode=mode), 2, 3).tolist() == [GREY_4] * 3


@pytest.mark.parametrize("name", ["x.bmp", "x.gif", "x.webp", "x.ppm", "x.pgm", "x.tif", "x.png"])
def test_grey_is_the_same_in_every_lossless_format(name: str) -> None:
    options = {"lossless": True} if name == "x.webp" else {}
    assert load_image(saved(GREY, name, **options), 2, 3).tolist() == [GREY_4] * 3


@pytest.mark.parametrize("name", ["x.bmp", "x.webp", "x.ppm", "x.tiff", "x.png"])
def test_colour_is_the_same_in_every_lossless_format(name: str) -> None:
    options = {"lossless": True} if name == "x.webp" else {}
    colours = [[[255, 0, 17], [34, 51, 68]]]
    assert load_image(saved(colours, name, **options), 1, 2).tolist() == [[[15, 2]], [[0, 3]], [[1, 4]]]


def test_jpeg_is_close() -> None:
    saved(np.full((16, 16, 3), (204, 102, 51)), "x.jpg", quality=95)
    assert load_image("x.jpg", 16, 16)[:, 8, 8].tolist() == [12, 6, 3]


def test_palette_of_colours() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 17, 34, 51, 68])
    image.putpixel((1, 0), 1)
    image.save("x.png")
    with Image.open("x.png") as stored:
        assert stored.mode == "P"
    assert load_image("x.png", 1, 2).tolist() == [[[15, 2]], [[0, 3]], [[1, 4]]]


def test_black_and_white() -> None:
    Image.fromarray(np.array([[True, False]])).save("x.png")
    assert load_image("x.png", 1, 2).tolist() == [[[15, 0]]] * 3


def test_cmyk() -> None:
    Image.frombytes("CMYK", (2, 1), bytes([0, 255, 0, 0, 0, 0, 0, 204])).save("x.tif")
    assert load_image("x.tif", 1, 2).tolist() == [[[15, 3]], [[0, 3]], [[15, 3]]]
    Image.new("CMYK", (8, 8), (0, 255, 0, 0)).save("x.jpg", quality=95)
    assert load_image("x.jpg", 8, 8)[:, 4, 4].tolist() == [15, 0, 15]


# -- transparency: laid over black ------------------------------------------------------------------------------


def test_transparency_is_laid_over_black() -> None:
    alphas = list(range(256))
    rgba = [[[255, 200, 7, alpha] for alpha in alphas]]
    blended = [[(2 * value * alpha + 255) // 510 for alpha in alphas] for value in (255, 200, 7)]
    expected = [[[(value + 8) // 17 for value in row]] for row in blended]
    assert load_image(saved(rgba), 1, 256).tolist() == expected


def test_half_transparent_grey() -> None:
    assert load_image(saved([[[255, 255], [255, 0], [200, 51]]]), 1, 3).tolist() == [[[15, 0, 2]]] * 3


def test_transparent_palette_and_colour_key() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 17, 34, 51, 68])
    image.putpixel((1, 0), 1)
    image.save("key.png", transparency=0)
    image.save("alphas.png", transparency=bytes([51, 255]))
    image.save("key.gif", transparency=0)
    assert load_image("key.png", 1, 2).tolist() == [[[0, 2]], [[0, 3]], [[0, 4]]]
    assert load_image("alphas.png", 1, 2).tolist() == [[[3, 2]], [[0, 3]], [[0, 4]]]
    assert load_image("key.gif", 1, 2).tolist() == load_image("key.png", 1, 2).tolist()
    saved([[[255, 0, 17], [34, 51, 68]]], "rgb.png", transparency=(255, 0, 17))
    assert load_image("rgb.png", 1, 2).tolist() == load_image("key.png", 1, 2).tolist()
    saved([[255, 34]], "grey.png", transparency=255)
    assert load_image("grey.png", 1, 2).tolist() == [[[0, 2]]] * 3


# -- 16 bits: the upper 8 ---------------------------------------------------------------------------------------


def test_grey_of_16_bits() -> None:
    rows = struct.pack(">BHHH", 0, 0x00FF, 0x0900, 0xFFFF)
    assert load_image(png(3, 1, 16, 0, rows), 1, 3).tolist() == [[[0, 1, 15]]] * 3
    assert load_image(png(3, 1, 16, 0, rows, (b"tRNS", b"\xff\xff")), 1, 3).tolist() == [[[0, 1, 0]]] * 3
    Path("x.pgm").write_bytes(b"P5 3 1 65535\n" + rows[1:])
    assert load_image("x.pgm", 1, 3).tolist() == [[[0, 1, 15]]] * 3


def test_colour_of_16_bits() -> None:
    rows = struct.pack(">BHHH", 0, 0x00FF, 0x0900, 0xFFFF)
    assert load_image(png(1, 1, 16, 2, rows), 1, 1).tolist() == [[[0]], [[1]], [[15]]]


def test_grey_of_16_bits_is_that_of_8() -> None:
    wide = np.array(GREY, np.uint16) * 257
    Image.fromarray(wide).save("x.png")
    assert load_image("x.png", 2, 3).tolist() == [GREY_4] * 3


# -- frames and orientation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.tif", "x.png"])
def test_the_first_frame_counts(name: str) -> None:
    first, second = (Image.new("RGB", (2, 2), colour) for colour in ("#ff0000", "#0000ff"))
    options = {"lossless": True} if name == "x.webp" else {}
    first.save(name, save_all=True, append_images=[second], **options)
    with Image.open(name) as stored:
        assert stored.n_frames == 2
    assert load_image(name, 2, 2)[:, 0, 0].tolist() == [15, 0, 0]


UPRIGHT = np.arange(6).reshape(2, 3) * 17
ORIENTED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: UPRIGHT.T[::-1],
    7: UPRIGHT.T[::-1, ::-1],
    8: UPRIGHT.T[:, ::-1],
}
"""EXIF orientation -> how the stored rows must lie for the picture to be UPRIGHT: 6 is turned clockwise to be shown."""


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_exif_orientation(orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    saved(ORIENTED[orientation], name, exif=exif)
    assert load_image(name, 2, 3)[0].tolist() == [[0, 1, 2], [3, 4, 5]]


# -- cutting and resizing ---------------------------------------------------------------------------------------


def test_the_middle_is_cut_out() -> None:
    wide = np.tile(np.arange(10, dtype=np.uint8) * 17, (4, 1))
    assert load_image(saved(wide), 4, 4)[0].tolist() == [[3, 4, 5, 6]] * 4
    assert load_image(saved(wide.T), 4, 4)[0].tolist() == [[level] * 4 for level in (3, 4, 5, 6)]
    assert load_image(saved(wide), 4, 2)[0].tolist() == [[4, 5]] * 4


def test_the_part_that_is_cut_out_is_rounded_to_whole_pixels() -> None:
    """3 pixels to a target of 2 : 4 make 1.5, which counts as 2: the two rows in the middle."""
    tall = np.repeat(np.arange(8, dtype=np.uint8)[:, None] * 17, 3, axis=1)
    assert load_image(saved(tall), 2, 4)[0].tolist() == [[3] * 4, [4] * 4]
    assert load_image(saved(tall.T), 4, 2)[0].tolist() == [[3, 4]] * 4


def test_reduction_is_antialiased() -> None:
    """Bilinear, half the size: weights 1 3 3 1 of 8; at a border 3 3 1 of 7."""
    row = np.array([0, 51, 102, 255])
    left, right = (3 * 0 + 3 * 51 + 102) / 7, (51 + 3 * 102 + 3 * 255) / 7
    expected = [round(left), round(right)]
    assert load_image(saved(np.tile(row, (4, 1))), 2, 2)[0].tolist() == [[(v + 8) // 17 for v in expected]] * 2


def test_enlargement_is_bilinear() -> None:
    """One pixel to two: the outer quarters keep the sample, the inner ones mix 3 : 1."""
    assert load_image(saved([[0, 204], [0, 204]]), 4, 4)[0].tolist() == [[0, 3, 9, 12]] * 4


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("wanted", [(5, 8), (1, 100), (100, 1)])
def test_any_shape_fits_any_shape(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    saved(np.full((*size, 3), (255, 17, 0)))
    loaded = load_image("x.png", *wanted)
    assert (loaded == np.reshape([15, 1, 0], (3, 1, 1))).all()
    assert loaded.shape == (3, *wanted)


# -- the photograph in the repository ---------------------------------------------------------------------------


def test_the_photograph() -> None:
    loaded = load_image(PHOTO, 224, 224)
    assert (loaded.shape, loaded.dtype) == ((3, 224, 224), np.int8)
    with Image.open(PHOTO) as image:
        stored = np.asarray(image).astype(int)
    assert (loaded == ((stored + 8) // 17).transpose(2, 0, 1)).all()
    for channel in loaded:
        assert (np.bincount(channel.ravel(), minlength=16) > 100).all()
    assert PHOTO.stat().st_size < 120_000
    assert f"`{PHOTO.name}`" in (PHOTO.parent / "README.md").read_text()


@pytest.mark.parametrize(
    ("size", "checksum"), [((224, 224), 2389425837), ((56, 72), 4000699856), ((300, 250), 1602649253)]
)
def test_the_photograph_is_the_same_tensor_on_every_machine(size: tuple[int, int], checksum: int) -> None:
    """Recorded values: they hold for every Pillow that pyproject.toml allows."""
    assert zlib.crc32(load_image(PHOTO, *size).tobytes()) == checksum


def test_pillow_is_imported_only_with_an_image() -> None:
    code = "import sys, tlm.inputs.images, tlm.scenario.loading as l; l.load_scenario('s.toml').build()"
    Path("s.toml").write_text('[network]\nkind = "layers"')
    code += "; print([m for m in sys.modules if m.startswith(('PIL', 'tlm.chip.system', 'simpy'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
