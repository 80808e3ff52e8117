"""The figures and their captions. To add one, write its file in this folder and its entry below."""

from ferminet.benchmark.registry import (
    COVERAGE,
    H4,
    Contents,
    Entry,
    Systems,
    all_curves,
    everything_sampled,
)
from ferminet.units import CHEMICAL_ACCURACY_MEH

_HERE = "ferminet.benchmark.figures"
_BARS = "Error bars are one standard error."
_BAND = f"{CHEMICAL_ACCURACY_MEH} mEh (1 kcal/mol)"
_OPEN = f"Open markers lie below the reference; shaded: within {_BAND}."


def _at_one_geometry(contents: Contents) -> list[str]:
    return contents.of_kind("atom", "molecule")


def _varying(name: str) -> Systems:
    """Return the rule of a figure of an ablation: all systems if the study varies the setting."""
    return lambda contents: list(contents.kinds) if name in contents.ablations else []


# In the order in which a reader looks for them: the headline, the curves, then the rest.
FIGURES = (
    Entry(
        "correlation",
        "Correlation energy recovered",
        lambda contents: _at_one_geometry(contents) if contents.runs else [],
        f"{_HERE}.systems:correlation",
        "Correlation energy recovered per system, from the Hartree-Fock limit (0 %) to the exact "
        "energy, or to CCSD(T) at the basis-set limit where no exact one is known (100 %). Above: "
        "zoomed so that error bars are visible; below: the whole scale. Open diamonds are the "
        f"paper's energies between the same end points. {_BARS}",
    ),
    Entry(
        "{curve}",
        "Curve {system}",
        lambda contents: [system for system in all_curves(contents) if system == H4],
        f"{_HERE}.curves:curve",
        "Four hydrogen atoms at the corners of a rectangle on a circle of radius 1.738 Å, over the "
        "angle. Above: each method relative to its own mean of 85° and 95°, so that shapes compare "
        "(Hartree-Fock is left out). At the square (90°) two determinants are degenerate: coupled "
        "cluster from restricted orbitals has a false cusp there and lies too low. Below: "
        "differences to full configuration interaction at the basis-set limit; shaded: within "
        f"{_BAND}. {_BARS}",
    ),
    Entry(
        "{curve}",
        "Curve {system}",
        lambda contents: [system for system in all_curves(contents) if system != H4],
        f"{_HERE}.curves:curve",
        "Above: total energies along the curve, each geometry trained independently. Below: "
        f"differences to the best reference; shaded: within {_BAND}. A missing point leaves a gap "
        f"that the figure names. {_BARS}",
    ),
    Entry(
        "errors",
        "Error against the exact energy",
        _at_one_geometry,
        f"{_HERE}.systems:errors",
        "Absolute error against the exact energy per system, logarithmic: Hartree-Fock and CCSD(T) "
        "in the basis that the legend names, the paper's FermiNet and this work. Open markers lie "
        f"below the exact energy; shaded: within {_BAND}. Errors below 0.01 mEh are named below "
        f"the axis. {_BARS}",
    ),
    Entry(
        "density",
        "One-electron densities",
        lambda contents: contents.densities,
        f"{_HERE}.density:density",
        "One-electron density of the trained wavefunctions and of Hartree-Fock, nuclei marked. "
        "Atoms: radial distribution, its difference to Hartree-Fock, and the spherical average. "
        "Linear molecules: integrated over the planes across the axis; all others: over all but "
        "one direction in the plane of the nuclei. Below, the map of the difference, averaged over "
        "circles around the axis or integrated along the normal of the plane, grey where it is "
        "less than two standard errors. Bands are one standard error of sampling, from the spread "
        "between walkers.",
        "densities",
    ),
    Entry(
        "local_energies",
        "Local energies",
        lambda contents: contents.inspected,
        f"{_HERE}.local_energies:local_energies",
        "Local energies of the trained wavefunctions. Left: their density around the mean, within "
        "six standard deviations. Middle: the share of samples farther from the mean, on both "
        "sides; near a node it falls like the inverse cube of the distance. Right: the share of "
        "the variance by the distance between the nearest electron and nucleus, or of the nearest "
        "pair, in bins of equal ratio; dotted, the share of the samples. Error bars are one "
        "standard error, from the spread between walkers.",
        "inspections",
    ),
    Entry(
        "determinants",
        "Number of determinants",
        _varying("determinants"),
        f"{_HERE}.ablations:determinants",
        "Correlation energy recovered against the number of determinants, for runs that differ in "
        "nothing else, from the Hartree-Fock limit (0 %) to the reference that the title names "
        "(100 %). Several seeds are one point; its bar is the larger of the sampling error and the "
        f"spread between the seeds. {_BARS}",
    ),
    Entry(
        "width",
        "Width and depth of the network",
        _varying("width"),
        f"{_HERE}.ablations:width",
        "Absolute error against the reference that the title names: left by the width of the "
        "one-electron stream, right by the number of layers, for runs that differ in nothing else "
        "(the two-electron stream may be wider where the other is). Several seeds are one point. "
        f"{_OPEN} {_BARS}",
    ),
    Entry(
        "optimisers",
        "Optimisers",
        _varying("optimisers"),
        f"{_HERE}.training:optimisers",
        "Energy during training minus the reference, running mean over a twentieth of the run, for "
        "the same geometry and network with different optimisers, each with its own rates, one "
        "line per seed. The axis is linear within 1 mEh of zero and logarithmic beyond. Right: "
        "against the time of training times the number of devices. Histories have no clock, so the "
        "time, with compilation and without pretraining, is spread evenly over the iterations.",
        "histories",
    ),
    Entry(
        "cost",
        "Error against cost",
        everything_sampled,
        f"{_HERE}.systems:cost",
        "Absolute error of every run against the time of its training and evaluation times the "
        f"number of devices, without pretraining. {_OPEN} Times on different devices do not "
        f"compare. {_BARS}",
    ),
    Entry(
        "zero_variance",
        "Energy against variance",
        everything_sampled,
        f"{_HERE}.zero_variance:zero_variance",
        "Energy against the variance of the local energy. Large markers: evaluated runs; dots: "
        "means over eighths of the last three quarters of training. Lines end at the energy "
        "extrapolated to zero variance, which is not variational: dashed over all runs, dotted "
        "over the training of one wavefunction. The legend has these energies in mEh with "
        "chi-squared per degree of freedom, or the reason why there is none. "
        f"{COVERAGE} {_BARS}",
        "both",
    ),
    Entry(
        "training",
        "Training",
        everything_sampled,
        f"{_HERE}.training:training",
        "Training of every run, running means over a twentieth of it: energy minus the reference "
        "that the panel names, variance of the local energy, and acceptance. The energy has a gap "
        "where the mean lies below the reference. Energies in the tables come from a separate "
        "evaluation with frozen parameters.",
        "histories",
    ),
)
