"""The project's own literature values: each claim about them is computed here."""

import csv
import math
import re

import numpy as np
import pytest

from experiments.hartree_fock_limits import hartree_fock
from ferminet.benchmark.references import Reference, project_references
from ferminet.config.study import references_directory
from ferminet.systems.elements import NUCLEAR_CHARGE
from ferminet.systems.files import load_systems
from ferminet.units import ANGSTROM_PER_BOHR

SYSTEMS = load_systems(references_directory().parent)
REFERENCES = project_references()
FILES = sorted(references_directory().glob("*.csv"))
GEOMETRIES = [(name, label) for name, system in SYSTEMS.items() for label in system.geometries]
ALL = list(REFERENCES)
H4 = [key for key in GEOMETRIES if key[0] == "H4"]
N2 = [key for key in GEOMETRIES if key[0] == "N2_curve"]


def value(system: str, quantity: str, geometry: str = "eq") -> Reference:
    entry = REFERENCES.lookup(system, geometry, quantity)
    assert entry is not None
    return entry


def test_reference_rows_belong_to_our_geometries():
    assert [path.stem for path in FILES] == ["atoms", "h10", "h4", "ions", "molecules", "n2_curve"]
    assert {(entry.system, entry.geometry) for entry in ALL} <= set(GEOMETRIES)
    assert all((entry.uncertainty or 0) < 5e-3 for entry in ALL)
    for path in FILES:
        # Old files are read too, but a new value must state its kind.
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert all(line["id"] and line["kind"] for line in csv.DictReader(lines))


def test_reference_energies_have_uncertainties():
    u = {
        key: value(*key).uncertainty for key in [(e.system, e.quantity) for e in ALL if e.is_bound]
    }
    assert all((u[name, "exact"] or 0) < 1e-6 for name in ("H", "He", "Li", "Be", "LiH", "Li+"))
    assert all(u[name, "exact"] == 1e-4 for name in ("B", "C", "N", "O", "F", "Li2", "N2"))
    assert value("H4", "fci_cbs", "a90").uncertainty == 2e-4
    assert value("H10", "mrci_q_f12_cbs", "r1.0000").uncertainty == pytest.approx(3.09e-3)


def test_hartree_fock_lies_above_the_exact_energy():
    for entry in ALL:
        bound = REFERENCES.bound(entry.system, entry.geometry)
        if entry.quantity == "hf_cbs" and entry.system != "H" and bound:
            assert entry.energy > bound.energy + 0.03, entry.id


def test_no_variational_energy_lies_below_a_bound():
    """A bound that a published variational energy refutes needs a larger uncertainty."""
    judged = 0
    for entry in ALL:
        bound = REFERENCES.bound(entry.system, entry.geometry)
        if entry.kind == "upper bound" and bound is not None:
            judged += 1
            error = math.hypot(entry.uncertainty or 0.0, bound.uncertainty or 0.0)
            assert bound.energy - error <= entry.energy < bound.energy + 1.0, entry.id
    assert judged > 20


def test_the_dispute_about_neon_states_the_difference():
    neon, lower = value("Ne", "exact"), value("Ne", "neural_vmc_literature")
    gap = neon.energy - lower.energy
    assert f"{1e3 * gap:.2f} mEh below" in neon.dispute
    assert neon.uncertainty is not None
    assert gap < neon.uncertainty < 2 * gap


@pytest.mark.parametrize("system", ["B", "N"])
def test_values_in_dispute_lie_within_the_uncertainty(system):
    entry = value(system, "exact")
    others = {"B": -24.65386608, "N": -54.589289}
    assert str(others[system]) in entry.dispute
    gap = others[system] - entry.energy
    assert f"{1e3 * abs(gap):.2f} mEh {'above' if gap > 0 else 'below'}" in entry.dispute
    assert entry.uncertainty is not None
    assert abs(gap) < entry.uncertainty


def test_beryllium_agrees_with_the_older_value_that_it_supersedes():
    entry = value("Be", "exact")
    assert entry.supersedes == "Be/eq/exact/chakravorty-1993"
    assert round(entry.energy, 5) == -14.66736
    (atoms,) = (path.read_text() for path in FILES if path.stem == "atoms")
    assert re.search(rf"^{entry.supersedes},,Be,eq,exact,exact,-14.66736,", atoms, re.M)


def test_ferminet_lies_below_the_extrapolated_full_ci_of_h4_at_all_angles():
    """So full CI, extrapolated to the basis-set limit, is no bound."""
    gaps: dict[str, list[float]] = {"ferminet_paper": [], "neural_vmc_literature": []}
    for system, angle in H4:
        extrapolated = value(system, "fci_cbs", angle)
        assert extrapolated.kind == "extrapolated"
        assert REFERENCES.bound(system, angle) is None
        for quantity, found in gaps.items():
            found.append(1e3 * (extrapolated.energy - value(system, quantity, angle).energy))
    assert all(len(found) == 11 and min(found) > 0 for found in gaps.values())
    paper = gaps["ferminet_paper"]
    text = f"by {min(paper):.2f} to {max(paper):.2f} mEh; so does PESNet."
    assert all(value("H4", "fci_cbs", angle).dispute.endswith(text) for _, angle in H4)


def test_the_h4_references_have_the_right_shape():
    def curvature(quantity):
        a85, a90, a95 = (value("H4", quantity, label).energy for label in ("a85", "a90", "a95"))
        return a90 - (a85 + a95) / 2

    assert curvature("fci_cbs") == pytest.approx(2.05e-3, abs=2e-5)
    assert curvature("ferminet_paper") == pytest.approx(2.17e-3, abs=2e-5)
    assert curvature("ccsd_t_cbs") == pytest.approx(-5.7e-3, abs=1e-4)


# MLR3(9) of Jiang et al., arXiv:2508.02570, supplement, note 7 and table 9.
PHI = (
    -3.125518, -1.338651, -1.926378, -1.053483, -1.088594, 0.253611, 0.767715, -1.929323, 1.583792,
    15.210659,
)  # fmt: skip
CM1_PER_HARTREE = 219474.6313632  # CODATA 2018


def mlr(distance: float, phi: tuple[float, ...]) -> float:
    """Return the Morse/long-range potential in hartree on top of two exact nitrogen atoms.

    Args:
        distance: bohr.
        phi: coefficients of the exponent.
    """
    power, depth, equilibrium, c6, ratio = 3, 79845.0, 1.097679, 1.16e5, 5.5  # cm-1, angstrom

    def tail(r: float) -> float:
        return c6 / r**6 * (1 + ratio / r**2)

    r = distance * ANGSTROM_PER_BOHR
    y = (r**power - equilibrium**power) / (r**power + equilibrium**power)
    exponent = y * math.log(2 * depth / tail(equilibrium))
    exponent += (1 - y) * sum(c * y**i for i, c in enumerate(phi))
    morse = (1 - tail(r) / tail(equilibrium) * math.exp(-exponent * y)) ** 2
    return depth * (morse - 1) / CM1_PER_HARTREE + 2 * value("N", "exact").energy


def bond(label: str) -> float:
    first, second = SYSTEMS["N2_curve"].geometries[label].coords
    return float(np.linalg.norm(first - second))


def test_mlr3_9_is_computed_from_its_published_parameters():
    for system, label in N2:
        entry = value(system, "mlr3_9", label)
        assert entry.energy == pytest.approx(mlr(bond(label), PHI), abs=6e-7), label


def test_the_sign_of_phi_0_follows_from_the_older_potential():
    """The transcription prints phi_0 without its minus; both rest on the same levels."""
    other = (-PHI[0], *PHI[1:])
    inner = [key for key in N2 if 1.8 < bond(key[1]) < 2.8]
    assert len(inner) == 10
    for system, label in inner:
        older = value(system, "mlr4_6_8", label).energy
        assert abs(mlr(bond(label), PHI) - older) < 1e-5
        assert abs(mlr(bond(label), other) - older) > 2e-2


def test_both_potentials_of_nitrogen_have_an_uncertainty_that_covers_their_difference():
    difference = {}
    for system, label in N2:
        old, new = value(system, "mlr4_6_8", label), value(system, "mlr3_9", label)
        assert old.kind == new.kind == "fitted to experiment"
        assert old.uncertainty == new.uncertainty
        assert old.dispute == new.dispute != ""
        difference[label] = abs(new.energy - old.energy)
        assert old.uncertainty is not None
        assert difference[label] <= old.uncertainty + 1e-6
        assert value(system, "ferminet_paper", label).determinants == 32
        assert REFERENCES.bound(system, label) is None
    assert f"by up to {1e3 * max(difference.values()):.1f} mEh" in old.dispute
    best = REFERENCES.best("N2_curve", "r3.9504")
    assert best is not None
    assert best.quantity == "mlr4_6_8"  # the potential that the paper compares with


def test_measured_ionisation_potentials_agree_with_exact_differences():
    """Relativity and the motion of the nucleus are a few tenths of a millihartree at most."""
    for ion, atom in (("He+", "He"), ("Li+", "Li")):
        exact = value(ion, "exact").energy - value(atom, "exact").energy
        measured = value(ion, "ionisation_experiment")
        assert measured.kind == "measured"
        assert measured.energy == pytest.approx(exact, abs=3e-4)


@pytest.mark.parametrize("symbol", ["He", "Be", "N", "Ne"])
def test_hartree_fock_limits_of_spherical_atoms_are_reproduced(symbol):
    limit = value(symbol, "hf_cbs")
    assert hartree_fock(symbol, 1.75) == pytest.approx(limit.energy, abs=limit.uncertainty)


def test_computed_hartree_fock_limits_supersede_printed_ones_that_are_further_away():
    """Only such; the printed ones are extrapolated, and good to half a unit of the last digit."""
    computed = {entry.system for entry in ALL if entry.confidence == "computed"}
    assert computed == {"Be", "C", "N", "O", "F", "Ne"}
    text = next(path for path in FILES if path.stem == "atoms").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    printed = {line["id"]: line for line in csv.DictReader(lines)}
    for system in computed:
        entry = value(system, "hf_cbs")
        older = printed[entry.supersedes]
        distance = abs(float(older["energy_hartree"]) - entry.energy)
        assert distance > float(older["uncertainty_hartree"]) + (entry.uncertainty or 0.0), system


@pytest.mark.parametrize(
    "ion", [f"{a}+" for a in ("He", "Li", "Be", "B", "C", "N", "O", "F", "Ne")]
)
def test_measured_ionisation_potentials_differ_from_exact_ones_by_relativity(ion):
    """The shift is at most of the order (Z alpha)^2 of the potential, here with factor one."""
    atom = ion.removesuffix("+")
    cation, neutral = value(ion, "exact"), value(atom, "exact")
    exact = cation.energy - neutral.energy
    uncertainty = math.hypot(cation.uncertainty or 0.0, neutral.uncertainty or 0.0)
    shift = value(ion, "ionisation_experiment").energy - exact
    assert abs(shift) < (NUCLEAR_CHARGE[atom] / 137.036) ** 2 * exact + uncertainty
