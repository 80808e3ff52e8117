"""Protocols, limits and costs: what a study expands to before anything is computed."""

import csv
from pathlib import Path

import pytest

from ferminet.chemistry.basis_sets import count_functions, has_basis, protocol_members
from ferminet.chemistry.cost import MOST_MEMORY_GB, Task, count_determinants, predict
from ferminet.config import expand_baselines, expand_limits, load_baseline, load_limit, load_study
from ferminet.config.layout import energy_files, member_files
from ferminet.errors import InputError
from ferminet.systems.elements import is_ion
from ferminet.systems.files import load_systems

ROOT = Path(__file__).parents[2]
SYSTEMS = load_systems(ROOT / "molecules")
MEASURED = list(
    csv.DictReader(
        line
        for line in (ROOT / "tests/chemistry/measured.csv").read_text().splitlines()
        if not line.startswith("#")
    )
)


def molecule(system):
    return next(iter(SYSTEMS[system].geometries.values()))


@pytest.fixture
def study(tmp_path):
    def write(text):
        path = tmp_path / "study.yaml"
        path.write_text(f"seeds: [1]\nansatz: {{}}\n{text}\n")
        return path

    return write


@pytest.mark.parametrize("one", MEASURED, ids=lambda one: f"{one['system']}-{one['basis']}")
def test_functions_are_counted_without_pyscf(one):
    symbols = molecule(one["system"]).symbols
    assert count_functions(symbols, one["basis"]) == int(one["n_basis"])


def test_pople_sets_share_exponents():
    assert count_functions(("C", "H"), "6-31g*") == 14 + 2
    with pytest.raises(InputError, match="aug-cc-pcv5z has no functions for Li"):
        count_functions(("Li",), "aug-cc-pcv5z")


@pytest.mark.parametrize("one", MEASURED, ids=lambda one: f"{one['system']}-{one['basis']}")
def test_predictions_match_measurements_within_a_factor(one):
    cost = predict(one["method"], Task(molecule(one["system"]), one["basis"], one["reference"]))
    seconds, memory = float(one["cpu_s"]), float(one["peak_gb"])
    # Starting Python and PySCF takes a second or two, which is no part of it.
    assert (seconds - 2.0) / 2.2 < cost.seconds < 2.2 * seconds + 1.0
    assert 0.75 * memory < cost.memory_gb < 1.6 * memory + 0.1


def test_predicted_scratch_matches_the_measured_files():
    """PySCF's files for N2 in cc-pCVTZ took 166 MB when they were largest."""
    assert predict("ccsd_t", Task(molecule("N2"), "cc-pcvtz", "rhf")).files_gb == pytest.approx(
        0.166, rel=0.1
    )


def test_calculations_that_exceed_the_memory_need_scratch():
    small = predict("ccsd_t", Task(molecule("N2"), "cc-pcvtz", "rhf"))
    assert small.scratch_gb == 0.0 and small.memory_gb == small.in_memory_gb
    large = predict("ccsd_t", Task(molecule("bicyclobutane"), "aug-cc-pcvqz", "rhf"))
    assert large.in_memory_gb > large.memory_gb >= MOST_MEMORY_GB
    # research on this size of calculation: a terabyte and two days
    assert 500 < large.scratch_gb < 1500
    assert 20 < large.seconds / 3600 < 150
    assert count_determinants(20, (2, 2)) == 36100


@pytest.mark.parametrize(
    ("protocol", "system", "reference", "hartree_fock", "correlation"),
    [
        ("paper", "H", "uhf", "aug-cc-pvtz aug-cc-pvqz aug-cc-pv5z", None),
        ("paper", "Li", "uhf", "aug-cc-pvtz aug-cc-pvqz aug-cc-pv5z", "aug-cc-pcvtz aug-cc-pcvqz"),
        ("paper", "Ne", "rhf", "aug-cc-pcvtz aug-cc-pcvqz aug-cc-pcv5z", None),
        ("paper", "N2", "rhf", "aug-cc-pcvtz aug-cc-pcvqz aug-cc-pcv5z", None),
        (
            "paper", "bicyclobutane", "rhf", "aug-cc-pcvtz aug-cc-pcvqz aug-cc-pcv5z",
            "aug-cc-pcvtz aug-cc-pcvqz",
        ),
        (
            "small", "O", "uhf", "aug-cc-pcvtz aug-cc-pcvqz aug-cc-pcv5z",
            "aug-cc-pcvtz aug-cc-pcvqz",
        ),
        ("small", "Ne", "rhf", "aug-cc-pcvtz aug-cc-pcvqz aug-cc-pcv5z", None),
        ("small", "LiH", "rhf", "cc-pvtz cc-pvqz cc-pv5z", "aug-cc-pcvtz aug-cc-pcvqz"),
        ("small", "N2", "rhf", "cc-pvtz cc-pvqz cc-pv5z", "cc-pcvtz cc-pcvqz"),
        ("small", "ozone", "rhf", "cc-pvdz cc-pvtz cc-pvqz", "cc-pcvdz cc-pcvtz"),
    ],
)  # fmt: skip
def test_a_protocol_chooses_its_basis_sets(protocol, system, reference, hartree_fock, correlation):
    members = protocol_members(protocol, molecule(system))
    assert members.scf_reference == reference
    assert " ".join(members.hartree_fock.values()) == hartree_fock
    assert " ".join(members.correlation.values()) == (correlation or hartree_fock)
    assert list(members.hartree_fock) == sorted(members.hartree_fock)


@pytest.mark.parametrize("protocol", ["paper", "small"])
def test_every_system_of_the_paper_has_its_limit(protocol):
    for system in SYSTEMS.values():
        first = next(iter(system.geometries.values()))
        members = protocol_members(protocol, first)
        for basis in (*members.hartree_fock.values(), *members.correlation.values()):
            assert all(has_basis(symbol, basis) for symbol in first.symbols)


def test_members_of_a_limit_are_baselines_and_none_is_computed_twice(study):
    path = study(
        "systems: [He]\nbaselines: [{method: hf, basis: aug-cc-pVTZ}]\n"
        "limits: [{protocol: small}, {protocol: paper}]"
    )
    loaded = load_study(path)
    found = [(b.method, b.reference, b.basis) for b in expand_baselines(loaded)]
    # Hartree-Fock comes with coupled cluster, in each of the three basis sets.
    assert found == [("ccsd_t", "rhf", f"aug-cc-pv{x}z") for x in "5tq"]
    assert [limit.protocol for limit in expand_limits(loaded)] == ["small", "paper"]
    choice = {"system": "He", "geometry": "eq"}
    limit = load_limit(path, protocol="small", **choice)
    # Of the larger set it needs Hartree-Fock alone, and has it from the other's coupled cluster.
    assert [(b.method, b.basis) for b in limit.member_baselines()] == [
        ("ccsd_t", f"aug-cc-pv{x}z") for x in "5tq"
    ]
    # What coupled cluster gives can be computed by itself too.
    wanted = {"method": "hf", "basis": "aug-cc-pvtz", "reference": "auto"}
    assert load_baseline(path, **wanted, **choice).reference == "rhf"


def test_auto_and_the_reference_it_resolves_to_are_one_calculation(study):
    loaded = load_study(
        study(
            "systems: [He]\nbaselines: [{method: hf, basis: sto-3g, reference: rhf},"
            " {method: hf, basis: sto-3g}, {method: hf, basis: sto-3g, reference: uhf}]"
        )
    )
    assert [b.reference for b in expand_baselines(loaded)] == ["rhf", "uhf"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "systems: [He]\nlimits: [{protocol: large}]",
            "limits[0].protocol is 'large'",
        ),
        (
            "systems: [He]\nlimits: [{protocol: small}, {protocol: small, systems: He}]",
            "limits[1]: small for He is given twice",
        ),
        (
            "systems: [He]\nlimits: [{protocol: small, systems: [Ne]}]",
            "limits[0].systems: there is no system 'Ne'",
        ),
        (
            "systems: [N]\nbaselines: [{method: hf, basis: sto-3g, reference: rhf}]",
            "baselines[0]: rhf needs a closed shell",
        ),
        (
            "systems: [N]\nbaselines: [{method: ccsd_t, basis: sto-3g, reference: rohf}]",
            "baselines[0]: ccsd_t must start from auto, rhf or uhf, got 'rohf'",
        ),
        (
            "systems: [N2]\nbaselines: [{method: nevpt2, basis: sto-3g}]",
            "nevpt2 needs active_space: [electrons, orbitals]",
        ),
        (
            "systems: [N2]\nbaselines: [{method: hf, basis: sto-3g, active_space: [10, 8]}]",
            "hf takes no active_space, got [10, 8]",
        ),
        (
            "systems: [N2]\nbaselines: [{method: nevpt2, basis: sto-3g, active_space: [9, 8]}]",
            "9 electrons in 8 orbitals do not fit N2",
        ),
        (
            "systems: [N2]\nbaselines: [{method: nevpt2, basis: sto-3g, active_space: [10, 9]}]",
            "10 functions in sto-3g",
        ),
        (
            "systems: [N2]\nbaselines: [{method: nevpt2, basis: sto-3g, active_space: [10, 8]},"
            " {method: nevpt2, basis: sto-3g, active_space: [6, 6], reference: rhf}]",
            "baselines[1]: nevpt2 in sto-3g for N2 is given twice",
        ),
        (
            "systems: [N2]\nbaselines: [{method: fci, basis: sto-3g, reference: uhf}]",
            "fci chooses its own orbitals, got reference 'uhf'",
        ),
        (
            "systems: [Li]\nbaselines: [{method: hf, basis: aug-cc-pcv5z}]",
            "baselines[0]: the basis aug-cc-pcv5z has no functions for Li",
        ),
    ],
)
def test_impossible_studies_are_refused_before_the_first_job(study, text, sentence):
    with pytest.raises(InputError) as error:
        load_study(study(text))
    assert sentence in str(error.value)


@pytest.mark.parametrize("protocol", ["small", "paper"])
def test_an_ion_has_the_sets_of_its_atom(protocol):
    ions = [name for name in SYSTEMS if is_ion(name)]
    assert len(ions) == 15
    for ion in ions:
        mine, neutral = (protocol_members(protocol, molecule(name)) for name in (ion, ion[:-1]))
        assert mine.hartree_fock == neutral.hartree_fock
        assert mine.correlation == neutral.correlation
    assert protocol_members(protocol, molecule("Ne+")).scf_reference == "uhf"
    assert protocol_members(protocol, molecule("F-")).scf_reference == "rhf"


def test_a_limit_that_the_study_does_not_request_is_refused(study):
    path = study("systems: [He]\nlimits: [{protocol: small}]")
    with pytest.raises(InputError, match="does not ask for the limit of He eq by the protocol p"):
        load_limit(path, system="He", geometry="eq", protocol="paper")


def test_the_protocols_end_with_neon(study, tmp_path):
    # Magnesium has all the basis sets, but the formulas are untested for it.
    (tmp_path / "Mg.yaml").write_text(
        "name: Mg\ntitle: magnesium\nkind: atom\nunit: bohr\natoms: [[Mg, [0, 0, 0]]]\ncharge: 0\n"
        "unpaired_electrons: 0\nsource: none\n"
    )
    path = study(f"systems: [{{path: {tmp_path / 'Mg.yaml'}}}]\nlimits: [{{protocol: small}}]")
    with pytest.raises(InputError, match="cover H to Ne, got Mg"):
        load_study(path)


@pytest.mark.parametrize(
    "text",
    [
        "systems: [He, B, Ne]\nlimits: [{protocol: small}, {protocol: paper}]",
        "systems: [He]\nlimits: [{protocol: small}]\n"
        "baselines: [{method: ccsd_t, basis: aug-cc-pV5Z}]",
        "systems: [Li, He]\nlimits: [{protocol: small}]\n"
        "baselines: [{method: hf, basis: aug-cc-pvtz}, {method: ccsd_t, basis: aug-cc-pv5z}]",
    ],
)
def test_what_a_limit_needs_is_what_the_study_computes(study, text):
    loaded = load_study(study(text))
    computed = energy_files(loaded)
    assert len(set(computed)) == len(computed)
    for limit in expand_limits(loaded):
        assert set(member_files(limit)) <= set(computed)
