"""The least study that trains: one run of a network that any machine computes in seconds."""

_TINY = """\
seeds: [1]
systems: [SYSTEM]
ansatz:
  ferminet:
    options: {layers: 1, one_electron_width: 4, two_electron_width: 2, determinants: 1}
scf: {basis: sto-3g}
pretrain: {iterations: 0}
"""


def tiny_study(system: str, blocks: str) -> str:
    """A study of ``system``; ``blocks`` are the lines of its sampler, optimiser and lengths."""
    return _TINY.replace("SYSTEM", system) + blocks
