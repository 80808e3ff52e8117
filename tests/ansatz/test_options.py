"""The options of the package's wavefunctions are checked without JAX, as their builders do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ferminet.ansatz.base import AnsatzSpec
from ferminet.ansatz.options import OPTIONS
from ferminet.cli.main import main
from ferminet.config.plugins import load_object, option_defaults, option_names
from ferminet.errors import InputError

SPEC = AnsatzSpec(2, 1, 1)
WRONG = {
    "layers": (0, True, "3", 10**12), "one_electron_width": (-3, 1.5), "two_electron_width": (0,),
    "determinants": (0, 10**9), "heads": (0,), "head_width": (-1,), "full_determinant": (1,),
    "envelope": ("round",), "jastrow": ("yes",), "spin_symmetric": (True, "no"),
    "rescale_inputs": (0,), "layer_norm": ("on",), "order": (-1, 101), "train_orbitals": (1,),
    "backflow_order": (-1, 2.0, None),
}  # fmt: skip


@pytest.mark.parametrize("build", OPTIONS)
def test_they_are_those_of_the_builder(build: str) -> None:
    names = option_names(build)
    assert names is not None
    assert set(names) == set(option_defaults(build)) == set(OPTIONS[build]._fields)
    OPTIONS[build](**option_defaults(build)).check(2, 1)


@pytest.mark.parametrize(
    ("build", "name", "value"),
    [
        (build, name, value)
        for build in OPTIONS
        for name in option_names(build) or ()
        for value in WRONG[name]
    ],
)
def test_both_refuse_with_the_same_sentence(build: str, name: str, value: object) -> None:
    options = option_defaults(build) | {name: value}
    with pytest.raises(InputError) as light:
        OPTIONS[build](**options).check(SPEC.n_up, SPEC.n_down)
    assert name in str(light.value)
    with pytest.raises(InputError) as heavy:
        load_object(build)(SPEC, **options)
    assert str(heavy.value) == str(light.value)


def test_unknown_options_of_a_resolved_run_are_one_sentence(tmp_path: Path, capsys) -> None:
    (stored, *_) = Path("results/published/regression/configurations").glob("*.json")
    run = json.loads(stored.read_text())
    run["ansatz"]["options"]["layerz"] = 3
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run))
    assert main(["resolve", "--config", str(path)]) == 2
    assert "layerz" in capsys.readouterr().err


def test_a_study_is_checked_without_jax() -> None:
    program = """
import sys
from ferminet.ansatz.option_checks import check_wavefunctions
from ferminet.config import expand_runs, load_study
for study in ("paper", "architectures"):
    check_wavefunctions(expand_runs(load_study(f"workflow/config/{study}.yaml")))
assert not {"jax", "pyscf"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
