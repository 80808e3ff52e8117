"""FermiNet that sees displacements of electrons but not their distances: a defect on purpose."""

from collections.abc import Callable

import jax.numpy as jnp

from ferminet.ansatz import ferminet
from ferminet.ansatz.base import Ansatz, AnsatzSpec, Array, LayerInputs, Nuclei, Params
from ferminet.ansatz.layers import unregistered

FEATURES = 4  # of a pair of particles: displacement and distance
STREAMS = ("one_electron", "two_electron")


def build(spec: AnsatzSpec, **options) -> Ansatz:
    """``ferminet.build``, in whose first layers |r_i - r_j| has no weight.

    Args:
        spec: numbers of electrons and of nuclei.
        options: of ``ferminet.build``; a Jastrow factor keeps its distances.
    """
    base = ferminet.build(spec, **options)
    n_spins = sum(n > 0 for n in (spec.n_up, spec.n_down))
    # Of an electron: its own features, their means over each spin, and the means of its pairs.
    n_own = FEATURES * spec.n_nuclei
    pair = jnp.array([1.0, 1.0, 1.0, 0.0])
    pairs = jnp.tile(pair, n_spins)
    rows = (jnp.r_[jnp.ones(n_own * (1 + n_spins)), pairs], pair)
    columns = (jnp.r_[jnp.ones(n_own), pairs], pair)

    def blind(params: Params) -> Params:
        changed = dict(params)
        for stream, seen in zip(STREAMS, rows, strict=True):
            first, *others = params[stream]
            weight = first["weight"] * seen[:, None].astype(first["weight"].dtype)
            changed[stream] = [first | {"weight": weight}, *others]
        return changed

    def evaluate(params: Params, electrons: Array, nuclei: Nuclei, register=unregistered):
        changed = blind(params)

        # KFAC knows a layer by its parameters, and makes its gradient of its inputs.
        def of_first_layers(outputs: Array, layer: dict[str, Array], inputs: LayerInputs) -> Array:
            for stream, seen in zip(STREAMS, columns, strict=True):
                if layer is changed[stream][0]:
                    inputs = inputs._replace(own=inputs.own * seen.astype(inputs.own.dtype))
                    return register(outputs, params[stream][0], inputs)
            return register(outputs, layer, inputs)

        assert base.layered is not None
        return base.layered(changed, electrons, nuclei, of_first_layers)

    def on_blind(function: Callable | None) -> Callable:
        assert function is not None
        return lambda params, electrons, nuclei: function(blind(params), electrons, nuclei)

    return Ansatz(
        init=base.init,
        apply=on_blind(base.apply),
        orbitals=on_blind(base.orbitals),
        kinetic=on_blind(base.kinetic),
        layered=evaluate,
    )
