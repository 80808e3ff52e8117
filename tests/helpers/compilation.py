"""Flags of XLA for the tests, where compilation takes most of the time.

Without its fusion emitters XLA compiles in two thirds of the time and the programs are as quick.
Without optimisation as well it takes a third, but the programs are slower. Either program has the
same operations as the users' and differs by rounding alone. Tests of the rounding itself compile
with `AS_USERS`; `pytest --long` compiles everything so.
"""

import os
from importlib.metadata import version

# Newer versions of XLA have no such flag, and stop at flags that they do not know.
_HAS_FLAG = tuple(map(int, version("jax").split(".")[:2])) < (0, 11)
NO_EMITTERS = "--xla_cpu_use_fusion_emitters=false" if _HAS_FLAG else ""
# Options of `jax.jit`.
AS_USERS = {"xla_cpu_use_fusion_emitters": True} if _HAS_FLAG else {}


def quick_environment(**more: str) -> dict[str, str]:
    """Return an environment for processes whose tests follow files, signals, devices or jobs."""
    flags = f"--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0 {NO_EMITTERS}"
    return {**os.environ, "XLA_FLAGS": flags, **more}


def compile_quickly() -> None:
    """Set the flags of this process and of those that it starts; JAX must not be in use yet."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys([*flags, NO_EMITTERS])).strip()
