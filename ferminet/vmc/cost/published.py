"""What others report of the paper's calculations, which an A100's rate is projected from."""

from dataclasses import dataclass

from ferminet.config.runs import RunConfig
from ferminet.vmc.cost.flops import BUILDER, DEFAULTS

# Pfau et al., Phys. Rev. Research 2, 033429 (2020).
PAPER_WALKERS, PAPER_STEPS, PAPER_ITERATIONS = 4096, 10, 200_000


@dataclass(frozen=True)
class Published:
    """Reported device-hours of all geometries of one system.

    Attributes:
        system: as in molecules/.
        hours: in all.
        unit: of what device.
        geometries: that were computed; published grids are those of molecules/.
        determinants: of the network.
        source: who reports it, and of which code.
        fitted: the A100's rate is fitted to it.
    """

    system: str
    hours: float
    unit: str
    geometries: int
    determinants: int
    source: str
    fitted: bool


_PESNET = "arXiv:2110.05064 (PESNet), Table 1: the authors' JAX FermiNet on one A100"
_PAPER = "Pfau et al. 2020, TensorFlow: {}"
PUBLISHED = (
    Published("H4", 163.0, "A100-hours", 11, 16, _PESNET, True),
    Published("H10", 820.0, "A100-hours", 10, 16, _PESNET, True),
    Published("N2_curve", 4196.0, "A100-hours", 38, 32, _PESNET, True),
    Published("ethene", 384.0, "V100-hours", 1, 16, _PAPER.format("about 2 days on 8 V100"), False),
    Published(
        "bicyclobutane", 11520.0, "GPU-hours", 1, 16, _PAPER.format("about a month on 16"), False
    ),
)


def has_paper_settings(run: RunConfig) -> bool:
    """Whether a run has the paper's network, walkers, Metropolis steps and length of training."""
    options = {**DEFAULTS, **run.ansatz.options}
    return (
        run.ansatz.build == BUILDER
        and options == DEFAULTS
        and run.sampler.walkers == PAPER_WALKERS
        and run.sampler.decorrelation_steps == PAPER_STEPS
        and run.train.iterations == PAPER_ITERATIONS
    )
