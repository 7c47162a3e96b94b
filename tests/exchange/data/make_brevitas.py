"""Writes quantised ONNX files with Brevitas: ``python tests/exchange/data/make_brevitas.py DIR``.

Needs brevitas 0.13.4 and onnxoptimizer, on which the project does not depend.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import Int32Bias, SignedTernaryWeightPerTensorConst
from torch import Tensor, nn
from torch.nn import functional


def signed() -> nn.Module:
    return qnn.QuantIdentity(bit_width=4)


def unsigned() -> nn.Module:
    return qnn.QuantReLU(bit_width=4)


def conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, padding: int = 0, groups: int = 1, bias: bool = True
) -> nn.Module:
    return qnn.QuantConv2d(
        inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=bias, weight_bit_width=4
    )


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q = signed()
        self.c1, self.r1 = conv(3, 16, 3, 1, 1), unsigned()
        self.c2, self.r2 = conv(16, 24, 5, 2, 2), unsigned()
        self.fc = qnn.QuantLinear(24 * 4 * 4, 10, bias=True, weight_bit_width=4)

    def forward(self, images: Tensor) -> Tensor:
        pooled = functional.max_pool2d(self.r1(self.c1(self.q(images))), 2)
        return self.fc(torch.flatten(self.r2(self.c2(pooled)), 1))


class Block(nn.Module):
    """PW, DW, PW."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.pw, self.r1 = conv(inputs, outputs), unsigned()
        self.dw, self.qd = conv(outputs, outputs, 3, stride, 1, outputs, bias=False), signed()
        self.pw2, self.out = conv(outputs, outputs), unsigned()
        self.sc = None
        if stride != 1 or inputs != outputs:
            self.sc, self.qs = conv(inputs, outputs, 1, stride), signed()

    def forward(self, images: Tensor) -> Tensor:
        residual = images if self.sc is None else self.qs(self.sc(images))
        return self.out(self.pw2(self.qd(self.dw(self.r1(self.pw(images))))) + residual)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q = unsigned()
        self.c, self.r = conv(1, 16, 5, 2, 2), unsigned()
        self.b1, self.b2 = Block(16, 16, 1), Block(16, 32, 2)
        self.qa, self.fc = unsigned(), qnn.QuantLinear(32, 10, bias=True, weight_bit_width=4)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.b2(self.b1(self.r(self.c(self.q(images)))))
        return self.fc(torch.flatten(self.qa(functional.avg_pool2d(maps, 7)), 1))


class Twice(nn.Module):
    """Two branches that are added or joined."""

    def __init__(self, joins: bool) -> None:
        super().__init__()
        self.q, self.joins, size = signed(), joins, 4 if joins else 8
        self.a, self.b = conv(2, size), conv(2, size, 3, 1, 1)
        self.branch, self.out = unsigned() if joins else signed(), unsigned()
        self.fc = qnn.QuantLinear(8 * 4 * 4, 5, bias=True, weight_bit_width=4)

    def forward(self, images: Tensor) -> Tensor:
        images = self.q(images)
        a, b = self.a(images), self.b(images)
        maps = torch.cat([self.branch(a), self.branch(b)], 1) if self.joins else self.out(self.branch(a) + b)
        return self.fc(torch.flatten(maps, 1))


class Applied(nn.Module):
    """A layer that takes more than one tensor, or gives more than one: on (N, 2, 16), a sequence of two."""

    def __init__(self, layer: nn.Module, inputs: int = 1) -> None:
        super().__init__()
        self.q, self.layer, self.inputs = signed(), layer, inputs

    def forward(self, images: Tensor) -> Tensor:
        found = self.layer(*[self.q(images.flatten(2))] * self.inputs)
        return found[0] if isinstance(found, tuple) else found


class Added(nn.Module):
    """Two branches that a layer of Brevitas adds."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.q, self.layer = signed(), layer
        self.a, self.b = conv(2, 8), conv(2, 8, 3, 1, 1)
        self.fc = qnn.QuantLinear(8 * 4 * 4, 5, bias=True, weight_bit_width=4)

    def forward(self, images: Tensor) -> Tensor:
        images = self.q(images)
        return self.fc(torch.flatten(self.layer(self.a(images), self.b(images)), 1))


def further_kinds() -> dict[str, nn.Module]:
    """What Brevitas has beside the layers of ordinary classifiers.

    Not here, as Brevitas 0.13.4 exports them in neither form: QuantCat, QuantRNN, QuantScaledDotProductAttention.
    """

    def network(*layers: nn.Module, size: int = 8 * 4 * 4) -> nn.Module:
        return nn.Sequential(signed(), *layers, nn.Flatten(), qnn.QuantLinear(size, 5, bias=True, weight_bit_width=4))

    def flat(*layers: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Flatten(), signed(), *layers, qnn.QuantLinear(16, 4, bias=True, weight_bit_width=4))

    def linear() -> nn.Module:
        return qnn.QuantLinear(32, 16, bias=True, weight_bit_width=4)

    def tensor() -> nn.Module:
        return qnn.QuantReLU(bit_width=4, return_quant_tensor=True)

    weights_only = dict.fromkeys(
        ("io_quant", "gate_acc_quant", "sigmoid_quant", "tanh_quant", "cell_state_quant", "bias_quant")
    )
    return {
        "scale_bias": network(conv(2, 8), unsigned(), qnn.ScaleBias(8, bias=False), signed()),
        "quant_scale_bias": network(
            conv(2, 8), unsigned(), qnn.QuantScaleBias(8, bias=True, weight_bit_width=4), signed()
        ),
        "linear_batch_norm": flat(linear(), nn.BatchNorm1d(16), unsigned()),
        "conv_1d_batch_norm_quant": network(
            nn.Flatten(2), qnn.QuantConv1d(2, 8, 1, weight_bit_width=4), qnn.BatchNorm1dToQuantScaleBias(8), signed()
        ),
        "quant_eltwise_add": Added(qnn.QuantEltwiseAdd(input_bit_width=4, output_bit_width=4)),
        "conv_1d": nn.Sequential(
            signed(), nn.Flatten(2), qnn.QuantConv1d(2, 8, 3, padding=1, weight_bit_width=4), unsigned()
        ),
        "conv_3d": nn.Sequential(
            signed(), nn.Unflatten(1, (2, 1)), qnn.QuantConv3d(2, 8, 1, weight_bit_width=4), unsigned()
        ),
        "conv_transpose_1d": nn.Sequential(
            signed(), nn.Flatten(2), qnn.QuantConvTranspose1d(2, 8, 1, weight_bit_width=4), unsigned()
        ),
        "conv_transpose_3d": nn.Sequential(
            signed(), nn.Unflatten(1, (2, 1)), qnn.QuantConvTranspose3d(2, 8, 1, weight_bit_width=4), unsigned()
        ),
        "hard_swish": network(conv(2, 8), qnn.QuantHardSwish(bit_width=4)),
        "trunc_adaptive_avg_pool": nn.Sequential(
            *(signed(), conv(2, 8), tensor()),
            *(qnn.TruncAdaptiveAvgPool2d(1), nn.Flatten(), qnn.QuantLinear(8, 5, bias=True, weight_bit_width=4)),
        ),
        "quant_upsample": network(conv(2, 2), tensor(), qnn.QuantUpsample(scale_factor=2), unsigned()),
        "quant_upsampling_nearest": network(
            conv(2, 2), tensor(), qnn.QuantUpsamplingNearest2d(scale_factor=2), unsigned()
        ),
        "quant_upsampling_bilinear": network(
            conv(2, 2), tensor(), qnn.QuantUpsamplingBilinear2d(scale_factor=2), unsigned()
        ),
        "embedding": qnn.QuantEmbedding(8, 4, weight_bit_width=4),
        "lstm": Applied(qnn.QuantLSTM(16, 4, batch_first=True)),
        "lstm_weights": Applied(qnn.QuantLSTM(16, 4, batch_first=True, **weights_only)),
        "attention": Applied(qnn.QuantMultiheadAttention(16, 2, batch_first=True), 3),
        "hadamard": nn.Sequential(
            nn.Flatten(),
            qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),
            qnn.HadamardClassifier(32, 8, return_quant_tensor=True),
        ),
    }


def kinds() -> dict[str, nn.Module]:
    """A small network for each kind of layer; those that the engine cannot run are refused by name."""
    last = partial(qnn.QuantLinear, 8 * 4 * 4, 5, bias=True, weight_bit_width=4)

    def network(*layers: nn.Module, inputs: nn.Module | None = None, classify: bool = True) -> nn.Module:
        return nn.Sequential(inputs or signed(), *layers, *((nn.Flatten(), last()) if classify else ()))

    def per_channel(**keys: Any) -> nn.Module:
        return qnn.QuantConv2d(2, 8, 3, padding=1, weight_bit_width=4, weight_scaling_per_output_channel=True, **keys)

    return {
        "conv": network(conv(2, 8, 3, 1, 1), signed()),
        "conv_per_channel": network(per_channel(bias=True), unsigned()),
        "conv_bias_quant": network(
            per_channel(bias=True, bias_quant=Int32Bias),
            unsigned(),
            inputs=qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),
        ),
        "conv_depthwise": network(conv(2, 8), unsigned(), conv(8, 8, 3, 1, 1, groups=8), signed()),
        "conv_dilated": network(qnn.QuantConv2d(2, 8, 3, padding=2, dilation=2, weight_bit_width=4), unsigned()),
        "conv_batch_norm": network(conv(2, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), unsigned()),
        "conv_batch_norm_quant": network(conv(2, 8), unsigned(), qnn.BatchNorm2dToQuantScaleBias(8), signed()),
        "conv_weights_2_bits": network(qnn.QuantConv2d(2, 8, 1, weight_bit_width=2), unsigned()),
        "conv_weights_ternary": network(
            qnn.QuantConv2d(2, 8, 1, weight_quant=SignedTernaryWeightPerTensorConst), unsigned()
        ),
        "conv_weights_8_bits": network(qnn.QuantConv2d(2, 8, 1, weight_bit_width=8), unsigned()),
        "conv_transpose": network(qnn.QuantConvTranspose2d(2, 8, 1, weight_bit_width=4), unsigned()),
        "relu_3_bits": network(conv(2, 8), qnn.QuantReLU(bit_width=3)),
        "relu_8_bits": network(conv(2, 8), qnn.QuantReLU(bit_width=8)),
        "hard_tanh": network(conv(2, 8), qnn.QuantHardTanh(bit_width=4, max_val=1.0, min_val=-1.0)),
        "sigmoid": network(conv(2, 8), qnn.QuantSigmoid(bit_width=4)),
        "tanh": network(conv(2, 8), qnn.QuantTanh(bit_width=4)),
        "max_pool": network(conv(2, 8), unsigned(), nn.MaxPool2d(3, 1, 1)),
        "avg_pool": network(conv(2, 8), unsigned(), nn.AvgPool2d(3, 1, 1), unsigned()),
        "trunc_avg_pool": nn.Sequential(
            *(signed(), conv(2, 8), qnn.QuantReLU(bit_width=4, return_quant_tensor=True), qnn.TruncAvgPool2d(2, 2)),
            *(nn.Flatten(), qnn.QuantLinear(8 * 2 * 2, 5, bias=True, weight_bit_width=4)),
        ),
        "adaptive_avg_pool": nn.Sequential(
            signed(), conv(2, 8), unsigned(), nn.AdaptiveAvgPool2d(1), unsigned(), conv(8, 5)
        ),
        "add": Twice(joins=False),
        "cat": Twice(joins=True),
        "dropout": network(conv(2, 8), unsigned(), nn.Dropout(0.5)),
        "linear": nn.Sequential(nn.Flatten(), signed(), qnn.QuantLinear(32, 10, bias=True, weight_bit_width=4)),
        "linear_relu_linear": network(
            nn.Flatten(),
            qnn.QuantLinear(32, 16, bias=True, weight_bit_width=4),
            unsigned(),
            qnn.QuantLinear(16, 4, bias=True, weight_bit_width=4),
            classify=False,
        ),
        "upsample": network(conv(2, 2), unsigned(), nn.Upsample(scale_factor=2), conv(2, 8, 3, 2, 1), unsigned()),
    }


def write(network: nn.Module, images: Callable[[], Tensor], path: Path, export: Any = export_onnx_qcdq) -> None:
    network.train()
    with torch.no_grad():
        for _ in range(6):  # ranges of activations
            network(images())
    network.eval()
    export(network, args=images()[:1], export_path=str(path), opset_version=21, dynamo=False)
    print(path)


def maps() -> Tensor:
    return torch.randn(4, 2, 4, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    write(Plain(), lambda: torch.rand(4, 3, 16, 16), arguments.directory / "brevitas_plain.onnx")
    write(Residual(), lambda: torch.rand(4, 1, 28, 28), arguments.directory / "brevitas_residual.onnx")
    kinds_directory = arguments.directory / "brevitas"
    kinds_directory.mkdir(exist_ok=True)
    for name, export in (("qcdq", export_onnx_qcdq), ("qonnx", export_qonnx)):
        torch.manual_seed(1)
        for kind, network in kinds().items():
            write(network, maps, kinds_directory / f"{kind}.{name}.onnx", export)
        torch.manual_seed(1)
        for kind, network in further_kinds().items():
            if (kind, name) == ("lstm", "qcdq"):
                continue  # Brevitas writes it as QONNX only
            images = (lambda: torch.randint(8, (4, 3))) if kind == "embedding" else maps
            write(network, images, kinds_directory / f"{kind}.{name}.onnx", export)


if __name__ == "__main__":
    main()
