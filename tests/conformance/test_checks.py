"""Conformance: sound wavefunctions pass, and the findings are complete."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import yaml

from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec
from ferminet.cli.main import main
from ferminet.conformance import checks, derivatives, measurements, subject
from ferminet.conformance.checks import Examination
from ferminet.conformance.subject import Subject
from tests.helpers.plugin import FERMINET, SOUND, TINY, check

ROOT = Path(__file__).parents[2]


ALL_SYSTEMS = subject.SYSTEMS


def assert_passes(target: str, options: dict | None = None) -> None:
    """All but what takes long; the template does everything but compare times."""
    names = (*checks.CHECKS, *checks.REPORTS)
    left_out = (checks.TIMES, "KFAC step")
    found = checks.check_ansatz(target, options, only=[n for n in names if n not in left_out])
    assert [f"{f.name}: {f.sentence}" for f in found.failures] == []
    assert len(found.findings) == len(checks.CHECKS) + len(checks.REPORTS) - 2


@pytest.mark.slow
def test_ferminet_passes() -> None:
    assert_passes(FERMINET, {**TINY, "jastrow": "electron_cusp"})


def test_a_sound_wavefunction_passes(written) -> None:
    assert_passes(written(SOUND))


@pytest.mark.slow
def test_the_template_passes(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(subject, "SYSTEMS", ALL_SYSTEMS[1:])  # two nuclei; no electron of one spin
    monkeypatch.chdir(tmp_path)
    assert main(["new-ansatz", "my_net.py"]) == 0
    printed = capsys.readouterr().out
    assert "ferminet check-ansatz my_net.py:build" in printed and printed.count("\n") == 5
    arguments = ["check-ansatz", "my_net.py:build", "--no-times", "--out", "found.json"]
    assert main([*arguments, "--options", "layers=1", "width=4", "determinants=1"]) == 0
    assert "passes all" in capsys.readouterr().out
    found = json.loads(Path("found.json").read_text())
    assert found["passed"] and found["options"] == {"layers": 1, "width": 4, "determinants": 1}
    assert main(["new-ansatz", "my_net.py"]) == 2
    assert "exists and is left as it is" in capsys.readouterr().err


def test_the_plain_potential_of_a_hydrogen_molecule() -> None:
    electrons = jnp.asarray([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    nuclei = subject.Nuclei(jnp.asarray([[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]), jnp.ones(2))
    value, magnitude = derivatives.plain_potential(electrons, nuclei)
    assert value == pytest.approx(0.5 + 0.5 - 1.0 - 1.0 - 1.0 - 1.0 / 3.0)
    assert magnitude == pytest.approx(1.0 + 3.0 + 1.0 / 3.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.py:build"], "does not exist"),
        (["ferminet.ansatz.ferminet:biuld"], "did you mean build"),
        ([FERMINET, "--options", "layer=2"], "did you mean layers"),
        ([FERMINET, "--options", "{]"], "not valid JSON"),
        ([FERMINET, "--options", "layers"], "not key=value"),
        ([FERMINET, "--options", "layers=0"], "FermiNet option layers is 0"),
    ],
)
def test_bad_arguments_are_refused(capsys, arguments: list[str], words: str) -> None:
    assert main(["check-ansatz", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_wavefunction_for_closed_shells_is_checked_on_closed_shells() -> None:
    wavefunction = Subject(FERMINET, {**TINY, "spin_symmetric": True})
    found = Examination(wavefunction).finding("builds")
    assert found.status == "passed" and "refused Li" in found.measured
    assert [case.system.name for case in wavefunction.cases] == ["LiH", "He"]


def test_scf_orbitals_are_computed_for_a_wavefunction_that_needs_them() -> None:
    finding = check("antisymmetry", "ferminet.ansatz.slater:build")
    assert finding.status == "passed"


def test_pytest_runs_each_check_as_one_test(written) -> None:
    target = written(SOUND)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "ferminet.conformance.pytest_plugin",
        "--ansatz",
        target,
    ]
    done = subprocess.run(
        [*command, "-q", "-k", "builds or shapes", "-p", "no:cacheprovider"],
        cwd=Path(target).parent, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_missing_device_is_no_mistake_of_the_wavefunction(monkeypatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "foo")
    command = [sys.executable, "-m", "ferminet", "check-ansatz", FERMINET, "--no-times"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 4 and done.stdout == ""
    assert "JAX finds no device" in done.stderr and done.stderr.count("\n") == 1


def test_times_are_compared_with_the_laptop_study() -> None:
    study = yaml.safe_load((ROOT / "workflow" / "config" / "quickstart.yaml").read_text())
    assert study["ansatz"]["ferminet"]["options"] == measurements.LAPTOP
    ferminet.build(AnsatzSpec(2, 1, 1), **measurements.LAPTOP)


def test_the_findings_are_valid_json(written) -> None:
    found = checks.check_ansatz(written(SOUND), only=["builds", "cusps", "invariances"])
    content = json.loads(json.dumps(found.to_dict()))
    assert content["passed"]
    checked = {entry["name"]: entry["status"] for entry in content["checks"]}
    assert checked == {
        "builds": "passed", "shapes and dtypes": "passed", "cusps": "reported",
        "invariances": "reported",
    }  # fmt: skip


def test_cusps_of_a_function_with_exact_slopes(written) -> None:
    source = """\
import jax.numpy as jnp
from ferminet.ansatz.base import Ansatz, LogPsi


def build(spec):
    def distance(a, b):
        return jnp.linalg.norm(a - b)

    def apply(params, electrons, nuclei):
        first, second, third = electrons
        pair = first - second
        logabs = jnp.log(jnp.abs(pair[0])) + jnp.linalg.norm(pair) / 4
        logabs += (distance(first, third) + distance(second, third)) / 2
        logabs -= 3 * sum(distance(one, nuclei.coords[0]) for one in electrons)
        return LogPsi(jnp.sign(pair[0]), logabs)

    return Ansatz(lambda key, nuclei: {}, apply)
"""
    slopes = check("cusps", written(source)).details
    assert slopes == {
        "opposite spins (exact 1/2)": pytest.approx(0.5, abs=1e-3),
        "same spin (exact 1/4)": pytest.approx(0.25, abs=1e-3),
        "electron and nucleus (exact -3)": pytest.approx(-3.0, abs=1e-3),
    }


def test_precision_of_the_process_is_left_alone() -> None:
    with jax.enable_x64(False):
        assert check("shapes and dtypes", FERMINET, TINY).status == "passed"
        assert jnp.zeros(()).dtype == jnp.float32
