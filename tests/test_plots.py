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
from tlm.plots import causes, energy, levels, moments, roofline, roofline_drawing, style, timeline
from tlm.plots.sources import Source, load_sources, names, tap_levels


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


# -- levels ---------------------------------------------------------------------------------------------------------


def test_levels_are_sorted_by_taps(results: Path) -> None:
    sources = load_sources([results / f"block{taps}" for taps in (3, 9, 1)])
    shown = levels.levels_of_each(sources)
    assert shown.axis == "valid taps of each depth-wise kernel, of 9"
    assert [bar.taps for bar in shown.bars] == [1, 3, 9]
    for bar, index in zip(shown.bars, (2, 0, 1), strict=True):
        stored, run = sources[index].stored, sources[index].energy
        assert bar.cycles == stored.cycles
        assert bar.computing_cycles == stored.account.causes["computing"]
        assert bar.computing_cycles + bar.stalled_cycles == stored.compute_cycles
        assert (bar.core_pj, bar.off_chip_pj) == (run.total_pj, run.off_chip_pj)


def test_other_differences_go_by_name_in_the_order_given(results: Path) -> None:
    sources = load_sources([results / name for name in ("slow3", "block9", "block3")])
    assert tap_levels(sources) is None
    shown = levels.levels_of_each(sources)
    assert [bar.taps for bar in shown.bars] == [None] * 3
    assert "clocks differ" in shown.title
    block = "resnet18_conv3_2_3of9"
    assert [bar.name for bar in shown.bars] == [block, f"{block} voltage_v=1.1 taps=9", f"{block} voltage_v=1.1"]


def test_levels_on_different_chips_are_not_on_one_axis(results: Path) -> None:
    sources = load_sources([results / "slow3", results / "block9"])
    assert tap_levels(sources) is None
    assert tap_levels(load_sources([results / "block3", results / "block9"])) == [3, 9]


def test_equal_results_are_numbered(results: Path) -> None:
    sources = load_sources([results / "block3", results / "block3"])
    assert names(sources) == ["resnet18_conv3_2_3of9 (1)", "resnet18_conv3_2_3of9 (2)"]
    assert tap_levels(sources) is None


def test_the_default_of_taps_is_a_level(results: Path, tmp_path: Path) -> None:
    def only_taps(record: dict[str, Any]) -> None:
        record["settings"]["network"]["taps"] = 9

    given = edited(results / "resnet18", tmp_path, only_taps)
    assert tap_levels([source(results / "resnet18"), given]) == [3, 9]
    given.stored.settings["network"]["taps"] = [9, 9, 3, 3, 3, 3, 1, 1]
    assert tap_levels([source(results / "resnet18"), given]) is None


def test_results_of_other_jobs_are_not_compared(results: Path) -> None:
    message = (
        r"block3/result\.json: its network takes 128x28x28 to 128x28x28, that of .*/result\.json 3x32x32 to 10x1x1"
    )
    with pytest.raises(InputError, match=message):
        load_sources([results / "pooled", results / "block3"])


# -- colours --------------------------------------------------------------------------------------------------------

VISION = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}
"""What readers see of linear RGB: Machado, Oliveira and Fernandes, 2009, at full severity."""


def lab(colour: str, vision: tuple[tuple[float, ...], ...]) -> np.ndarray[Any, Any]:
    """CIE L*a*b* of an sRGB colour."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    seen = np.clip(np.array(vision) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    root = np.cbrt(xyz / np.array([0.9505, 1, 1.089]))
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("colours", "least"), [(style.CAUSES, 19), (style.COMPONENTS, 13), (style.SRAMS, 20)])
def test_colours_differ_for_every_reader(vision: str, colours: dict[str, str], least: float) -> None:
    """Whole units of CIE L*a*b*; 2.3 can just be told apart side by side."""
    seen = {key: lab(colour, VISION[vision]) for key, colour in colours.items()}
    distances = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in itertools.combinations(seen, 2)}
    assert min(distances.values()) > least, min(distances, key=lambda pair: distances[pair])
