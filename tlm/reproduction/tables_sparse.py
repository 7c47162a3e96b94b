"""TOPS/W of pruned blocks and networks, and where the energy goes that the ideal leaves out."""

from __future__ import annotations

from collections.abc import Iterable

from tlm.reproduction.causes import DENSE_TAPS, IDEAL, OF_ENERGY, TRANSFERS, WAITS, Split
from tlm.reproduction.efficiency import Efficiency, together
from tlm.reproduction.figures import compared, percent, table, with_span
from tlm.reproduction.measure import BLOCK_NAMES, NETWORK, SHOWN_TAPS, Measurements
from tlm.reproduction.published import FAST_V, FRUGAL_V, PRUNED_SHARE, SPARSE_TOPS_PER_W, TOPS_PER_W, ideal_tops_per_w

_WAYS = ("within layers", "with everything")


def sparse_values(measured: Measurements) -> dict[str, str]:
    """The figures and tables of sparse efficiency and of energy."""
    values = {
        "blocks_dense": f"{_blocks(measured, DENSE_TAPS).within.tops_per_w:.2f}",
        "table_levels_frugal": _levels(measured, FRUGAL_V),
        "table_levels_fast": _levels(measured, FAST_V),
        "table_by_block": _by_block(measured),
        "table_random": _random(measured),
        "random_words": percent(float(PRUNED_SHARE) ** 32),
        "sparse_gain": f"{float(SPARSE_TOPS_PER_W) / float(TOPS_PER_W[FRUGAL_V]):.2f}",
        "table_energy": _energy(measured),
    }
    for taps in (1, 3):
        split = measured.energy[taps]
        values[f"ideal_share_{taps}"] = percent(split.share(IDEAL), 0)
        values[f"largest_within_{taps}"] = _largest(split, OF_ENERGY[1:-2], 3)
        values[f"largest_beside_{taps}"] = _largest(split, (TRANSFERS, WAITS), 2)
        label, digits = ("[P]", 1) if taps == 1 else ("[D]", 2)
        runs = {"blocks": _blocks(measured, taps), "network": measured.runs[NETWORK][taps, FRUGAL_V]}
        for what, run in runs.items():
            for way, work in (("within", run.within), ("whole", run.whole)):
                values[f"{what}_{taps}_{way}"] = compared(
                    ideal_tops_per_w(taps, FRUGAL_V), work.tops_per_w, "TOPS/W",
                    label=label, published_digits=digits, span=work.span,
                )  # fmt: skip
    return values


def _levels(measured: Measurements, volts: float) -> str:
    """Levels of pruning at an operating point."""
    rows = []
    for taps in measured.extent.taps:
        network = measured.runs[NETWORK][taps, volts]
        work = network.whole
        row = [f"{taps}/{DENSE_TAPS}", f"{ideal_tops_per_w(taps, volts):.2f}"]
        row += [*_both_ways(_blocks(measured, taps, volts)), *_both_ways(network)]
        row += [f"{network.power_mw:.0f}", f"{network.time_us / 1000:.2f}", f"{work.off_chip_aj / 1e12:,.0f}"]
        row += [percent(work.off_chip_aj / (work.core_aj + work.off_chip_aj), 0), f"{work.with_off_chip:.2f}"]
        rows.append(row)
    head = (
        "taps", "ideal", *(f"{what}, {way}" for what in ("blocks", "network") for way in _WAYS),
        "network, mW", "ms", "off-chip, uJ", "of all energy", "network and off-chip",
    )  # fmt: skip
    return table(head, rows)


def _by_block(measured: Measurements) -> str:
    """Each block alone, at 0.8 V."""
    head = ("block", *(f"{taps}/{DENSE_TAPS}, {way}" for taps in SHOWN_TAPS for way in _WAYS))
    rows = [
        (name, *(cell for taps in SHOWN_TAPS for cell in _both_ways(measured.runs[name][taps, FRUGAL_V])))
        for name in BLOCK_NAMES
    ]
    return table(head, rows)


def _random(measured: Measurements) -> str:
    """Each reading of "randomly pruned"."""
    share = percent(float(PRUNED_SHARE), 0)
    single = f"single weights: {share} of each convolution of the residual blocks, base network"
    per_channel = f"taps per channel: 8 of {DENSE_TAPS} of each depth-wise kernel, PW-DW-PW"
    readings = {
        f"{single}, whole network": measured.base,
        f"{per_channel}, whole network": [measured.runs[NETWORK][taps, FRUGAL_V] for taps in (DENSE_TAPS, 1)],
        f"{per_channel}, four blocks alone": [_blocks(measured, taps) for taps in (DENSE_TAPS, 1)],
    }
    rows = []
    for name, (before, after) in readings.items():
        saved = percent(1 - after.cycles / before.cycles)
        gain = after.within.tops_per_w / before.within.tops_per_w
        rows.append((name, f"{before.cycles:,}", f"{after.cycles:,}", saved, _both_ways(after)[0], f"{gain:.2f}"))
    head = ("reading", "cycles, unpruned", "cycles, pruned", "saved", "TOPS/W, pruned", "times the unpruned")
    return table(head, rows)


def _energy(measured: Measurements) -> str:
    splits = [measured.energy[taps] for taps in SHOWN_TAPS]
    rows = []
    for cause in (*OF_ENERGY, None):
        row = [cause or "total"]
        for split in splits:
            row += [f"{float(split.units(cause)):.2f}", percent(split.share(cause))]
        rows.append(row)
    units = ("fJ an operation", "share")
    return table(("cause", *(f"{taps}/{DENSE_TAPS}, {unit}" for taps in SHOWN_TAPS for unit in units)), rows)


def _both_ways(run: Efficiency) -> list[str]:
    """TOPS/W within layers and with everything."""
    return [with_span(f"{work.tops_per_w:.2f}", work.span) for work in (run.within, run.whole)]


def _blocks(measured: Measurements, taps: int, volts: float = FRUGAL_V) -> Efficiency:
    return together([measured.runs[name][taps, volts] for name in BLOCK_NAMES])


def _largest(split: Split, causes: Iterable[str], count: int) -> str:
    ordered = sorted(causes, key=lambda cause: -split.share(cause))[:count]
    return ", ".join(f"{cause} {percent(split.share(cause), 0)}" for cause in ordered)
