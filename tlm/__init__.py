"""cartesian-tlm: a transaction-level co-simulator of a 4-bit sparse CNN engine.

The public API is what ``__init__.pyi`` lists. A name is imported when it is first used, so that a command pays only
for what it needs.
"""

import importlib
from pathlib import Path

_HOMES = {}
"""Public name -> its module."""
for _line in Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8").splitlines():
    if _line.startswith("from "):
        _, _module, _, _name, *_ = _line.split()
        _HOMES[_name] = _module

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from tlm.core.version import __version__

        return __version__
    if name not in _HOMES:
        raise AttributeError(f"module 'tlm' has no attribute {name!r}")
    home = _HOMES[name]
    value = importlib.import_module(f"tlm.{name}") if home == "tlm" else getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
