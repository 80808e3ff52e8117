"""Slater-Jastrow: the conventional wavefunction of variational Monte Carlo.

It is the determinant of the SCF orbitals, or for broken bonds their short sum of determinants,
times a Jastrow factor. Its nodes are those of Hartree-Fock, and they are its only error when the
factor is flexible enough (e.g. Foulkes, Mitas, Needs and Rajagopal, Rev. Mod. Phys. 73, 33 (2001)).
All cusps are exact for any parameters: those of the electrons by `ansatz.jastrow`, those of the
nuclei by `ansatz.cusps`. The rest of the factor (`log_boys_handy`) and backflow
(`ansatz.backflow`) do not change them.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ferminet.ansatz.backflow import displaced, init_backflow
from ferminet.ansatz.base import Ansatz, AnsatzSpec, LogPsi
from ferminet.ansatz.cusps import eval_with_cusps
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.jastrow import init_boys_handy, init_jastrow, log_boys_handy, log_jastrow
from ferminet.ansatz.layers import electron_electron_features, electron_nucleus_features
from ferminet.ansatz.options import BackflowOptions, SlaterJastrowOptions
from ferminet.ansatz.slater import scf_orbitals
from ferminet.chemistry.gto import ArrayLike, ScfOrbitals, by_spin


def build(spec: AnsatzSpec, **options: Any) -> Ansatz:
    """Build a Slater-Jastrow wavefunction with the options of `SlaterJastrowOptions`.

    Without SCF orbitals in `spec` its functions raise `InputError` when called.

    Raises:
        InputError: an option is unknown or out of range.
    """
    return build_correlated(spec, SlaterJastrowOptions.read(options, spec.n_up, spec.n_down))


def build_correlated(spec: AnsatzSpec, options: SlaterJastrowOptions) -> Ansatz:
    """Build the wavefunction, with backflow if the options are `BackflowOptions`."""

    def init(key, nuclei):
        del key
        scf, dtype = scf_orbitals(spec), nuclei.coords.dtype
        params = {
            "cusp": init_jastrow(dtype),
            "jastrow": init_boys_handy(options.order, spec.n_nuclei, dtype),
        }
        if options.train_orbitals:
            params["coefficients"] = {
                spin: jnp.asarray(coefficients, dtype)
                for spin, coefficients in _coefficients(scf).items()
            }
        if isinstance(options, BackflowOptions):
            params["backflow"] = init_backflow(options.backflow_order, nuclei)
        return params

    def orbitals(params, electrons, nuclei):
        scf = scf_orbitals(spec)
        if "backflow" in params:
            electrons = displaced(params["backflow"], electrons, nuclei, spec.n_up)
        atomic = eval_with_cusps(scf.basis, electrons, nuclei)
        coefficients = params.get("coefficients", _coefficients(scf))
        return by_spin(atomic, coefficients["up"], coefficients["down"])

    def apply(params, electrons, nuclei):
        psi = sum_of_determinants(*orbitals(params, electrons, nuclei))
        _, to_nuclei = electron_nucleus_features(electrons, nuclei)
        to_electrons = electron_electron_features(electrons)[..., 3]
        logabs = log_jastrow(params["cusp"], to_electrons, spec.n_up)
        logabs += log_boys_handy(
            params["jastrow"], options.order, to_nuclei, to_electrons, spec.n_up
        )
        return LogPsi(psi.sign, psi.logabs + logabs)

    return Ansatz(init, apply, orbitals, needs_scf=True)


def _coefficients(scf: ScfOrbitals) -> dict[str, ArrayLike]:
    """Return the coefficients of the sum of determinants; a closed shell has one determinant."""
    terms = {"up": scf.terms_up, "down": scf.terms_down}
    if all(np.array_equal(spin, np.broadcast_to(spin[:1], spin.shape)) for spin in terms.values()):
        return {name: spin[:1] for name, spin in terms.items()}
    return terms
