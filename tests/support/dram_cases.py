"""Chips whose off-chip memory is DRAM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import PRESETS, DramConfig


@st.composite
def with_dram(draw: st.DrawFn, chip: ChipConfig, preset: str | None = None) -> ChipConfig:
    """The same chip with a DRAM, of this preset if one is named."""
    keys: dict[str, Any] = {"preset": preset or draw(st.sampled_from([*PRESETS]))}
    keys["channels"] = draw(st.sampled_from((1, 1, 2)))
    keys["address_order"] = draw(st.sampled_from(("row_bank_column", "bank_row_column", "row_column_bank")))
    keys["page_policy"] = draw(st.sampled_from(("open", "closed")))
    keys["scheduler"] = draw(st.sampled_from(("fr_fcfs", "fr_fcfs", "in_order")))
    keys["queue_accesses"] = draw(st.sampled_from((1, 4, 16)))
    fixed = {key: getattr(ChipConfig, key) for key in ("memory_gb_per_s", "memory_latency_ns")}  # have no effect
    return replace(chip, memory_model="dram", dram=DramConfig(**keys), **fixed)
