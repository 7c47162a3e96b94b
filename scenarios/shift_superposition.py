"""Any convolution is a superposition of (spatial shift, point-wise convolution) pairs: shown on the chip.

A 3x3 layer runs once as a whole, and once as nine layers of one tap each, whose accumulators the host adds. The values
are equal; so is the number of steps on the array. What the whole layer saves is eight of nine write-backs.
"""

import numpy as np

import tlm
from tlm.networks.seeded import SeededBits, seeded_activations
from tlm.networks.weights import dense_weights

CHANNELS, SIZE = 32, 16


def layer_of(weights: np.ndarray, name: str) -> tlm.Conv2d:
    return tlm.Conv2d(name, weights, padding=(1, 1), accumulator_output=True)


def main() -> None:
    activations = seeded_activations((CHANNELS, SIZE, SIZE), seed=0)
    weights = dense_weights(SeededBits(0, "kernel"), (CHANNELS, CHANNELS, 3, 3))

    whole = tlm.simulate(tlm.Network(activations.shape, [layer_of(weights, "whole")]), activations)

    total = np.zeros(whole.outputs.shape, np.int64)
    cycles = steps = 0
    print("tap (y, x)   steps  cycles [S]   a shift of the input by one tap's offset, then a point-wise layer")
    for tap in range(9):
        y, x = divmod(tap, 3)
        one_tap = np.zeros_like(weights)
        one_tap[:, :, y, x] = weights[:, :, y, x]
        part = tlm.simulate(tlm.Network(activations.shape, [layer_of(one_tap, "shift")]), activations)
        figures = part.layers["shift"]
        print(f"({y - 1:2}, {x - 1:2})    {figures.steps:6,}  {figures.compute_cycles:10,}   kind: {figures.kind}")
        total += part.outputs
        cycles += figures.compute_cycles
        steps += figures.steps

    figures = whole.layers["whole"]
    equal = np.array_equal(total, whole.outputs)
    print(f"sum        {steps:8,}  {cycles:10,}   values {'equal' if equal else 'DIFFER'}")
    gain = cycles / figures.compute_cycles
    print(f"whole      {figures.steps:8,}  {figures.compute_cycles:10,}   {gain:.2f} times faster")
    if not equal:
        raise SystemExit("the superposition differs from the whole layer")


if __name__ == "__main__":
    main()
