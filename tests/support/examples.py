"""How many random examples Hypothesis tries: all in the thorough profile, a quarter in the quick one.

`make test` runs the quick profile; `make test-slow` runs what is marked "thorough" once more, in the thorough profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

Test = TypeVar("Test", bound=Callable[..., None])

QUICK_SHARE = 4
THOROUGH_EXAMPLES = 100
"""Of a test that names no number of its own."""

COMMON: dict[str, Any] = {
    "derandomize": True,  # the same examples on every machine and in every run
    "database": None,
    "deadline": None,  # shared machines stall
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


def register_profiles() -> None:
    settings.register_profile("thorough", max_examples=THOROUGH_EXAMPLES, **COMMON)
    settings.register_profile("quick", max_examples=THOROUGH_EXAMPLES // QUICK_SHARE, **COMMON)
    settings.load_profile("quick")  # pytest --hypothesis-profile loads another one later


def quick_of(cases: Iterable[Any], *quick: Any) -> list[Any]:
    """Parameters of a test: `make test` runs it with some of the cases, `make test-slow` with the others."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def examples(thorough: int, **keys: Any) -> Callable[[Test], Test]:
    """Give a test so many examples in the thorough profile; ``keys`` are Hypothesis's settings."""
    share = THOROUGH_EXAMPLES // settings().max_examples
    chosen = settings(max_examples=max(1, thorough // share), **keys)

    def decorate(test: Test) -> Test:
        marked: Test = pytest.mark.thorough(chosen(test))
        return marked

    return decorate
