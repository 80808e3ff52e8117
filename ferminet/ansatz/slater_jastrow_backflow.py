"""Slater-Jastrow with backflow: the conventional wavefunction whose nodes can be moved.

The wavefunction of `ansatz.slater_jastrow` with its orbitals at the coordinates of
`ansatz.backflow`. It is one of those that the FermiNet's authors compare with.
"""

from typing import Any

from ferminet.ansatz.base import Ansatz, AnsatzSpec
from ferminet.ansatz.options import BackflowOptions
from ferminet.ansatz.slater_jastrow import build_correlated


def build(spec: AnsatzSpec, **options: Any) -> Ansatz:
    """Build a Slater-Jastrow wavefunction with backflow, which starts without displacement.

    Raises:
        InputError: an option of `BackflowOptions` is unknown or out of its range.
    """
    return build_correlated(spec, BackflowOptions.read(options, spec.n_up, spec.n_down))
