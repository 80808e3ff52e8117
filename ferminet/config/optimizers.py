"""The optimisers that a study can name: the package's own by name, and plug-ins.

This module imports no JAX. To add an optimiser to the package, write a file in `vmc/optimizers` and
add a line here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ferminet.config.plugins import options_model, plugin_call
from ferminet.errors import InputError
from ferminet.systems.validation import nearest, validate


class OptimizerEntry(NamedTuple):
    """One optimiser of the package."""

    make: str  # module:function, called as `make(spec, config)`
    defaults: Mapping[str, float] = MappingProxyType({})  # that differ from `OptimizerConfig`'s


# With these, one block serves all systems (docs/explanation/optimisation.md).
_NATURAL = {
    "learning_rate": 1.0,
    "learning_rate_delay": 300.0,
    "norm_constraint": 2e-4,
    "momentum": 0.95,
}
OPTIMIZERS = {
    "kfac": OptimizerEntry("ferminet.vmc.optimizers.kfac:make"),
    "natural": OptimizerEntry("ferminet.vmc.optimizers.natural:make", _NATURAL),
    "spring": OptimizerEntry("ferminet.vmc.optimizers.spring:make"),
    "adam": OptimizerEntry("ferminet.vmc.optimizers.base:make_adam"),
}


def is_plugin(name: str) -> bool:
    """Return whether an optimiser's name in a study is that of a plug-in."""
    return name not in OPTIMIZERS


def check_name(name: str) -> str:
    """Return the name of an optimiser, or raise InputError unless it can name a plug-in."""
    if is_plugin(name) and ":" not in name:
        raise InputError(
            f"there is no optimiser {name!r}; {nearest(name, OPTIMIZERS)} A plug-in is named "
            "module:function or file.py:function."
        )
    return name


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Import a plug-in and check its options, or raise InputError."""
    model = options_model(name)
    if model is not None:
        with plugin_call(name, "checking its options"):
            validate(model, dict(options))
