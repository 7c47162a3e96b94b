"""`tlm tradeoff`: accuracy from the card beside what is simulated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import refused
from command import tlm as tlm_command

import tlm
from tlm.core.errors import InputError
from tlm.networks.stored import StoredNetwork, save_network
from tlm.plots import style, tradeoff
from tlm.runs.tradeoff import tradeoff_point


def stored(path: Path, taps: int, accuracy: float | None = 0.5, **more: object) -> Path:
    weights = np.zeros((40, 1, 3, 3), np.int8)
    weights.reshape(40, 9)[:, :taps] = 1
    layers = [
        tlm.Conv2d("c", weights, stride=4, padding=1, multiplier=3, shift=5),
        tlm.Conv2d("fc", np.ones((10, 40, 7, 7), np.int8), accumulator_output=True),
    ]
    card = {"taps": taps, "accuracy": {"engine": accuracy, **more}}
    save_network(path, StoredNetwork(tlm.Network((1, 28, 28), layers), card))
    return path


def test_weight_bytes_are_those_of_the_words_that_are_stored(tmp_path: Path) -> None:
    point = tradeoff_point(stored(tmp_path / "n.npz", 3), np.ones((1, 28, 28), np.int8))
    assert point.weight_bytes == (2 * 3 + 40 * 49) * 16  # words of 32 x 4 bits: 2 groups x 3 taps, 1 group x 40 x 49


def test_a_point_is_the_card_and_the_simulation(tmp_path: Path) -> None:
    path, image = stored(tmp_path / "n.npz", 3, 0.875), np.ones((1, 28, 28), np.int8)
    point = tradeoff_point(path, image, tlm.ChipConfig.at(voltage_v=0.8))
    from tlm.networks.stored import load_network

    result = tlm.simulate(load_network(path).network, image, tlm.ChipConfig.at(voltage_v=0.8))
    assert (point.name, point.taps, point.accuracy) == ("n", 3, 0.875)
    assert (point.cycles, point.time_us, point.tops_per_w) == (result.cycles, result.time_us, result.tops_per_w)
    assert point.dense_tops_per_w == pytest.approx(point.tops_per_w * result.dense_macs / result.macs)
    assert point.energy_uj == pytest.approx(result.energy.total_pj / 1e6)


def test_a_card_without_accuracy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"n\.npz: its card tells no accuracy\.engine"):
        tradeoff_point(stored(tmp_path / "n.npz", 3, None), np.ones((1, 28, 28), np.int8))


def test_accuracies_of_other_seeds_are_the_cards(tmp_path: Path) -> None:
    image = np.ones((1, 28, 28), np.int8)
    path = stored(tmp_path / "n.npz", 3, 0.875, engine_of_other_seeds={"2": 0.5, "3": 0.75})
    point = tradeoff_point(path, image)
    assert point.other_seeds == (0.5, 0.75)
    with style.style():
        axes = tradeoff.draw([point]).axes[0]
        (bar,) = (line for line in axes.lines if line.get_marker() == "_")
        assert list(bar.get_ydata()) == [50, 87.5], "from the least to the most, the card's own included"
        assert "seeds" in axes.get_ylabel()
        (alone,) = tradeoff.draw([replace(point, other_seeds=())]).axes[0].lines
        assert alone.get_marker() == "o"
    stored(path, 3, engine_of_other_seeds={"2": "0.5"})
    with pytest.raises(InputError, match=r"n\.npz: its card's accuracy\.engine_of_other_seeds is {'2': '0\.5'}"):
        tradeoff_point(path, image)


def test_the_command_sorts_by_level_and_writes(tmp_path: Path) -> None:
    for taps in (1, 9, 4):
        stored(tmp_path / f"k{taps}.npz", taps, 0.8 + taps / 100)
    done = tlm_command("tradeoff", "k1.npz", "k9.npz", "k4.npz", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:4]] == [
        ["k9", "9/9", "89.00%"],
        ["k4", "4/9", "84.00%"],
        ["k1", "1/9", "81.00%"],
    ]
    record = json.loads((tmp_path / "out" / "tradeoff.json").read_text())
    assert record["schema"] == "tlm.tradeoff/1"
    assert [point["taps"] for point in record["points"]] == [9, 4, 1]
    cycles = [point["cycles"] for point in record["points"]]
    assert cycles == sorted(cycles, reverse=True)
    assert (tmp_path / "out" / "tradeoff.png").stat().st_size > 10_000


def test_the_command_refuses(tmp_path: Path) -> None:
    assert "NETWORK: 'nothing' does not come with the package" in refused("tradeoff", "nothing", cwd=tmp_path)
    save_network(
        tmp_path / "n.npz",
        StoredNetwork(tlm.Network((3, 4, 4), [tlm.Conv2d("c", np.ones((1, 3, 1, 1), np.int8))])),
    )
    assert "takes input [3, 4, 4], but the sample images are [1, 28, 28]" in refused("tradeoff", "n.npz", cwd=tmp_path)
