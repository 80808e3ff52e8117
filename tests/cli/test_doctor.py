"""`ferminet doctor` finds versions that do not fit and a cache that cannot be written."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from ferminet.cli import doctor
from ferminet.cli.main import main


@pytest.mark.parametrize(
    ("versions", "problem"),
    [
        ({}, None),
        ({"jax": "0.9.2"}, "jax 0.9.2 does not work with ferminet"),
        ({"optax": "0.2.4"}, "optax 0.2.4 does not work with ferminet"),
        ({"jaxlib": "0.9.0"}, "jaxlib 0.9.0 does not work with jax"),
        ({"pyscf": None}, "pyscf is not installed"),
    ],
)
def test_versions_that_do_not_fit_are_reported(monkeypatch, versions, problem) -> None:
    installed = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, installed(name)))
    problems = doctor.version_problems()
    assert len(problems) == (problem is not None)
    assert problem is None or problems[0].startswith(problem)


def test_jax_is_not_imported_if_its_version_does_not_fit(monkeypatch, capsys) -> None:
    monkeypatch.setattr(doctor, "version_problems", lambda: ["jax 0.9.2 does not work."])
    monkeypatch.setattr(doctor, "_jax", lambda: pytest.fail("JAX was imported"))
    assert main(["doctor"]) == 4
    assert "PROBLEM: jax 0.9.2 does not work." in capsys.readouterr().out


def test_doctor_reports_a_cache_that_cannot_be_written(in_root: Path, capsys, monkeypatch) -> None:
    code = doctor.doctor(SimpleNamespace(json=True))  # pyright: ignore[reportArgumentType]
    findings = json.loads(capsys.readouterr().out)
    assert code == (4 if findings["problems"] else 0)
    assert findings["jax"]["float32_error"] < 1e-5
    assert any("openblas" in blas or "mkl" in blas for blas in findings["machine"]["blas"])
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/proc/nowhere")
    assert doctor.doctor(SimpleNamespace(json=False)) == 4  # pyright: ignore[reportArgumentType]
    assert "JAX_COMPILATION_CACHE_DIR" in capsys.readouterr().out
