"""The optimiser that a configuration names: one of `config.optimizers`, or a plug-in."""

import inspect

from ferminet.ansatz.base import Ansatz
from ferminet.config import OptimizerConfig
from ferminet.config.optimizers import OPTIMIZERS
from ferminet.config.plugins import load_object
from ferminet.errors import InputError
from ferminet.vmc.optimizers.base import Optimizer, OptimizerSpec, learning_rate_schedule


def make_optimizer(config: OptimizerConfig, ansatz: Ansatz) -> Optimizer:
    """Make the optimiser that a configuration names.

    An optimiser of the package receives the keys of the block `optimizer` that are parameters of
    its function; a plug-in receives `optimizer.options`.

    Raises:
        InputError: a plug-in is not an optimiser or rejects its options. Other errors in its code
            pass through.
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
    except TypeError as error:
        raise InputError(f"{config.name} cannot be called ({error}); {contract}.") from None
    try:
        optimizer = make(spec, **config.options)
    except SystemExit as error:
        raise InputError(
            f"{config.name} ends the program (SystemExit {error.code}); {contract}."
        ) from None
    if not isinstance(optimizer, Optimizer):
        raise InputError(f"{config.name} returned {type(optimizer).__name__}; {contract}.")
    return optimizer
