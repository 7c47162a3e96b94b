"""Scenario files: what they say, what they extend, what they refuse, and where the blame is put."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from command import SCENARIOS, SMALL

import tlm
from tlm.core.errors import InputError
from tlm.runs.simulate import FIDELITIES
from tlm.scenario.json_schema import attribute_docs, scenario_schema
from tlm.scenario.loading import Job, load_scenario
from tlm.scenario.schema import Scenario

LAYERS = '[network]\nkind = "layers"\n[[network.layers]]\n'
FILES = sorted(SCENARIOS.glob("resnet18_conv?_?_?of9.toml"))


@pytest.fixture(autouse=True)
def in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "s.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def build(text: str, *overrides: str) -> Job:
    return load_scenario(write(text), overrides).build()


def complaint(text: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        build(text, *overrides)
    return str(caught.value)


# -- what is there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_scenario_builds_what_its_name_says(path: Path) -> None:
    job = load_scenario(path).build()
    _, stage, number, taps = path.stem.replace("of9", "").split("_")
    pw1, dwpw2 = job.network.layers
    assert [pw1.name, dwpw2.name] == [f"{stage}_{number}.pw1", f"{stage}_{number}.dwpw2"]
    assert ((dwpw2.weights != 0).any(axis=0).reshape(dwpw2.in_channels, 9).sum(axis=1) == int(taps)).all()
    assert dwpw2.residual == "input"
    shape = {"conv3": (128, 28, 28), "conv4": (256, 14, 14), "conv5": (512, 7, 7)}[stage]
    assert job.network.input_shape == job.network.output.shape == shape
    assert job.chip == tlm.ChipConfig()
    words = 512 * (shape[0] // 128) ** 2 * int(taps)
    assert ("split" in job.description) == (words > 16_384)
    assert path.read_text().startswith("#:schema ./scenario.schema.json\n# ")


def test_nine_blocks_are_there() -> None:
    assert len(FILES) == 9


def test_the_schema_beside_the_scenarios_is_current() -> None:
    text = (SCENARIOS / "scenario.schema.json").read_text()
    assert json.loads(text) == json.loads(json.dumps(scenario_schema())), (
        "run: tlm schema > scenarios/scenario.schema.json"
    )


def test_an_empty_file_is_the_main_scenario() -> None:
    job = build("")
    main = load_scenario(SCENARIOS / "resnet18_conv3_2_3of9.toml").build()
    assert np.array_equal(job.activations, main.activations)
    for mine, theirs in zip(job.network.layers, main.network.layers, strict=True):
        assert np.array_equal(mine.weights, theirs.weights)
    assert (job.name, job.fidelity, job.trace.files()) == ("s", None, [])


# -- keys -------------------------------------------------------------------------------------------------------


def test_block_with_its_own_shape() -> None:
    text = "[network]\nchannels = 8\nheight = 6\nwidth = 10\n"
    text += "mid_channels = 24\nout_channels = 16\nkernel = 5\ntaps = 25"
    shortcut, pw1, dwpw2 = build(text).network.layers
    assert shortcut.weights.shape == (16, 8, 1, 1)
    assert pw1.weights.shape == (24, 8, 1, 1)
    assert dwpw2.weights.shape == (16, 24, 5, 5)
    assert dwpw2.padding == (2, 2)
    assert build(text, "network.residual=false").network.layers[-1].residual is None


def test_layers_with_every_key() -> None:
    text = """
[network]
kind = "layers"
[[network.layers]]
name = "first"
out_channels = 12
kernel = [3, 5]
stride = [1, 2]
padding = [[0, 1], [2, 3]]
dilation = [2, 1]
groups = 2
density = 0.5
signed_output = true
[[network.layers]]
out_channels = 12
input = "input"
accumulator_output = true
[input]
shape = [4, 9, 9]
signed = true
"""
    first, second = build(text).network.layers
    assert first.weights.shape == (12, 2, 3, 5)
    assert (first.stride, first.dilation, first.groups, first.signed_output) == ((1, 2), (2, 1), 2, True)
    assert (first.pads.top, first.pads.bottom, first.pads.left, first.pads.right) == (0, 1, 2, 3)
    assert np.count_nonzero(first.weights) == first.weights.size // 2
    assert (second.name, second.input, second.accumulator_output) == ("layer2", "input", True)


PADDINGS = [("2", (2, 2, 2, 2)), ("[1, 2]", (1, 1, 2, 2)), ("[0, [1, 2]]", (0, 0, 1, 2))]


@pytest.mark.parametrize(("padding", "sides"), PADDINGS)
def test_padding_in_three_ways(padding: str, sides: tuple[int, ...]) -> None:
    pads = build(f"{LAYERS}padding = {padding}").network.layers[0].pads
    assert (pads.top, pads.bottom, pads.left, pads.right) == sides


def test_padding_keeps_the_size_by_default() -> None:
    for kernel, dilation in (("3", "1"), ("4", "1"), ("[2, 5]", "[3, 2]")):
        keys = (f"network.layers.0.kernel={kernel}", f"network.layers.0.dilation={dilation}")
        assert build(SMALL, *keys).network.tensors["c1"].shape == (16, 6, 7)


def test_files_of_arrays() -> None:
    write("", "sub/deeper/x")
    np.save("sub/x.npy", np.full((4, 5, 5), -3))
    np.savez("sub/deeper/w.npz", **{"a.weights": np.ones((2, 4, 1, 1), int)})
    text = """
[input]
kind = "npy"
file = "x.npy"
signed = true
[network]
kind = "layers"
weights = "deeper/w.npz"
[[network.layers]]
name = "a"
out_channels = 2
"""
    job = load_scenario(write(text, "sub/s.toml")).build()
    assert job.activations.tolist() == np.full((4, 5, 5), -3).tolist()
    assert (job.network.layers[0].weights == 1).all()
    assert job.settings["input"]["file"] == "x.npy"
    assert job.settings["network"]["weights"] == "w.npz"
    assert len(job.settings["network"]["weights_sha256"]) == 64
    assert "/" not in json.dumps(job.settings)


# -- extends and --set ------------------------------------------------------------------------------------------


def test_extends_merges_deeply_and_relative_to_the_file() -> None:
    write("[chip]\namem_banks = 8\nwmem_banks = 8\n[network]\ntaps = 9\nseed = 4", "base/root.toml")
    write('extends = "root.toml"\n[chip]\nwmem_banks = 2', "base/middle.toml")
    job = build('extends = "base/middle.toml"\n[network]\ntaps = 1')
    assert (job.chip.amem_banks, job.chip.wmem_banks) == (8, 2)
    assert (job.settings["network"]["taps"], job.settings["network"]["seed"]) == (1, 4)


def test_another_kind_starts_its_section_afresh() -> None:
    write("[network]\ntaps = 9\n[input]\nseed = 3", "base.toml")
    job = build('extends = "base.toml"\n[network]\nkind = "layers"')
    assert [layer.name for layer in job.network.layers] == ["layer1"]
    assert job.settings["input"]["seed"] == 3


def test_set_wins_over_the_file_and_the_last_set_over_all() -> None:
    job = build("[chip]\nvoltage_v = 0.9", "chip.voltage_v=1.0", "chip.voltage_v = 0.8", "network.stage=conv4_2")
    assert job.chip == tlm.ChipConfig.at(0.8)
    assert job.network.input_shape == (256, 14, 14)


def test_set_changes_one_element() -> None:
    job = build(SMALL, "network.layers.0.taps=2")
    assert (job.network.layers[0].weights != 0).any(axis=0).sum() == 8 * 2
    assert job.network.layers[0].kernel == (3, 3)


# -- refusals ---------------------------------------------------------------------------------------------------

# Each message begins with "s.toml", unless it blames another file.
REFUSALS = {
    "unknown key": ("[chip]\n\namem_bank = 4", ":3: chip.amem_bank: unknown key; did you mean amem_banks?"),
    "unknown dotted key": ("chip.amem_bank = 4", ":1: chip.amem_bank: unknown key; did you mean amem_banks?"),
    "unknown section": ("[ship]\nx = 1", ":1: ship: unknown key; did you mean chip?"),
    "key outside its section": ("voltage_v = 1.0", ":1: voltage_v: unknown key; did you mean chip.voltage_v?"),
    "nothing near": (
        "[sweep]\nzzz = 1",
        ":2: sweep.zzz: unknown key; known keys: over, sample, method, seed, where",
    ),
    "key of another kind": (
        '[input]\nfile = "x.npy"',
        ':2: input.file: belongs to kind = "npy" or "image" or "sample", but this section has kind = "random"; '
        "change kind or remove the key",
    ),
    "unknown kind": (
        '[input]\nkind = "png"',
        ':2: input.kind: "png" is not allowed; give one of random, npy, image, sample',
    ),
    "missing key": ('[input]\nkind = "npy"', ":1: input.file: missing; give a string"),
    "choice": ("[chip]\nlanes = 12", ":2: chip.lanes: 12 is not one of 8, 16, 32, 64"),
    "range": ("[chip]\nvoltage_v = 2", ":2: chip.voltage_v: 2.0 is outside 0.75..1.2"),
    "range in words": ("[network]\ntaps = 0", ":2: network.taps: 0 is not allowed; give an integer in 1..49"),
    "nan": ("[chip]\nvoltage_v = nan", ":2: chip.voltage_v: nan is not a finite number; give one"),
    "infinity": ("[chip]\nvoltage_v = -inf", ":2: chip.voltage_v: -inf is not a finite number; give one"),
    "text for a number": ('[network]\ntaps = "3"', ':2: network.taps: "3" is not allowed; give an integer in 1..49'),
    "fraction for an integer": ("[chip]\nlanes = 8.5", ":2: chip.lanes: 8.5 is not allowed; give one of 8, 16, 32, 64"),
    "number for a truth": ("[network]\nresidual = 1", ":2: network.residual: 1 is not allowed; give true or false"),
    "date": ("[chip]\nlanes = 2020-01-01", ":2: chip.lanes: 2020-01-01 is not allowed; give one of 8, 16, 32, 64"),
    "no table": ("chip = 3", ":1: chip: 3 is not a table; write [chip]"),
    "no table of kinds": ("network = 3", ":1: network: 3 is not a table; write [network]"),
    "fidelity": ('fidelity = "gate"', ':1: fidelity: "gate" is not allowed; give one of cycle, pass, rtl'),
    "second layer": (
        LAYERS + "kernel = 3\n[[network.layers]]\nkernel = 3\nstirde = 2",
        ":7: network.layers[1].stirde: unknown key; did you mean stride?",
    ),
    "layer name": (
        LAYERS + 'name = "a b"',
        ":4: network.layers[0].name: \"a b\" is not allowed; give letters, digits, '_', '.', '-' as a string",
    ),
    "two prunings": (
        LAYERS + "taps = 1\ndensity = 0.5",
        ":5: network.layers[0].density: given beside taps; prune in one way only",
    ),
    "share": (LAYERS + "density = 1.5", ":4: network.layers[0].density: 1.5 is not allowed; give a number in 0..1"),
    "clock and supply": (
        "[chip]\nfrequency_mhz = 600",
        ":2: chip.frequency_mhz: 600 MHz is more than the 534 MHz that chip.voltage_v = 1.1 V allows; "
        "leave frequency_mhz out or raise the voltage",
    ),
    "taps and kernel": (
        "[network]\ntaps = 12",
        ":2: network.taps: 12 is more than the 9 taps of a kernel of 3x3; allowed: 1..9",
    ),
    "shape": (
        "[input]\nshape = [1, 28, 28]",
        ":2: input.shape: shape [1, 28, 28] does not fit the network, which takes [128, 28, 28]",
    ),
    "too many taps": (
        LAYERS + "kernel = 64",
        ":4: network.layers[0].kernel: 64 is not allowed; give an integer in 1..63 or [an integer in 1..63, "
        "an integer in 1..63]",
    ),
    "no layers": (
        '[network]\nkind = "layers"\nlayers = []',
        ":1: network: layers is empty; give at least one layer",
    ),
    "extends": ("extends = 3", ': extends: 3 is not a path; give one, e.g. extends = "base.toml"'),
    "extends itself": (
        'extends = "s.toml"',
        ": extends goes in a circle (s.toml -> s.toml); remove one of these extends keys",
    ),
    "extends nothing": (
        'extends = "b.toml"',
        "b.toml: no such scenario file; it is named by extends in s.toml; `tlm list` shows those that there are",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    text, message = REFUSALS[case]
    assert complaint(text).removeprefix("s.toml") == message


def test_malformed_toml() -> None:
    assert complaint("a = [1,\n2\nb = 3").startswith("s.toml:3: malformed TOML: ")
    assert complaint("[chip]\nlanes = 8\nlanes = 8").startswith("s.toml: malformed TOML: ")


def test_the_file_that_says_it_is_blamed() -> None:
    write("[chip]\nlanes = 12", "base.toml")
    assert complaint('extends = "base.toml"\n[chip]\ncolumns = 8').startswith("base.toml:2: chip.lanes: 12")
    assert complaint("[chip]\nlanes = 8", "chip.lanes=12").startswith("--set chip.lanes=12: chip.lanes: 12")


SET_REFUSALS = {
    "chip.voltage_v": "--set chip.voltage_v: KEY=VALUE is missing; write KEY=VALUE with a TOML value, "
    "e.g. --set chip.voltage_v=0.8",
    "chip.voltage_v=": "--set chip.voltage_v=: the value is missing; write KEY=VALUE with a TOML value, "
    "e.g. --set chip.voltage_v=0.8",
    "network.layers.7.kernel=3": "--set network.layers.7.kernel=3: network.layers.7: '7' is no element; "
    "allowed: a number below 2",
    "chip.amem_bank=4": "--set chip.amem_bank=4: chip.amem_bank: unknown key; did you mean amem_banks?",
}


@pytest.mark.parametrize("override", SET_REFUSALS)
def test_refused_overrides(override: str) -> None:
    assert complaint(SMALL, override) == SET_REFUSALS[override]


def arrays(**named: np.ndarray) -> None:
    np.savez("w.npz", **{key.replace("__", "."): value for key, value in named.items()})


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("c1__weights", np.full((16, 8, 3, 3), 9), r"layer 'c1': weights\[0, 0, 0, 0\] is 9, but must be in -8\.\.7"),
        ("c1__weights", np.ones((16, 8, 3, 3)), "layer 'c1': weights: dtype is float64, but must be an integer type"),
        ("c1__weights", np.ones((16, 9, 3, 3), int), r"weights \(16, 9, 3, 3\) .* make \(16, 8, 3, 3\)"),
        (
            "c1__weigths",
            np.ones((16, 8, 3, 3), int),
            r"array 'c1\.weigths' belongs to no layer; did you mean c1\.weights\?",
        ),
    ],
)
def test_refused_arrays(name: str, array: np.ndarray, message: str) -> None:
    arrays(**{name: array})
    with pytest.raises(InputError, match=message + r".* \(arrays from network\.weights: w\.npz\)$"):
        build(SMALL.replace("taps = 4\n", ""), "network.weights=w.npz")


def test_unequal_shifts_with_a_residual() -> None:
    same = {"bias": np.zeros(16, int), "multiplier": np.ones(16, int), "residual_multiplier": np.array(1)}
    arrays(c2__shift=np.arange(16), **{f"c2__{key}": value for key, value in same.items()})
    assert "must be one number for all channels where there is a residual" in complaint(SMALL, "network.weights=w.npz")


INTEGERS = "allowed: an integer array (C, H, W), no side of it zero"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((8, 6, 7)), f"holds float64 of shape (8, 6, 7); {INTEGERS}"),
        (np.zeros((8, 42), int), f"holds int64 of shape (8, 42); {INTEGERS}"),
        (np.full((8, 6, 7), 16), "holds 16..16; allowed: 0..15 (unsigned 4-bit; see input.signed)"),
        (np.array([{}]), "holds object, not plain numbers; save integers, e.g. with .astype(numpy.int8)"),
    ],
)
def test_refused_activations(array: np.ndarray, message: str) -> None:
    np.save("x.npy", array, allow_pickle=True)
    found = complaint(SMALL, "input.kind=npy", "input.file=x.npy")
    assert found.replace("x.npy: holds", "x.npy holds") == "--set input.file=x.npy: input.file: x.npy " + message


def test_missing_array_file() -> None:
    wanted = "no.npy does not exist; a path in a scenario file is relative to that file"
    assert complaint(SMALL, "input.kind=npy", "input.file=no.npy").endswith(wanted)


# -- schema -----------------------------------------------------------------------------------------------------


def test_every_key_is_described_and_documented() -> None:
    page = (SCENARIOS.parent / "docs" / "scenarios.md").read_text()
    for name, definition in scenario_schema()["$defs"].items():
        for key, node in definition["properties"].items():
            assert node.get("description") or key == "kind", f"{name}.{key} has no description"
            assert f"`{key}`" in page, f"docs/scenarios.md does not explain {name}.{key}"


def test_schema_knows_the_bounds_of_the_chip() -> None:
    chip = scenario_schema()["$defs"]["ChipConfig"]
    assert chip["additionalProperties"] is False
    assert chip["properties"]["amem_banks"]["enum"] == [1, 2, 4, 8]
    assert (chip["properties"]["voltage_v"]["minimum"], chip["properties"]["voltage_v"]["maximum"]) == (0.75, 1.2)
    assert chip["properties"]["memory_gb_per_s"]["description"] == (
        f"{attribute_docs(tlm.ChipConfig)['memory_gb_per_s']} Allowed: a number in 0.001..1000. Default: 3.2."
    )


def test_garbage_collection_after_validation() -> None:
    """msgspec 0.22 crashes in the collector if a bounded int and a tuple of fixed length share a union."""
    code = "import gc; from tlm.scenario.loading import load_scenario as f; f('s.toml'); gc.collect(); print('alive')"
    write(SMALL)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_schema_offers_the_models_that_exist() -> None:
    offered = scenario_schema()["$defs"]["Scenario"]["properties"]["fidelity"]["enum"]
    assert offered == list(FIDELITIES), "change the type of Scenario.fidelity with simulator.FIDELITIES"


def test_defaults_are_valid() -> None:
    assert msgspec.convert(msgspec.to_builtins(Scenario()), Scenario) == Scenario()
