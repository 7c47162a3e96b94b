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
    from tlm.testing.recording import Transaction
    from tlm.testing.run import LayerRun, PassRun, Run, TransferRun
    from tlm.testing.transactions import Transactions

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

_HOMES = ("expectation", "order", "recording", "run", "transactions")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = importlib.import_module(f"tlm.testing.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'tlm.testing' has no attribute {name!r}")
