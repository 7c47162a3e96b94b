"""The result object, result.json and the files."""

import dataclasses
import hashlib
import io
import json
import pickle
import zipfile
from dataclasses import fields
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

import tlm
from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.results.files import check_writable, check_writable_file, npz_bytes, write_result
from tlm.results.result import (
    PUBLISHED_CHIP_KEYS,
    LayerFigures,
    LayerResult,
    Result,
    Traffic,
    chip_labels,
    tensor_sha256,
)  # fmt: skip
from tlm.results.result_builder import layer_kind
from tlm.results.result_json import result_json
from tlm.scenario.json_schema import attribute_docs

LAYER = LayerResult(
    name="c1",
    kind="pointwise",
    input_shape=(8, 4, 4),
    output_shape=(8, 4, 4),
    kernel=(1, 1),
    stride=(1, 1),
    weight_words=6,
    dense_weight_words=8,
    compute_cycles=40,
    steps=6,
    fetch_cycles=6,
    passes=1,
    macs=6 * 16 * 8,
    dense_macs=8 * 16 * 8,
    peak_macs_per_cycle=1024,
    start_cycle=100,
    end_cycle=139,
    predicted_compute_cycles=40,
)


def result_of(*layers: LayerResult, chip: tlm.ChipConfig | None = None) -> Result:
    return Result(
        tensors={layer.name: np.arange(128, dtype=np.int8).reshape(8, 4, 4) % 16 for layer in layers},
        layers={layer.name: layer for layer in layers},
        cycles=1068,
        chip=chip or tlm.ChipConfig(),
        fidelity="cycle",
        traffic=Traffic(load_bytes=300, store_bytes=128),
        bank_conflicts={"write_back": 2, "aligner": 5},
    )


def test_derived_figures() -> None:
    result = result_of(LAYER, replace(LAYER, name="c2", compute_cycles=60))
    assert result.output_name == "c2"
    assert result.compute_cycles == 100
    assert (result.macs, result.dense_macs) == (2 * 768, 2 * 1024)
    assert result.time_us == 2.0
    assert result.layers["c1"].utilization == 768 / (40 * 1024)
    assert result.layers["c1"].density == 0.75
    assert result.utilization == 1536 / (1068 * 1024)
    assert result.compute_utilization == 1536 / (100 * 1024)
    assert result.traffic.total_bytes == 428


def test_json_says_what_it_documents() -> None:
    result = dataclasses.replace(result_of(LAYER), scenario="s", settings={"seed": 1}, matches_reference=True)
    record = json.loads(result_json(result))
    documented = (Path(__file__).resolve().parents[2] / "docs" / "result.md").read_text()
    for key in [*record, *record["layers"][0], *record["traffic_bytes"]]:
        assert f"`{key}`" in documented, f"docs/result.md does not explain {key}"
    assert record["schema"] == "tlm.result/1"
    assert record["traffic_bytes"] == {"load": 300, "store": 128, "total": 428}
    assert record["bank_conflict_cycles"] == {"aligner": 5, "write_back": 2}
    assert record["layers"][0]["input_shape"] == [8, 4, 4]
    assert (record["reference_checked"], record["matches_reference"]) == (True, True)
    assert record["chip"]["frequency_mhz"] == 534.0


def test_json_is_unicode_whatever_a_file_is_called() -> None:
    settings = {"file": "half \udcff, whole \U0001f600, text \\ud83d", "empty": {}, "none": [], "tiny": 1e-7}
    text = result_json(dataclasses.replace(result_of(LAYER), settings=settings))
    assert msgspec.json.decode(text)["settings"] == settings | {"file": "half ?, whole \U0001f600, text \\ud83d"}
    assert text == json.dumps(json.loads(text), indent=2) + "\n"


def test_json_says_that_the_check_was_off() -> None:
    record = json.loads(result_json(result_of(LAYER)))
    assert (record["reference_checked"], record["matches_reference"]) == (False, None)


def test_sha256_covers_dtype_shape_and_values() -> None:
    array = np.arange(6, dtype=np.int32).reshape(1, 2, 3)
    wanted = hashlib.sha256(b"int32 1x2x3\n" + array.astype("<i4").tobytes()).hexdigest()
    assert tensor_sha256(array) == wanted
    assert tensor_sha256(array.astype(">i4")) == wanted
    assert tensor_sha256(np.asfortranarray(array)) == wanted
    others = [array.astype(np.int8), array.reshape(1, 3, 2), array + 1]
    assert len({wanted, *map(tensor_sha256, others)}) == 4


def test_result_is_picklable() -> None:
    result = result_of(LAYER)
    assert result_json(pickle.loads(pickle.dumps(result))) == result_json(result)


def test_labels_follow_the_docstrings_of_the_configuration() -> None:
    docs = attribute_docs(tlm.ChipConfig)
    assert set(docs) == {item.name for item in fields(tlm.ChipConfig)}
    points = {"voltage_v", "frequency_mhz"}
    assert {key for key, text in docs.items() if "[P]" in text} - points == PUBLISHED_CHIP_KEYS
    assert all("[A]" in text for key, text in docs.items() if key not in PUBLISHED_CHIP_KEYS | points)


@pytest.mark.parametrize(
    ("chip", "key", "label"),
    [
        (tlm.ChipConfig(), "lanes", "published"),
        (tlm.ChipConfig(), "amem_banks", "assumed"),
        (tlm.ChipConfig(), "frequency_mhz", "published"),
        (tlm.ChipConfig(lanes=16), "lanes", "chosen"),
        (tlm.ChipConfig(amem_banks=8), "amem_banks", "chosen"),
        (tlm.ChipConfig.at(0.8), "voltage_v", "published"),
        (tlm.ChipConfig.at(0.8), "frequency_mhz", "published"),
        (tlm.ChipConfig.at(0.9), "voltage_v", "chosen"),
        (tlm.ChipConfig.at(0.9), "frequency_mhz", "assumed"),
        (tlm.ChipConfig(frequency_mhz=100.0), "frequency_mhz", "chosen"),
    ],
)
def test_chip_labels(chip: tlm.ChipConfig, key: str, label: str) -> None:
    assert chip_labels(chip)[key] == label


def tap_mask(*taps_of_channel: int) -> np.ndarray:
    weights = np.zeros((4, len(taps_of_channel), 3, 3), np.int8)
    for channel, taps in enumerate(taps_of_channel):
        weights[:, channel].reshape(4, 9)[:, :taps] = 1
    return weights


@pytest.mark.parametrize(
    ("weights", "groups", "size", "kind"),
    [
        (np.ones((4, 4, 1, 1), np.int8), 1, 3, "pointwise"),
        (np.ones((4, 4, 1, 1), np.int8), 1, 1, "linear"),
        (2 * np.ones((4, 1, 3, 3), np.int8), 4, 3, "depthwise"),
        (np.ones((4, 1, 3, 3), np.int8), 4, 3, "average-pool"),
        (np.ones((4, 2, 3, 3), np.int8), 2, 3, "grouped"),
        (tap_mask(1, 1, 0, 1), 1, 3, "shift"),
        (tap_mask(2, 1, 1, 1), 1, 3, "fused-depthwise"),
        (tap_mask(3, 9, 9, 9), 1, 3, "fused-depthwise"),
        (tap_mask(9, 9, 9, 9), 1, 3, "standard"),
    ],
)
def test_layer_kinds(weights: np.ndarray, groups: int, size: int, kind: str) -> None:
    layer = tlm.Conv2d("c", weights, padding=(1, 1), groups=groups)
    assert layer_kind(layer, (4, size, size)) == kind


def test_npz_reads_back_and_holds_nothing_of_the_machine() -> None:
    tensors = {"c.1": np.arange(24, dtype=np.int8).reshape(2, 3, 4), "last": np.array([[[-70_000]]], ">i4")}
    data = npz_bytes(tensors)
    assert data == npz_bytes({name: np.asfortranarray(array) for name, array in tensors.items()})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        facts = {(entry.date_time, entry.create_system, entry.compress_type) for entry in archive.infolist()}
    assert facts == {((1980, 1, 1, 0, 0, 0), 3, zipfile.ZIP_STORED)}
    with np.load(io.BytesIO(data)) as arrays:
        assert {name: arrays[name].dtype.str for name in arrays} == {"c.1": "|i1", "last": "<i4"}
        assert arrays["last"].item() == -70_000


def test_files_read_back(tmp_path: Path) -> None:
    result = result_of(LAYER)
    written = write_result(tmp_path, result_json(result), result.tensors)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outputs.npz", "result.json"]
    assert written == [tmp_path / "result.json", tmp_path / "outputs.npz"]
    with np.load(tmp_path / "outputs.npz") as arrays:
        assert list(arrays) == ["c1"]
        assert np.array_equal(arrays["c1"], result.outputs)
        assert arrays["c1"].dtype == np.int8


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")

    def interrupted() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("f", "old")]
    with whole_file(path) as temporary:
        temporary.write_text("new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("f", "new")]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(InputError, match=r"^-o: .*f is a file; give a directory$"):
        check_writable(tmp_path / "f", "-o")
    with pytest.raises(InputError, match=r"^-o: .*f/x cannot be written \(Not a directory\); give another directory$"):
        check_writable(tmp_path / "f" / "x", "-o")
    assert check_writable(tmp_path / "new" / "deep", "-o").is_dir()


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--vcd: .* is a directory; give a file$"):
        check_writable_file(tmp_path, "--vcd")
    (tmp_path / "f").touch()
    with pytest.raises(InputError, match=r"^-o: .*f is a file; give a directory$"):
        check_writable_file(tmp_path / "f" / "x", "-o")
    assert check_writable_file(tmp_path / "f", "-o") == tmp_path / "f"
    assert check_writable_file(tmp_path / "new" / "x", "-o").parent.is_dir()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["f", "new"]


def test_every_field_has_a_docstring() -> None:
    names = {cls: set(cls.__struct_fields__) for cls in (Traffic, LayerFigures)}
    names[Result] = {item.name for item in fields(Result)}
    names[LayerResult] = set(LayerResult.__struct_fields__) - names[LayerFigures]
    for cls, wanted in names.items():
        assert not wanted - set(attribute_docs(cls)), cls.__name__
