"""FermiNet with the residual connection of google-deepmind/ferminet, as a plug-in of this package.

`build` is FermiNet with two layers and (h + tanh(...)) / sqrt(2) instead of h + tanh(...). The
function is the same if the weights of the orbitals are larger by sqrt(2), but KFAC's damping acts
on these weights otherwise.
"""

from ferminet.ansatz import ferminet
from ferminet.ansatz.base import Ansatz, AnsatzSpec, Params
from ferminet.errors import InputError

RESIDUAL = 2.0**0.5


def build(spec: AnsatzSpec, **options) -> Ansatz:
    """Build a FermiNet of two layers whose last features are divided by sqrt(2).

    Raises:
        InputError: the options are wrong, or there are not two layers.
    """
    if options.get("layers") != 2:
        raise InputError(
            f"The authors' residual connection is equivalent for two layers only; got "
            f"{options.get('layers')}, set layers: 2."
        )
    inner = ferminet.build(spec, **options)
    orbitals, kinetic, layered = inner.orbitals, inner.kinetic, inner.layered
    assert orbitals and kinetic and layered

    def register_layers(params, electrons, nuclei, register):
        given = scale_orbitals(params, 1.0 / RESIDUAL)
        pairs = zip(given["orbitals"], params["orbitals"], strict=True)
        originals = {id(scaled["weight"]): layer for scaled, layer in pairs}

        def register_scaled(outputs, layer, inputs):
            if (original := originals.get(id(layer["weight"]))) is None:
                return register(outputs, layer, inputs)
            return register(outputs, original, inputs._replace(own=inputs.own / RESIDUAL))

        return layered(given, electrons, nuclei, register_scaled)

    def with_scaled(function):
        return lambda params, *rest: function(scale_orbitals(params, 1.0 / RESIDUAL), *rest)

    return Ansatz(
        init=lambda key, nuclei: scale_orbitals(inner.init(key, nuclei), RESIDUAL),
        apply=with_scaled(inner.apply),
        orbitals=with_scaled(orbitals),
        kinetic=with_scaled(kinetic),
        layered=register_layers,
    )


def scale_orbitals(params: Params, factor: float) -> Params:
    """Return FermiNet's parameters with the weights of the orbitals multiplied by a factor."""
    layers = [layer | {"weight": layer["weight"] * factor} for layer in params["orbitals"]]
    return params | {"orbitals": layers}
