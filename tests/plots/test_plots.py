"""What the pictures of results show, as plain values: it is what the results say, and nothing passes a roof."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import REPOSITORY
from matplotlib.text import Text
from PIL import Image
from plot_results import POOLED, source, write, write_network

import tlm
from tlm.core.errors import InputError
from tlm.observe.account import ArrayAccount, WaitAccount
from tlm.observe.causes import DRAM_WAITS, WAITS, words
from tlm.plots import cause_bars, drawing, energy, moments, render, roofline, style, timeline
from tlm.plots.chart import Bar, Chart
from tlm.plots.colours import CAUSES, COMPONENTS, SLEEPS
from tlm.plots.labels import place_labels
from tlm.plots.sources import Source, load_sources


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of results: "resnet18", "pooled", "block1", "block3", "block9", "slow3", "one" and "pool"."""
    directory = tmp_path_factory.mktemp("results")
    write(directory / "resnet18", "resnet18_3of9")
    (directory / "pooled.toml").write_text(POOLED)
    write(directory / "pooled", directory / "pooled.toml")
    for taps in (1, 3, 9):
        write(directory / f"block{taps}", "resnet18_conv3_2_3of9", f"network.taps={taps}")
    write(directory / "slow3", "resnet18_conv3_2_3of9", "chip.voltage_v=0.8")
    weights = np.ones((1, 1, 1, 1), np.int8)
    write_network(directory / "one", tlm.Network((1, 1, 1), [tlm.Conv2d("only", weights, multiplier=3, shift=9)]))
    write_network(directory / "pool", tlm.Network((8, 16, 16), [tlm.MaxPool2d("pool", 2, stride=2)]), "pool")
    return directory


ALL = ["resnet18", "pooled", "block1", "block9", "slow3", "one", "pool"]


@pytest.fixture(params=ALL)
def one(request: pytest.FixtureRequest, results: Path) -> Source:
    return source(results / request.param)


def edited(result: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Source:
    """A copy of a result in which something was changed."""
    record = json.loads((result / "result.json").read_text())
    change(record)
    (tmp_path / "result.json").write_text(json.dumps(record))
    return source(tmp_path)


# -- timeline -------------------------------------------------------------------------------------------------------


def in_row(shown: Chart, row: str) -> list[tuple[str, Bar]]:
    """Series and bar."""
    (panel,) = shown.panels
    found = [(one.name, bar) for one in panel.series for bar in one.bars if shown.rows[bar.row] == row]
    return sorted(found, key=lambda item: item[1].start)


def test_computing_and_waiting_fill_the_engine_s_row(one: Source) -> None:
    bars = in_row(timeline.timeline_of(one), timeline.ENGINE)
    assert (bars[0][1].start, bars[-1][1].start + bars[-1][1].length) == (0, one.stored.cycles)
    assert all(before.start + before.length == after.start for (_, before), (_, after) in pairwise(bars))
    assert {bar.text for name, bar in bars if name == timeline.COMPUTES} == {layer.name for layer in one.stored.layers}


def test_waits_are_billed_to_the_layer_that_follows(one: Source) -> None:
    shown = timeline.timeline_of(one)
    found = {row: shown.amounts(row) for row in shown.rows[len(timeline.UNITS) + 1 :]}
    wanted = {
        layer.name: {timeline.COMPUTES: layer.compute_cycles, **waits(layer.waits)} for layer in one.stored.layers
    }
    wanted[moments.AT_END] = waits(one.stored.account.waits_at_end)
    assert {row: {k: v for k, v in own.items() if "DMA" not in k} for row, own in found.items()} == wanted
    assert shown.amounts(timeline.ENGINE) == sum((Counter(own) for own in wanted.values()), Counter())


def waits(account: WaitAccount) -> dict[str, int]:
    return {f"waits: {words(cause)}": count for cause, count in account.by_cause().items() if count}


def test_bars_of_host_and_dma_are_the_account_s(one: Source) -> None:
    shown = timeline.timeline_of(one)
    assert sum(shown.amounts(timeline.HOST).values()) == one.stored.cycles
    for row, channel in ((timeline.LOAD, "load"), (timeline.STORE, "store")):
        states = one.stored.account.dma[channel]
        assert sum(shown.amounts(row).values()) == one.stored.cycles - states.idle


def test_rows_of_layers_hold_what_is_theirs(one: Source) -> None:
    shown = timeline.timeline_of(one)
    names = [layer.name for layer in one.stored.layers]
    assert list(shown.rows) == [*timeline.UNITS, "", *names, moments.AT_END]
    assert not shown.amounts("")
    for layer in one.stored.layers:
        assert any("DMA" in name for name in shown.amounts(layer.name)) == bool(layer.load_bytes + layer.store_bytes)


def test_every_kind_of_bar_has_a_name_and_a_share_of_the_run(one: Source) -> None:
    shown = timeline.timeline_of(one)
    host = {timeline.RUNS, *(f"host sleeps: {unit}" for unit in SLEEPS)}
    moves = {f"DMA: {what}" for what in ("weights", "activations", "instructions")}
    names = {timeline.COMPUTES, *(f"waits: {words(cause)}" for cause in WAITS), *host, *moves}
    (panel,) = shown.panels
    assert {series.name for series in panel.series} <= names
    engine = shown.amounts(timeline.ENGINE)
    shares = {series.name: series.share for series in panel.series}
    assert shares[timeline.COMPUTES] == f"{100 * engine[timeline.COMPUTES] / one.stored.cycles:.1f} %"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["timeline"]["parts"][0].update(first_cycle=22318), "timeline: the waits between"),
        (lambda record: record["timeline"]["parts"][0].update(layer="x"), "timeline: the waits between"),
        (lambda record: record["timeline"]["transfers"][1].update(sram="amem"), "timeline: the waits between"),
        (lambda record: record["timeline"]["transfers"][0].update(part_bytes={"x": 1}), "part_bytes names x"),
        (lambda record: record["timeline"]["parts"][0].update(last_cycle=10**6), "timeline.parts: is not in the order"),
        (lambda record: record["timeline"]["host"].reverse(), "timeline.host: is not in the order"),
        (lambda record: record["timeline"]["host"][0].update(state="dreams"), "not a whole result"),
    ],
)
def test_a_timeline_that_contradicts_the_account_is_refused(
    results: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        timeline.timeline_of(edited(results / "block3", tmp_path, change))


# -- causes ---------------------------------------------------------------------------------------------------------


def test_stacks_of_causes_are_the_account(one: Source) -> None:
    shown = cause_bars.causes_of(one)
    cycles, shares = shown.panels
    assert sum(bar.length for series in cycles.series for bar in series.bars) == one.stored.cycles
    for layer in one.stored.layers:
        wanted = {words(cause): count for cause, count in layer.by_cause().items() if count}
        assert shown.amounts(layer.name) == wanted
        assert sum(shown.amounts(layer.name, 1).values()) == pytest.approx(100)
    order = [words(cause) for cause in CAUSES]
    for panel in (cycles, shares):
        assert [series.name for series in panel.series] == [name for name in order if name in known(shown)]


def known(shown: Chart) -> set[str]:
    return {name for row in shown.rows for name in shown.amounts(row)}


def test_stacks_have_no_gap_and_cover_nothing(one: Source) -> None:
    for shown in (cause_bars.causes_of(one), energy.energy_of(one)):
        for panel, row in itertools.product(shown.panels, range(len(shown.rows))):
            end = 0.0
            for bar in (bar for series in panel.series for bar in series.bars if bar.row == row):
                assert bar.start == pytest.approx(end)
                end += bar.length
            assert end <= panel.end * (1 + 1e-9)


def test_stacks_of_several_results_are_their_causes(results: Path) -> None:
    sources = load_sources([results / f"block{taps}" for taps in (9, 1)])
    shown = cause_bars.causes_of_each(sources)
    for row, one in zip(shown.rows, sources, strict=True):
        assert shown.amounts(row) == {words(c): count for c, count in one.stored.account.causes.items() if count}


def test_every_cause_has_a_colour(results: Path) -> None:
    of_dram = ArrayAccount().by_cause() | WaitAccount(refresh=0, row=0).by_cause()
    assert list(CAUSES) == list(of_dram)
    without = [cause for cause in of_dram if cause not in DRAM_WAITS]
    assert without == list(source(results / "one").stored.account.causes)


# -- energy ---------------------------------------------------------------------------------------------------------


def test_bars_of_energy_are_the_totals(one: Source) -> None:
    shown, run = energy.energy_of(one), one.stored.energy
    core, off_chip = shown.panels
    unit_pj = {"mJ": 1e9, "µJ": 1e6, "nJ": 1e3, "pJ": 1}[core.unit]
    assert (core.unit, core.end) == (off_chip.unit, off_chip.end)
    for series in core.series:
        (component,) = (key for key in COMPONENTS if words(key) == series.name)
        assert sum(bar.length for bar in series.bars) * unit_pj == pytest.approx(run.components_pj[component])
    assert set(run.components_pj) == set(COMPONENTS)
    for layer in one.stored.layers:
        assert sum(shown.amounts(layer.name).values()) * unit_pj == pytest.approx(layer.energy.total_pj)
        assert sum(shown.amounts(layer.name, 1).values()) * unit_pj == pytest.approx(layer.energy.off_chip_pj)
    assert shown.rows[-1] == energy.OUTSIDE
    assert sum(shown.amounts(energy.OUTSIDE).values()) * unit_pj == pytest.approx(run.outside_layers_pj)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["layers"][0]["energy"]["components_pj"].update(clock=1.0), "energy: its components"),
        (lambda record: record["layers"][0]["energy"].update(off_chip_pj=1.0), "energy.off_chip_pj"),
        (lambda record: record["layers"][0].pop("energy"), "not a whole result .*`energy`"),
        (lambda record: record.pop("timeline"), "not a whole result .*`timeline`"),
    ],
)
def test_energy_that_does_not_add_up_is_refused(
    results: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        energy.energy_of(edited(results / "block3", tmp_path, change))


@pytest.mark.parametrize(("pj", "unit"), [(0, "pJ"), (999, "pJ"), (1e3, "nJ"), (2e6, "µJ"), (5e12, "mJ")])
def test_unit_of_energy(pj: float, unit: str) -> None:
    assert energy.energy_unit(pj)[0] == unit


# -- roofline -------------------------------------------------------------------------------------------------------


def test_no_point_passes_a_roof(one: Source) -> None:
    shown = roofline.roofline_of(one)
    for point in (*shown.points, shown.run):
        if point.drawable:
            assert point.macs_per_cycle <= shown.bound(point.macs_per_byte)


def test_cycles_of_computing_alone_would_pass_the_roof(results: Path) -> None:
    """Why a point's cycles include those of its transfers: weights that came early cost their layer no time."""
    one = source(results / "resnet18")
    shown = roofline.roofline_of(one)
    layers = {layer.name: layer for layer in one.stored.layers}
    passing = [
        point.name
        for point in shown.points
        if point.drawable and point.macs / layers[point.name].compute_cycles > shown.bound(point.macs_per_byte)
    ]
    assert "conv5_2.dwpw2" in passing


def test_points_are_the_layers(one: Source) -> None:
    shown = roofline.roofline_of(one)
    assert [point.number for point in shown.points] == list(range(1, len(shown.points) + 1))
    assert sum(point.macs for point in shown.points) == shown.run.macs == one.stored.macs
    assert sum(point.moved_bytes for point in shown.points) == shown.run.moved_bytes
    assert shown.run.moved_bytes == one.stored.traffic_bytes.total
    for point, layer in zip(shown.points, one.stored.layers, strict=True):
        assert layer.cycles <= point.cycles <= one.stored.cycles
        assert point.drawable == (layer.kind != "max-pool")


def test_roofs_of_the_published_chip(results: Path) -> None:
    shown = roofline.roofline_of(source(results / "block3"))
    assert shown.tops(1024) == pytest.approx(1.0936, abs=1e-4)  # docs/chip.md, Derived
    assert shown.bytes_per_cycle == pytest.approx(3.2e9 / 534e6)
    assert shown.bound(shown.ridge_macs_per_byte * 0.5) == pytest.approx(512)
    assert shown.bound(shown.ridge_macs_per_byte * 2) == 1024


def test_the_bus_bounds_where_the_memory_is_faster(tmp_path: Path) -> None:
    fast = source(write(tmp_path / "fast", "resnet18_conv3_2_3of9", "chip.memory_gb_per_s=100"))
    assert roofline.roofline_of(fast).bytes_per_cycle == 8


def test_labels_cover_neither_points_nor_each_other() -> None:
    spots = [(50.0 + 3 * (i % 5), 50.0 + 3 * (i // 5)) for i in range(25)]
    texts = [str(number) for number in range(25)]
    frame = (0.0, 0.0, 200.0, 200.0)
    boxes = []
    for (x, y), (dx, dy), text in zip(spots, place_labels(spots, texts, frame), texts, strict=True):
        half = len(text) * 2.8
        boxes.append((x + dx - half, y + dy - 4.5, x + dx + half, y + dy + 4.5))
    assert all(min(box) >= 0 and max(box) <= 200 for box in boxes)
    for one, other in itertools.combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    assert not [spot for spot in spots for b in boxes if b[0] < spot[0] < b[2] and b[1] < spot[1] < b[3]]


def test_a_label_is_nearest_to_its_own_point() -> None:
    """The place on the right of the middle point is free, but right there is the point below it."""
    spots, texts = [(50.0, 50.0), (50.0, 57.0), (48.0, 40.0)], ["19, 21", "20", "17"]
    places = place_labels(spots, texts, (0.0, 0.0, 200.0, 200.0))
    for (x, y), (dx, dy) in zip(spots, places, strict=True):
        distances = [np.hypot(x + dx - other[0], y + dy - other[1]) for other in spots]
        assert spots[int(np.argmin(distances))] == (x, y)


def test_points_on_one_spot_share_a_label(results: Path) -> None:
    shown = roofline.roofline_of(source(results / "resnet18"))
    spots = {(point.macs_per_byte, point.macs_per_cycle) for point in shown.drawn}
    far = list(shown.labels(lambda spot: (1e6 * np.log10(spot[0]), 1e6 * np.log10(spot[1]))))
    assert {spot for spot, *_ in far} == spots
    assert "3, 5" in [text for _, text, _ in far]  # the same layer twice
    ((_, text, _),) = shown.labels(lambda spot: (1.0, 1.0))
    assert text == "1, 3..23, run"


def test_figures_in_the_page_are_those_of_the_pictures(results: Path) -> None:
    one = source(results / "resnet18")
    page = " ".join((REPOSITORY / "docs" / "plots.md").read_text(encoding="utf-8").split())
    assert f"the {100 * one.stored.account.causes['weights'] / one.stored.cycles:.1f} % of the run" in page
    shown = roofline.roofline_of(one)
    assert f"{shown.bytes_per_cycle:.2f} bytes a cycle at 534 MHz" in page
    left = [point for point in shown.points if point.drawable and point.macs_per_byte < shown.ridge_macs_per_byte]
    shares = [
        100 * point.macs_per_cycle / shown.bound(point.macs_per_byte)
        for point in left
        if point.name.startswith("conv5")
    ]
    assert f"{min(shares):.0f} to {max(shares):.0f} % of that" in page
    assert f"The classifier, {shown.points[-1].macs_per_byte:.1f} MACs a byte" in page


@pytest.mark.parametrize("figure", render.OF_ONE)
def test_names_of_any_length_are_cut(figure: str, results: Path, tmp_path: Path) -> None:
    """A result may come from a damaged file; matplotlib would lay out ten million letters for minutes."""
    text = (results / "one" / "result.json").read_text()
    (tmp_path / "result.json").write_text(text.replace('"only', '"' + "only" * 1000))
    with style.style():
        drawn = drawing.draw(render.OF_ONE[figure](source(tmp_path)))
    texts = [one.get_text() for one in drawn.findobj(Text)]
    assert any(one.startswith("onlyonly") for one in texts)
    assert max(map(len, texts)) < 200


def test_a_picture_has_pixels_whatever_the_names() -> None:
    """A result may come from a damaged file, with a name of any length."""
    found = style.content(style.new_figure(1e6, 2.0, "long"), "png")
    width, height = Image.open(io.BytesIO(found)).size
    assert 2 * style.SMALL_PT < height < width <= 1 << 15
