"""The systems and parts of the FermiNet paper that rows and figures do not cover.

Pfau, Spencer, Matthews, Foulkes, Phys. Rev. Research 2, 033429 (2020).
"""

from collections.abc import Iterable

from ferminet.benchmark.ablations import ablation_lines, measure
from ferminet.benchmark.curves import PAPER
from ferminet.benchmark.references import References
from ferminet.benchmark.schema import Rows
from ferminet.benchmark.tables.ionisation import ionisation_table
from ferminet.config.ablations import DETERMINANTS, LAYERS, OPTIMISERS, WIDTH

# Parts that a figure covers, by the name of the figure.
PAPER_FIGURES = {"density": "one-electron densities"}
# Parts that rows cover if they hold runs that differ in one setting only.
PAPER_ABLATIONS = {
    "dependence on the number of determinants": DETERMINANTS,
    "dependence on the width of the network": WIDTH,
    "dependence on the depth of the network": LAYERS,
    "comparison of optimisers": OPTIMISERS,
}
# The ions in the paper's table of ionisation potentials and electron affinities.
PAPER_IONS = (
    "Li+", "Be+", "B+", "C+", "N+", "O+", "F+", "Ne+", "Li-", "B-", "C-", "O-", "F-",
)  # fmt: skip


def not_covered(rows: Rows, references: References, figures: Iterable[str] = ()) -> list[str]:
    """Return the systems and parts of the paper that rows and figures do not cover."""
    covered = {r.system for r in rows if r.method == "vmc" and r.energy is not None}
    missing = [name for name in references.systems(PAPER) if name not in covered]
    systems = [f"systems: {', '.join(missing)}"] if missing else []
    measured, _ = measure([row for row in rows if row.energy is not None], references)
    ablations = [
        name for name, what in PAPER_ABLATIONS.items() if not ablation_lines(measured, what)
    ]
    drawn = set(figures)
    parts = [part for name, part in PAPER_FIGURES.items() if name not in drawn]
    lines = ionisation_table(rows, references).lines
    sampled = {line["ion"] for line in lines if line["vmc_mEh"] is not None}
    missing_ions = [ion for ion in PAPER_IONS if ion not in sampled]
    some = f": {', '.join(missing_ions)}" if len(missing_ions) < len(PAPER_IONS) else ""
    ions = f"ionisation potentials and electron affinities of the atoms{some}"
    return [*systems, *([ions] if missing_ions else []), *ablations, *parts]
