"""Slater-Jastrow with backflow: the conventional wavefunction whose nodes can be moved.

The orbitals of `ansatz.slater_jastrow` are evaluated at displaced coordinates. The authors of
FermiNet compare with such wavefunctions.
"""

from typing import Any

from ferminet.ansatz.base import Ansatz, AnsatzSpec
from ferminet.ansatz.options import BackflowOptions
from ferminet.ansatz.slater_jastrow import build_correlated


def build(spec: AnsatzSpec, **options: Any) -> Ansatz:
    """Build a Slater-Jastrow wavefunction with backflow and the options of `BackflowOptions`."""
    return build_correlated(spec, BackflowOptions.read(options, spec.n_up, spec.n_down))
