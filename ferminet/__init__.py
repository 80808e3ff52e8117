"""FermiNet benchmarks: variational Monte Carlo compared with conventional methods."""

import importlib
from typing import Any

__version__ = "0.2.0"

# Part of every configuration hash and of every row. Raised by hand when a change of the code
# changes results beyond rounding, so that a corrected docstring never repeats a week of training.
METHOD_VERSION = "8"


def __getattr__(name: str) -> Any:
    """Import `ferminet.load` on first use: it needs JAX, whose import takes a second."""
    if name == "load":
        return importlib.import_module("ferminet.stages.wavefunction").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
