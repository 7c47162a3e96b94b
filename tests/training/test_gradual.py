"""Stages that prune by density, start from a file of weights, or do not train at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_datasets import write_idx

torch = pytest.importorskip("torch")

import tlm  # noqa: E402
from tlm.core.errors import InputError  # noqa: E402
from tlm.networks.stored import load_network  # noqa: E402
from tlm.networks.weights import stored_weights  # noqa: E402
from tlm.training.architecture import resnet18  # noqa: E402
from tlm.training.export import export  # noqa: E402
from tlm.training.finish import finish  # noqa: E402
from tlm.training.float_layers import FloatLayer  # noqa: E402
from tlm.training.gradual import GradualPruning  # noqa: E402
from tlm.training.int4_layers import Int4Layer  # noqa: E402
from tlm.training.networks import FloatNetwork, Int4Network  # noqa: E402
from tlm.training.pruning import live_words, mask_of  # noqa: E402
from tlm.training.recipe import load_recipe  # noqa: E402
from tlm.training.stages import Training  # noqa: E402

START = 'model = "tiny_standard_resnet"\nbatch = 16\ncheckpoint_steps = 3\n'
FIRST = '[[stages]]\nname = "a"\nkind = "float"\nrate = 0.05\n'


def stage(name: str, start: str, keys: str, kind: str = "float") -> str:
    return f'[[stages]]\nname = "{name}"\nkind = "{kind}"\nstart = "{start}"\nrate = 0.01\n{keys}\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of 28x28 pixels, light above or light below, in the files of Fashion-MNIST."""
    rng, directory = np.random.default_rng(0), tmp_path / "data"
    directory.mkdir()
    for part, count in (("train", 160), ("t10k", 20)):
        labels = rng.integers(0, 2, count)
        pixels = rng.integers(0, 120, (count, 28, 28))
        for image, label in zip(pixels, labels, strict=True):
            image[14 * label : 14 * label + 14] += 100
        write_idx(directory / f"{part}-images-idx3-ubyte", pixels.astype(np.uint8))
        write_idx(directory / f"{part}-labels-idx1-ubyte", labels.astype(np.uint8))
    return directory


def training(tmp_path: Path, data: Path, text: str, name: str = "out") -> Training:
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    return Training(load_recipe(str(path)), tmp_path / name, data=str(data))


def float_network(done: Training, name: str) -> FloatNetwork:
    network = done.network(name)
    assert isinstance(network, FloatNetwork)
    return network


WORDS = (
    START
    + FIRST
    + stage("half", "a", "word_density = 0.5")
    + stage("quarter", "half", 'word_density = 0.25\nschedule = "stepwise"')
    + stage("q", "quarter", "", "int4")
)


def test_weight_words_go_in_the_course_of_a_stage_and_stay_away(tmp_path: Path, data: Path) -> None:
    done = training(tmp_path, data, WORDS)
    done.run()
    half, quarter = (float_network(done, name) for name in ("half", "quarter"))
    for share, network in ((0.5, half), (0.25, quarter)):
        for layer in network.convolutions():
            live, words = live_words(layer)
            assert live == round(share * words)
    for before, after in zip(half.convolutions(), quarter.convolutions(), strict=True):
        assert (mask_of(after) <= mask_of(before)).all()
    quantised = done.network("q")
    assert isinstance(quantised, Int4Network)
    network = export(quantised)
    masks = {part.spec.name: mask_of(part.conv).numpy() for part in quarter.parts if getattr(part, "norm", None)}
    assert len(masks) == 6
    for layer in network.layers:
        if layer.name in masks:
            assert isinstance(layer, tlm.Conv2d)
            assert not np.any(layer.weights[masks[layer.name] == 0])
            assert np.count_nonzero(layer.weights) > 0.6 * np.count_nonzero(masks[layer.name])


def test_a_density_falls_from_where_the_stage_before_has_left_it(tmp_path: Path, data: Path) -> None:
    done = training(tmp_path, data, WORDS + stage("s", "a", "density = 0.5") + stage("t", "s", "density = 0.1"))
    done.run(only=("half", "s"))
    for start, name, shares in (("half", "quarter", (0.475, 0.4, 0.25)), ("s", "t", (0.5, 0.1 + 0.4 * 0.7**3, 0.1))):
        network = float_network(done, start)
        pruning = GradualPruning(done.recipe, done.recipe.stage(name), network)
        for progress, share in zip((0.0, 0.3, 1.0), shares, strict=True):
            pruning(progress * 0.6)
            for layer in network.convolutions():
                if name == "quarter":
                    assert live_words(layer)[0] == round(share * live_words(layer)[1])
                else:
                    assert int(mask_of(layer).sum()) == round(share * layer.weight.numel())


def test_int4_starts_from_the_weights_that_pruning_has_left(tmp_path: Path, data: Path) -> None:
    done = training(tmp_path, data, WORDS)
    done.run(only=("quarter",))
    layer = float_network(done, "quarter").parts[2]
    assert isinstance(layer, FloatLayer)
    held = torch.load(done.checkpoint("quarter"), weights_only=True)["network"]
    gain = held["parts.2.norm.weight"] / torch.sqrt(held["parts.2.norm.running_var"] + layer.norm.eps)
    expected = held["parts.2.conv.weight_orig"] * held["parts.2.conv.weight_mask"] * gain[:, None, None, None]
    started = done.loop(done.recipe.stage("q")).network.parts[2]
    assert isinstance(started, Int4Layer)
    assert torch.equal(started.real_weights(), expected)


def test_the_engine_skips_words_that_were_pruned(tmp_path: Path, data: Path) -> None:
    done = training(tmp_path, data, WORDS + stage("whole", "a", "", "int4"))
    done.run()
    whole, pruned = (load_network(finish(done, done.recipe.stage(name), "test")).network for name in ("whole", "q"))
    words = [layer.weights[first : first + 32] for layer in pruned.layers if isinstance(layer, tlm.Conv2d)
             and layer.groups == 1 for first in (0, 32)]  # fmt: skip
    assert stored_weights(pruned)["stored"] == sum(len(word) * np.any(word != 0, axis=0).sum() for word in words)
    assert stored_weights(pruned)["stored"] < 0.3 * stored_weights(whole)["stored"]
    image = done.test.activations[0]
    slow, fast = tlm.simulate(whole, image), tlm.simulate(pruned, image)
    assert np.array_equal(fast.outputs, tlm.evaluate(pruned, image)[0])
    assert fast.cycles < slow.cycles


def test_single_weights_go_in_the_course_of_a_stage(tmp_path: Path, data: Path) -> None:
    text = START + FIRST + "density = 0.5\n" + stage("b", "a", "density = 0.1") + stage("q", "b", "", "int4")
    done = training(tmp_path, data, text)
    done.run()
    for share, name in ((0.5, "a"), (0.1, "b")):
        for layer in float_network(done, name).convolutions():
            assert int(mask_of(layer).sum()) == round(share * layer.weight.numel())
    quantised = done.network("q")
    assert isinstance(quantised, Int4Network)
    sizes = {layer.name: np.count_nonzero(layer.weights) / layer.weights.size for layer in export(quantised).layers
             if isinstance(layer, tlm.Conv2d) and layer.groups == 1}  # fmt: skip
    assert sizes.pop("fc") > 0.5
    assert 0.05 < min(sizes.values()) <= max(sizes.values()) < 0.11


def test_an_interrupted_stage_prunes_on_as_if_it_had_not_been(tmp_path: Path, data: Path) -> None:
    text = WORDS + stage("s", "a", "density = 0.3") + stage("sq", "s", "", "int4")
    whole, parts = training(tmp_path, data, text), training(tmp_path, data, text, "parts")
    whole.run()
    for stop_after in (4, 3, 5, 4, 7, None):
        parts.run(stop_after)
    for one in whole.recipe.stages:
        expected, found = (part.network(one.name).state_dict() for part in (whole, parts))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_pointwise_weights_behind_a_pruned_depthwise_kernel_are_pruned_too(tmp_path: Path, data: Path) -> None:
    text = START.replace("tiny_standard_resnet", "tiny_resnet") + FIRST + "taps = 4\nword_density = 0.5\n"
    done = training(tmp_path, data, text + stage("q", "a", "", "int4"))
    done.run()
    quantised = done.network("q")
    assert isinstance(quantised, Int4Network)
    fused = [layer for layer in export(quantised).layers if layer.name.endswith("dwpw2")]
    assert len(fused) == 2
    for layer in fused:
        assert isinstance(layer, tlm.Conv2d)
        live = np.any(layer.weights != 0, axis=0).reshape(layer.in_channels, 9).sum(1)
        assert np.count_nonzero(live) == layer.in_channels // 2  # one group of output channels, so half the channels
        assert set(live.tolist()) <= {0, 1, 2, 3, 4}


def test_a_stage_without_steps_prunes_all_the_same(tmp_path: Path, data: Path) -> None:
    done = training(tmp_path, data, START + FIRST + stage("b", "a", "word_density = 0.5\nepochs = 0"))
    done.run()
    first, second = (float_network(done, name).convolutions() for name in "ab")
    for before, after in zip(first, second, strict=True):
        assert live_words(after)[0] == round(0.5 * live_words(after)[1])
        assert torch.equal(after.weight_orig, before.weight)


def test_only_the_stages_that_lead_to_one_are_trained(tmp_path: Path, data: Path) -> None:
    done = training(tmp_path, data, WORDS)
    assert [one.name for one in done.stages(("half",))] == ["a", "half"]
    assert done.stages(()) == list(done.recipe.stages)
    done.run(only=("half",))
    assert sorted(path.name for path in done.directory.iterdir()) == ["a.pt", "half.pt"]


# -- weights from a file ------------------------------------------------------------------------------------------


def named(network: FloatNetwork) -> dict[str, torch.Tensor]:
    """Tensors by the names that docs/training.md gives."""
    places = {f"parts.{index}": spec.name for index, spec in enumerate(network.architecture.layers)}
    found = {}
    for name, tensor in network.state_dict().items():
        place, _, rest = name.partition(".")[0] + "." + name.split(".")[1], "", ".".join(name.split(".")[2:])
        found[f"{places[place]}.{rest}"] = tensor
    return found


def test_training_goes_on_from_a_file_of_weights(tmp_path: Path, data: Path) -> None:
    first = training(tmp_path, data, START + FIRST)
    first.run()
    source = float_network(first, "a")
    path = tmp_path / "weights.pt"
    text = (
        START + FIRST + f"epochs = 0\nweights_file = '{path}'\n" + stage("p", "a", "word_density = 0.5\nepochs = 0.5")
    )
    forms = {
        "plain": named(source),
        "counters": {name: one for name, one in named(source).items() if "num_batches" not in name},
        "parallel": {"state_dict": {f"module.{name}": one for name, one in named(source).items()}, "epoch": 3},
        "checkpoint": torch.load(tmp_path / "out" / "a.pt", weights_only=True),
    }
    for name, held in forms.items():
        torch.save(held, path)
        other = training(tmp_path, data, text, name)
        other.run()
        found = float_network(other, "a").state_dict()
        assert all(torch.equal(found[key], one) for key, one in source.state_dict().items() if "num_batches" not in key)
        assert live_words(float_network(other, "p").convolutions()[0])[0] > 0


def broken(weights: dict[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor] | list[int]:
    if kind == "missing":
        del weights["b1.conv2.norm.bias"], weights["fc.conv.bias"]
    elif kind == "foreign":
        weights["layer1.0.conv1.weight"] = torch.zeros(3)
    elif kind == "shape":
        weights["b2.conv1.conv.weight"] = torch.zeros(40, 8, 1, 1)
    elif kind == "infinite":
        weights["fc.conv.bias"] = torch.full((10,), torch.inf)
    else:
        return [1, 2]
    return weights


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"w\.pt: lacks b1\.conv2\.norm\.bias, fc\.conv\.bias, of tiny_standard_resnet"),
        ("foreign", r"w\.pt: holds layer1\.0\.conv1\.weight, which are not in tiny_standard_resnet"),
        ("shape", r"w\.pt: b2\.conv1\.conv\.weight is \(40, 8, 1, 1\), but must be \(40, 8, 3, 3\)"),
        ("infinite", r"w\.pt: fc\.conv\.bias holds values that are not finite"),
        ("list", r"w\.pt: is no dict of tensors, alone or under 'network', 'state_dict', 'model'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, data: Path, kind: str, message: str) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(START + FIRST)
    weights = named(FloatNetwork(load_recipe(str(recipe)).architecture()))
    torch.save(broken(weights, kind), tmp_path / "w.pt")
    with pytest.raises(InputError, match=message):
        training(tmp_path, data, START + FIRST + f"weights_file = '{tmp_path / 'w.pt'}'")


def test_a_file_that_is_none_is_refused(tmp_path: Path, data: Path) -> None:
    text = START + FIRST + f"weights_file = '{tmp_path / 'w.pt'}'"
    with pytest.raises(InputError, match=r"w\.pt: does not exist"):
        training(tmp_path, data, text)
    (tmp_path / "w.pt").write_text("weights")
    with pytest.raises(InputError, match=r"w\.pt: is no file of weights that torch reads"):
        training(tmp_path, data, text)


@pytest.mark.slow
def test_the_published_size_goes_from_a_file_to_the_engine(tmp_path: Path) -> None:
    """ResNet-18 at 224x224 and 1,000 classes: weights from a file, 3 of 9 taps, INT4, every layer on the engine."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 2), ("test", 1)):
        for kind in ("cat", "dog"):
            (tmp_path / part / kind).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (230, 250, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / kind / f"{index}.png")
    torch.manual_seed(0)
    torch.save(named(FloatNetwork(resnet18())), tmp_path / "resnet18.pt")
    text = f"""model = "resnet18"
data = {{kind = "image_folder", directory = "{tmp_path}"}}
{FIRST}epochs = 0
weights_file = "{tmp_path / "resnet18.pt"}"
""" + stage("b", "a", "taps = 3\nepochs = 0") + stage("q", "b", "epochs = 0", "int4")  # fmt: skip
    (tmp_path / "r.toml").write_text(text)
    done = Training(load_recipe(str(tmp_path / "r.toml")), tmp_path / "out")
    done.run()
    stored = load_network(finish(done, done.recipe.stage("q"), "test"))
    assert stored.card["accuracy"]["golden_equal"]
    assert stored.network.input_shape == (3, 224, 224)
    assert stored.network.output.shape == (1000, 1, 1)
    image = done.test.activations[0]
    result = tlm.simulate(stored.network, image)
    assert np.array_equal(result.outputs, tlm.evaluate(stored.network, image)[0])
    assert 1_000_000 < result.cycles < 1_400_000  # the seeded network of 3/9 has 1,107,206
