"""The environment of the commands: what is set, and what of the user's is left alone."""

import pytest

from ferminet.runtime import environment


@pytest.mark.parametrize(
    ("flags", "kernels"),
    [
        pytest.param("flags : fpu fma avx avx2 avx512f", "Haswell", id="knows AVX2"),
        pytest.param("flags : fpu avx avx2", None, id="without FMA"),
        pytest.param("Features : asimd sve", None, id="ARM"),
    ],
)
def test_kernels_of_openblas_are_named_where_they_exist(monkeypatch, flags, kernels):
    monkeypatch.setattr(environment, "_processor_flags", lambda: flags)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    environment.prepare_environment()
    assert environment.os.environ.get("OPENBLAS_CORETYPE") == kernels


def test_what_the_user_has_set_is_left_alone(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    environment.prepare_environment()
    assert environment.os.environ["OPENBLAS_CORETYPE"] == "Zen"


def test_pyscf_uses_the_kernels_that_are_asked_for():
    from ferminet.chemistry import scf  # noqa: F401 - loads PySCF's own library

    kernels = environment.os.environ.get("OPENBLAS_CORETYPE")
    if kernels is None:
        pytest.skip("the library chooses by itself on a processor without AVX2")
    libraries = [name for name in environment.blas_libraries() if name.endswith("pyscf/lib)")]
    assert libraries and all(f"{kernels} kernels" in name for name in libraries)


def test_the_memory_of_a_control_group_counts(monkeypatch, tmp_path):
    whole = environment.machine_memory_gb()
    assert 0.5 < whole < 1e5
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(environment, "_cgroup_limits", lambda: [tmp_path / "memory.max"])
    unlimited = environment.machine_memory_gb()
    assert unlimited >= whole
    (tmp_path / "memory.max").write_text("500000000\n")
    assert environment.machine_memory_gb() == 0.5
