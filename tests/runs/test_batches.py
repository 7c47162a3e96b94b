"""A batch as one program: what a run for each image gives, in fewer cycles, and every cycle of it accounted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from chip_cases import NetworkCase, networks
from command import SCENARIOS
from deep_networks import deep_networks, smallest_program
from driver_checks import Driver
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_activations

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.core.errors import CompileError, InputError
from tlm.results.result_json import result_json
from tlm.traces.trace_options import TraceOptions

CHIP = ChipConfig(lanes=8, columns=8, memory_bytes=1 << 20)
NETWORK = tlm.Network(
    (8, 6, 6),
    [
        tlm.Conv2d("a", np.ones((24, 8, 3, 3), np.int8), padding=1, multiplier=9, shift=9),
        tlm.Conv2d(
            "b", np.ones((8, 24, 1, 1), np.int8), residual="input", residual_multiplier=99, multiplier=9, shift=9
        ),
    ],
)


LOADED = tlm.Network(
    (8, 5, 5),
    [
        tlm.Conv2d("a", np.ones((16, 8, 3, 3), np.int8), padding=1, multiplier=9, shift=9),
        tlm.Conv2d("b", np.arange(9216).reshape(64, 16, 3, 3) % 16 - 8, multiplier=9, shift=9),
        tlm.Conv2d(
            "c",
            np.arange(4096).reshape(64, 64, 1, 1) % 15 - 7,
            residual="b",
            residual_multiplier=9,
            multiplier=9,
            shift=9,
        ),
        tlm.Conv2d("d", np.arange(18432).reshape(32, 64, 3, 3) % 14 - 7, accumulator_output=True),
    ],
)
"""Its last two layers wait for weights, which do not fit together: a batch shares them."""
LOADED_CHIP = ChipConfig(
    lanes=8, columns=8, wmem_words=1024, imem_words=256, memory_gb_per_s=0.8, memory_bytes=1 << 20
)


def images_of(network: tlm.Network, count: int) -> npt.NDArray[np.int8]:
    return random_activations(np.random.default_rng(count), (count, *network.input_shape), network.signed_input)


def check(network: tlm.Network, chip: ChipConfig, count: int, fidelity: str = "pass") -> tlm.Result:
    """Every layer's output of every image is that of a run of its own; all sums close."""
    images = images_of(network, count)
    program = tlm.compile(network, chip, count)
    Driver(program).play()
    result = tlm.simulate(program, images, fidelity=fidelity)
    for index, image in enumerate(images):
        golden = tlm.reference.run(network, image)
        for name, tensor in result.tensors.items():
            np.testing.assert_array_equal(tensor[index], golden[name], err_msg=f"{name} of image {index}")
    assert result.predicted_cycles == result.cycles
    assert result.batch is not None
    assert result.batch.count == count
    assert sum(result.batch.image_cycles) + result.account.waits_at_end.total == result.cycles
    for cause, cycles in result.account.by_cause().items():
        at_end = result.account.waits_at_end.by_cause().get(cause, 0)
        assert sum(own[cause] for own in result.batch.causes) + at_end == cycles
    alone = tlm.simulate(network, images[0], chip)
    assert (result.macs, result.dense_macs) == (count * alone.macs, count * alone.dense_macs)
    return result


@given(case=networks(), count=st.integers(2, 4))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_generated_networks(case: NetworkCase, count: int) -> None:
    check(case.network, CHIP, count)


@given(case=deep_networks(max_side=7), count=st.integers(2, 4))
@settings(max_examples=2, deadline=None, derandomize=True)
def test_small_memories(case: NetworkCase, count: int) -> None:
    """Bands, parts, spilled tensors; a batch needs no more AMem than an image."""
    check(case.network, smallest_program(case.network, CHIP).config, count)


@pytest.mark.slow
@pytest.mark.parametrize("fidelity", ["cycle", "rtl"])
def test_fidelities_agree(fidelity: str) -> None:
    chip = replace(CHIP, amem_words=1024, wmem_words=512, imem_words=512)  # whose circuit other tests build, too
    wanted, found = check(NETWORK, chip, 3), check(NETWORK, chip, 3, fidelity)
    assert result_json(found).replace(f'"{fidelity}"', '"pass"', 1) == result_json(wanted)


def test_weights_that_fit_are_loaded_once_and_transfers_overlap() -> None:
    alone, result = tlm.simulate(NETWORK, images_of(NETWORK, 4)[0], CHIP), check(NETWORK, CHIP, 4)
    for name, layer in result.layers.items():
        assert layer.weight_load_bytes == alone.layers[name].weight_load_bytes
        assert layer.steps == 4 * alone.layers[name].steps
    assert result.batch is not None
    assert result.batch.steady_cycles_per_image < alone.cycles - alone.account.waits_at_end.total
    assert all(own["weights"] == own["activations"] == 0 for own in result.batch.causes[2:])


def test_weights_that_do_not_fit_are_loaded_once_where_that_pays(tmp_path: Path) -> None:
    """The last layers run part by part for all images, and their activations move for every part."""
    alone = tlm.simulate(LOADED, images_of(LOADED, 4)[0], LOADED_CHIP)
    result = check(LOADED, LOADED_CHIP, 4)
    program = tlm.compile(LOADED, LOADED_CHIP, 4)
    images = [image for image, _ in program.runs]
    assert images[-8:] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [segment.weights_outer for segment in program.segments] == [False, False, True, True]
    assert sum(result.layers[name].parts for name in "cd") > 2
    for name in "cd":
        assert result.layers[name].weight_load_bytes == alone.layers[name].weight_load_bytes
        assert result.layers[name].activation_load_bytes > 0
    assert result.batch is not None
    assert result.batch.steady_cycles_per_image < 0.8 * alone.cycles
    assert result.cycles < 3.5 * alone.cycles
    tlm.save_program(program, tmp_path / "p")
    assert tlm.load_program(tmp_path / "p").steps == program.steps


def test_images_have_places_of_their_own_and_share_weights() -> None:
    one, program = tlm.compile(NETWORK, CHIP), tlm.compile(NETWORK, CHIP, 3)
    of_image = len(program.parts) // 3
    assert [image for image, _ in program.runs] == [image for image in range(3) for _ in range(of_image)]
    offsets = [program.tensors[name].offset_of(image) for name in ("input", "b") for image in range(3)]
    assert offsets == sorted(offsets)
    loaded = [one.transfer for one in program.loads if one.transfer.sram is SramName.WMEM]
    assert len({one.memory_offset_bytes for one in loaded}) == len(loaded)  # each word once
    assert sum(one.rows * one.row_words for one in loaded) <= sum(part.weight_words for part in one.parts) == 240
    assert "3 images" in repr(program)
    assert program.part_name(of_image).endswith(" of image 1")


def test_saved_programs(tmp_path: Path) -> None:
    program = tlm.compile(NETWORK, CHIP, 3)
    tlm.save_program(program, tmp_path / "p")
    images = images_of(NETWORK, 3)
    assert result_json(tlm.simulate(tlm.load_program(tmp_path / "p"), images)) == result_json(
        tlm.simulate(program, images)
    )


def test_traces_tell_the_images(tmp_path: Path) -> None:
    options = TraceOptions(wave=str(tmp_path / "w.vcd"), timeline=str(tmp_path / "t.json"))
    tlm.simulate(NETWORK, images_of(NETWORK, 2), CHIP, trace=options)
    assert "sb\\x20of\\x20image\\x201 " in (tmp_path / "w.vcd").read_text()
    assert re.search(r'"name":"b of image 1".*"image":1', (tmp_path / "t.json").read_text())


def test_what_is_refused() -> None:
    images = images_of(NETWORK, 3)
    program = tlm.compile(NETWORK, CHIP, 2)
    with pytest.raises(InputError, match="compiled for a batch of 2; give \\(2, C, H, W\\), or compile it for another"):
        tlm.simulate(program, images)
    with pytest.raises(InputError, match="batch: 0 is not allowed"):
        tlm.compile(NETWORK, CHIP, 0)
    with pytest.raises(InputError, match=r"tlm\.simulate"):
        tlm.evaluate(program, images)
    with pytest.raises(CompileError, match="or fewer images"):
        tlm.compile(NETWORK, CHIP, 1 << 16)
    with pytest.raises(CompileError, match="or take fewer images"):
        tlm.compile(NETWORK, ChipConfig(lanes=8, columns=8, memory_bytes=1 << 14), 30)


@pytest.mark.slow
def test_eight_photographs_through_resnet18() -> None:
    """Outputs as of eight runs (the golden model's); an image takes less than alone."""
    alone = tlm.run(SCENARIOS / "resnet18_3of9.toml")
    result = tlm.run(SCENARIOS / "resnet18_3of9.toml", batch=8)
    assert result.batch is not None
    assert (alone.cycles, round(result.batch.steady_cycles_per_image)) == (1_107_206, 974_172)
    assert result.energy.total_pj < 8 * alone.energy.total_pj
