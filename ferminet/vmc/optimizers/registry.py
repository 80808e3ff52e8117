"""From the name of an optimiser in a configuration to its functions.

The package's own optimisers are listed in `config.optimizers`; they have the form of a plug-in.
"""

import inspect

from ferminet.ansatz.base import Ansatz
from ferminet.config import OptimizerConfig
from ferminet.config.optimizers import OPTIMIZERS
from ferminet.config.plugins import load_object
from ferminet.errors import InputError
from ferminet.vmc.optimizers.base import Optimizer, OptimizerSpec, learning_rate_schedule


def make_optimizer(config: OptimizerConfig, ansatz: Ansatz) -> Optimizer:
    """Make the optimiser that a configuration names.

    An optimiser of the package gets the keys of the block `optimizer` that are parameters of its
    function; a plug-in gets `optimizer.options`.

    Raises:
        InputError: a plug-in does not have the form of an optimiser or refuses its options; other
            errors of its own code pass through.
    """
    spec = OptimizerSpec(ansatz, learning_rate_schedule(config))
    if config.name in OPTIMIZERS:
        make = load_object(OPTIMIZERS[config.name].make)
        keys = list(inspect.signature(make).parameters)[1:]
        return make(spec, **{key: getattr(config, key) for key in keys})
    make = load_object(config.name)
    contract = (
        "it must be make(spec, **options) and return a ferminet.vmc.optimizers.base.Optimizer"
    )
    try:
        inspect.signature(make).bind(spec, **config.options)
    except TypeError as error:
        raise InputError(f"{config.name} cannot be called ({error}); {contract}.") from None
    optimizer = make(spec, **config.options)
    if not isinstance(optimizer, Optimizer):
        raise InputError(f"{config.name} returned {type(optimizer).__name__}; {contract}.")
    return optimizer
