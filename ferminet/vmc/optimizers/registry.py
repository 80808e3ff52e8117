"""The optimiser that a configuration names: one of `config.optimizers`, or a plug-in."""

import inspect
from collections.abc import Callable

from ferminet.ansatz.base import Ansatz
from ferminet.config import OptimizerConfig
from ferminet.config.optimizers import OPTIMIZERS
from ferminet.config.plugins import load_object, plugin_call
from ferminet.errors import InputError
from ferminet.vmc.optimizers.base import Optimizer, OptimizerSpec, learning_rate_schedule


def make_optimizer(config: OptimizerConfig, ansatz: Ansatz) -> Optimizer:
    """Make the optimiser that a configuration names.

    An optimiser of the package receives the keys of the block `optimizer` that are parameters of
    its function; a plug-in receives `optimizer.options`.

    Raises:
        InputError: a plug-in is not an optimiser, rejects its options or raises an error.
    """
    spec = OptimizerSpec(ansatz, learning_rate_schedule(config))
    if config.name in OPTIMIZERS:
        make = load_object(OPTIMIZERS[config.name].make)
        keys = list(inspect.signature(make).parameters)[1:]
        return make(spec, **{key: getattr(config, key) for key in keys})
    make = load_object(config.name)
    contract = "write make(spec, **options) that returns a ferminet.vmc.optimizers.base.Optimizer"
    try:
        inspect.signature(make).bind(spec, **config.options)
    except (TypeError, ValueError) as error:
        raise InputError(f"{config.name} cannot be called ({error}); {contract}.") from None
    with plugin_call(config.name, "make(spec, **options)"):
        optimizer = make(spec, **config.options)
    if not isinstance(optimizer, Optimizer):
        raise InputError(f"{config.name} returned {type(optimizer).__name__}; {contract}.")
    return Optimizer(
        _guard(config.name, "init", optimizer.init), _guard(config.name, "update", optimizer.update)
    )


def _guard(name: str, action: str, function: Callable) -> Callable:
    def call(*arguments):
        with plugin_call(name, action):
            return function(*arguments)

    return call
