"""Sections: TOPS/W of pruned blocks and networks, and where the energy goes that the ideal leaves out."""

from __future__ import annotations

from collections.abc import Mapping

from tlm.core.labels import Label
from tlm.reproduction.breakdown import DENSE_TAPS
from tlm.reproduction.document import Section, Table
from tlm.reproduction.efficiency import Efficiency, together
from tlm.reproduction.energy_split import BEYOND_WITHIN, CAUSES, IDEAL, TRANSFERS, WAITS, EnergySplit
from tlm.reproduction.figures import Figure, Fit, percent, with_span
from tlm.reproduction.measure import BLOCK_NAMES, SHOWN_TAPS, Measurements
from tlm.reproduction.published import FAST_V, FRUGAL_V, PRUNED_SHARE, SPARSE_TOPS_PER_W, TOPS_PER_W, ideal_tops_per_w
from tlm.reproduction.uncertainty import FACTOR

_WAYS = ("within layers", "with everything")


def sparse_figures(measured: Measurements) -> list[Figure]:
    """TOPS/W at 0.8 V of blocks and network at 1/9 and 3/9, beside the ideal."""
    found = []
    for taps in (1, 3):
        blocks = _blocks(measured, taps, FRUGAL_V)
        network = measured.networks[taps, FRUGAL_V]
        reasons = {
            ("four blocks alone", "within layers"): (blocks.within, blocks.within_range, _block_reason(measured, taps)),
            ("four blocks alone", "with everything"): (
                blocks.whole,
                blocks.whole_range,
                "besides the causes within layers: a block alone is loaded and stored, with waits, DMA and host",
            ),
            ("whole network", "within layers"): (
                network.within, network.within_range, _network_reason(measured.energy[taps]),
            ),
            ("whole network", "with everything"): (
                network.whole, network.whole_range, _rest_reason(measured.energy[taps]),
            ),
        }  # fmt: skip
        for (what, way), (value, span, why) in reasons.items():
            found.append(
                Figure(
                    name=f"{what} at {taps}/{DENSE_TAPS}, {FRUGAL_V} V, {way}",
                    unit="TOPS/W",
                    label=Label.PREDICTED,
                    fit=Fit.TABLE,
                    span=span,
                    simulated=value,
                    published=float(SPARSE_TOPS_PER_W) if taps == 1 else ideal_tops_per_w(taps, FRUGAL_V),
                    reference=Label.PUBLISHED if taps == 1 else Label.DERIVED,
                    digits=2,
                    published_digits=1 if taps == 1 else 2,
                    why=why,
                )
            )
    return found


def sparse_section(measured: Measurements) -> Section:
    """Levels of pruning at both operating points."""
    return Section(
        "Sparse efficiency by level of pruning",
        (
            "Operations are dense-equivalent: two for each multiply-accumulate of the unpruned block or network, "
            "shifts none. The ideal arithmetic [D] is the published unpruned TOPS/W times 10 / (1 + k): it knows "
            'blocks alone, and of them only steps. "assuming the model is pruned to 1/9" gives '
            f"{SPARSE_TOPS_PER_W} TOPS/W [P]. Within layers: what the engine takes while layers compute. With "
            "everything: waits, DMA, interconnect and host too. Off-chip memory is outside the core and stands apart. "
            "Programs are compiled for 0.8 V.",
            "In brackets: what the assumed split of energy over events allows. Each entry of the table "
            f"(docs/energy.md) is varied on its own, from 1/{FACTOR} to {FACTOR} times its value [A], and all of them "
            "are normalised again, so that the dense passes keep their published power. The bounds: CACTI's figures "
            f"for the SRAMs are uncertain by a factor of 2 to 4 from end to end, here {FACTOR**2}; the other entries "
            "are estimates of ours and no better. Least and most over all combinations, so no probability. Leakage "
            "stays that of the fit.",
            *(_levels(measured, volts) for volts in (FRUGAL_V, FAST_V)),
            _by_block(measured),
        ),
    )


def _levels(measured: Measurements, volts: float) -> Table:
    rows = []
    for taps in measured.extent.taps:
        blocks, network = _blocks(measured, taps, volts), measured.networks[taps, volts]
        off_chip_share = network.off_chip_aj / (network.total_aj + network.off_chip_aj)
        rows.append(
            (
                f"{taps}/{DENSE_TAPS}",
                f"{ideal_tops_per_w(taps, volts):.2f}",
                *(
                    with_span(f"{value:.2f}", span)
                    for one in (blocks, network)
                    for value, span in ((one.within, one.within_range), (one.whole, one.whole_range))
                ),
                f"{network.power_mw:.0f}",
                f"{network.time_us / 1000:.2f}",
                f"{network.off_chip_aj / 1e12:,.0f}",
                percent(off_chip_share, 0),
                f"{network.with_off_chip:.2f}",
            )
        )
    head = (
        "taps", "ideal", *(f"{what}, {way}" for what in ("blocks", "network") for way in _WAYS),
        "network, mW", "ms", "off-chip, uJ", "of all energy", "network and off-chip",
    )  # fmt: skip
    return Table(
        f"TOPS/W at {volts} V; the ideal is [D], times [S], all others [A]: predicted, the power fit reaches them",
        head,
        tuple(rows),
    )


def _by_block(measured: Measurements) -> Table:
    rows = []
    for name in BLOCK_NAMES:
        row = [name]
        for taps in SHOWN_TAPS:
            found = measured.blocks[name][taps, FRUGAL_V]
            row += [
                with_span(f"{found.within:.2f}", found.within_range),
                with_span(f"{found.whole:.2f}", found.whole_range),
            ]
        rows.append(tuple(row))
    head = ("block", *(f"{taps}/{DENSE_TAPS}, {way}" for taps in SHOWN_TAPS for way in _WAYS))
    return Table(
        f"TOPS/W at {FRUGAL_V} V of each block alone [A]: predicted, the power fit reaches them", head, tuple(rows)
    )


def random_section(measured: Measurements) -> Section:
    """What each reading of "randomly pruned" gives."""
    share = float(PRUNED_SHARE)
    single = f"single weights: {percent(share, 0)} of each convolution of the residual blocks, base network"
    taps = f"taps per channel: 8 of {DENSE_TAPS} of each depth-wise kernel, PW-DW-PW"
    unpruned, pruned = measured.base
    readings = {
        f"{single}, whole network": (unpruned, pruned),
        f"{taps}, whole network": tuple(measured.networks[count, FRUGAL_V] for count in (DENSE_TAPS, 1)),
        f"{taps}, four blocks alone": tuple(_blocks(measured, count, FRUGAL_V) for count in (DENSE_TAPS, 1)),
    }
    rows = [
        (
            name,
            f"{before.cycles:,}",
            f"{after.cycles:,}",
            percent(1 - after.cycles / before.cycles),
            with_span(f"{after.within:.2f}", after.within_range),
            f"{after.within / before.within:.2f}",
        )
        for name, (before, after) in readings.items()
    ]
    gain = float(SPARSE_TOPS_PER_W) / float(TOPS_PER_W[FRUGAL_V])
    table = Table(
        f"What is pruned, at {FRUGAL_V} V. Cycles [S]; TOPS/W of dense-equivalent operations within layers [A]: "
        f"predicted, the power fit reaches it; published are {SPARSE_TOPS_PER_W} TOPS/W [P], {gain:.2f} times the "
        "unpruned [D]",
        ("reading", "cycles, unpruned", "cycles, pruned", "saved", "TOPS/W, pruned", "times the unpruned"),
        tuple(rows),
    )
    return Section(
        'Two readings of "a randomly pruned model (after 88% pruning)"',
        (
            'The abstract says "Sparse TOPS/W reaches 26.5 when running a randomly pruned model (after 88% pruning)" '
            "[P]. The pages on model 2 prune the 3x3 depth-wise kernels gradually, tap by tap, and the chip's page "
            'has the 26.5 "assuming the model is pruned to 1/9" [P]. The two pull in different directions: weights at '
            "random have no structure, taps per channel are the structure that the chip skips. Nor do the numbers "
            'meet: 8 of 9 taps are 88.9 % [D], which rounds to 89; and "-88%" stands there for the weight capacity '
            "against the base ResNet-18 (below), not for pruning. On this architecture single weights at random save "
            f"next to nothing, since a word of 32 weights is skipped only if all are zero: at random {share:g}^32 = "
            f"{percent(share**32)} of the words [D]. Taps per channel come near the published gain. So this page "
            "takes the 26.5 as taps.",
            table,
        ),
    )


def energy_section(measured: Measurements) -> Section:
    """What the ideal leaves out, in energy; the parts add up to the run exactly."""
    rows = []
    for cause in CAUSES:
        row = [cause]
        for taps in SHOWN_TAPS:
            split = measured.energy[taps]
            row += [f"{split.fj_per_operation(cause):.2f}", percent(split.share(cause))]
        rows.append(tuple(row))
    totals = ["total"]
    for taps in SHOWN_TAPS:
        split = measured.energy[taps]
        totals += [f"{split.fj_per_operation():.2f}", percent(1)]
    head = ("cause", *(f"{taps}/{DENSE_TAPS}, {what}" for taps in SHOWN_TAPS for what in ("fJ an operation", "share")))
    table = Table(
        f"Energy of the core for a dense-equivalent operation of the whole network at {FRUGAL_V} V [A]: predicted, "
        "the power fit reaches it; the ideal [D]",
        head,
        (*rows, tuple(totals)),
    )
    return Section(
        "What the ideal leaves out, in energy",
        (
            "TOPS/W do not add up, energies do: 1 TOPS/W is 1,000 fJ an operation. The ideal is what the blocks' "
            "operations would take at the published TOPS/W times 10 / (1 + k); everything else is what it leaves out. "
            "The published TOPS/W have a share of fill and write-back in them: the line of full steps gives it back, "
            "and bears what the extra AMem words of stride 2 take. The sum is exact: a run whose causes do not add up "
            "ends with an error.",
            table,
        ),
    )


def _blocks(measured: Measurements, taps: int, volts: float) -> Efficiency:
    return together(measured.blocks[name][taps, volts] for name in BLOCK_NAMES)


def _block_reason(measured: Measurements, taps: int) -> str:
    unpruned = _blocks(measured, DENSE_TAPS, FRUGAL_V).within
    return (
        f"the blocks start from {unpruned:.2f} TOPS/W at 9/9 instead of {TOPS_PER_W[FRUGAL_V]}, since last "
        "tiles are partly empty, and "
        f"short passes fill the pipeline and write back as often as those at 9/9, for {percent((1 + taps) / 10, 0)} of "
        "the steps"
    )


def _largest(parts: Mapping[str, float], count: int) -> str:
    ordered = sorted(parts, key=lambda cause: -parts[cause])[:count]
    return ", ".join(f"{cause} {percent(parts[cause], 0)}" for cause in ordered)


def _network_reason(split: EnergySplit) -> str:
    beyond = {cause: split.share(cause) for cause in BEYOND_WITHIN}
    return f"of the run's energy the ideal arithmetic is {percent(split.share(IDEAL), 0)}; {_largest(beyond, 3)}"


def _rest_reason(split: EnergySplit) -> str:
    return (
        f"besides the causes within layers: {_largest({cause: split.share(cause) for cause in (TRANSFERS, WAITS)}, 2)}"
    )
