"""Damaged and hostile ONNX files, made from good ones: bytes and fields changed at random.

As a program (``python tests/support/onnx_mutations.py DIRECTORY``) it imports every file of a directory in one process
and prints a line of JSON for each: a file that kills or hangs it is the one that has no line.
"""

from __future__ import annotations

import faulthandler
import io
import json
import random
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

SECONDS = 60
"""After which an import counts as hanging; much longer than any takes, whatever else the machine does."""

HUGE = (0, -1, 2, 7, 65_536, 1 << 31, (1 << 63) - 1, -(1 << 63))
REAL = (0.0, -1.0, float("nan"), float("inf"), 1e-45, 3e38)
OPERATORS = (
    "Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "Pad",
    "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Softmax", "QuantizeLinear",
    "DequantizeLinear", "BatchNormalization", "Loop", "If", "Scan", "Shape", "ConstantOfShape", "Expand", "Tile",
    "Range", "Sigmoid", "Transpose", "Cast", "Constant", "RandomNormal", "Resize", "",
)  # fmt: skip

Fields = Callable[[ModelProto, random.Random], None]


def attribute(model: ModelProto, rng: random.Random) -> None:
    node = rng.choice(model.graph.node)
    known = [one.name for other in model.graph.node for one in other.attribute] or ["axis"]
    names = [*known, "auto_pad", "ceil_mode", "block_size", "output_dtype", "group", "dilations", "axis", "xyz"]
    value = rng.choice([
        rng.choice(HUGE), rng.choice(REAL), b"SAME_UPPER", b"\xff", [rng.choice(HUGE) for _ in range(rng.randrange(5))],
        [1.5, 2.5], [b"a"], numpy_helper.from_array(np.zeros(3, np.float32), "t"),
    ])  # fmt: skip
    name = rng.choice(names)
    for i in reversed([i for i, one in enumerate(node.attribute) if one.name == name]):
        del node.attribute[i]
    made = helper.make_attribute(name, value, attr_type=AttributeProto.INTS if value == [] else None)
    if rng.random() < 0.2:
        made.type = rng.choice([AttributeProto.INT, AttributeProto.STRING, AttributeProto.GRAPH, AttributeProto.FLOATS])
    node.attribute.append(made)


def no_attribute(model: ModelProto, rng: random.Random) -> None:
    holders = [node for node in model.graph.node if node.attribute]
    if holders:
        node = rng.choice(holders)
        del node.attribute[rng.randrange(len(node.attribute))]


def shape(model: ModelProto, rng: random.Random) -> None:
    if rng.random() < 0.5:
        dims = rng.choice(model.graph.initializer).dims
        if dims and rng.random() < 0.8:
            dims[rng.randrange(len(dims))] = rng.choice(HUGE)
        else:
            dims.append(rng.choice(HUGE))
    else:
        which = rng.choice([*model.graph.input, *model.graph.output])
        dimensions = which.type.tensor_type.shape.dim
        if dimensions:
            rng.choice(dimensions).dim_value = rng.choice(HUGE)


def kind(model: ModelProto, rng: random.Random) -> None:
    number = rng.choice(list(TensorProto.DataType.values()))
    if rng.random() < 0.7:
        rng.choice(model.graph.initializer).data_type = number
    else:
        rng.choice([*model.graph.input, *model.graph.output]).type.tensor_type.elem_type = number


def wiring(model: ModelProto, rng: random.Random) -> None:
    node = rng.choice(model.graph.node)
    names = [name for other in model.graph.node for name in (*other.input, *other.output)]
    names += ["", "nowhere", node.output[0], *(one.name for one in model.graph.initializer)]
    which = rng.randrange(4)
    if which == 0 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif which == 1 and node.input:
        del node.input[rng.randrange(len(node.input))]
    elif which == 2:
        node.input.append(rng.choice(names))
    else:
        node.output[0] = rng.choice(names)


def operator(model: ModelProto, rng: random.Random) -> None:
    node = rng.choice(model.graph.node)
    if rng.random() < 0.8:
        node.op_type = rng.choice(OPERATORS)
    else:
        node.domain = rng.choice(["com.microsoft", "ai.onnx", "ai.onnx.ml", "x"])


def order(model: ModelProto, rng: random.Random) -> None:
    nodes = list(model.graph.node)
    which = rng.randrange(3)
    if which == 0:
        rng.shuffle(nodes)
    elif which == 1:
        nodes.append(rng.choice(nodes))
    else:
        del nodes[rng.randrange(len(nodes))]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def loop(model: ModelProto, rng: random.Random) -> None:
    """A constant node that never ends, before everything else."""
    boolean = helper.make_tensor("forever", TensorProto.BOOL, [], [True])
    inside = [helper.make_node("Identity", ["go"], ["goes"])]
    values = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "goes")]
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    body = helper.make_graph(inside, "body", [count, values[0]], [values[1]])
    made = helper.make_node("Loop", ["", "forever"], [], body=body)
    if rng.random() < 0.5:
        made = helper.make_node("If", ["forever"], ["chosen"], then_branch=body, else_branch=body)
    model.graph.initializer.append(boolean)
    model.graph.node.insert(0, made)


def gigantic(model: ModelProto, rng: random.Random) -> None:
    """A constant of any size out of a few bytes."""
    sizes = numpy_helper.from_array(np.array([rng.choice((70_000, 1 << 40))] * 3), "sizes")
    model.graph.initializer.append(sizes)
    made = rng.choice([
        helper.make_node("ConstantOfShape", ["sizes"], ["large"]),
        helper.make_node("Expand", [model.graph.initializer[0].name, "sizes"], ["large"]),
        helper.make_node("Tile", ["sizes", "sizes"], ["large"]),
    ])  # fmt: skip
    model.graph.node.insert(0, made)


def number(model: ModelProto, rng: random.Random) -> None:
    floats = [one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT]
    if not floats:
        return
    one = rng.choice(floats)
    array = numpy_helper.to_array(one).copy()
    array.reshape(-1)[rng.randrange(max(1, array.size)) :] = rng.choice(REAL)
    one.CopyFrom(numpy_helper.from_array(array, one.name))


def elsewhere(model: ModelProto, rng: random.Random) -> None:
    one = rng.choice(model.graph.initializer)
    one.data_location = TensorProto.EXTERNAL
    places = ["../../../etc/passwd", "/etc/passwd", "/dev/zero", "", ".", "x\0y", "a/../../b", "0.onnx", "nothing.data"]
    for key, value in (
        ("location", rng.choice(places)),
        ("offset", rng.choice(["0", "-1", "x", "9" * 30, "1e3"])),
        ("length", rng.choice(["4", "-1", "", "9" * 18])),
    ):
        if rng.random() < 0.8:
            one.external_data.add(key=key, value=value)


def versions(model: ModelProto, rng: random.Random) -> None:
    if rng.random() < 0.5:
        model.opset_import[0].version = rng.choice([0, 1, 9, 10, 13, 18, 25, 99, -3])
    else:
        model.ir_version = rng.choice([0, 1, 3, 9, 99, -1])


FIELDS: tuple[Fields, ...] = (
    attribute, attribute, attribute, no_attribute, shape, shape, kind, wiring, wiring, operator, order, loop, gigantic,
    number, number, elsewhere, versions,
)  # fmt: skip


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    which = rng.randrange(4)
    at = rng.randrange(len(changed))
    if which == 0:
        for _ in range(rng.choice([1, 1, 2, 8])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    elif which == 1:
        del changed[at:]
    elif which == 2:
        del changed[at : at + rng.randrange(1, 40)]
    else:
        changed[at:at] = rng.randbytes(rng.randrange(1, 40))
    return bytes(changed)


def changed_fields(data: bytes, rng: random.Random) -> bytes:
    model = onnx.load_model_from_string(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        with suppress(Exception):  # what an earlier change has left may not bear this one
            rng.choice(FIELDS)(model, rng)
    return bytes(model.SerializeToString())


def write_mutants(sources: list[Path], directory: Path, count: int, seed: int) -> None:
    """``count`` files named by their number; a third changed in bytes, the others in fields."""
    rng = random.Random(seed)
    for i in range(count):
        data = rng.choice(sources).read_bytes()
        change = changed_bytes if rng.random() < 1 / 3 else changed_fields
        (directory / f"{i:05}.onnx").write_bytes(change(data, rng))


def imported(path: Path) -> dict[str, object]:
    from tlm.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    fault = ""
    network = path.with_suffix(".npz")
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(["import", str(path), "-o", str(network), "--check", "2"])
        except BaseException:
            status, fault = -1, traceback.format_exc()
    faulthandler.cancel_dump_traceback_later()
    return {
        "file": path.name, "status": status, "fault": fault, "err": err.getvalue(), "written": network.exists(),
        "compared": "equal to onnxruntime: alone" in out.getvalue(),
    }  # fmt: skip


if __name__ == "__main__":
    for file in sorted(Path(sys.argv[1]).glob("*.onnx")):
        print(json.dumps(imported(file)), flush=True)
