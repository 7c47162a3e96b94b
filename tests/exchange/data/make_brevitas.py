"""Writes quantised ONNX files with Brevitas: ``python tests/exchange/data/make_brevitas.py DIR``.

Needs brevitas 0.13.4 and onnxoptimizer, on which the project does not depend.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import brevitas.nn as qnn
import torch
from brevitas.export import export_onnx_qcdq
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


def write(network: nn.Module, images: Callable[[], Tensor], path: Path) -> None:
    network.train()
    with torch.no_grad():
        for _ in range(6):  # ranges of activations
            network(images())
    network.eval()
    export_onnx_qcdq(network, args=images()[:1], export_path=str(path), opset_version=21, dynamo=False)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    write(Plain(), lambda: torch.rand(4, 3, 16, 16), arguments.directory / "brevitas_plain.onnx")
    write(Residual(), lambda: torch.rand(4, 1, 28, 28), arguments.directory / "brevitas_residual.onnx")


if __name__ == "__main__":
    main()
