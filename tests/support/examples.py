"""How many random examples Hypothesis tries: all in the thorough profile, a quarter in the quick one."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

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
    """`make test` runs the quick profile, `make test-slow` every random test once more in the thorough one."""
    settings.register_profile("thorough", max_examples=THOROUGH_EXAMPLES, **COMMON)
    settings.register_profile("quick", max_examples=THOROUGH_EXAMPLES // QUICK_SHARE, **COMMON)
    settings.load_profile("quick")  # pytest --hypothesis-profile loads another one later


def examples(thorough: int, **keys: Any) -> settings:
    """Settings for so many examples in the thorough profile; ``keys`` are Hypothesis's."""
    share = THOROUGH_EXAMPLES // settings().max_examples
    return settings(max_examples=max(1, thorough // share), **keys)
