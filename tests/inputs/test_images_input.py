"""Images that are refused, many images at once, and images that a scenario names."""

import json
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from command import SCENARIOS, refused, tlm
from PIL import Image

from tlm.core.errors import InputError
from tlm.inputs.images import IMAGE_SUFFIXES, image_files, load_image, load_images
from tlm.scenario.catalog import catalog
from tlm.scenario.loading import Job, load_scenario

PHOTO = SCENARIOS / "images" / "astronaut.png"


@pytest.fixture(autouse=True)
def in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def complaint(path: str | Path, height: int = 2, width: int = 2) -> str:
    with pytest.raises(InputError) as caught:
        load_image(path, height, width)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png_header(width: int, height: int, depth: int = 8) -> bytes:
    content = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + content + struct.pack(">I", zlib.crc32(content))


PNG_DATA = struct.pack(">I", 100) + b"IDAT"
"""Enough of the pixels to let Pillow believe in the header."""


# -- refusals ---------------------------------------------------------------------------------------------------


def test_no_file_and_no_regular_file() -> None:
    assert complaint("no.png") == "image no.png does not exist; check the path"
    Path("sub").mkdir()
    assert complaint("sub") == "image sub: cannot be read (Is a directory)"
    assert complaint("x" * 300).endswith(" cannot be read (File name too long)")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_no_permission() -> None:
    Path("x.png").touch(0)
    assert complaint("x.png") == "image x.png: cannot be read (Permission denied)"


def test_what_is_no_image() -> None:
    Path("text.png").write_text("not an image\n")
    assert complaint("text.png") == (
        "image text.png is no image that can be read: another kind of file, damaged, or without pixels; "
        "give e.g. a PNG or JPEG"
    )
    Path("empty.png").touch()
    assert complaint("empty.png") == "image empty.png is an empty file; give an image file, e.g. PNG or JPEG"


GIF = b"GIF89a" + struct.pack("<HH", 5, 0) + b"\0\0\0;"
BMP = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 0, 7, 1, 24, *[0] * 6)


@pytest.mark.parametrize("data", [png_header(0, 5), GIF, BMP, b"P6 0 4 255\n"])
def test_an_image_without_pixels(data: bytes) -> None:
    Path("zero").write_bytes(data)
    assert "or without pixels" in complaint("zero")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "ppm", "tif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_image(suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    options = {"compression": "tiff_lzw"} if suffix == "tif" else {}
    Image.fromarray(noise).save(f"whole.{suffix}", **options)
    data = Path(f"whole.{suffix}").read_bytes()
    Path("cut").write_bytes(data[: int(len(data) * share)])
    message = complaint("cut")
    assert message.startswith("image cut ")
    assert "damaged" in message


def test_a_damaged_image() -> None:
    data = bytearray(PHOTO.read_bytes())
    data[len(data) // 2] ^= 0xFF
    Path("x.png").write_bytes(data)
    assert complaint("x.png").startswith("image x.png cannot be decoded (")


def test_memory_that_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", run_out)
    assert complaint(PHOTO).startswith(f"image {PHOTO} cannot be decoded (MemoryError); it is damaged")


def test_bytes_changed_anywhere_give_a_tensor_or_a_complaint() -> None:
    """Whatever the decoders raise becomes an InputError."""
    rng = np.random.default_rng(3)
    outcomes = set()
    for suffix in ("png", "jpg", "gif", "webp", "tif", "bmp", "ppm"):
        Image.fromarray(rng.integers(0, 256, (12, 9, 3), np.uint8)).save(f"x.{suffix}")
        data = Path(f"x.{suffix}").read_bytes()
        for _ in range(60):
            changed = bytearray(data)
            for place in rng.integers(0, min(len(data), 200), 3):
                changed[place] = rng.integers(0, 256)
            Path("changed").write_bytes(changed)
            try:
                outcomes.add(load_image("changed", 4, 5).shape)
            except InputError:
                outcomes.add("refused")
    assert outcomes == {(3, 4, 5), "refused"}


def test_images_that_are_too_large() -> None:
    limits = "allowed: 65,535 on a side and 67,108,864 in all; scale it down"
    Path("x.png").write_bytes(png_header(65_536, 3) + PNG_DATA)
    assert complaint("x.png") == f"image x.png is 65536 x 3 pixels; {limits}"
    # beyond Pillow's own limits: above the first it warns, above the second it raises
    Path("x.png").write_bytes(png_header(10_000, 10_000) + PNG_DATA)
    assert complaint("x.png") == f"image x.png is 10000 x 10000 pixels; {limits}"
    Path("x.png").write_bytes(png_header(20_000, 20_000) + PNG_DATA)
    assert complaint("x.png") == "image x.png has too many pixels; allowed: 67,108,864; scale it down"


def test_a_png_with_a_decompression_bomb_in_its_text() -> None:
    text = zlib.compress(bytes(10**7))
    chunk = b"zTXtx\0\0" + text
    data = png_header(1, 1) + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    Path("x.png").write_bytes(data)
    assert "decompressed data too large" in complaint("x.png").lower()


def test_samples_that_are_neither_of_8_nor_of_16_bits() -> None:
    Image.fromarray(np.array([[0.5]], np.float32)).save("x.tif")
    assert complaint("x.tif") == "image x.tif holds floating-point samples; allowed: 8 or 16 bits; convert it"
    for low, high in ((0, 65_536), (-1, 65_535)):
        Image.fromarray(np.array([[low, high]], np.int32)).save("x.tif")
        wanted = f"image x.tif holds samples {low}..{high}; allowed: 8 or 16 bits, unsigned; convert it"
        assert complaint("x.tif") == wanted
    Image.fromarray(np.array([[0, 65_535]], np.int32)).save("x.tif")
    assert load_image("x.tif", 1, 2)[0].tolist() == [[0, 15]]


def test_postscript_is_not_executed() -> None:
    Path("x.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    assert complaint("x.eps") == "image x.eps is PostScript, which is a program; save it as PNG"


@pytest.mark.parametrize(("height", "width"), [(0, 2), (-1, 2), (65_536, 2)])
def test_height_and_width_out_of_range(height: int, width: int) -> None:
    assert complaint(PHOTO, height, width) == f"image height: {height} is outside 1..65,535"
    assert complaint(PHOTO, width, height) == f"image width: {height} is outside 1..65,535"


def test_height_and_width_that_make_too_many_pixels() -> None:
    wanted = "image height and width: 65535 x 1025 is more than 67,108,864 pixels; give less"
    assert complaint(PHOTO, 65_535, 1025) == wanted


# -- many images ------------------------------------------------------------------------------------------------


def grey(name: str, level: int) -> None:
    Image.new("L", (2, 2), 17 * level).save(name)


def test_files_and_directories() -> None:
    for name, level in (("d10.png", 3), ("d9.PNG", 2), ("d1.bmp", 1), ("other", 4), (".hidden.png", 5)):
        Path("pictures").mkdir(exist_ok=True)
        form = "bmp" if name.endswith("bmp") else "png"
        Image.new("L", (2, 2), 17 * level).save(f"pictures/{name}", form)
    Path("pictures/sub.png").mkdir()
    Path("pictures/notes.txt").write_text("no image")
    assert [path.name for path in image_files("pictures")] == ["d1.bmp", "d9.PNG", "d10.png"]
    loaded = load_images(["pictures/other", Path("pictures"), "pictures/d9.PNG"], 4, 3)
    assert (loaded.shape, loaded.dtype) == ((5, 3, 4, 3), np.int8)
    assert loaded[:, 2, 3, 1].tolist() == [4, 1, 2, 3, 2]
    assert load_images("pictures/other", 1, 1).tolist() == [[[[4]]] * 3]


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_suffix_counts(suffix: str) -> None:
    grey(f"x{suffix}", 0)
    assert load_images(".", 2, 2).shape == (1, 3, 2, 2)


def test_refused_sets_of_images() -> None:
    Path("empty").mkdir()
    with pytest.raises(InputError) as caught:
        load_images(["empty"], 2, 2)
    suffixes = "png, jpg, jpeg, bmp, gif, webp, ppm, pgm, tif, tiff"
    assert str(caught.value) == f"image directory empty holds no image; allowed suffixes: {suffixes}"
    with pytest.raises(InputError, match=r"^images: no path is given; give image files or directories of them$"):
        load_images([], 2, 2)
    Path("empty/broken.png").symlink_to("nowhere.png")
    with pytest.raises(InputError, match=r"^image empty/broken\.png does not exist; check the path$"):
        load_images(["empty"], 2, 2)


# -- scenarios --------------------------------------------------------------------------------------------------

ONE_LAYER = '[network]\nkind = "layers"\n[[network.layers]]\nkernel = 3\n'
IMAGE = '[input]\nkind = "image"\nfile = "x.png"\n'


def build(text: str, *overrides: str) -> Job:
    Path("s.toml").write_text(text)
    return load_scenario("s.toml", overrides).build()


def build_complaint(text: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        build(text, *overrides)
    return str(caught.value)


def test_an_image_in_a_scenario() -> None:
    shutil.copy(PHOTO, "x.png")
    job = build(ONE_LAYER + IMAGE, "input.height=6", "input.width=5")
    assert (job.activations == load_image(PHOTO, 6, 5)).all()
    assert job.network.input_shape == (3, 6, 5)
    assert not job.network.signed_input
    assert job.settings["input"].items() >= {"kind": "image", "file": "x.png", "height": 6, "width": 5}.items()
    assert len(job.settings["input"]["file_sha256"]) == 64


def test_the_size_is_the_networks_or_224() -> None:
    shutil.copy(PHOTO, "x.png")
    assert build(ONE_LAYER + IMAGE).activations.shape == (3, 224, 224)
    assert build(ONE_LAYER + IMAGE, "input.height=4").activations.shape == (3, 4, 224)
    block = "[network]\nchannels = 3\nheight = 9\nwidth = 8\nout_channels = 4\n"
    assert build(block + IMAGE).activations.shape == (3, 9, 8)
    assert build(block + IMAGE, "input.height=9", "input.width=8").activations.shape == (3, 9, 8)
    for key, shape in (("height", "[3, 7, 8]"), ("width", "[3, 9, 7]")):
        wanted = f"input.{key}: shape {shape} does not fit the network, which takes [3, 9, 8]"
        assert build_complaint(block + IMAGE, f"input.{key}=7").endswith(wanted)


def test_a_network_that_takes_other_channels() -> None:
    shutil.copy(PHOTO, "x.png")
    assert build_complaint(IMAGE) == (
        "s.toml:2: input.kind: an image has 3 channels, but the network takes [128, 28, 28]; "
        'give a network with 3 input channels, or another kind, e.g. "random"'
    )


def test_an_image_is_not_signed() -> None:
    assert 'input.signed: belongs to kind = "random" or "npy", but' in build_complaint(IMAGE, "input.signed=true")


def test_a_text_file_as_image_on_the_command_line() -> None:
    Path("sub").mkdir()
    Path("sub/x.png").write_text("not an image")
    Path("sub/s.toml").write_text(ONE_LAYER + IMAGE)
    assert refused("run", "sub/s.toml").startswith("sub/s.toml:7: input.file: image sub/x.png is no image that can be")
    assert refused("run", "sub/s.toml", "--set", "input.file=sub").endswith(
        "image sub: cannot be read (Is a directory)"
    )


def test_the_photograph_runs_and_is_explained_from_its_result() -> None:
    size = ("--set", "input.height=12", "--set", "input.width=12")
    done = tlm("run", SCENARIOS / "photograph_conv1.toml", *size, "-o", "out")
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(Path("out/result.json").read_text())
    assert record["settings"]["input"]["file"] == PHOTO.name
    assert record["settings"]["input"]["shape"] == [3, 12, 12]
    assert tlm("explain", "out", "--files", PHOTO.parent).returncode == 0
    assert tlm("explain", "out").returncode == 0  # it comes with the scenarios
    Path("out/astronaut.png").write_bytes(PHOTO.read_bytes() + b"x")
    assert tlm("explain", "out").returncode == 0  # another file of that name is passed over


def test_the_photograph_fits_the_chip() -> None:
    assert load_scenario(SCENARIOS / "photograph_conv1.toml").build().activations.shape == (3, 112, 112)


def test_the_catalog_lists_no_images() -> None:
    assert not [entry.name for entry in catalog() if entry.path.suffix not in (".toml", ".py")]
    assert "astronaut" not in [entry.name for entry in catalog()]
