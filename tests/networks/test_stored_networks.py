"""Networks and samples in files, and the scenario sections that name them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import REPOSITORY, refused
from command import tlm as tlm_command

import tlm
from tlm.core.errors import InputError
from tlm.inputs.labelled import load_sample
from tlm.networks.stored import JSON_NAME, StoredNetwork, load_network, save_network
from tlm.networks.weights import stored_weights
from tlm.scenario.catalog import shipped, shipped_files
from tlm.scenario.loading import load_scenario
from tlm.training.datasets import FASHION_MNIST_DIRECTORY


def network() -> tlm.Network:
    rng = np.random.default_rng(0)
    return tlm.Network(
        (1, 28, 28),
        [
            tlm.Conv2d(
                "c1",
                rng.integers(-8, 8, (8, 1, 3, 5)),
                stride=(4, 2),
                padding=((1, 0), (2, 3)),
                dilation=(1, 2),
                bias=rng.integers(-(1 << 23), 1 << 23, 8),
                multiplier=rng.integers(0, 65536, 8),
                shift=rng.integers(20, 41, 8),
            ),
            tlm.MaxPool2d("m", (2, 1), stride=(1, 1), padding=((1, 0), (0, 0))),
            tlm.Conv2d("s", rng.integers(-8, 8, (8, 4, 1, 1)), groups=2, multiplier=3, shift=5, signed_output=True),
            tlm.Conv2d("r", rng.integers(-8, 8, (8, 8, 1, 1)), input="m", residual="s", residual_multiplier=9, shift=7),
            tlm.AvgPool2d("a", (4, 13)),
            tlm.Conv2d("fc", rng.integers(-8, 8, (10, 8, 1, 1)), accumulator_output=True),
        ],
    )


def saved(tmp_path: Path) -> Path:
    path = tmp_path / "n.npz"
    save_network(path, StoredNetwork(network(), {"seed": 3}))
    return path


def test_a_network_comes_back_as_it_was(tmp_path: Path) -> None:
    made, found = network(), load_network(saved(tmp_path))
    assert found.card == {"seed": 3}
    assert found.network.inputs == made.inputs
    assert found.network.tensors == made.tensors
    activations = np.random.default_rng(1).integers(0, 16, (1, 28, 28))
    expected, outputs = (tlm.reference.run(one, activations) for one in (made, found.network))
    assert all(np.array_equal(expected[name], outputs[name]) for name in expected)


def test_equal_networks_give_equal_bytes(tmp_path: Path) -> None:
    first = saved(tmp_path).read_bytes()
    assert saved(tmp_path).read_bytes() == first


def rewritten(path: Path, **changes: object) -> Path:
    with np.load(path) as archive:
        arrays = dict(archive)
    content = json.loads(arrays[JSON_NAME].tobytes()) | changes
    arrays[JSON_NAME] = np.frombuffer(json.dumps(content).encode(), np.uint8)
    np.savez(path, **arrays)
    return path


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(InputError, match=r"x\.npz: does not exist"):
        load_network(tmp_path / "x.npz")
    with pytest.raises(InputError, match=r"format is 'tlm.network/9', but must be 'tlm.network/1'"):
        load_network(rewritten(path, format="tlm.network/9"))
    with pytest.raises(InputError, match=r"n\.npz: network.json or an array is damaged \(KeyError: 'name'\)"):
        load_network(rewritten(path, format="tlm.network/1", layers=[{}]))
    np.savez(path, a=np.zeros(1))
    with pytest.raises(InputError, match=r"has no network\.json"):
        load_network(path)
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"n\.npz: is no numpy file of plain numbers"):
        load_network(path)


def test_layers_that_do_not_fit_are_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"n\.npz: layer 'c1': weights .* but its input 'input' has 2"):
        load_network(rewritten(saved(tmp_path), input_shape=[2, 28, 28]))


# -- samples ------------------------------------------------------------------------------------------------------


def test_the_shipped_sample_is_fashion_mnist() -> None:
    sample = load_sample(shipped("samples", "fashion_mnist_test", "k"))
    assert sample.activations.shape == (300, 1, 28, 28)
    assert (sample.activations.min(), sample.activations.max()) == (0, 15)
    assert sample.labels[:5].tolist() == [9, 2, 1, 1, 6]


def test_damaged_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    with pytest.raises(InputError, match="does not exist"):
        load_sample(path)
    np.savez(path, pixels=np.zeros((2, 1, 3, 3), np.uint8))
    with pytest.raises(InputError, match=r"is no \.npz file with pixels and labels"):
        load_sample(path)
    np.savez(path, pixels=np.zeros((2, 3, 3), np.uint8), labels=np.zeros(2, int))
    with pytest.raises(InputError, match=r"pixels are uint8 \(2, 3, 3\), but must be uint8 \(N, C, H, W\)"):
        load_sample(path)
    np.savez(path, pixels=np.zeros((2, 1, 3, 3), np.uint8), labels=np.zeros(3, int))
    with pytest.raises(InputError, match=r"labels are int64 \(3,\), but must be whole numbers \(2,\)"):
        load_sample(path)


# -- scenarios ----------------------------------------------------------------------------------------------------


def scenario(tmp_path: Path, network_keys: str = 'file = "n.npz"', input_keys: str = "") -> Path:
    saved(tmp_path)
    path = tmp_path / "s.toml"
    path.write_text(f'[network]\nkind = "trained"\n{network_keys}\n[input]\nkind = "sample"\n{input_keys}\n')
    return path


def test_a_scenario_runs_a_stored_network_on_a_sample(tmp_path: Path) -> None:
    loaded = load_scenario(scenario(tmp_path, input_keys="index = 7"))
    job = loaded.build(golden=True)
    sample = load_sample(shipped("samples", "fashion_mnist_test", "k"))
    assert np.array_equal(job.activations, sample.activations[7])
    assert job.settings["network"]["file"] == "n.npz"
    assert len(job.settings["network"]["file_sha256"]) == 64
    inputs = loaded.inputs(job, 4, "--count")
    assert inputs.labels == tuple(sample.labels[7:11].tolist())
    assert np.array_equal(inputs[3], sample.activations[10])
    result = tlm.simulate(job.network, job.activations)
    assert job.golden is not None
    assert np.array_equal(result.outputs, job.golden["fc"])


@pytest.mark.parametrize(
    ("network_keys", "input_keys", "message"),
    [
        ("", "", "network: give either model, the name of a network of the package, or file"),
        ('model = "x"\nfile = "n.npz"', "", "network: give either model"),
        ('model = "nothing"', "", r"network\.model: 'nothing' does not come with the package"),
        ('file = "m.npz"', "", r"network\.file: .*m\.npz: does not exist"),
        ('file = "n.npz"', "index = 300", r"input\.index: 300 is not allowed; the file has images 0\.\.299"),
        ('file = "n.npz"', 'sample = "fashion"', r"input\.sample: 'fashion' does not come with .*fashion_mnist_test"),
        ('file = "n.npz"', 'file = "n.npz"', r"input\.file: .*n\.npz: is no \.npz file with pixels and labels"),
    ],
)
def test_sections_that_cannot_be_are_refused(tmp_path: Path, network_keys: str, input_keys: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_scenario(scenario(tmp_path, network_keys, input_keys)).build()


def test_another_input_is_refused(tmp_path: Path) -> None:
    path = scenario(tmp_path)
    path.write_text(path.read_text().replace('"sample"', '"random"\nsigned = true'))
    with pytest.raises(InputError, match=r"network: takes unsigned input of shape \[1, 28, 28\].* signed"):
        load_scenario(path).build()


def test_more_inputs_than_images_are_refused(tmp_path: Path) -> None:
    loaded = load_scenario(scenario(tmp_path, input_keys="index = 290"))
    with pytest.raises(InputError, match=r"--count: 11 inputs, but from input.index 290 on there are 10"):
        loaded.inputs(loaded.build(), 11, "--count")


def test_eval_tells_the_accuracy(tmp_path: Path) -> None:
    path = scenario(tmp_path)
    done = tlm_command("eval", str(path), "--count", "20", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "eval.json").read_text())
    right = [one["top"][0]["class"] == one["label"] for one in record["inputs"]]
    assert record["accuracy"] == sum(right) / 20
    assert f"accuracy     {sum(right) / 20:.2%} of 20 inputs" in done.stdout


# -- what comes with the package ----------------------------------------------------------------------------------


QUICK = ("model1", "model2_3of9")


@pytest.mark.parametrize(
    "path",
    [path if path.stem in QUICK else pytest.param(path, marks=pytest.mark.slow) for path in shipped_files("networks")],
    ids=lambda path: path.stem,
)
def test_a_shipped_network_gives_what_its_card_says(path: Path) -> None:
    """On the shipped 300 images, within what 300 can tell; all layers equal to the golden model on some."""
    stored = load_network(path)
    sample = load_sample(shipped("samples", "fashion_mnist_test", "k"))
    evaluator = tlm.Evaluator(stored.network)
    best = np.array([int(scores.argmax()) for scores in evaluator.outputs(sample.activations)])
    share = float((best == sample.labels).mean())
    assert abs(share - stored.card["accuracy"]["engine"]) < 0.06
    for activations in sample.activations[:3]:
        golden, found = tlm.reference.run(stored.network, activations), evaluator.tensors(activations)
        assert all(np.array_equal(golden[name], found[name]) for name in golden)
    assert path.stat().st_size < 400_000


@pytest.mark.skipif(not Path(FASHION_MNIST_DIRECTORY).is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_eval_takes_the_test_set_from_its_directory(tmp_path: Path) -> None:
    done = tlm_command(
        "eval", "model2_3of9", "--fashion-mnist", FASHION_MNIST_DIRECTORY, "--count", 30, "-o", "out", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "eval.json").read_text())
    sample = load_sample(shipped("samples", "fashion_mnist_test", "k"))
    assert [one["label"] for one in record["inputs"]] == sample.labels[:30].tolist()
    assert record["inputs"][0]["name"] == "test image 0"
    assert record["accuracy"] > 0.8


def test_a_test_set_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    assert "--fashion-mnist: given beside --images" in refused(
        "eval", "model2_3of9", "--fashion-mnist", "x", "--images", "y", cwd=tmp_path
    )
    assert "t10k-images-idx3-ubyte: does not exist" in refused(
        "eval", "model2_3of9", "--fashion-mnist", tmp_path, cwd=tmp_path
    )


@pytest.mark.slow
@pytest.mark.parametrize("fidelity", ["pass", "cycle"])
@pytest.mark.parametrize("name", ["model1", "model2_3of9"])
def test_the_full_simulation_gives_what_eval_gives(name: str, fidelity: str) -> None:
    """50 real images; a few of them through the model that moves every beat."""
    network = load_network(shipped("networks", name, "k")).network
    images = load_sample(shipped("samples", "fashion_mnist_test", "k")).activations[: 50 if fidelity == "pass" else 3]
    program = tlm.compile(network)
    expected = tlm.evaluate(program, images)
    for activations, scores in zip(images, expected, strict=True):
        assert np.array_equal(tlm.simulate(program, activations, fidelity=fidelity).outputs, scores)


@pytest.mark.slow
def test_the_table_of_the_training_page_is_current() -> None:
    done = subprocess.run([sys.executable, "docs/tools/make_training_table.py", "--check"], cwd=REPOSITORY, check=False)
    assert done.returncode == 0, "run: python docs/tools/make_training_table.py"


@pytest.mark.parametrize("path", shipped_files("networks"), ids=lambda path: path.stem)
def test_the_card_says_what_the_network_is(path: Path) -> None:
    """Every field that follows from the network or from another field."""
    stored = load_network(path)
    card, layers = stored.card, stored.network.layers
    assert json.loads(path.with_suffix(".json").read_text()) == card
    assert card["weights"] == stored_weights(stored.network)
    stages = [stage["name"] for stage in card["recipe"]["stages"]]
    assert (stages[-1], list(card["training_seconds"])) == (card["stage"], stages)
    assert (card["seed"], card["model"], card["description"]) == tuple(
        card["recipe"][key] for key in ("seed", "model", "description")
    )
    assert card["accuracy"]["images"] == card["data"]["test_images"]
    kernels = [layer for layer in layers if isinstance(layer, tlm.Conv2d) and layer.kernel == (3, 3)]
    live = [(layer.weights != 0).any(axis=0).reshape(layer.in_channels, -1) for layer in kernels]
    if card["shifts"]:
        found = [{"channels": len(taps), "shifted": int((taps.any(axis=1) & ~taps[:, 4]).sum())} for taps in live]
        assert found == [{key: shift[key] for key in ("channels", "shifted")} for shift in card["shifts"].values()]
        assert {int(taps.sum(axis=1).max()) for taps in live} == {1}
    else:
        assert {int(taps.sum(axis=1).max()) for taps in live} == {card["taps"]}


def test_a_word_counts_if_it_holds_one_weight() -> None:
    weights = np.zeros((40, 2, 1, 1), np.int8)
    weights[3, 0] = weights[39, 1] = 5
    layers = [
        tlm.Conv2d("c", weights, shift=4),
        tlm.Conv2d("depthwise", np.ones((40, 1, 1, 1), np.int8), groups=40, shift=4),
    ]
    assert stored_weights(tlm.Network((2, 4, 4), layers)) == {"nonzero": 2, "stored": 32 + 8, "dense": 80}
