"""Figures and tables: TOPS/W of pruned blocks and networks, and where the energy goes that the ideal leaves out."""

from __future__ import annotations

from collections.abc import Iterable

from tlm.core.labels import Label
from tlm.reproduction.efficiency import Efficiency, Work, together
from tlm.reproduction.energy_split import BEYOND_WITHIN, CAUSES, IDEAL, TRANSFERS, WAITS
from tlm.reproduction.figures import Figure, Fit, percent, table, with_span
from tlm.reproduction.measure import BLOCK_NAMES, SHOWN_TAPS, Measurements
from tlm.reproduction.published import FRUGAL_V, PRUNED_SHARE, SPARSE_TOPS_PER_W, TOPS_PER_W, ideal_tops_per_w
from tlm.reproduction.split import DENSE_TAPS, Split

_WAYS = ("within layers", "with everything")


def sparse_figures(measured: Measurements) -> list[Figure]:
    """TOPS/W at 0.8 V of blocks and network at 1/9 and 3/9, beside the ideal."""
    found = []
    for taps in (1, 3):
        split = measured.energy[taps]
        runs = {
            "four blocks alone": (
                _blocks(measured, taps),
                _block_reason(measured, taps),
                "besides the causes within layers: a block alone is loaded and stored, with waits, DMA and host",
            ),
            "whole network": (
                measured.networks[taps, FRUGAL_V],
                f"of the run's energy the ideal arithmetic is {percent(split.share(IDEAL), 0)}; "
                f"{_largest(split, BEYOND_WITHIN, 3)}",
                f"besides the causes within layers: {_largest(split, (TRANSFERS, WAITS), 2)}",
            ),
        }
        for what, (run, within, whole) in runs.items():
            found += [
                _sparse_figure(f"{what} at {taps}/{DENSE_TAPS}", taps, run.within, within, _WAYS[0]),
                _sparse_figure(f"{what} at {taps}/{DENSE_TAPS}", taps, run.whole, whole, _WAYS[1]),
            ]
    return found


def levels(measured: Measurements, volts: float) -> str:
    """Levels of pruning at an operating point."""
    rows = []
    for taps in measured.extent.taps:
        network = measured.networks[taps, volts]
        work = network.whole
        row = [f"{taps}/{DENSE_TAPS}", f"{ideal_tops_per_w(taps, volts):.2f}"]
        row += [cell for one in (_blocks(measured, taps, volts), network) for cell in _both_ways(one)]
        row += [f"{network.power_mw:.0f}", f"{network.time_us / 1000:.2f}", f"{work.off_chip_aj / 1e12:,.0f}"]
        row += [percent(work.off_chip_aj / (work.core_aj + work.off_chip_aj), 0), f"{work.with_off_chip:.2f}"]
        rows.append(row)
    head = (
        "taps", "ideal", *(f"{what}, {way}" for what in ("blocks", "network") for way in _WAYS),
        "network, mW", "ms", "off-chip, uJ", "of all energy", "network and off-chip",
    )  # fmt: skip
    return table(head, rows)


def by_block(measured: Measurements) -> str:
    """Each block alone, at 0.8 V."""
    rows = []
    for name in BLOCK_NAMES:
        runs = [measured.blocks[name][taps, FRUGAL_V] for taps in SHOWN_TAPS]
        rows.append((name, *(cell for run in runs for cell in _both_ways(run))))
    return table(("block", *(f"{taps}/{DENSE_TAPS}, {way}" for taps in SHOWN_TAPS for way in _WAYS)), rows)


def random_values(measured: Measurements) -> dict[str, str]:
    """What each reading of "randomly pruned" gives."""
    share = float(PRUNED_SHARE)
    single = f"single weights: {percent(share, 0)} of each convolution of the residual blocks, base network"
    taps = f"taps per channel: 8 of {DENSE_TAPS} of each depth-wise kernel, PW-DW-PW"
    readings = {
        f"{single}, whole network": measured.base,
        f"{taps}, whole network": [measured.networks[count, FRUGAL_V] for count in (DENSE_TAPS, 1)],
        f"{taps}, four blocks alone": [_blocks(measured, count) for count in (DENSE_TAPS, 1)],
    }
    rows = []
    for name, (before, after) in readings.items():
        saved = percent(1 - after.cycles / before.cycles)
        gain = after.within.tops_per_w / before.within.tops_per_w
        rows.append((name, f"{before.cycles:,}", f"{after.cycles:,}", saved, _both_ways(after)[0], f"{gain:.2f}"))
    head = ("reading", "cycles, unpruned", "cycles, pruned", "saved", "TOPS/W, pruned", "times the unpruned")
    return {
        "random_words": percent(share**32),
        "sparse_gain": f"{float(SPARSE_TOPS_PER_W) / float(TOPS_PER_W[FRUGAL_V]):.2f}",
        "table_random": table(head, rows),
    }


def energy_table(measured: Measurements) -> str:
    """What the ideal leaves out, in energy; the parts add up to the run exactly."""
    splits = [measured.energy[taps] for taps in SHOWN_TAPS]
    rows = []
    for cause in (*CAUSES, None):
        row = [cause or "total"]
        for split in splits:
            row += [f"{float(split.units(cause)):.2f}", percent(split.share(cause))]
        rows.append(row)
    units = ("fJ an operation", "share")
    return table(("cause", *(f"{taps}/{DENSE_TAPS}, {unit}" for taps in SHOWN_TAPS for unit in units)), rows)


def _sparse_figure(name: str, taps: int, work: Work, why: str, way: str) -> Figure:
    published = taps == 1
    return Figure(
        name=f"{name}, {FRUGAL_V} V, {way}", unit="TOPS/W", label=Label.PREDICTED, fit=Fit.TABLE, span=work.span,
        simulated=work.tops_per_w,
        published=float(SPARSE_TOPS_PER_W) if published else ideal_tops_per_w(taps, FRUGAL_V),
        published_label=Label.PUBLISHED if published else Label.DERIVED, published_digits=1 if published else 2,
        why=why,
    )  # fmt: skip


def _both_ways(run: Efficiency) -> list[str]:
    """TOPS/W within layers and with everything."""
    return [with_span(f"{work.tops_per_w:.2f}", work.span) for work in (run.within, run.whole)]


def _blocks(measured: Measurements, taps: int, volts: float = FRUGAL_V) -> Efficiency:
    return together([measured.blocks[name][taps, volts] for name in BLOCK_NAMES])


def _block_reason(measured: Measurements, taps: int) -> str:
    return (
        f"the blocks start from {_blocks(measured, DENSE_TAPS).within.tops_per_w:.2f} TOPS/W at 9/9 instead of "
        f"{TOPS_PER_W[FRUGAL_V]}, since last tiles are partly empty, and short passes fill the pipeline and write back "
        f"as often as those at 9/9, for {percent((1 + taps) / 10, 0)} of the steps"
    )


def _largest(split: Split, causes: Iterable[str], count: int) -> str:
    ordered = sorted(causes, key=lambda cause: -split.share(cause))[:count]
    return ", ".join(f"{cause} {percent(split.share(cause), 0)}" for cause in ordered)
