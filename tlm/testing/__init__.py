"""The simulator as a test tool: a pytest plugin with fixtures and sentences about time (docs/testing.md).

The names below are the public API beside the fixtures; they are imported when first used, since every pytest with this
package installed imports this one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlm.testing.expectation import Expectation
    from tlm.testing.order import before, never_together, never_two_at_once
    from tlm.testing.parts import LayerRun, PassRun, TransferRun
    from tlm.testing.run import Run
    from tlm.testing.transaction import Transaction
    from tlm.testing.transactions import Transactions

_HOMES = {
    "Expectation": "tlm.testing.expectation",
    "LayerRun": "tlm.testing.parts",
    "PassRun": "tlm.testing.parts",
    "Run": "tlm.testing.run",
    "Transaction": "tlm.testing.transaction",
    "Transactions": "tlm.testing.transactions",
    "TransferRun": "tlm.testing.parts",
    "before": "tlm.testing.order",
    "never_together": "tlm.testing.order",
    "never_two_at_once": "tlm.testing.order",
}

__all__ = [
    "Expectation",
    "LayerRun",
    "PassRun",
    "Run",
    "Transaction",
    "Transactions",
    "TransferRun",
    "before",
    "never_together",
    "never_two_at_once",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tlm.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
