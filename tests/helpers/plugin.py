"""A sound wavefunction as the text of a plug-in, and the smallest options of FermiNet."""

from ferminet.conformance.checks import Examination, Finding
from ferminet.conformance.subject import Subject

TINY = {"layers": 1, "one_electron_width": 4, "two_electron_width": 2, "determinants": 1}


FERMINET = "ferminet.ansatz.ferminet:build"

# A sound wavefunction of a few operations: orbitals (weights . features) exp(-zeta r), where the
# features are distances to nuclei and means over pairs. Each mistake is one replacement in it.
SOUND = """\
import itertools
import jax
import jax.numpy as jnp
import numpy as np
from ferminet.ansatz.base import Ansatz, LogPsi
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.layers import electron_electron_features, electron_nucleus_features

counter = itertools.count()
kept = {}


def build(spec, scale=1.0):
    n_electrons = spec.n_up + spec.n_down
    spins = (slice(0, spec.n_up), slice(spec.n_up, n_electrons))

    def init(key, nuclei):
        dtype = nuclei.coords.dtype
        kept["nuclei"] = nuclei
        width = 4 * spec.n_nuclei + 4
        weights = jax.random.normal(key, (2, width, n_electrons), dtype)
        return {"weights": weights, "zeta": jnp.asarray(scale, dtype)}

    def orbitals(params, electrons, nuclei):
        vectors, distances = electron_nucleus_features(electrons, nuclei)
        pairs = jnp.mean(electron_electron_features(electrons), axis=1)
        own = jnp.concatenate([vectors, distances[..., None]], axis=-1)
        rows = jnp.concatenate([own.reshape(n_electrons, -1), pairs], axis=-1)
        decay = jnp.exp(-params["zeta"] * jnp.sum(distances, axis=1, keepdims=True))
        found = []
        for spin, where in enumerate(spins):
            values = jnp.tanh(rows[where] @ params["weights"][spin]) * decay[where]
            found.append(values[None, :, : where.stop - where.start])
        return tuple(found)

    def apply(params, electrons, nuclei):
        return sum_of_determinants(*orbitals(params, electrons, nuclei))

    return Ansatz(init, apply, orbitals)
"""


RETURNED = "        return sum_of_determinants(*orbitals(params, electrons, nuclei))\n"


def check(name: str, target: str, options: dict | None = None, **how) -> Finding:
    """Return what one check finds in a wavefunction."""
    return Examination(Subject(target, options or {}, **how)).finding(name)
