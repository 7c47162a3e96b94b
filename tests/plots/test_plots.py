"""What the pictures of results show, as plain values: it is what the results say, and nothing passes a roof."""

from __future__ import annotations

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
from plot_results import POOLED, source, write, write_network

import tlm
from tlm.core.errors import InputError
from tlm.plots import causes, energy, moments, roofline, roofline_drawing, style, timeline
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


def test_computing_and_waiting_fill_the_engine_s_row(one: Source) -> None:
    shown = timeline.timeline_of(one)
    bars = sorted((bar for bar in shown.bars if bar.row == moments.ENGINE), key=lambda bar: bar.first_cycle)
    assert (bars[0].first_cycle, bars[-1].end_cycle) == (0, one.stored.cycles)
    assert all(before.end_cycle == after.first_cycle for before, after in pairwise(bars))
    found: Counter[tuple[str, str]] = Counter()
    for bar in bars:
        found[bar.layer, bar.role] += bar.cycles
    wanted = Counter({("", cause): count for cause, count in one.stored.account.waits_at_end.items()})
    for layer in one.stored.layers:
        wanted += Counter({(layer.name, cause): count for cause, count in layer.waits.items()})
        wanted[layer.name, moments.COMPUTES] = layer.compute_cycles
    assert found == wanted


def test_bars_of_host_and_dma_are_the_account_s(one: Source) -> None:
    shown = timeline.timeline_of(one)
    assert sum(shown.cycles_by_role(moments.HOST).values()) == one.stored.cycles
    for row, channel in ((moments.LOAD, "load"), (moments.STORE, "store")):
        states = one.stored.account.dma[channel]
        assert sum(shown.cycles_by_role(row).values()) == one.stored.cycles - states["idle"]


def test_rows_of_layers_hold_what_is_theirs(one: Source) -> None:
    shown = timeline.timeline_of(one)
    assert {bar.row for bar in shown.layer_bars} == {*shown.layers, moments.AT_END}
    engine = [bar for bar in shown.layer_bars if bar.role not in style.SRAMS]
    assert sum(bar.cycles for bar in engine) == one.stored.cycles
    transfers = [bar for bar in shown.layer_bars if bar.role in style.SRAMS]
    for layer in one.stored.layers:
        own = [bar for bar in transfers if bar.row == layer.name]
        assert bool(own) == bool(layer.load_bytes + layer.store_bytes)
        assert all(bar.layer == layer.name for bar in own)


def test_every_bar_has_a_colour_of_its_own_role(one: Source) -> None:
    roles = {bar.role for bar in timeline.timeline_of(one).bars}
    host = {"runs", *(f"sleeps: {unit}" for unit in style.SLEEPS)}
    assert roles <= {*style.CAUSES, *style.SRAMS, moments.COMPUTES, *host}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["timeline"]["parts"][0].update(first_cycle=22318), "timeline: the waits between"),
        (lambda record: record["timeline"]["parts"][0].update(layer="x"), "timeline: the waits between"),
        (lambda record: record["timeline"]["transfers"][1].update(sram="amem"), "timeline: the waits between"),
        (lambda record: record["timeline"]["transfers"][0].update(part_bytes={"x": 1}), "part_bytes names x"),
        (lambda record: record["timeline"]["host"][0].update(state="dreams"), "not a whole result"),
    ],
)
def test_a_timeline_that_contradicts_the_account_is_refused(
    results: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        timeline.timeline_of(edited(results / "block3", tmp_path, change))


@pytest.mark.parametrize("key", ["timeline", "energy"])
def test_results_of_older_versions_are_refused(results: Path, tmp_path: Path, key: str) -> None:
    old = edited(results / "block3", tmp_path, lambda record: record.pop(key))
    with pytest.raises(InputError, match=f"{key}: missing; the result was made by an older version; run the scenario"):
        (timeline.timeline_of if key == "timeline" else energy.energy_of)(old)
    assert causes.causes_of(old).bars


# -- causes ---------------------------------------------------------------------------------------------------------


def test_stacks_of_causes_are_the_account(one: Source) -> None:
    shown = causes.causes_of(one)
    assert sum(bar.cycles for bar in shown.bars) == shown.whole_cycles == one.stored.cycles
    for bar, layer in zip(shown.bars, one.stored.layers, strict=False):
        assert bar.name == layer.name
        assert dict(bar.causes) == {cause: count for cause, count in layer.by_cause().items() if count}
    assert [cause for cause, _ in shown.bars[0].causes] == [
        c for c in style.CAUSES if dict(shown.bars[0].causes).get(c)
    ]


def test_stacks_of_several_results_are_their_causes(results: Path) -> None:
    sources = load_sources([results / f"block{taps}" for taps in (9, 1)])
    shown = causes.causes_of_each(sources)
    assert [bar.cycles for bar in shown.bars] == [one.stored.cycles for one in sources]
    for bar, one in zip(shown.bars, sources, strict=True):
        assert dict(bar.causes) == {cause: count for cause, count in one.stored.account.causes.items() if count}


def test_every_cause_has_a_colour(results: Path) -> None:
    assert list(style.CAUSES) == list(source(results / "one").stored.account.causes)


# -- energy ---------------------------------------------------------------------------------------------------------


def test_bars_of_energy_are_the_totals(one: Source) -> None:
    shown, run = energy.energy_of(one), one.energy
    totals: Counter[str] = Counter()
    for bar in shown.bars:
        totals.update(dict(bar.components_aj))
    assert {component: energy_aj / 1e6 for component, energy_aj in totals.items()} == run.components_pj
    assert sum(totals.values()) / 1e6 == run.total_pj
    assert sum(bar.off_chip_aj for bar in shown.bars) / 1e6 == run.off_chip_pj
    for bar, layer in zip(shown.bars, one.layer_energies, strict=False):
        assert (bar.core_pj, bar.off_chip_pj) == (layer.total_pj, layer.off_chip_pj)
    assert shown.bars[-1].name == energy.OUTSIDE
    assert shown.bars[-1].core_pj == run.outside_layers_pj
    assert set(totals) == set(style.COMPONENTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["layers"][0]["energy"]["components_pj"].update(clock=1.0), "energy: its components"),
        (lambda record: record["layers"][0]["energy"].update(off_chip_pj=1.0), "energy.off_chip_pj"),
        (lambda record: record["layers"][0].pop("energy"), r"layers\[\].energy: missing"),
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
            assert point.macs_per_cycle <= shown.roofs.bound(point.macs_per_byte)


def test_cycles_of_computing_alone_would_pass_the_roof(results: Path) -> None:
    """Why a point's cycles include those of its transfers: weights that came early cost their layer no time."""
    one = source(results / "resnet18")
    roofs, points = (shown := roofline.roofline_of(one)).roofs, shown.points
    layers = {layer.name: layer for layer in one.stored.layers}
    passing = [
        point.name
        for point in points
        if point.drawable and point.macs / layers[point.name].compute_cycles > roofs.bound(point.macs_per_byte)
    ]
    assert "conv5_2.dwpw2" in passing


def test_points_are_the_layers(one: Source) -> None:
    shown = roofline.roofline_of(one)
    assert [point.number for point in shown.points] == list(range(1, len(shown.points) + 1))
    assert sum(point.macs for point in shown.points) == shown.run.macs == one.stored.macs
    assert sum(point.moved_bytes for point in shown.points) == shown.run.moved_bytes
    assert shown.run.moved_bytes == one.stored.traffic_bytes["total"]
    for point, layer in zip(shown.points, one.stored.layers, strict=True):
        assert layer.cycles <= point.cycles <= one.stored.cycles
        assert point.drawable == (layer.kind != "max-pool")


def test_roofs_of_the_published_chip(results: Path) -> None:
    roofs = roofline.roofline_of(source(results / "block3")).roofs
    assert roofs.tops(roofs.peak_macs_per_cycle) == pytest.approx(1.0936, abs=1e-4)  # docs/chip.md, Derived
    assert roofs.bytes_per_cycle == pytest.approx(3.2e9 / 534e6)
    assert roofs.bound(roofs.ridge_macs_per_byte * 0.5) == pytest.approx(512)
    assert roofs.bound(roofs.ridge_macs_per_byte * 2) == 1024


def test_the_bus_bounds_where_the_memory_is_faster(tmp_path: Path) -> None:
    fast = source(write(tmp_path / "fast", "resnet18_conv3_2_3of9", "chip.memory_gb_per_s=100"))
    assert roofline.roofline_of(fast).roofs.bytes_per_cycle == 8


def test_labels_cover_neither_points_nor_each_other() -> None:
    spots = [(50.0 + 3 * (i % 5), 50.0 + 3 * (i // 5)) for i in range(25)]
    texts = [str(number) for number in range(25)]
    frame = (0.0, 0.0, 200.0, 200.0)
    boxes = []
    for (x, y), (dx, dy), text in zip(spots, roofline_drawing.place_labels(spots, texts, frame), texts, strict=True):
        half = len(text) * 2.8
        boxes.append((x + dx - half, y + dy - 4.5, x + dx + half, y + dy + 4.5))
    assert all(min(box) >= 0 and max(box) <= 200 for box in boxes)
    for one, other in itertools.combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    assert not [spot for spot in spots for b in boxes if b[0] < spot[0] < b[2] and b[1] < spot[1] < b[3]]


def test_a_label_is_nearest_to_its_own_point() -> None:
    """The place on the right of the middle point is free, but right there is the point below it."""
    spots, texts = [(50.0, 50.0), (50.0, 57.0), (48.0, 40.0)], ["19, 21", "20", "17"]
    places = roofline_drawing.place_labels(spots, texts, (0.0, 0.0, 200.0, 200.0))
    for (x, y), (dx, dy) in zip(spots, places, strict=True):
        distances = [np.hypot(x + dx - other[0], y + dy - other[1]) for other in spots]
        assert spots[int(np.argmin(distances))] == (x, y)


def test_figures_in_the_page_are_those_of_the_pictures(results: Path) -> None:
    one = source(results / "resnet18")
    page = " ".join((REPOSITORY / "docs" / "plots.md").read_text(encoding="utf-8").split())
    assert f"the {100 * one.stored.account.causes['weights'] / one.stored.cycles:.1f} % of the run" in page
    shown = roofline.roofline_of(one)
    assert f"{shown.roofs.bytes_per_cycle:.2f} bytes a cycle at 534 MHz" in page
    left = [point for point in shown.points if point.drawable and point.macs_per_byte < shown.roofs.ridge_macs_per_byte]
    shares = [
        100 * point.macs_per_cycle / shown.roofs.bound(point.macs_per_byte)
        for point in left
        if point.name.startswith("conv5")
    ]
    assert f"{min(shares):.0f} to {max(shares):.0f} % of that" in page
    assert f"The classifier, {shown.points[-1].macs_per_byte:.1f} MACs a byte" in page
