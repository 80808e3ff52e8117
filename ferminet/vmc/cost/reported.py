"""Published device-hours of the paper's calculations, to which the A100's rate is fitted."""

from typing import NamedTuple

from ferminet.ansatz.options import FermiNetOptions
from ferminet.config import RunConfig
from ferminet.config.blocks import FERMINET

# Pfau et al., Phys. Rev. Research 2, 033429 (2020).
_PAPER_WALKERS, _PAPER_STEPS, _PAPER_ITERATIONS = 4096, 10, 200_000


class ReportedHours(NamedTuple):
    """Reported device-hours of all geometries of one system."""

    system: str  # name of a file in molecules/
    hours: float  # of all geometries
    unit: str
    geometries: int  # the published grids are in molecules/
    determinants: int
    source: str  # publication, and which code it used
    fitted: bool  # whether the A100's rate is fitted to it


_PESNET = "arXiv:2110.05064 (PESNet), Table 1: the authors' JAX FermiNet on one A100"
_PAPER = "Pfau et al. 2020, TensorFlow: about {}"
REPORTED = (
    ReportedHours("H4", 163.0, "A100-hours", 11, 16, _PESNET, True),
    ReportedHours("H10", 820.0, "A100-hours", 10, 16, _PESNET, True),
    ReportedHours("N2_curve", 4196.0, "A100-hours", 38, 32, _PESNET, True),
    ReportedHours("ethene", 384.0, "V100-hours", 1, 16, _PAPER.format("2 days on 8 V100"), False),
    ReportedHours(
        "bicyclobutane", 11520.0, "GPU-hours", 1, 16, _PAPER.format("a month on 16"), False
    ),
)


def has_paper_settings(run: RunConfig) -> bool:
    """Return whether a run has the paper's network, walkers, Metropolis steps and iterations."""
    defaults = FermiNetOptions().model_dump()
    return (
        run.ansatz.build == FERMINET
        and defaults | run.ansatz.options == defaults
        and run.sampler.walkers == _PAPER_WALKERS
        and run.sampler.decorrelation_steps == _PAPER_STEPS
        and run.train.iterations == _PAPER_ITERATIONS
    )
