"""`tlm plot`: the files that it writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from command import REPOSITORY, SMALL, files, refused, tlm
from examples import quick_of
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from plot_results import POOLED, write, write_network

import tlm as package
from tlm.plots import style
from tlm.plots.drawing import draw
from tlm.plots.render import OF_ONE, OF_SEVERAL, figures, render
from tlm.plots.sources import load_sources

MIN_TEXT_PT, MIN_PLOT_INCHES = 8.0, 4.0


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of results: "pooled" has all kinds of layers, "small" and "other" are of one network."""
    directory = tmp_path_factory.mktemp("results")
    (directory / "pooled.toml").write_text(POOLED)
    (directory / "small.toml").write_text(SMALL)
    write(directory / "pooled", directory / "pooled.toml")
    write(directory / "small", directory / "small.toml")
    write(directory / "other", directory / "small.toml", "network.layers.0.taps=9")
    return directory


def texts(path: Path) -> list[str]:
    """All text of an SVG file."""
    return [element.text or "" for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


# -- the files ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pictures_of_one_result(results: Path, tmp_path: Path) -> None:
    done = tlm("plot", results / "pooled", "-o", "new/pictures", "--format", "both", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    pictures = [f"new/pictures/{name}.{kind}" for name in OF_ONE for kind in ("png", "svg")]
    assert done.stdout == f"wrote {', '.join(pictures)}\n"
    assert files(tmp_path / "new" / "pictures") == sorted(Path(one).name for one in pictures)
    layers = [layer["name"] for layer in json.loads((results / "pooled" / "result.json").read_text())["layers"]]
    assert "pool1" in layers
    for name in OF_ONE:
        path = tmp_path / "new" / "pictures" / name
        with Image.open(path.with_suffix(".png")) as image:
            image.load()
            assert image.format == "PNG"
            assert image.width >= 1350
            assert set(image.info) <= {"dpi"}
        found = texts(path.with_suffix(".svg"))
        assert set(layers) <= set(found), name
        assert any("[S]" in text or "[A]" in text for text in found)
        assert b"<dc:date>" not in path.with_suffix(".svg").read_bytes()


@pytest.mark.slow
def test_pictures_of_several_results(results: Path, tmp_path: Path) -> None:
    done = tlm("plot", results / "small", results / "other" / "result.json", "--format", "svg", cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "wrote levels.svg, causes.svg\n")
    assert files(tmp_path) == ["causes.svg", "levels.svg"]
    for name in OF_SEVERAL:
        found = texts(tmp_path / f"{name}.svg")
        assert {"small taps=4", "small taps=9"} <= set(found), found


def test_only_what_was_asked_for(results: Path, tmp_path: Path) -> None:
    command = ("plot", results / "small", "--only", "energy", "--only", "causes")
    assert tlm(*command, cwd=tmp_path).stdout == "wrote causes.png, energy.png\n"
    assert files(tmp_path) == ["causes.png", "energy.png"]


@pytest.mark.slow
def test_equal_results_give_equal_bytes(results: Path, tmp_path: Path) -> None:
    """Also for a user whose own matplotlibrc says otherwise."""
    (tmp_path / "rc").mkdir()
    (tmp_path / "rc" / "matplotlibrc").write_text("figure.dpi: 50\nfont.size: 20\nsvg.hashsalt: x\naxes.grid: True\n")
    for directory, environment in (("a", {}), ("b", {"MATPLOTLIBRC": str(tmp_path / "rc" / "matplotlibrc")})):
        done = tlm("plot", results / "small", "--format", "both", "-o", directory, cwd=tmp_path, **environment)
        assert (done.returncode, done.stderr) == (0, "")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    for name in files(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_drawing_leaves_the_callers_settings_alone(results: Path, tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    assert len(list(render(figures(load_sources([results / "small"]), ["energy"]), tmp_path))) == 1
    assert dict(mpl.rcParams) == before


def test_pictures_of_the_documentation_are_small_and_shown() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (REPOSITORY / "docs").glob("*.md"))
    for path in (REPOSITORY / "docs" / "images").iterdir():
        assert path.stat().st_size <= 150_000
        assert f"](images/{path.name})" in pages


# -- readable -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", quick_of(OF_ONE, "timeline"))
def test_all_text_is_large_enough_and_inside(results: Path, tmp_path: Path, name: str) -> None:
    """With a name as long as nobody should give, too."""
    weights = np.ones((8, 8, 1, 1), np.int8)
    long = "a_name.of_a_layer.that_is_as_long_as_nobody_should_make_it"
    layers = [package.Conv2d(layer, weights, multiplier=3, shift=9) for layer in (long, "short")]
    write_network(tmp_path / "long", package.Network((8, 4, 4), layers))
    for directory in (results / "pooled", tmp_path / "long"):
        sources = load_sources([directory])
        names = {layer.name for layer in sources[0].stored.layers}
        with style.style():
            figure = draw(figures(sources, [name])[name])
            figure.draw_without_rendering()
            width, height = figure.bbox.size
            ticks = set(tick_labels(figure))
            assert max(axes.get_position().width for axes in figure.axes) * figure.get_figwidth() > MIN_PLOT_INCHES
            for text in figure.findobj(Text):
                if isinstance(text, Text) and text.get_text() and text.get_visible():
                    assert text.get_fontsize() >= MIN_TEXT_PT, text
                    box = text.get_window_extent()
                    inside = min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height
                    assert inside or (text in ticks and text.get_text() not in names), text


def tick_labels(figure: Figure) -> Iterator[Text]:
    """Labels at ticks. Those beyond the ends of an axis exist, but are not drawn."""
    for axes in figure.findobj(lambda artist: hasattr(artist, "xaxis")):
        for axis in (axes.xaxis, axes.yaxis):  # type: ignore[attr-defined]
            yield from axis.get_ticklabels(which="both")


# -- what it refuses ------------------------------------------------------------------------------------------------


def test_results_that_are_none(results: Path, tmp_path: Path) -> None:
    assert refused("plot").startswith("the following arguments are required: RESULT")
    assert refused("plot", "nowhere", cwd=tmp_path).startswith(
        "nowhere: no such result; `tlm run SCENARIO -o DIR` writes"
    )
    assert refused("plot", results / "small.toml", cwd=tmp_path).startswith(f"{results}/small.toml: not JSON")
    (tmp_path / "result.json").write_text("{}")
    assert "result.json: schema: None is no result's" in refused("plot", ".", cwd=tmp_path)
    assert files(tmp_path) == ["result.json"]


def test_an_older_result(results: Path, tmp_path: Path) -> None:
    record = json.loads((results / "small" / "result.json").read_text())
    del record["timeline"]
    (tmp_path / "result.json").write_text(json.dumps(record))
    complaint = refused("plot", ".", cwd=tmp_path)
    assert complaint.startswith("result.json: not a whole result (Object missing required field `timeline`")
    assert complaint.endswith("; run the scenario again")
    assert files(tmp_path) == ["result.json"]


def test_other_networks(results: Path, tmp_path: Path) -> None:
    complaint = refused("plot", results / "small", results / "pooled", cwd=tmp_path)
    assert complaint.startswith(f"{results}/pooled/result.json: its network takes 3x32x32 to 10x1x1, that of ")
    assert complaint.endswith("plot the others by themselves")


def test_names_of_figures(results: Path, tmp_path: Path) -> None:
    complaint = refused("plot", results / "small", "--only", "gantt").replace("'", "")
    names = dict.fromkeys((*OF_ONE, *OF_SEVERAL))
    assert f"--only: invalid choice: gantt (choose from {', '.join(names)}" in complaint
    assert refused("plot", results / "small", "--only", "levels", cwd=tmp_path) == (
        "--only levels: is a picture of several results together, but one result is given; "
        "allowed here: network, timeline, causes, roofline, energy"
    )
    both = (results / "small", results / "other")
    assert refused("plot", *both, "--only", "timeline", cwd=tmp_path) == (
        "--only timeline: is a picture of one result at a time, but 2 results are given; allowed here: levels, causes"
    )
    assert "--format: invalid choice: 'pdf'" in refused("plot", results / "small", "--format", "pdf")
    assert files(tmp_path) == []


def test_directories_that_cannot_be_written(results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused("plot", results / "small", "-o", "file", cwd=tmp_path) == "-o: file is a file; give a directory"
    assert refused("plot", results / "small", "-o", "file/x", cwd=tmp_path) == (
        "-o: file/x cannot be written (Not a directory); give another directory"
    )
    (tmp_path / "causes.png").mkdir()
    complaint = refused("plot", results / "small", "--only", "causes", cwd=tmp_path)
    remedy = "so it cannot be replaced; give the path of a file to write"
    assert complaint == f"-o: causes.png is not a regular file, {remedy}"


def without_matplotlib(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    blocked = f"import sys; sys.modules['matplotlib'] = None; {code}"
    return subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, cwd=cwd, check=False)


def test_without_matplotlib(results: Path, tmp_path: Path) -> None:
    result = str(results / "small")
    done = without_matplotlib(f"from tlm.cli import main; sys.exit(main(['plot', {result!r}]))", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tlm: plot: matplotlib is not installed: pip install 'cartesian-tlm[plot]'\n"
    values = (
        "from pathlib import Path; from tlm.plots import cause_bars, energy, levels, roofline, timeline, sources; "
        f"(one,) = sources.load_sources([Path({result!r})]); "
        "cause_bars.causes_of(one), energy.energy_of(one), roofline.roofline_of(one), timeline.timeline_of(one)"
    )
    assert without_matplotlib(values, tmp_path).stderr == ""


def test_help_imports_no_matplotlib() -> None:
    code = "from tlm.cli import main; main(['plot', '--help'])"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=False)
    assert "RESULT" in done.stdout
    assert "matplotlib" not in done.stderr
