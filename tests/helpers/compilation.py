"""Programs that XLA compiles in a third of the time, for processes whose tests take no notice.

A program has the same operations with either flags and differs by rounding alone, but it is slower.
Tests that follow files, signals, devices or jobs use them; a test that compares numbers of two
processes gives both the same.
"""

import os

QUICK_FLAGS = (
    "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0 "
    "--xla_cpu_use_fusion_emitters=false"
)


def quick_environment(**more: str) -> dict[str, str]:
    """Return this process's environment with flags for quick compilation, and more variables."""
    return {**os.environ, "XLA_FLAGS": QUICK_FLAGS, **more}
