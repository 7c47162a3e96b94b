"""``tlm eval`` and ``tlm run --batch`` as a user runs them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import SCENARIOS, SMALL, refused, tlm
from PIL import Image
from strategies import random_activations

import tlm as package
from tlm.inputs.images import load_image
from tlm.networks.seeded import seeded_activations
from tlm.results.result import tensor_sha256
from tlm.results.scores import are_scores, best_classes
from tlm.scenario.batch_inputs import image_variant, variants_of
from tlm.scenario.loading import load_scenario

PHOTO = SCENARIOS / "images" / "astronaut.png"

SCORES = """\
description = "scores"

[network]
kind = "layers"
seed = 3

[[network.layers]]
name = "c1"
out_channels = 16
kernel = 4
stride = 8
padding = 0
taps = 8

[[network.layers]]
name = "scores"
out_channels = 12
kernel = 4
padding = 0
accumulator_output = true

[input]
kind = "image"
file = "photo.png"
height = 32
width = 32
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    (tmp_path / "scores.toml").write_text(SCORES)
    shutil.copy(PHOTO, tmp_path / "photo.png")
    return tmp_path


def golden(path: Path, *inputs: np.ndarray) -> np.ndarray:
    network = load_scenario(path).build().network
    return np.stack([package.reference.run(network, one)[network.output.name] for one in inputs])


# -- seeds ------------------------------------------------------------------------------------------------------------


def test_inputs_from_seeds(small: Path) -> None:
    done = tlm("eval", "small.toml", "--count", "3", "--check", "3", "-o", "out", cwd=small)
    assert done.returncode == 0, done
    inputs = [seeded_activations((8, 6, 7), seed) for seed in (2, 3, 4)]
    outputs = golden(small / "small.toml", *inputs)
    with np.load(small / "out" / "outputs.npz") as arrays:
        assert arrays.files == ["c2"]
        np.testing.assert_array_equal(arrays["c2"], outputs)
        assert arrays["c2"].dtype == np.int8
    record = json.loads((small / "out" / "eval.json").read_text())
    assert record["outputs_sha256"] == tensor_sha256(outputs)
    assert [one["name"] for one in record["inputs"]] == ["seed 2", "seed 3", "seed 4"]
    assert [one["input_sha256"] for one in record["inputs"]] == [tensor_sha256(one) for one in inputs]
    assert [one["output_sha256"] for one in record["inputs"]] == [tensor_sha256(one) for one in outputs]
    assert (record["reference_checked"], record["matches_reference"], record["differing"]) == (3, True, {})
    assert record["histogram"] is None
    assert f"seed 3  {tensor_sha256(outputs[1])}" in done.stdout
    assert "golden model equal, bit for bit (3 of 3 inputs, 2 tensors each)" in done.stdout


def test_cycles_are_those_of_a_run(small: Path) -> None:
    run = json.loads(tlm("run", "small.toml", "--json", cwd=small).stdout)
    tlm("eval", "small.toml", "--count", "4", "-o", "out", cwd=small)
    record = json.loads((small / "out" / "eval.json").read_text())
    assert (record["cycles_per_image"], record["time_us_per_image"]) == (run["cycles"], run["time_us"])
    assert record["total_cycles"] == 4 * run["cycles"]
    assert record["total_time_us"] == pytest.approx(4 * run["time_us"])
    assert record["chip"] == run["chip"]
    assert record["settings"] == run["settings"]


def test_equal_evaluations_give_equal_bytes_and_the_host_stays_on_stderr(small: Path) -> None:
    texts = []
    for name in ("a", "b"):
        (small / name).mkdir()
        done = tlm("eval", small / "small.toml", "--count", "2", "-o", ".", cwd=small / name)
        assert "host: 2 inputs in " in done.stderr
        assert "a second on this machine (a measurement, not a figure of the chip)" in done.stderr
        files = {path.name: path.read_bytes() for path in sorted((small / name).iterdir())}
        assert list(files) == ["eval.json", "outputs.npz"]
        texts.append((done.stdout, files))
    assert texts[0] == texts[1]
    assert str(small) not in texts[0][1]["eval.json"].decode()


def test_the_schema_is_documented(small: Path) -> None:
    tlm("eval", "small.toml", "-o", "out", cwd=small)
    record = json.loads((small / "out" / "eval.json").read_text())
    assert record["schema"] == "tlm.eval/1"
    documented = (SCENARIOS.parent / "docs" / "result.md").read_text().partition("## eval.json")[2]
    for key in [*record, *record["inputs"][0]]:
        assert f"`{key}`" in documented, f"docs/result.md does not explain {key}"


# -- images -----------------------------------------------------------------------------------------------------------


def test_classes_of_images(scores: Path) -> None:
    (scores / "set").mkdir()
    for index in (1, 2, 10):
        pixels = random_activations(np.random.default_rng(index), (40, 50, 3), False) * 17
        Image.fromarray(pixels.astype(np.uint8)).save(scores / "set" / f"{index}.png")
    done = tlm("eval", "scores.toml", "--images", "set", "photo.png", "--top", "2", "-o", "out", cwd=scores)
    assert done.returncode == 0, done
    files = [scores / "set" / "1.png", scores / "set" / "2.png", scores / "set" / "10.png", PHOTO]
    outputs = golden(scores / "scores.toml", *(load_image(file, 32, 32) for file in files))
    record = json.loads((scores / "out" / "eval.json").read_text())
    assert [one["name"] for one in record["inputs"]] == ["1.png", "2.png", "10.png", "photo.png"]
    best = outputs.reshape(4, 12).argmax(axis=1)
    assert [one["top"][0]["class"] for one in record["inputs"]] == best.tolist()
    assert [one["top"][0]["score"] for one in record["inputs"]] == outputs.max(axis=(1, 2, 3)).tolist()
    assert {len(one["top"]) for one in record["inputs"]} == {2}
    assert sum(record["histogram"].values()) == 4
    for index, one in enumerate(record["inputs"]):
        first, second = one["top"]
        assert f"{first['class']} ({first['score']})  {second['class']} ({second['score']})" in done.stdout
        assert record["histogram"][str(best[index])] == (best == best[index]).sum()


def test_the_first_images_only(scores: Path) -> None:
    done = tlm("eval", "scores.toml", "--images", "photo.png", "photo.png", "--count", "1", cwd=scores)
    assert "golden model equal, bit for bit (1 of 1 input, 2 tensors each)" in done.stdout
    message = refused("eval", "scores.toml", "--images", "photo.png", "--count", "2", cwd=scores)
    assert message == "--count: 2 is not allowed beside 1 images; give 1..1"


def test_variants_of_the_photograph_and_their_classes(scores: Path) -> None:
    done = tlm("eval", "scores.toml", "--count", "25", "-o", "out", cwd=scores)
    assert done.returncode == 0
    photo = load_image(PHOTO, 32, 32)
    outputs = golden(scores / "scores.toml", *(image_variant(photo, index) for index in range(25)))
    record = json.loads((scores / "out" / "eval.json").read_text())
    assert record["outputs_sha256"] == tensor_sha256(outputs)
    assert [one["name"] for one in record["inputs"][:2]] == ["photo.png", "photo.png variant 1"]
    counts = np.bincount(outputs.reshape(25, 12).argmax(axis=1))
    assert record["histogram"] == {str(index): int(counts[index]) for index in np.flatnonzero(counts)}
    assert list(record["histogram"].values()) == sorted(record["histogram"].values(), reverse=True)
    assert "photo.png variant 19" in done.stdout
    assert "photo.png variant 20" not in done.stdout
    assert "and 5 more; -o DIR writes all of them to eval.json" in done.stdout
    best = next(iter(record["histogram"]))
    assert f"{best:>5}  {record['histogram'][best]:>6}  {'#' * 30}\n" in done.stdout


def test_a_variant_is_shifted_and_mirrored() -> None:
    """The offsets begin (0, 0), (-1, 0), (0, -1), (0, 1), (1, 0)."""
    image = random_activations(np.random.default_rng(0), (3, 16, 8), False)
    np.testing.assert_array_equal(image_variant(image, 0), image)
    np.testing.assert_array_equal(image_variant(image, 1), image[:, :, ::-1])
    up, right = image_variant(image, 2), image_variant(image, 6)
    np.testing.assert_array_equal(up[:, :-1], image[:, 1:])
    np.testing.assert_array_equal(up[:, -1], image[:, -1])
    np.testing.assert_array_equal(right[:, :, 1:], image[:, :, :-1])
    np.testing.assert_array_equal(right[:, :, 0], image[:, :, 0])
    np.testing.assert_array_equal(image_variant(image, 7)[:, :, 1:], image[:, :, ::-1][:, :, :-1])
    most = variants_of(image)
    assert most == 2 * (2 * 2 + 1) * (2 * 1 + 1)
    assert len({image_variant(image, index).tobytes() for index in range(most)}) == most


def test_of_equal_scores_the_lower_class_comes_first() -> None:
    scores = np.array([5, -3, 9, 9, 5], np.int32).reshape(5, 1, 1)
    assert best_classes(scores, 4) == ((2, 9), (3, 9), (0, 5), (4, 5))
    assert len(best_classes(scores, 99)) == 5


def test_scores_are_sums_of_several_classes() -> None:
    assert are_scores(np.zeros((2, 1, 1), np.int32))
    assert not are_scores(np.zeros((1, 1, 1), np.int32))
    assert not are_scores(np.zeros((2, 1, 2), np.int32))
    assert not are_scores(np.zeros((2, 1, 1), np.int8))


# -- batches of a run -------------------------------------------------------------------------------------------------


def test_run_with_a_batch(small: Path) -> None:
    """One program; the same by option and by key; `tlm explain` runs it again; `tlm eval` keeps to one image."""
    plain = json.loads(tlm("run", "small.toml", "--json", cwd=small).stdout)
    assert "batch" not in plain
    done = tlm("run", "small.toml", "--batch", "3", "-o", "out", cwd=small)
    text = (small / "out/result.json").read_text()
    assert tlm("run", "small.toml", "--set", "batch=3", "--json", cwd=small).stdout == text
    record = json.loads(text)
    outputs = golden(small / "small.toml", *(seeded_activations((8, 6, 7), seed) for seed in (2, 3, 4)))
    assert record["outputs_sha256"] == tensor_sha256(outputs)
    assert record["output_shape"] == [3, *plain["output_shape"]]
    batch = record["batch"]
    assert batch["count"] == record["settings"]["batch"] == 3
    first, second, third = batch["image_cycles"]
    assert (batch["first_image_cycles"], batch["steady_cycles_per_image"]) == (first, (second + third) / 2)
    assert sum(batch["image_cycles"]) + sum(record["account"]["waits_at_end"].values()) == record["cycles"]
    assert batch["steady_cycles_per_image"] < plain["cycles"]
    assert batch["images_per_s"] == pytest.approx(3e6 / record["time_us"])
    assert batch["energy_pj_per_image"] == pytest.approx(record["energy"]["total_pj"] / 3)
    documented = (SCENARIOS.parent / "docs" / "result.md").read_text()
    for key in ("batch", *batch):
        assert f"`{key}`" in documented
    each = f"{batch['steady_cycles_per_image']:,.0f} each further one"
    assert f"batch        3 images: {first:,} cycles the first, {each}" in done.stdout
    assert "golden model equal, bit for bit" in done.stdout
    assert tlm("explain", "out", cwd=small).returncode == 0
    evaluated = tlm("eval", "small.toml", "--set", "batch=3", cwd=small).stdout
    assert evaluated == tlm("eval", "small.toml", cwd=small).stdout


# -- what is refused --------------------------------------------------------------------------------------------------


def test_numbers_below_one(small: Path) -> None:
    assert refused("eval", "small.toml", "--count", "0", cwd=small) == "--count: 0 is not allowed; give 1 or more"
    assert refused("run", "small.toml", "--batch", "0", cwd=small) == "--batch: 0 is not allowed; give 1 or more"
    assert refused("eval", "small.toml", "--top", "0", cwd=small) == "--top: 0 is not allowed; give 1 or more"
    assert refused("eval", "small.toml", "--check", "-1", cwd=small) == "--check: -1 is not allowed; give 0 or more"
    assert refused("eval", "small.toml", "--count", "x", cwd=small).startswith("argument --count: invalid int value")


def test_more_inputs_than_there_are(small: Path, scores: Path) -> None:
    seed = 2**63 - 2
    message = refused("eval", "small.toml", "--count", "3", "--set", f"input.seed={seed}", cwd=small)
    assert message == f"--count: 3 inputs from input.seed {seed} on pass the last seed, {seed + 1}; give less"
    message = refused("run", "scores.toml", "--batch", "163", cwd=scores)
    wanted = "--batch 163: batch: 163 inputs, but an image of 32x32 has 162 variants; give less, or image files"
    assert message.startswith(wanted)
    np.save(small / "x.npy", np.ones((8, 6, 7), np.int8))
    changed = "--set", "input.kind=npy", "--set", "input.file=x.npy"
    message = refused("eval", "small.toml", "--count", "2", *changed, cwd=small)
    assert message == "--count: 2 inputs, but x.npy holds one; from Python, tlm.evaluate takes any array (N, C, H, W)"
    assert tlm("eval", "small.toml", *changed, cwd=small).returncode == 0


def test_images_for_a_network_that_takes_none(small: Path, scores: Path) -> None:
    message = refused("eval", "small.toml", "--images", PHOTO, cwd=small)
    assert message.startswith("--images: an image has 3 channels of 0..15, but the network takes [8, 6, 7], unsigned; ")
    signed = "--set", "input.kind=random", "--set", "input.shape=[3,32,32]", "--set", "input.signed=true"
    assert "takes [3, 32, 32], signed" in refused("eval", "scores.toml", "--images", PHOTO, *signed, cwd=scores)


def test_images_that_are_none(scores: Path) -> None:
    (scores / "bad.png").write_text("no image")
    message = refused("eval", "scores.toml", "--images", "photo.png", "bad.png", cwd=scores)
    assert message.startswith("--images: image bad.png is no image that can be read")
    message = refused("eval", "scores.toml", "--images", "missing.png", cwd=scores)
    assert message == "--images: image missing.png does not exist; check the path"
    (scores / "empty").mkdir()
    assert refused("eval", "scores.toml", "--images", "empty", cwd=scores).startswith("--images: image directory empty")


def test_scripts_and_directories(small: Path) -> None:
    (small / "x.py").write_text("print(1)")
    assert refused("eval", "x.py", cwd=small).startswith("x.py: a Python script decides for itself")
    wanted = "x.py: a Python script decides for itself; --batch applies to .toml scenarios only"
    assert refused("run", "x.py", "--batch", "2", cwd=small) == wanted
    assert refused("eval", "small.toml", "-o", "x.py", cwd=small) == "-o: x.py is a file; give a directory"


def test_a_difference_from_the_golden_model_fails(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tlm.cli import main

    monkeypatch.chdir(small)
    true_run = package.reference.run

    def wrong_for_the_second_input(network: package.Network, activations: np.ndarray) -> dict[str, np.ndarray]:
        tensors = true_run(network, activations)
        if np.array_equal(activations, seeded_activations((8, 6, 7), 3)):
            tensors["c1"] = tensors["c1"] ^ 1
        return tensors

    monkeypatch.setattr(package.reference, "run", wrong_for_the_second_input)
    assert main(["eval", "small.toml", "--count", "3"]) == 0
    capsys.readouterr()
    assert main(["eval", "small.toml", "--count", "3", "--check", "3", "-o", "out"]) == 1
    out, err = capsys.readouterr()
    assert "golden model DIFFERS for 1 of the 3 of 3 inputs compared: seed 3 in c1" in out
    assert "tlm: small: outputs for seed 3 differ from the golden model" in err
    record = json.loads(Path("out/eval.json").read_text())
    assert (record["matches_reference"], record["differing"]) == (False, {"1": ["c1"]})
    assert main(["eval", "small.toml", "--check", "0"]) == 0
    assert "not compared (--check 0)" in capsys.readouterr().out
