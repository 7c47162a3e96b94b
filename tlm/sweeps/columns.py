"""What is kept of a run: the columns of a sweep's table, with units and labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlm.observe.account import ArrayAccount, WaitAccount

if TYPE_CHECKING:
    from tlm.results.result import Result


@dataclass(frozen=True)
class Column:
    """One figure of a run.

    Attributes:
        name: with its unit.
        unit: as it is printed; empty for shares and texts.
        label: ``[S]`` simulated or ``[A]`` assumed.
        meaning: one line.
        kind: SQLite's type.
        value: the figure of a result.
    """

    name: str
    unit: str
    label: str
    meaning: str
    kind: str
    value: Callable[[Result], Any]


def _cause(name: str) -> Callable[[Result], Any]:
    return lambda result: result.account.by_cause().get(name)


def _steady(result: Result) -> float | None:
    return None if result.batch is None else result.batch.steady_cycles_per_image


CAUSES = tuple(name for account in (ArrayAccount, WaitAccount) for name in account.__struct_fields__)

COLUMNS: tuple[Column, ...] = (
    Column("cycles", "cycles", "[S]", "host start to last interrupt", "INTEGER", lambda r: r.cycles),
    Column("time_us", "us", "[S]", "the same as time", "REAL", lambda r: r.time_us),
    Column("compute_cycles", "cycles", "[S]", "within layers", "INTEGER", lambda r: r.compute_cycles),
    Column("utilization", "", "[S]", "executed MACs of those possible, whole run", "REAL", lambda r: r.utilization),
    Column("compute_utilization", "", "[S]", "the same within layers", "REAL", lambda r: r.compute_utilization),
    Column("macs", "MACs", "[S]", "executed", "INTEGER", lambda r: r.macs),
    Column("dense_macs", "MACs", "[S]", "of the unpruned network", "INTEGER", lambda r: r.dense_macs),
    Column("load_bytes", "bytes", "[S]", "loaded by DMA", "INTEGER", lambda r: r.traffic.load_bytes),
    Column("store_bytes", "bytes", "[S]", "stored by DMA", "INTEGER", lambda r: r.traffic.store_bytes),
    Column("energy_pj", "pJ", "[A]", "energy of the core", "REAL", lambda r: r.energy.total_pj),
    Column("off_chip_pj", "pJ", "[A]", "energy of off-chip memory, apart", "REAL", lambda r: r.energy.off_chip_pj),
    Column("power_mw", "mW", "[A]", "energy of the core over the time", "REAL", lambda r: r.power_mw),
    Column("tops_per_w", "TOPS/W", "[A]", "executed operations for the core's energy", "REAL", lambda r: r.tops_per_w),
    Column("images", "", "[S]", "of the batch; 1 without one", "INTEGER", lambda r: r.images),
    Column("cycles_per_image", "cycles", "[S]", "mean over the images", "REAL", lambda r: r.cycles / r.images),
    Column("steady_cycles_per_image", "cycles", "[S]", "of those after the first", "REAL", _steady),
    Column("images_per_s", "images/s", "[S]", "over the whole run", "REAL", lambda r: r.images_per_s),
    *(
        Column(f"{name}_cycles", "cycles", "[S]", f"spent on {name.replace('_', ' ')}", "INTEGER", _cause(name))
        for name in CAUSES
    ),
    Column("outputs_sha256", "", "[S]", "of the last layer's output", "TEXT", lambda r: r.outputs_sha256),
)
"""In the order of every table. docs/account.md explains the causes; in sum they are ``cycles``. None:
only DRAM has it."""

PENDING, OK, DIFFERS, FAILED = "pending", "ok", "differs", "failed"
"""Status of a point: not run yet; outputs equal the golden model's; they do not; an error instead of a result."""


def figures(result: Result) -> dict[str, Any]:
    """Column -> value."""
    return {column.name: column.value(result) for column in COLUMNS}
