"""
How Hypothesis searches: `HYPOTHESIS_PROFILE=ci` (the default), `brief` (the first of the same examples), `dev` (as few, at
random) or `fuzz` (long, at random).
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Machines that run tests are slow now and then, so only examples are limited, never time.
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile(
    "ci",
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=SLOW,
)
settings.register_profile("brief", settings.get_profile("ci"), max_examples=20)
settings.register_profile("dev", max_examples=20, deadline=None, suppress_health_check=SLOW)
settings.register_profile("fuzz", max_examples=5_000, deadline=None, print_blob=True, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
