"""Gates of the engine's circuit beside the published ones.

``gates.json`` is what ``tlm rtl --synth --json`` printed for the default chip: counting takes minutes and other
packages. A slow test compares the circuit with the one that was counted.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from tlm.reproduction.figures import percent, signed_percent, table
from tlm.reproduction.published import GATES_K, LOGIC_MM2


def counted_gates() -> dict[str, Any]:
    """The stored record (:func:`tlm.hardware.synthesis.gates_record`)."""
    text = files("tlm.reproduction").joinpath("gates.json").read_text(encoding="utf-8")
    record: dict[str, Any] = json.loads(text)
    return record


def circuit_values() -> dict[str, str]:
    """The whole beside the published figure, and the blocks."""
    record = counted_gates()
    total = record["total"]
    gates_k = total["gates"] / 1000
    blocks = [
        (
            block["name"], f"{block['gates']:,.0f}", percent(block["gates"] / total["gates"]),
            f"{block['flip_flops']:,}", f"{block['path_nand2_delays']:.0f}",
        )
        for block in record["blocks"]
    ]  # fmt: skip
    whole = ("total", f"{total['gates']:,.0f}", "", f"{total['flip_flops']:,}", f"{total['path_nand2_delays']:.0f}")
    head = ("block", "gates", "share", "flip-flops", "longest path, NAND2 delays")
    return {
        "gates": f"{GATES_K} k [P] | {gates_k:,.0f} k | {signed_percent(gates_k / GATES_K - 1)}",
        "gate_um2": f"{float(LOGIC_MM2) / GATES_K * 1000:.2f}",
        "gates_library": f"{record['liberty']['gate']} of {record['liberty']['library']}",
        "table_gates": table(head, [*blocks, whole]),
    }
