"""Arguments of wrong types at every public function: an InputError that says what is expected, whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tlm
from tlm.core.errors import InputError, TlmError

NETWORK = tlm.Network((2, 4, 4), [tlm.Conv2d("c", np.ones((3, 2, 1, 1), np.int8))])
PROGRAM = tlm.compile(NETWORK)
EVALUATOR = tlm.Evaluator(NETWORK)
VALUES = np.ones((2, 4, 4), np.int8)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Stubborn:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


STRANGE: dict[str, Any] = {
    "None": None, "True": True, "-1": -1, "0": 0, "7": 7, "beyond int32": 2**31, "beyond int64": 2**63,
    "beyond uint64": -(2**70), "beyond a double": 10**400, "unprintable integer": 10**5000, "half": 0.5, "whole": 1.0,
    "NaN": float("nan"), "infinity": float("inf"), "complex": 1j, "empty text": "", "text": "resnet18_3of9",
    "NUL": "a\0b", "bytes": b"ab", "empty list": [], "list": [1, 2], "ragged": [[1], [1, 2]], "deep": nested(100),
    "deeper": nested(5000), "list of None": [None], "list of text": ["chip.lanes=1"], "tuple": (1, 2, 3), "set": {1},
    "empty dictionary": {}, "dictionary": {"a": 1}, "dictionary of numbers": {1: 2}, "object": object(),
    "unprintable": Unprintable(), "stubborn": Stubborn(), "type": tlm.Network, "function": len,
    "generator": iter([1]), "0-d": np.array(3), "numpy integer": np.int64(3), "numpy Boolean": np.bool_(True),
    "empty array": np.zeros((0,), np.int8), "empty planes": np.zeros((2, 0, 4), np.int8),
    "float array": np.ones((2, 4, 4)),
    "Boolean array": np.ones((2, 4, 4), bool), "object array": np.full((2, 4, 4), None), "text array": np.full(3, "a"),
    "masked": np.ma.masked_array(VALUES, VALUES > 0), "masked lists": [np.ma.masked_array(v, v > 0) for v in VALUES],
    "uint64": np.full((2, 4, 4), 2**64 - 1, np.uint64), "structured": np.zeros(3, [("a", "i4")]),
    "dates": np.zeros((2, 4, 4), "M8[s]"), "network": NETWORK, "chip": tlm.ChipConfig(), "path": Path("/nowhere"),
}  # fmt: skip

CALLS: dict[str, Callable[[Any], object]] = {
    "simulate network": lambda v: tlm.simulate(v, VALUES),
    "simulate activations": lambda v: tlm.simulate(NETWORK, v),
    "simulate chip": lambda v: tlm.simulate(NETWORK, VALUES, v),
    "simulate fidelity": lambda v: tlm.simulate(NETWORK, VALUES, fidelity=v),
    "simulate trace": lambda v: tlm.simulate(NETWORK, VALUES, trace=v),
    "simulate faults": lambda v: tlm.simulate(NETWORK, VALUES, faults=v),
    "simulate fault": lambda v: tlm.simulate(NETWORK, VALUES, faults=[v]),
    "simulate energy": lambda v: tlm.simulate(NETWORK, VALUES, energy=v),
    "simulate observers": lambda v: tlm.simulate(NETWORK, VALUES, observers=v),
    "compile network": lambda v: tlm.compile(v),
    "compile chip": lambda v: tlm.compile(NETWORK, v),
    "Evaluator network": lambda v: tlm.Evaluator(v),
    "Evaluator chip": lambda v: tlm.Evaluator(NETWORK, v),
    "evaluate network": lambda v: tlm.evaluate(v, VALUES),
    "evaluate activations": lambda v: tlm.evaluate(NETWORK, v),
    "evaluate an input": lambda v: tlm.evaluate(NETWORK, [VALUES, v]),
    "Evaluator.output": lambda v: EVALUATOR.output(v),
    "Evaluator.outputs": lambda v: list(EVALUATOR.outputs(v)),
    "Evaluator.tensors": lambda v: EVALUATOR.tensors(v),
    "reference.run network": lambda v: tlm.reference.run(v, VALUES),
    "reference.run activations": lambda v: tlm.reference.run(NETWORK, v),
    "save_program program": lambda v: tlm.save_program(v, "/nowhere/p"),
    "save_program path": lambda v: tlm.save_program(PROGRAM, Path("/nowhere") / v if isinstance(v, str) else v),
    "load_program": lambda v: tlm.load_program(v),
    "fuse depthwise": lambda v: tlm.fuse_depthwise_pointwise(v, np.ones((3, 2, 1, 1), np.int8)),
    "fuse pointwise": lambda v: tlm.fuse_depthwise_pointwise(np.ones((2, 1, 3, 3), np.int8), v),
    "Network input_shape": lambda v: tlm.Network(v, NETWORK.layers),
    "Network a size": lambda v: tlm.Network((2, v, 4), NETWORK.layers),
    "Network layers": lambda v: tlm.Network((2, 4, 4), v),
    "Network layer": lambda v: tlm.Network((2, 4, 4), [v]),
    "Network signed_input": lambda v: tlm.Network((2, 4, 4), NETWORK.layers, v),
    "sweep scenario": lambda v: tlm.sweep(v, {"chip.amem_banks": [1, 2]}, where="chip.amem_banks > 9"),
    "sweep over": lambda v: tlm.sweep("resnet18_conv5_2_1of9", v, where="chip.amem_banks > 9"),
}  # fmt: skip
for key in ("sample", "method", "seed", "where", "overrides", "directory", "processes", "dask", "executor"):
    CALLS[f"sweep {key}"] = lambda v, key=key: tlm.sweep(  # type: ignore[misc]
        "resnet18_conv5_2_1of9",
        {"chip.lanes": [5]},
        **{"method": "random", key: v},  # there are no 5 lanes
    )


def of_network(layer: Any) -> tlm.Network:
    return tlm.Network((2, 4, 4), [tlm.Conv2d("before", np.ones((2, 2, 1, 1), np.int8)), layer])


for key in (name for name in tlm.Conv2d.__dataclass_fields__ if name != "pads"):
    good = {"name": "c", "weights": np.ones((3, 2, 1, 1), np.int8)}
    CALLS[f"Conv2d {key}"] = lambda v, key=key, good=good: of_network(tlm.Conv2d(**{**good, key: v}))  # type: ignore[misc]
for key in ("name", "kernel", "stride", "padding", "dilation", "input", "channels", "signed_output"):
    CALLS[f"MaxPool2d {key}"] = lambda v, key=key: of_network(  # type: ignore[misc]
        tlm.MaxPool2d(**{"name": "p", "kernel": 2, key: v})
    )
for key in ("name", "kernel", "stride", "padding", "bias", "multiplier", "shift", "input"):
    CALLS[f"AvgPool2d {key}"] = lambda v, key=key: of_network(  # type: ignore[misc]
        tlm.AvgPool2d(**{"name": "p", "kernel": 2, key: v})
    )
for key in tlm.ChipConfig.__dataclass_fields__:
    CALLS[f"ChipConfig {key}"] = lambda v, key=key: tlm.ChipConfig(**{key: v})  # type: ignore[misc]
for key in tlm.EnergyConfig.__dataclass_fields__:
    CALLS[f"EnergyConfig {key}"] = lambda v, key=key: tlm.EnergyConfig(**{key: v})  # type: ignore[misc]
for key in tlm.TraceOptions.__dataclass_fields__:
    CALLS[f"TraceOptions {key}"] = lambda v, key=key: tlm.TraceOptions(**{key: v})  # type: ignore[misc]
for key in ("target", "address", "bit", "cycle"):
    CALLS[f"BitFlip {key}"] = lambda v, key=key: tlm.simulate(  # type: ignore[misc]
        NETWORK, VALUES, faults=[tlm.BitFlip(**{"target": tlm.FaultTarget.AMEM, "address": 0, "bit": 0, key: v})]
    )


@pytest.mark.parametrize("call", CALLS)
def test_nothing_but_our_errors_leaves_a_public_function(call: str) -> None:
    accepted, messages = [], []
    for name, value in STRANGE.items():
        try:
            CALLS[call](value)
        except TlmError as error:
            messages.append(str(error))
        else:
            accepted.append(name)
    assert len(accepted) < len(STRANGE) / 2, accepted
    assert all(message.isprintable() and len(message) < 2000 for message in messages)


def test_messages_say_what_is_expected() -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: tlm.simulate("resnet18_3of9", VALUES),  # type: ignore[arg-type]
         "network: is 'resnet18_3of9' (a str), but must be Network or Program; for a scenario use "
         "`tlm run resnet18_3of9`, tlm.sweep, or tlm.scenario.loading.load_scenario (docs/scenarios.md); "
         "for a program's file tlm.load_program"),
        (lambda: tlm.compile(None), "network: is None, but must be Network"),  # type: ignore[arg-type]
        (lambda: tlm.simulate(NETWORK, VALUES, {"lanes": 8}),  # type: ignore[arg-type]
         "chip: is a dict, but must be ChipConfig or None"),
        (lambda: tlm.simulate(NETWORK, VALUES, faults=[3]),  # type: ignore[list-item]
         "faults[0]: is 3 (an int), but must be BitFlip"),
        (lambda: tlm.simulate(NETWORK, VALUES, observers=lambda run: None),  # type: ignore[arg-type]
         "observers: is a function, but must be Sequence; give a list, observers=[...]"),
        (lambda: tlm.simulate(NETWORK, STRANGE["masked"]),
         "activations: is a masked array, whose mask has no meaning here; give what .filled(0) makes of it"),
        (lambda: tlm.simulate(NETWORK, VALUES.astype(float)),
         "activations: dtype is float64, but must be an integer type; quantise first, then .astype(np.int8)"),
        (lambda: tlm.ChipConfig(memory_bytes=2**60),
         "chip.memory_bytes: 1152921504606846976 is outside 4096..2.14748e+09"),
        (lambda: tlm.ChipConfig(lanes=10**5000),
         "chip.lanes: an int that cannot be printed is not one of 8, 16, 32, 64"),
    ]  # fmt: skip
    for call, message in cases:
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == message


def test_a_product_that_wraps_is_no_weight() -> None:
    """16 * 16 is 0 in eight bits."""
    sixteen = np.full((1, 1, 1, 1), 16, np.int8)
    with pytest.raises(InputError, match=r"products reach 256\.\.256"):
        tlm.fuse_depthwise_pointwise(sixteen, sixteen)
