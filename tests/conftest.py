"""What all tests share: repeatable random examples, and pytest's own tools for testing a plugin."""

from hypothesis import HealthCheck, settings

pytest_plugins = "pytester"

settings.register_profile(
    "repeatable",
    derandomize=True,  # the same examples on every machine and in every run
    database=None,
    deadline=None,  # shared machines stall
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("repeatable")
