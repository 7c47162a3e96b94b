"""`tlm report`: pages that work from disk, in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import chromium
import pytest
import report_pages
from command import SMALL, refused, tlm

pytest.importorskip("plotly")
needs_browser = pytest.mark.skipif(chromium.program() is None, reason="not installed: chromium")

OVER = ("--over", "chip.amem_banks=1,2,4", "--over", "network.layers.0.taps=1..4", "--over", "chip.amem_words=8,16384")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the reports of a run and of a sweep some of whose points fail."""
    directory = tmp_path_factory.mktemp("reports")
    (directory / "small.toml").write_text(SMALL.replace("two small layers", "a </script> <b>layer</b>"))
    for command in (
        ("run", "small.toml", "-o", "run"),
        ("sweep", "small.toml", *OVER, "--processes", 1, "-o", "sweep"),
        ("report", "run"),
        ("report", "sweep"),
    ):
        done = tlm(*command, cwd=directory)
        assert done.returncode == 0, done.stderr
    return directory


@needs_browser
def test_the_page_of_a_run(made: Path) -> None:
    stored = json.loads((made / "run" / "result.json").read_text())
    with report_pages.opened(made / "run" / "report.html") as report:
        report.check("timeline", "causes", "roofline", "energy")
        assert f"{stored['cycles']:,} [D]" in report.texts("dd")
        assert report.texts("#layers tbody td:nth-child(2)") == ["c1", "c2"]
        cycles = [int(text.replace(",", "")) for text in report.texts("#layers tbody td:nth-child(5)")]
        assert cycles == [sum(layer["account"].values()) + sum(layer["waits"].values()) for layer in stored["layers"]]
        report.evaluate("document.querySelectorAll('#layers th button')[1].click()")
        report.evaluate("document.querySelectorAll('#layers th button')[1].click()")
        assert report.texts("#layers tbody td:nth-child(2)") == ["c2", "c1"]
        assert len(report.screenshot()) > 20_000


@needs_browser
def test_the_page_of_a_sweep(made: Path) -> None:
    with report_pages.opened(made / "sweep" / "report.html") as report:
        report.check("pareto", "effect0", "effect1", "effect2")
        assert report.texts("#count") == [f"24 of 24 points, {len(report.texts('#front tbody tr'))} on the front"]
        rows = report.evaluate("data.rows")
        done = [row for row in rows if row["status"] == "ok"]
        assert len(done) == 12
        front = {
            row["point"] for row in done
            if not any(
                other["cycles"] <= row["cycles"] and other["energy_pj"] <= row["energy_pj"]
                and (other["cycles"], other["energy_pj"]) != (row["cycles"], row["energy_pj"])
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
    assert "no point has a result yet" in refused("report", "small.sweep", cwd=tmp_path)
