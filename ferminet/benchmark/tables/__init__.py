"""The tables and their captions. To add one, write its file in this folder and its entry below."""

from ferminet.benchmark.registry import (
    H4,
    LEAST_POINTS,
    PAIR,
    Contents,
    Entry,
    all_curves,
    everything_sampled,
    pairs,
)
from ferminet.systems.elements import has_ionisation

_HERE = "ferminet.benchmark.tables"
_SEEDS = (
    "Several seeds are averaged; the error of the mean is the larger of the propagated error and "
    "the spread between the seeds, widened by Student's t."
)
_PERCENT = (
    "The percentage of the correlation energy counts from the Hartree-Fock limit (0 %) to the "
    "reference (100 %)."
)
_EMPTY = "The value of an empty cell does not exist or did not converge; the status says which."


def _ionisation(contents: Contents) -> list[str]:
    species = contents.of_kind("atom", "ion")
    return species if has_ionisation(species) else []


def _with_pairs(contents: Contents) -> list[str]:
    singles = pairs(contents.kinds) if contents.runs else []
    return [name for single in singles for name in (single, single + PAIR)]


TABLES = (
    Entry(
        "atoms",
        "Atoms: total energies and correlation energy recovered",
        lambda contents: contents.of_kind("atom"),
        f"{_HERE}.systems:atoms_table",
        "Total energies of the atoms in hartree. The difference in mEh is our energy minus the "
        "reference, which is the exact energy where one is known.",
        details=f"{_PERCENT} It is undefined for hydrogen. {_SEEDS} {_EMPTY}",
    ),
    Entry(
        "molecules",
        "Molecules: total energies and correlation energy recovered",
        lambda contents: contents.of_kind("molecule"),
        f"{_HERE}.systems:molecules_table",
        "Total energies of the molecules, each at one geometry, in hartree. The difference in mEh "
        "is our energy minus the reference: the exact energy where one is known, else CCSD(T) at "
        "the basis-set limit.",
        details=f"{_PERCENT} {_SEEDS} {_EMPTY}",
    ),
    Entry(
        "{curve}",
        "{system}: total energies along the curve",
        all_curves,
        f"{_HERE}.curves:curve_table",
        "Total energies along the curve in hartree, one geometry per line. The difference in mEh "
        "is our energy minus the best reference.",
        details="Each geometry is trained independently unless the study has train.shared. A "
        "percentage of the correlation energy is not used for curves.",
    ),
    Entry(
        "{curve}_derived",
        "{system}: derived quantities",
        lambda contents: [system for system in all_curves(contents) if system == H4],
        f"{_HERE}.curves:curvature_table",
        "The curvature of H4's curve at the square, E(90°) − ½[E(85°) + E(95°)], in mEh, and the "  # noqa: RUF001
        "differences between congruent rectangles (85° and 95°, 88° and 92°), which should vanish.",
        details="Errors are propagated from those of the energies.",
    ),
    Entry(
        "{curve}_derived",
        "{system}: derived quantities",
        lambda contents: [system for system in contents.wells if system != H4],
        f"{_HERE}.curves:well_table",
        "The depth of the well for each method, in mEh: the energy at the longest distance "
        "computed minus that at the distance where the best reference is lowest.",
        details="Errors are propagated from those of the energies.",
    ),
    Entry(
        "{curve}_parallelity",
        "{system}: how parallel each curve is to the reference",
        all_curves,
        f"{_HERE}.curves:parallelity_table",
        "Errors of whole curves against the best reference, in mEh. A constant error does not "
        "change the shape of a curve; the non-parallelity is the largest minus the smallest error.",
        details="The mean deviation is the mean absolute deviation from the mean error. Errors are "
        "propagated from those of the energies, without the reference's uncertainty.",
    ),
    Entry(
        "ionisation",
        "Ionisation potentials and electron affinities",
        _ionisation,
        f"{_HERE}.ionisation:ionisation_table",
        "Ionisation potentials, E(cation) − E(atom), and electron affinities, E(atom) − E(anion), "  # noqa: RUF001
        "in mEh and eV.",
        details="They are differences of two total energies from separate calculations, whose "
        "errors are added in quadrature. Hartree-Fock and CCSD(T) use the same basis set or limit "
        "for both. Experimental values include relativity and the motion of the nucleus.",
    ),
    Entry(
        "size_consistency",
        "Size consistency: a distant pair against twice one",
        _with_pairs,
        f"{_HERE}.size_consistency:size_consistency_table",
        "The energy of two distant copies of a system minus twice the energy of one, from separate "
        "trainings. It vanishes for an exact wavefunction at infinite distance.",
        details="Errors are added in quadrature, twice that of the single system. Several seeds "
        "are averaged.",
    ),
    Entry(
        "wavefunction",
        "Local energies, cusps and isotropy",
        lambda contents: contents.inspected,
        f"{_HERE}.wavefunction:wavefunction_table",
        "The distribution of the local energy, the cusps, and for atoms the quadrupole of the "
        "electrons, which vanishes in an S state.",
        "inspections",
        "Variance, skewness, kurtosis and quantiles of the local energy; the slope of log psi "
        "where an electron meets a nucleus of charge Z (exact: -Z), and of two electrons where "
        "they meet (exact: 1/2 for opposite spin, 1/4 for the same spin); the five components of "
        "the quadrupole with a chi-squared test. Errors come from the spread between walkers.",
    ),
    Entry(
        "limits",
        "Basis-set limits of Hartree-Fock and CCSD(T), all electrons correlated",
        lambda contents: list(contents.kinds) if contents.limits else [],
        f"{_HERE}.limits:limits_table",
        "Hartree-Fock and CCSD(T) at the basis-set limit in hartree. Differences in mEh are to the "
        "limits of the literature and to the exact energy.",
        details="All electrons are correlated. The columns of formulas and members name what each "
        "limit is extrapolated from; its error is the uncertainty that follows from the members. A "
        "limit is missing where a member did not converge.",
    ),
    Entry(
        "paper",
        "Comparison with the paper's FermiNet",
        everything_sampled,
        f"{_HERE}.paper:paper_table",
        "Our energies next to those of the FermiNet paper (Pfau and others, Physical Review "
        "Research 2, 033429, 2020), with the reasons for differences beyond two standard errors.",
        details="Energies are in hartree, differences in mEh with the standard errors of both. The "
        "reasons are the iterations done, the slope of the energy at the end of training (mEh per "
        "1,000 iterations), its variance, and each setting that differs, with the paper's value in "
        "parentheses.",
    ),
    Entry(
        "zero_variance",
        "Energies extrapolated to zero variance",
        lambda contents: list(contents.kinds) if contents.runs >= LEAST_POINTS else [],
        f"{_HERE}.zero_variance:zero_variance_table",
        "Lines through energies against variances of the local energy, and their energies at zero "
        "variance in hartree, which are not variational.",
        details="A line goes through all runs of one geometry. It is missing where the variances "
        "span too little or the runs do not lie on a line: chi-squared per degree of freedom "
        "measures that.",
    ),
    Entry(
        "imported",
        "Energies of other codes",
        lambda contents: contents.imported,
        f"{_HERE}.imported:imported_table",
        "Energies imported from runs of other codes in hartree, next to this package's own of the "
        "same geometries. A training tail is a mean over iterations of training, whose "
        "parameters still changed: it is biased and no evaluation.",
        details="Imported energies appear in no other table or figure and are not averaged.",
    ),
    Entry(
        "runs",
        "All runs",
        everything_sampled,
        f"{_HERE}.systems:runs_table",
        "All runs, one line per trained and evaluated wavefunction, with diagnostics of the "
        "sampling. The last column lists the flags.",
        details="Energy, difference to the reference, variance of the local energy, acceptance, "
        "autocorrelation time, split-R-hat, expectation value of the squared spin, the z-score of "
        "the sampling sentinel, which should lie within 4 of zero, and the virial ratio of atoms "
        "and of molecules at their equilibrium, which should be 2.",
    ),
)
