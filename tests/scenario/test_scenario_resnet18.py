"""The scenario kind ``resnet18``: what its keys build, what it refuses and where the blame is put."""

from pathlib import Path

import numpy as np
import pytest
from command import SCENARIOS

import tlm
from tlm.core.errors import InputError
from tlm.network.layers import Conv2d
from tlm.networks.resnet18 import BLOCKS
from tlm.scenario.loading import Job, load_scenario

SMALL = '[network]\nkind = "resnet18"\nsize = 32\nclasses = 10\n'


@pytest.fixture(autouse=True)
def in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def build(text: str, *overrides: str, golden: bool = False) -> Job:
    Path("s.toml").write_text(text)
    return load_scenario("s.toml", overrides).build(golden)


def kept_taps(job: Job) -> list[int]:
    """Of each block's fused kernel; they are equal in all its channels."""
    counts = []
    for layer in job.network.layers:
        if layer.name.endswith(".dwpw2"):
            assert isinstance(layer, Conv2d)
            (count,) = set(layer.weights.any(axis=0).sum(axis=(1, 2)).tolist())
            counts.append(count)
    return counts


def test_defaults() -> None:
    job = build('[network]\nkind = "resnet18"')
    assert job.network.input_shape == job.activations.shape == (3, 224, 224)
    assert job.network.output.shape == (1000, 1, 1)
    assert kept_taps(job) == [3] * 8
    assert job.golden is None
    wanted = {"kind": "resnet18", "variant": "pw_dw_pw", "taps": None, "patterns": None, "density": None, "seed": 0}
    assert job.settings["network"] == {**wanted, "size": 224, "classes": 1000, "stage": None}


def test_every_key() -> None:
    assert kept_taps(build(f"{SMALL}taps = 5")) == [5] * 8
    assert kept_taps(build(f"{SMALL}taps = [9, 8, 7, 6, 5, 4, 3, 1]")) == [9, 8, 7, 6, 5, 4, 3, 1]
    base = build(f'{SMALL}variant = "base"\ndensity = 0.25\nseed = 4')
    by_name = {layer.name: layer for layer in base.network.layers}
    assert np.count_nonzero(by_name["conv4_1.conv2"].weights) == 256 * 256 * 9 // 4
    assert by_name["fc"].out_channels == 10
    assert not np.array_equal(by_name["fc"].weights, build(SMALL).network.layers[-1].weights)
    stage = build(f'{SMALL.replace("classes = 10", "")}stage = "conv3_x"')
    assert stage.network.input_shape == (64, 8, 8)
    assert stage.network.layers[0].name == "conv3_1.shortcut"
    assert stage.network.output.shape == (128, 4, 4)


def test_golden_outputs_come_with_the_job_if_asked_for() -> None:
    job = build(SMALL, golden=True)
    wanted = tlm.reference.run(job.network, job.activations)
    assert job.golden is not None
    assert list(job.golden) == list(wanted)
    for name, array in wanted.items():
        assert np.array_equal(job.golden[name], array), name
        assert job.golden[name].dtype == array.dtype, name


def test_patterns_from_a_file() -> None:
    rng = np.random.default_rng(0)
    patterns = {name: rng.random((shape.out_channels, 3, 3)) < 0.4 for name, shape in BLOCKS.items()}
    np.savez("p.npz", **patterns)
    job = build(f'{SMALL}patterns = "p.npz"')
    for name, pattern in patterns.items():
        layer = next(layer for layer in job.network.layers if layer.name == f"{name}.dwpw2")
        assert isinstance(layer, Conv2d)
        assert np.array_equal(layer.weights.any(axis=0), pattern), name
    assert job.settings["network"]["patterns"] == "p.npz"
    assert len(job.settings["network"]["patterns_sha256"]) == 64


WHOLE_NETWORKS = [path for path in sorted(SCENARIOS.glob("resnet18_*.toml")) if "conv" not in path.stem]
QUICK = ["resnet18_3of9", "resnet18_dense"]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] * (path.stem not in QUICK)) for path in WHOLE_NETWORKS],
    ids=lambda path: path.stem,
)
def test_each_scenario_builds_what_its_name_says(path: Path) -> None:
    job = load_scenario(path).build()
    assert job.network.input_shape == (3, 224, 224)
    assert job.network.output.shape == (1000, 1, 1)
    assert job.settings["input"]["file"] == "astronaut.png"
    assert job.chip == tlm.ChipConfig.at(0.8 if path.stem.endswith("_0v8") else 1.1)
    if "of9" in path.stem:
        assert kept_taps(job) == [int(path.stem.split("_")[1][0])] * 8
        return
    blocks = [layer for layer in job.network.layers if isinstance(layer, Conv2d) and ".conv" in layer.name]
    assert len(blocks) == 16
    kept = sum(np.count_nonzero(layer.weights) for layer in blocks) / sum(layer.weights.size for layer in blocks)
    assert round(kept, 3) == (0.12 if path.stem == "resnet18_random_12" else 1.0)


def test_all_whole_networks_are_there() -> None:
    names = [f"{taps}of9" for taps in range(1, 10)] + ["3of9_0v8", "dense", "random_12"]
    assert {path.stem for path in WHOLE_NETWORKS} == {f"resnet18_{name}" for name in names}


@pytest.mark.parametrize("stage", ["conv2_x", "conv3_x", "conv4_x", "conv5_x"])
def test_each_stage_has_a_scenario(stage: str) -> None:
    job = load_scenario(SCENARIOS / f"resnet18_{stage}.toml").build()
    assert {layer.name[:7] for layer in job.network.layers} == {f"{stage[:-1]}1", f"{stage[:-1]}2"}
    assert kept_taps(job) == [3, 3]
    sizes = ["x".join(map(str, info.shape)) for info in (job.network.tensors["input"], job.network.output)]
    assert " to ".join(dict.fromkeys(sizes)) in job.description


WHOLE = {name: np.ones((shape.out_channels, 3, 3), bool) for name, shape in BLOCKS.items()}
BAD_PATTERNS = {
    "missing": (
        {"conv2_1": WHOLE["conv2_1"]},
        "block conv2_2 is missing; give a pattern for every block of the network",
    ),
    "unknown": (
        {**WHOLE, "conv6_1": WHOLE["conv2_1"]},
        "'conv6_1' is no block; the blocks are conv2_1, conv2_2, conv3_1, conv3_2, conv4_1, conv4_2, conv5_1, conv5_2",
    ),
    "shape": (
        {**WHOLE, "conv5_1": np.ones((512, 9), bool)},
        "block conv5_1 has bool (512, 9), but must be bool (512, 3, 3): (mid channels, 3, 3)",
    ),
}


@pytest.mark.parametrize("case", BAD_PATTERNS)
def test_patterns_that_do_not_fit(case: str) -> None:
    patterns, message = BAD_PATTERNS[case]
    np.savez("p.npz", **patterns)
    with pytest.raises(InputError) as caught:
        build(f'{SMALL}patterns = "p.npz"')
    assert str(caught.value) == f"s.toml:5: network.patterns: {message}"


TAPS = "an integer in 1..9 or [an integer in 1..9, 8 times]"
REFUSALS = {
    "taps": ("taps = 10", f"network.taps: 10 is not allowed; give {TAPS}"),
    "seven taps": ("taps = [3, 3, 3, 3, 3, 3, 3]", f"network.taps: [3, 3, 3, 3, 3, 3, 3] is not allowed; give {TAPS}"),
    "taps of the base network": (
        'variant = "base"\ntaps = 3',
        'network.taps: belongs to variant = "pw_dw_pw", but this network has variant = "base"; '
        "change variant or remove the key",
    ),
    "density of the chip's network": (
        "density = 0.5",
        'network.density: belongs to variant = "base", but this network has variant = "pw_dw_pw"; '
        "change variant or remove the key",
    ),
    "density": ('variant = "base"\ndensity = 2', "network.density: 2 is not allowed; give a number in 0..1"),
    "variant": ('variant = "bass"', 'network.variant: "bass" is not allowed; give one of base, pw_dw_pw'),
    "stage": (
        'stage = "conv3_2"',
        'network.stage: "conv3_2" is not allowed; give one of conv2_x, conv3_x, conv4_x, conv5_x',
    ),
    "two ways": (
        'taps = 3\npatterns = "p.npz"',
        "network.patterns: given beside taps, which the patterns decide; give one of them",
    ),
    "no file": (
        'patterns = "p.npz"',
        "network.patterns: p.npz does not exist; a path in a scenario file is relative to that file",
    ),
    "another kind's key": ("residual = true", "network.residual: "),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    text, message = REFUSALS[case]
    with pytest.raises(InputError) as caught:
        build(SMALL + text)
    line = SMALL.count("\n") + text.count("\n") + 1
    assert str(caught.value).startswith(f"s.toml:{line}: {message}")


def test_size_and_input_are_checked() -> None:
    with pytest.raises(
        InputError, match=r"network\.size: 100 is not allowed; give one of 32, 64, 96, 128, 160, 192, 224"
    ):
        build(SMALL, "network.size=100")
    with pytest.raises(InputError, match=r"shape \[3, 64, 64\] does not fit the network, which takes \[3, 32, 32\]"):
        build(SMALL, "input.shape=[3, 64, 64]")
