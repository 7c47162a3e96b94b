"""`tlm report`: pages that work from disk, in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import chromium
import pytest
import report_pages
from command import SMALL, refused, tlm

from tlm.observe.causes import words
from tlm.report import sweep_page
from tlm.report.page import energy_text, page
from tlm.sweeps.plan import Request, make_plan
from tlm.sweeps.store import open_store

pytest.importorskip("plotly")
needs_browser = pytest.mark.skipif(chromium.program() is None, reason="not installed: chromium")

VOLTAGES = f"chip.voltage_v={[round(0.8 + 0.02 * step, 2) for step in range(14)]}"
OVER = ("--over", "chip.amem_banks=1,2,4", "--over", "network.layers.0.taps=1..4", "--over", "chip.amem_words=8,16384")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the reports of a run and of a sweep some of whose points fail."""
    directory = tmp_path_factory.mktemp("reports")
    (directory / "small.toml").write_text(SMALL.replace("two small layers", "a </script> <b>layer</b>"))
    for command in (
        ("run", "small.toml", "-o", "run"),
        ("sweep", "small.toml", *OVER, "--processes", 1, "-o", "sweep"),
        ("run", "small.toml", "--set", "chip.voltage_v=0.8", "-o", "several"),
        ("report", "run"),
        ("report", "run", "several", "-o", "several/report.html"),
        ("report", "sweep"),
    ):
        done = tlm(*command, cwd=directory)
        assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.slow
@needs_browser
def test_the_page_of_a_run(made: Path) -> None:
    stored = json.loads((made / "run" / "result.json").read_text())
    with report_pages.opened(made / "run" / "report.html") as report:
        report.check("network", "timeline", "causes", "roofline", "energy")
        assert f"{stored['cycles']:,} [S]" in report.texts("dd")
        assert report.texts("#layers tbody td:nth-child(2)") == ["c1", "c2"]
        cycles = [int(text.replace(",", "")) for text in report.texts("#layers tbody td:nth-child(5)")]
        assert cycles == [sum(layer["account"].values()) + sum(layer["waits"].values()) for layer in stored["layers"]]
        report.evaluate("document.querySelectorAll('#layers th button')[1].click()")
        report.evaluate("document.querySelectorAll('#layers th button')[1].click()")
        assert report.texts("#layers tbody td:nth-child(2)") == ["c2", "c1"]
        assert len(report.screenshot()) > 20_000


@pytest.mark.slow
@needs_browser
def test_the_page_of_a_sweep(made: Path) -> None:
    with report_pages.opened(made / "sweep" / "report.html") as report:
        report.check("pareto", "effect0", "effect1", "effect2")
        lines = report.evaluate("document.getElementById('effect0').data.map((line) => [line.mode, line.x.length])")
        assert len(lines) > 1, "a line for each value of another parameter"
        assert {mode for mode, _ in lines} == {"lines+markers"}
        assert report.texts("#count") == [f"24 of 24 points, {len(report.texts('#front tbody tr'))} on the front"]
        rows = report.evaluate("data.rows")
        done = [row for row in rows if row["status"] == "ok"]
        assert len(done) == 12
        front = {
            row["point"] for row in done
            if not any(
                other["cycles"] <= row["cycles"] and other["energy_uj"] <= row["energy_uj"]
                and (other["cycles"], other["energy_uj"]) != (row["cycles"], row["energy_uj"])
                for other in done
            )
        }  # fmt: skip
        shown = {int(text) for text in report.texts("#front tbody td:nth-child(1)")}
        assert shown <= front
        assert shown
        report.choose("[data-filter='chip.amem_banks']", "1")
        assert set(report.texts("#points tbody td:nth-child(2)")) == {"2"}
        report.choose("#y", "utilization")
        report.check("pareto", "effect0")
        report.evaluate("document.getElementById('reset').click()")
        assert len(report.texts("#points tbody tr")) == 24
        assert sum("AMem" in text for text in report.texts("#points tbody td:last-child")) == 12


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("name", ["run", "sweep"])
def test_dark_light_and_print(made: Path, name: str) -> None:
    with report_pages.opened(made / name / "report.html") as report:
        ink = "getComputedStyle(document.querySelector('.xtick text')).fill"
        light = report.evaluate(ink)
        report.media(prefers_color_scheme="dark")
        report.page.wait_for(f"{ink} !== {light!r}")
        assert report.pdf().startswith(b"%PDF")
        report.page.wait_for(f"{ink} !== 'rgb(0, 0, 0)'")
        report.check()


@pytest.mark.slow
@needs_browser
def test_a_narrow_window_cuts_nothing_off(made: Path) -> None:
    for name in ("run", "sweep"):
        with report_pages.opened(made / name / "report.html", 390, 800) as report:
            assert report.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("name", ["run", "several", "sweep"])
def test_800_pixels_show_all_of_every_table(made: Path, name: str) -> None:
    cut = "[...document.querySelectorAll('.scroll')].map((e) => [e.scrollWidth, e.clientWidth])"
    with report_pages.opened(made / name / "report.html", 800, 800) as report:
        assert report.evaluate("document.documentElement.scrollWidth") <= 800
        assert all(wide <= room for wide, room in report.evaluate(cut))
        ends = "[...document.querySelectorAll('.figure text')].map((e) => e.getBoundingClientRect().right)"
        assert max(report.evaluate(ends)) <= 800
        ticks = "[...document.querySelectorAll('.xtick text, .x2tick text')].map((e) => e.outerHTML)"
        assert not any("rotate(" in way for way in report.evaluate(ticks))
        if name == "sweep":
            columns = len(report.texts("#points thead th"))
            report.evaluate("document.getElementById('all').click()")
            assert len(report.texts("#points thead th")) > columns + 10


@pytest.mark.slow
@needs_browser
def test_columns_of_one_unit_have_equal_decimals(made: Path) -> None:
    with report_pages.opened(made / "run" / "report.html") as report:
        heads = [head.removesuffix(" [A]") for head in report.texts("#work thead th")]
        energies = [at for at, head in enumerate(heads, 1) if head.endswith("µJ")]
        cells = [text for at in energies for text in report.texts(f"#work tbody td:nth-child({at})")]
        assert len(cells) == 4
        assert len({len(text.partition(".")[2]) for text in cells}) == 1
    with report_pages.opened(made / "several" / "report.html") as report:
        figures, values = (report.texts(f"#layers tbody td:nth-child({at})") for at in (2, 3))
        shares = [value for figure, value in zip(figures, values, strict=True) if figure.endswith("%")]
        assert shares, "the runs differ in shares"
        assert all("." in share for share in shares), "a share has decimals, also in a column with whole cycles"


@pytest.mark.slow
@needs_browser
def test_few_layers_leave_room_for_the_legend(made: Path) -> None:
    with report_pages.opened(made / "run" / "report.html") as report:
        for name in ("timeline", "causes", "energy"):
            high = f"document.querySelector('#{name} .legend .{{}}').getBoundingClientRect().height"
            assert report.evaluate(high.format("bg")) >= report.evaluate(high.format("groups"))


@pytest.mark.slow
@needs_browser
def test_an_axis_of_one_value_has_no_other_sign(made: Path) -> None:
    with report_pages.opened(made / "sweep" / "report.html") as report:
        report.choose("#x", "energy_uj")
        report.choose("#y", "macs")
        report.choose("[data-filter='network.layers.0.taps']", "0")
        report.choose("[data-filter='chip.amem_banks']", "0")
        for axis in ("xaxis", "yaxis"):
            low, high = report.evaluate(f"document.getElementById('pareto')._fullLayout.{axis}.range")
            assert 0 < low < high < 1.5 * low


SHARES = """(name => {
  const place = document.getElementById(name), found = {};
  place.querySelectorAll(".barlayer .trace").forEach((trace, number) => {
    const {name, customdata} = place.data[number];
    trace.querySelectorAll(".point path").forEach((path, index) => {
      const row = (found[customdata[index]] ??= {});
      row[name] = (row[name] ?? 0) + path.getBoundingClientRect().width;
    });
  });
  return found;
})"""
"""Row -> name in the legend -> pixels of all its bars."""


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("width", [800, 1280])
def test_bars_shorter_than_a_pixel_are_not_widened(made: Path, width: int) -> None:
    """Each colour has its share of a layer's bar, also where a pixel is worth more cycles than a wait has."""
    stored = json.loads((made / "run" / "result.json").read_text())
    with report_pages.opened(made / "run" / "report.html", width) as report:
        for name in ("timeline", "causes"):
            far = f"{{'xaxis.range': [0, {20 * stored['cycles']}]}}"
            report.evaluate(f"Plotly.relayout('{name}', {far}).then(() => 0)")
            shown = report.evaluate(f"{SHARES}('{name}')")
            for layer in stored["layers"]:
                waits = {words(cause): cycles for cause, cycles in layer["waits"].items()}
                if name == "timeline":
                    wanted = {"computes": sum(layer["account"].values())}
                    wanted |= {f"waits: {cause}": cycles for cause, cycles in waits.items()}
                else:
                    wanted = {words(cause): cycles for cause, cycles in layer["account"].items()} | waits
                pixels = {key: shown[layer["name"]].get(key, 0) for key in wanted}
                for key, cycles in wanted.items():
                    share = pixels[key] / sum(pixels.values())
                    assert share == pytest.approx(cycles / sum(wanted.values()), abs=0.03), (name, layer["name"], key)


@pytest.mark.slow
@needs_browser
def test_of_many_points_the_first_rows_are_shown(made: Path) -> None:
    """They differ in energies alone, so one is simulated."""
    done = tlm("sweep", "small.toml", "--over", "energy.amem_read_pj=1..520", "-o", "rows", cwd=made)
    assert done.returncode == 0, done.stderr
    assert tlm("report", "rows", cwd=made).returncode == 0
    with report_pages.opened(made / "rows" / "report.html") as report:
        seeds = "#points tbody td:nth-child(2)"
        assert report.texts(seeds) == [str(seed) for seed in range(1, 501)]
        assert report.texts("#points-more") == ["the first 500 of 520 rows show all"]
        heading = "document.querySelectorAll('#points th button')[1].click()"
        report.evaluate(heading)
        report.evaluate(heading)
        assert report.texts(seeds) == [str(seed) for seed in range(520, 20, -1)]  # sorted, then cut off
        report.evaluate("document.querySelector('#points-more button').click()")
        assert report.texts(seeds) == [str(seed) for seed in range(520, 0, -1)]
        assert report.texts("#points-more") == [""]
        report.evaluate("update()")
        assert len(report.texts(seeds)) == 500
        report.choose("[data-filter='energy.amem_read_pj'] ~ input", "30")
        assert report.texts("#points-more") == [""]
        report.check()


@pytest.mark.slow
@needs_browser
def test_parameters_with_many_values(made: Path) -> None:
    kernels = "network.layers.0.kernel=" + ",".join(f"[3, {width}]" for width in range(2, 16))
    # at one clock a voltage needs no simulation of its own
    done = tlm("sweep", "small.toml", "--over", kernels, "--over", VOLTAGES, "--over", "chip.frequency_mhz=200",
               "--processes", 1, "-o", "many", cwd=made)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert tlm("report", "many", cwd=made).returncode == 0
    with report_pages.opened(made / "many" / "report.html") as report:
        report.check("pareto", "effect0", "effect1")
        assert report.evaluate("document.getElementById('effect0')._fullLayout.xaxis.type") == "category"
        report.choose("#colour", "chip.voltage_v")
        report.check("pareto")
        bar, legend = "document.querySelector('#pareto .colorbar')", "document.querySelector('#pareto .legend')"
        assert report.evaluate(f"{legend}.getBoundingClientRect().bottom <= {bar}.getBoundingClientRect().top")


@pytest.mark.slow
@needs_browser
def test_every_colour_can_be_told_from_a_dark_ground(made: Path) -> None:
    with report_pages.opened(made / "run" / "report.html") as report:
        paper = report.evaluate("[...drawn].flatMap(place => place.figure.data.map(t => t.marker?.color))")
        colours = {colour for colour in paper if isinstance(colour, str)}
        assert report.evaluate(f"{json.dumps(sorted(colours))}.map(visible)") == sorted(colours)
        report.media(prefers_color_scheme="dark")
        report.page.wait_for("variable('--ground') === '#16181c'")
        contrast = "(luminance(channels(visible(c))) + 0.05) / (luminance(channels('#16181c')) + 0.05)"
        assert min(report.evaluate(f"{json.dumps(sorted(colours))}.map(c => {contrast})")) >= 2.5
        lighter = report.evaluate(f"{json.dumps(sorted(colours))}.map(visible)")
        assert len(set(lighter)) == len(colours)


@pytest.mark.slow
@needs_browser
def test_a_printed_figure_fits_on_a_page(made: Path) -> None:
    with report_pages.opened(made / "run" / "report.html") as report:
        figure = "document.getElementById('timeline').figure"
        tall = f"{{...{figure}, layout: {{...{figure}.layout, height: 2000}}}}"
        report.evaluate(f"draw('timeline', {tall}).then(() => 0)")
        high = "document.getElementById('timeline').offsetHeight"
        assert report.evaluate(high) == 2000
        report.evaluate("dispatchEvent(new Event('beforeprint'))")
        report.page.wait_for(f"{high} < 600")


@pytest.mark.slow
@needs_browser
def test_how_values_are_written(made: Path) -> None:
    with report_pages.opened(made / "sweep" / "report.html") as report:
        for values, written in (
            ([0.8, 1, 1.1, None], ["0.8", "1.0", "1.1", ""]),
            ([108.1376543, 0.43], ["108.138", "0.430"]),
            ([1234567, 8], ["1,234,567", "8"]),
            (["a", [9, 3], {"taps": 2}, True], ["a", "[9,3]", '{"taps":2}', "true"]),
        ):
            assert report.evaluate(f"(v => v.map(writer(v)))({json.dumps(values)})") == written
        assert report.evaluate("plain('<b>a&b')") == "&lt;b>a&amp;b"


@pytest.mark.slow
@needs_browser
def test_columns_of_more_numbers_than_a_call_may_have_arguments(made: Path) -> None:
    with report_pages.opened(made / "sweep" / "report.html") as report:
        assert report.evaluate("writer(Array.from({length: 300000}, (_, i) => i % 9 + 0.25))(7.25)") == "7.25"
        assert report.evaluate("largest(Array(300000).fill(-3), -7)") == -3


def test_no_text_ends_the_data(made: Path) -> None:
    evil = "</script><!--<script>"
    text = page("run", evil, [(evil, evil, "")], {"x": evil}, heading=evil, chip=evil)
    assert evil not in text
    held = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert held is not None
    assert "<" not in held[1]
    assert json.loads(held[1]) == {"x": evil}


def test_values_of_a_sample_are_shown_in_their_order() -> None:
    def shown(*values: object) -> str:
        return sweep_page._values("a", [{"a": value} for value in values])

    assert shown(4, 1, 2, 1) == "1, 2, 4"
    assert shown("cycle", "pass", "cycle") == "cycle, pass"
    assert shown(3, [9, 3], 1) == "3, [9, 3], 1"
    assert shown(*range(40, 0, -1)) == "1 .. 40, 40 values"


def test_small_energies_keep_their_digits() -> None:
    assert [energy_text(value) for value in (1.5e9, 12_340_000.0, 123_400.0, 12.34, 0.0)] == [
        "1,500.00 µJ", "12.34 µJ", "0.123 µJ", "1.23e-05 µJ", "0 µJ"
    ]  # fmt: skip


def test_equal_results_give_equal_pages(made: Path) -> None:
    for name in ("run", "sweep"):
        before = (made / name / "report.html").read_bytes()
        again = made / f"{name}.html"
        assert tlm("report", name, "-o", again.name, cwd=made).returncode == 0
        assert again.read_bytes() == before
        assert str(made).encode() not in before


def test_the_page_loads_nothing(made: Path) -> None:
    for name in ("run", "sweep"):
        text = (made / name / "report.html").read_text()
        assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=(?!\"data:)", text)


def test_what_cannot_be_shown(tmp_path: Path) -> None:
    assert "no such result" in refused("report", "nothing", cwd=tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    done = tlm("sweep", "small.toml", "--over", "chip.amem_words=8", "--processes", 1, cwd=tmp_path)
    assert done.returncode == 0
    assert "every point failed, the first with: layer 'c1': " in refused("report", "small.sweep", cwd=tmp_path)
    with open_store(tmp_path / "new", make_plan(tmp_path / "small.toml", Request(["chip.amem_banks=1,2"]))):
        pass
    assert "no point has a result yet" in refused("report", "new", cwd=tmp_path)
    (tmp_path / "empty").mkdir()
    assert "holds neither result.json nor sweep.sqlite" in refused("report", "empty", cwd=tmp_path)


def test_a_sweep_is_found_by_its_database_too(made: Path) -> None:
    done = tlm("report", "sweep/sweep.sqlite", "-o", "by_file.html", cwd=made)
    assert done.returncode == 0, done.stderr
    assert (made / "by_file.html").read_bytes() == (made / "sweep" / "report.html").read_bytes()
