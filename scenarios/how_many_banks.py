"""How many AMem banks does a layer need? The same layers on chips with 1, 2, 4 and 8 banks.

A stride makes the 32 pixels of a step come from several words, which only different banks deliver in one cycle.
"""

from dataclasses import replace

import tlm
from tlm.networks.seeded import seeded_activations
from tlm.networks.stack import StackLayer, build_stack

BASE = StackLayer("c1", 32, kernel=(3, 3), padding=(1, 1), taps=3)
LAYERS = {"stride 1": BASE, "stride 2": replace(BASE, stride=(2, 2)), "point-wise": StackLayer("c1", 32)}
BANKS = (1, 2, 4, 8)


def main() -> None:
    activations = seeded_activations((64, 28, 28), seed=0)
    print("64 -> 32 channels, 28x28 pixels, 3x3 layers pruned to 3 of 9 taps; compute cycles [S], banks chosen\n")
    print(f"{'layer':11} {'steps':>7}" + "".join(f"{f'{banks} bank' + 's' * (banks > 1):>11}" for banks in BANKS))
    for name, layer in LAYERS.items():
        network = build_stack([layer], activations)
        results = [tlm.simulate(network, activations, tlm.ChipConfig(amem_banks=banks)).layers["c1"] for banks in BANKS]
        cycles = "".join(f"{figures.compute_cycles:11,}" for figures in results)
        print(f"{name:11} {results[0].steps:7,}{cycles}")
        fetches = "".join(f"{figures.fetch_cycles:11,}" for figures in results)
        print(f"{'  fetches':19}{fetches}")
    print("\nFetch cycles above the steps are waits for words that share a bank; the rest of the gap is the pipeline,")
    print("and with few banks the write-back, which has to find its bank free.")


if __name__ == "__main__":
    main()
