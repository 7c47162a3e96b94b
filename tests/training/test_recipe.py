"""Recipes, batches, and a whole training at the smallest size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import refused
from command import tlm as tlm_command

torch = pytest.importorskip("torch")

import tlm  # noqa: E402
from tlm.core.errors import InputError  # noqa: E402
from tlm.exchange.onnx_reader import read_onnx  # noqa: E402
from tlm.inputs.labelled import LabelledImages  # noqa: E402
from tlm.networks.stored import load_network  # noqa: E402
from tlm.training.batches import Batches  # noqa: E402
from tlm.training.datasets import FASHION_MNIST_DIRECTORY, load_fashion_mnist  # noqa: E402
from tlm.training.finish import finish  # noqa: E402
from tlm.training.networks import FloatNetwork  # noqa: E402
from tlm.training.pruning import mask_of  # noqa: E402
from tlm.training.recipe import RECIPES, Recipe, load_recipe  # noqa: E402
from tlm.training.stages import Training  # noqa: E402

needs_data = pytest.mark.skipif(
    not Path(FASHION_MNIST_DIRECTORY).is_dir(), reason="needs Debian's package dataset-fashion-mnist"
)

MINIMAL = 'model = "tiny_resnet"\n[[stages]]\nname = "a"\nkind = "float"\n'


def recipe(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "r.toml"
    path.write_text(text)
    return load_recipe(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = 3", r"r\.toml: Expected `str`, got `int` - at `\$\.model`"),
        (MINIMAL.replace("tiny_resnet", "vgg"), "model: 'vgg' is not known; give one of small_resnet, "),
        (MINIMAL + "rats = 2", "unknown field `rats`"),
        (MINIMAL + MINIMAL[MINIMAL.index("[[") :], r"stages\[1\]\.name: 'a' is used twice"),
        (MINIMAL + 'start = "b"', r"stages\[0\]\.start: 'b' is no earlier float stage; give one of none"),
        (MINIMAL.replace('"float"', '"int4"'), r"stages\[0\]\.start: an int4 stage starts from a float one"),
        (
            MINIMAL + '[[stages]]\nname = "b"\nkind = "int4"\nstart = "a"\ntaps = 3',
            r"stages\[1\]\.taps: prune in a float stage",
        ),
        (
            MINIMAL + '[[stages]]\nname = "b"\nkind = "int4"\nstart = "a"\nword_density = 0.3',
            r"stages\[1\]\.word_density: prune in a float stage",
        ),
        (MINIMAL + "density = 0.5\nword_density = 0.5", r"stages\[0\]\.density: prune weight words or single weights"),
        (MINIMAL + "taps = 0", r"Expected `int` >= 1 - at `\$\.stages\[0\]\.taps`"),
        (MINIMAL + "taps = 10", r"Expected `int` <= 9 - at `\$\.stages\[0\]\.taps`"),
        (MINIMAL + "word_density = 1.5", r"Expected `float` <= 1\.0 - at `\$\.stages\[0\]\.word_density`"),
        (MINIMAL + 'schedule = "linear"', r"Invalid enum value 'linear' - at `\$\.stages\[0\]\.schedule`"),
        (MINIMAL + "density = 1.5", r"Expected `float` <= 1\.0 - at `\$\.stages\[0\]\.density`"),
        (
            MINIMAL + '[[stages]]\nname = "b"\nkind = "float"\nstart = "a"\nweights_file = "w.pt"',
            r"stages\[1\]\.weights_file: only a float stage without start",
        ),
    ],
)
def test_bad_recipes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe(tmp_path, text)


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"model3: no such recipe; give a \.toml file or one of model1, model2, smoke"):
        load_recipe("model3")


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_every_shipped_recipe_loads(name: str) -> None:
    found = load_recipe(name)
    assert found.architecture().classes == 10
    assert found.stages[0].kind == "float"


def test_the_digest_is_that_of_what_is_asked_for(tmp_path: Path) -> None:
    plain = recipe(tmp_path, MINIMAL)
    assert recipe(tmp_path, MINIMAL + "schedule = 'cubic'").digest() == plain.digest()
    assert recipe(tmp_path, MINIMAL + "epochs = 2").digest() != plain.digest()


def numbered(count: int) -> LabelledImages:
    pixels = np.broadcast_to(np.arange(count, dtype=np.int8)[:, None, None, None] % 16, (count, 1, 8, 8))
    return LabelledImages(np.ascontiguousarray(pixels), np.arange(count))


def test_an_epoch_sees_every_image_once_in_an_order_of_its_own() -> None:
    batches = Batches(numbered(40), 10, seed=1, stage="a")
    assert batches.per_epoch == 4
    first, second = ([batches.batch(4 * epoch + i)[1].tolist() for i in range(4)] for epoch in (0, 1))
    assert sorted(label for labels in first for label in labels) == list(range(40))
    assert first != second


def test_a_step_gives_the_same_batch_whatever_came_before() -> None:
    images = numbered(40)
    one, other = Batches(images, 10, 1, "a"), Batches(images, 10, 1, "a")
    for step in range(7):
        one.batch(step)
    assert torch.equal(one.batch(7)[0], other.batch(7)[0])
    assert torch.equal(one.batch(7)[1], other.batch(7)[1])
    assert not torch.equal(Batches(images, 10, 2, "a").batch(7)[1], other.batch(7)[1])
    assert not torch.equal(Batches(images, 10, 1, "b").batch(7)[1], other.batch(7)[1])


def test_images_are_shifted_by_at_most_two_pixels_and_mirrored() -> None:
    pixels = np.zeros((64, 1, 9, 9), np.int8)
    pixels[:, 0, 4, 6] = 7
    batches = Batches(LabelledImages(pixels, np.zeros(64, np.int64)), 64, 0, "a")
    found = set()
    for step in range(20):
        activations, _ = batches.batch(step)
        assert (activations.flatten(1).sum(1) == 7).all()
        found |= {tuple(place[2:]) for place in activations.nonzero().tolist()}
    assert {y for y, _ in found} == {2, 3, 4, 5, 6}
    assert {x for _, x in found} == set(range(9))  # 6 +- 2, or mirrored, 2 +- 2
    assert torch.equal(batches.plain(3), torch.from_numpy(pixels[:3]).float())


# -- a whole training ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Training:
    training = Training(load_recipe("smoke"), tmp_path_factory.mktemp("smoke"))
    training.run()
    return training


@pytest.mark.slow
@needs_data
def test_an_interrupted_training_comes_to_the_same_result(trained: Training, tmp_path: Path) -> None:
    for stop_after in (15, 30, 37, None):
        Training(trained.recipe, tmp_path).run(stop_after)
    for stage in trained.recipe.stages:
        one, other = (part.network(stage.name).state_dict() for part in (trained, Training(trained.recipe, tmp_path)))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
@needs_data
def test_the_trained_network_is_pruned_and_runs(trained: Training) -> None:
    pruned = trained.network("fp32_3of9")
    assert isinstance(pruned, FloatNetwork)
    assert all((mask_of(layer).flatten(1).sum(1) == 3).all() for layer in pruned.depthwise())
    path = finish(trained, trained.recipe.stage("int4_3of9"), "test")
    stored = load_network(path)
    assert stored.card["accuracy"]["agreement"] >= 0.98  # a tiny network: scores lie close together
    assert stored.card["accuracy"]["engine"] > 0.4
    assert stored.card["accuracy"]["golden_equal"]
    assert stored.card["taps"] == 3
    assert json.loads(path.with_suffix(".json").read_text()) == stored.card
    written = read_onnx(path.with_suffix(".onnx")).network
    assert [layer.name for layer in written.layers] == [layer.name for layer in stored.network.layers]
    fused = [layer for layer in stored.network.layers if layer.name.endswith("dwpw2")]
    assert all(((layer.weights != 0).any(0).reshape(-1, 9).sum(1) <= 3).all() for layer in fused)
    images = load_fashion_mnist(FASHION_MNIST_DIRECTORY, "test").activations[:3]
    for activations in images:
        result = tlm.simulate(stored.network, activations)
        assert np.array_equal(result.outputs, tlm.evaluate(stored.network, activations)[0])


@pytest.mark.slow
@needs_data
def test_checkpoints_of_another_recipe_are_refused(trained: Training, tmp_path: Path) -> None:
    other = recipe(tmp_path, MINIMAL.replace('"a"', '"fp32"'))
    with pytest.raises(InputError, match=r"fp32\.pt: belongs to another recipe"):
        Training(other, trained.directory).run()


@pytest.mark.slow
@needs_data
def test_the_command_trains_and_resumes(tmp_path: Path) -> None:
    text = MINIMAL + "epochs = 0.5\n[[stages]]\nname = 'q'\nkind = 'int4'\nstart = 'a'\nepochs = 0.5\n"
    text += "[data]\ntrain_images = 512\ntest_images = 100\n"
    (tmp_path / "r.toml").write_text(text)
    done = tlm_command("train", "r.toml", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "wrote out/q.npz" in done.stdout
    again = tlm_command("train", "r.toml", "-o", "out", cwd=tmp_path)
    assert again.returncode == 2
    assert "out: holds checkpoints (a.pt, ...); give --resume to go on, or another -o" in again.stderr
    before = (tmp_path / "out" / "q.npz").read_bytes()
    resumed = tlm_command("train", "r.toml", "-o", "out", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "out" / "q.npz").read_bytes() == before


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    assert "--seed: -1 is not allowed; give 0 or more" in refused("train", "smoke", "--seed", "-1", cwd=tmp_path)
    message = refused("train", "smoke", "--stage", "x", cwd=tmp_path)
    assert "--stage: 'x' is not in the recipe; give one of fp32, " in message


@pytest.mark.parametrize("name", ["int4.npz", "int4_3of9.onnx"])
def test_a_file_that_could_not_be_written_is_found_before_the_work(name: str, tmp_path: Path) -> None:
    (tmp_path / "out" / "smoke" / name).mkdir(parents=True)
    message = refused("train", "smoke", cwd=tmp_path)
    assert message.startswith(f"-o: out/smoke/{name} is not a regular file")


def test_a_missing_data_set_is_an_input_error(tmp_path: Path) -> None:
    done = tlm_command("train", "smoke", "--data", str(tmp_path), "-o", str(tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 2
    assert "does not exist; Fashion-MNIST is Debian's package dataset-fashion-mnist" in done.stderr
