"""What all tests share: repeatable random examples."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable",
    derandomize=True,  # the same examples on every machine and in every run
    database=None,
    deadline=None,  # shared machines stall
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("repeatable")
