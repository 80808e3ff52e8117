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
_LINEAR = f"The axis of errors is linear within {_BAND}, shaded, and logarithmic beyond."
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
        "Correlation energy recovered per system, zoomed above and on the whole scale below; open "
        "diamonds are the paper's energies.",
        details="0 % is the Hartree-Fock limit; 100 % is the exact energy, or CCSD(T) at the "
        f"basis-set limit where no exact one is known. {_BARS}",
    ),
    Entry(
        "{curve}",
        "Curve {system}",
        lambda contents: [system for system in all_curves(contents) if system == H4],
        f"{_HERE}.curves:curve",
        "Four hydrogen atoms at the corners of a rectangle on a circle, over the angle. At the "
        "square (90°) coupled cluster has a false cusp and lies too low.",
        details="The circle has a radius of 1.738 Å. Above: each method relative to its own mean "
        "of 85° and 95°, so that shapes compare (Hartree-Fock is left out). At the square two "
        "determinants are degenerate, which coupled cluster from restricted orbitals does not "
        "describe. Below: differences to full configuration interaction at the basis-set limit; "
        f"shaded: within {_BAND}. {_BARS}",
    ),
    Entry(
        "{curve}",
        "Curve {system}",
        lambda contents: [system for system in all_curves(contents) if system != H4],
        f"{_HERE}.curves:curve",
        "Above: total energies along the curve. Below: differences to the best reference; shaded: "
        f"within {_BAND}.",
        details="Each geometry is trained independently unless the study has train.shared. A "
        f"missing point leaves a gap that the figure names. {_BARS}",
    ),
    Entry(
        "errors",
        "Error against the exact energy",
        _at_one_geometry,
        f"{_HERE}.systems:errors",
        "Absolute error against the exact energy per system: this work, the paper's FermiNet, "
        f"Hartree-Fock and CCSD(T). {_OPEN.replace('reference', 'exact energy')}",
        details="The legend names the basis of the conventional methods. Errors below 0.01 mEh "
        f"are named below the axis. {_BARS}",
    ),
    Entry(
        "density",
        "One-electron densities",
        lambda contents: contents.densities,
        f"{_HERE}.density:density",
        "One-electron density of the trained wavefunctions and of Hartree-Fock, nuclei marked; "
        "below, the map of the difference.",
        "densities",
        "Atoms: radial distribution, its difference to Hartree-Fock, and the spherical average. "
        "Linear molecules: integrated over the planes across the axis; all others: over all but "
        "one direction in the plane of the nuclei. The map is averaged over circles around the "
        "axis or integrated along the normal of the plane, and grey where the difference is less "
        "than two standard errors. Bands are one standard error of sampling, from the spread "
        "between walkers.",
    ),
    Entry(
        "local_energies",
        "Local energies",
        lambda contents: contents.inspected,
        f"{_HERE}.local_energies:local_energies",
        "Local energies of the trained wavefunctions: their density, their tails, and where in "
        "space their variance comes from.",
        "inspections",
        "Left: the density around the mean, within six standard deviations. Middle: the share of "
        "samples farther from the mean, on both sides; near a node it falls like the inverse cube "
        "of the distance. Right: the share of the variance by the distance between the nearest "
        "electron and nucleus, or of the nearest pair, in bins of equal ratio; dotted, the share "
        "of the samples. Error bars are one standard error, from the spread between walkers.",
    ),
    Entry(
        "determinants",
        "Number of determinants",
        _varying("determinants"),
        f"{_HERE}.ablations:determinants",
        "Correlation energy recovered against the number of determinants, for runs that differ in "
        "nothing else.",
        details="0 % is the Hartree-Fock limit, 100 % the reference that the title names. Several "
        "seeds are one point; its bar is the larger of the sampling error and the spread between "
        f"the seeds. {_BARS}",
    ),
    Entry(
        "width",
        "Width and depth of the network",
        _varying("width"),
        f"{_HERE}.ablations:width",
        "Absolute error against the reference that the title names, by the width of the "
        "one-electron stream (left) and by the number of layers (right).",
        details="The runs of a line differ in nothing else; the two-electron stream may be wider "
        f"where the other is. Several seeds are one point. {_OPEN} {_BARS}",
    ),
    Entry(
        "optimisers",
        "Optimisers",
        _varying("optimisers"),
        f"{_HERE}.training:optimisers",
        "Error of the energy during training with different optimisers, one line per seed, against "
        "iterations (left) and device time (right).",
        "histories",
        "Running medians over a twentieth of the run, for the same geometry and network; each "
        f"optimiser has its own rates. {_LINEAR} Device time is the time of training times the "
        "number of devices. Histories have no clock, so the time, with compilation and without "
        "pretraining, is spread evenly over the iterations.",
    ),
    Entry(
        "cost",
        "Error against cost",
        everything_sampled,
        f"{_HERE}.systems:cost",
        "Absolute error of every run against its device time. Times on different devices do not "
        "compare.",
        details="Device time is that of training and evaluation, without pretraining, times the "
        f"number of devices. {_OPEN} {_BARS}",
    ),
    Entry(
        "zero_variance",
        "Energy against variance",
        everything_sampled,
        f"{_HERE}.zero_variance:zero_variance",
        "Energy against the variance of the local energy, and lines to zero variance. The "
        "extrapolated energies are not variational.",
        "both",
        "Large markers: evaluated runs; dots: means over eighths of the last three quarters of "
        "training. Lines are dashed over all runs, dotted over the training of one wavefunction. "
        "The legend has the extrapolated energies in mEh with chi-squared per degree of freedom, "
        f"or the reason why there is none. {COVERAGE} {_BARS}",
    ),
    Entry(
        "training",
        "Training",
        everything_sampled,
        f"{_HERE}.training:training",
        "Error of the energy and variance of the local energy during training; a point at the end "
        "is the evaluated energy with frozen parameters.",
        "histories",
        "Running medians over a twentieth of the run, which a single outlying iteration does not "
        f"move. The error is to the reference that the panel names. {_LINEAR} {_BARS}",
    ),
)
