"""Slater-Jastrow with backflow: the conventional wavefunction whose nodes can be moved.

The wavefunction of ``ansatz.slater_jastrow`` with its orbitals at the coordinates of
``ansatz.backflow``. It is one of those that the FermiNet's authors compare with.
"""

from ferminet.ansatz.base import Ansatz, AnsatzSpec
from ferminet.ansatz.options import BackflowOptions
from ferminet.ansatz.slater_jastrow import build_correlated


def build(
    spec: AnsatzSpec, *, order: int = 6, backflow_order: int = 3, train_orbitals: bool = False
) -> Ansatz:
    """Builds a Slater-Jastrow wavefunction with backflow, which starts without displacement.

    Args:
        spec: numbers of electrons and of nuclei, and the SCF orbitals; see ``slater_jastrow``.
        order: of the Jastrow factor; see ``slater_jastrow``.
        backflow_order: largest power in the displacement's functions of two bodies; 0: only
            those of three bodies.
        train_orbitals: see ``slater_jastrow``.

    Raises:
        InputError: an option is out of its range.
    """
    return build_correlated(spec, BackflowOptions(order, backflow_order, train_orbitals))
