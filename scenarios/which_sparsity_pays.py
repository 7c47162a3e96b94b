"""Which pruning pays on this engine: the same share of weights removed in three patterns.

The array skips a weight word (32 output channels of one input channel and tap) only if all its weights are zero.
"""

from dataclasses import replace

import tlm
from tlm.networks.seeded import seeded_activations
from tlm.networks.stack import StackLayer, build_stack

CHANNELS, SIZE = 64, 14
BASE = StackLayer("c1", CHANNELS, kernel=(3, 3), padding=(1, 1))
PATTERNS = {
    "dense": BASE,
    "1/3 of the single weights": replace(BASE, density=1 / 3),
    "1/9 of the single weights": replace(BASE, density=1 / 9),
    "1/3 of the weight words": replace(BASE, word_density=1 / 3),
    "3 of 9 taps per channel": replace(BASE, taps=3),
    "1 of 9 taps per channel": replace(BASE, taps=1),
}


def main() -> None:
    activations = seeded_activations((CHANNELS, SIZE, SIZE), seed=0)
    print(f"3x3, {CHANNELS} -> {CHANNELS} channels, {SIZE}x{SIZE} pixels; all figures [S]\n")
    print(f"{'weights kept':27} {'weights':>8} {'words':>6} {'steps':>7} {'cycles':>7} {'speed-up':>8}")
    dense_cycles = 0
    for name, layer in PATTERNS.items():
        network = build_stack([layer], activations)
        figures = tlm.simulate(network, activations).layers["c1"]
        dense_cycles = dense_cycles or figures.compute_cycles
        (conv,) = network.layers
        assert isinstance(conv, tlm.Conv2d)
        share = (conv.weights != 0).mean()
        speed_up = dense_cycles / figures.compute_cycles
        counts = f"{figures.density:6.1%} {figures.steps:7,} {figures.compute_cycles:7,}"
        print(f"{name:27} {share:8.1%} {counts} {speed_up:8.2f}")
    print("\nRemoving single weights hardly ever empties a word of 32; removing whole taps or words is what pays.")


if __name__ == "__main__":
    main()
