"""Export an architecture of torchvision with seeded weights: ``python docs/tools/export_torchvision.py NAME -o FILE``.

The weights are torchvision's own initialisation; nothing is downloaded. Needs torch, torchvision and onnx.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

NAMES = ("mobilenet_v2", "resnet50", "googlenet", "shufflenet_v2_x1_0", "regnet_x_400mf", "squeezenet1_1")
"""Those of docs/performance.md."""


def export(name: str, path: Path, size: int = 224, seed: int = 0) -> None:
    """Write one.

    Args:
        name: of a function of torchvision.models.
        path: ONNX file.
        size: rows and columns of the input, pixels.
        seed: of the weights.
    """
    import torch
    import torchvision

    torch.manual_seed(seed)
    keys: dict[str, bool] = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    network = getattr(torchvision.models, name)(weights=None, **keys)
    with torch.no_grad():  # statistics of batch norms: without them, values vanish or grow from layer to layer
        network.train()(torch.randn(4, 3, size, size))
    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(1, 3, size, size),), str(path), dynamo=False, opset_version=17)


def main() -> None:
    """Export what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help=f"such as {', '.join(NAMES)}")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", type=int, default=224, help="rows and columns of the input (default: 224)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    export(arguments.name, arguments.output, arguments.size, arguments.seed)


if __name__ == "__main__":
    main()
