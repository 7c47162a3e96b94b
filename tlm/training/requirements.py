"""Whether what training needs is installed."""

from __future__ import annotations

from importlib.util import find_spec

from tlm.core.errors import InputError


def require_torch() -> None:
    """Say what to install where torch is missing.

    Raises:
        InputError: torch cannot be imported.
    """
    if find_spec("torch") is None:
        raise InputError("training needs torch, which is not installed; pip install 'cartesian-tlm[train]'")
