"""The options of the package's wavefunctions are checked without JAX, as their builders do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ferminet.ansatz
from ferminet.ansatz.base import AnsatzSpec
from ferminet.ansatz.options import OPTIONS
from ferminet.cli.main import main
from ferminet.config import expand_runs, load_study
from ferminet.config.plugins import builder_options, load_object, option_defaults
from ferminet.errors import InputError

SPEC = AnsatzSpec(2, 1, 1)
WRONG = {
    "layers": (0, True, "3", 10**12), "one_electron_width": (-3, 1.5), "two_electron_width": (0,),
    "determinants": (0, 10**9), "heads": (0,), "head_width": (-1,), "full_determinant": (1,),
    "envelope": ("round",), "jastrow": ("yes",), "spin_symmetric": (True, "no"),
    "rescale_inputs": (0,), "layer_norm": ("on",), "order": (-1, 101), "train_orbitals": (1,),
    "backflow_order": (-1, 2.0, None), "zeta": ("1", float("nan")),
}  # fmt: skip


@pytest.mark.parametrize("build", OPTIONS)
def test_the_configuration_reads_names_and_defaults_from_the_model(build: str) -> None:
    names, defaults = builder_options(build), option_defaults(build)
    assert list(names or ()) == list(OPTIONS[build].model_fields)
    assert defaults == OPTIONS[build]().model_dump()
    assert OPTIONS[build].read({}, 2, 1) == OPTIONS[build].read(defaults, 2, 1)


def test_every_builder_of_the_package_has_a_model() -> None:
    builders = {
        f"ferminet.ansatz.{path.stem}:build"
        for path in Path(ferminet.ansatz.__file__).parent.glob("*.py")
        if "\ndef build(" in path.read_text()
    }
    # The bare determinant is the target of pretraining, which no study can name.
    assert builders - {"ferminet.ansatz.slater:build"} == set(OPTIONS)


@pytest.mark.parametrize(
    ("build", "name", "value"),
    [
        (build, name, value)
        for build in OPTIONS
        for name in builder_options(build) or ()
        for value in WRONG[name]
    ],
)
def test_models_and_builders_raise_the_same_message(build: str, name: str, value: object) -> None:
    with pytest.raises(InputError) as light:
        OPTIONS[build].read({name: value}, SPEC.n_up, SPEC.n_down)
    assert f"{OPTIONS[build].label} option {name}" in str(light.value)
    with pytest.raises(InputError) as heavy:
        load_object(build)(SPEC, **{name: value})
    assert str(heavy.value) == str(light.value)


@pytest.mark.parametrize("build", OPTIONS)
def test_a_misspelt_option_is_named_with_the_nearest(build: str) -> None:
    (name, *_) = OPTIONS[build].model_fields
    with pytest.raises(InputError, match=f"has no option {name}z; did you mean {name}"):
        load_object(build)(SPEC, **{f"{name}z": 1})


PLUGIN = """\
import pydantic

class Options(pydantic.BaseModel):
    width: int = 8
    name: str

def build(spec, **options):
    raise RuntimeError
"""


def test_a_plugin_may_export_a_model_of_its_options(tmp_path: Path) -> None:
    path = tmp_path / "my_net.py"
    path.write_text(PLUGIN)
    assert list(builder_options(f"{path}:build") or ()) == ["width", "name"]
    assert option_defaults(f"{path}:build") == {"width": 8}
    path.write_text(PLUGIN.replace("class Options", "class Others"))
    assert builder_options(f"{path}:build") is None
    path.write_text("def build(spec, *, width=8, shape=(1, 2), depth): ...\n")
    assert list(builder_options(f"{path}:build") or ()) == ["width", "shape", "depth"]
    assert option_defaults(f"{path}:build") == {"width": 8}


def test_unknown_options_of_a_resolved_run_are_one_sentence(tmp_path: Path, capsys) -> None:
    study = load_study(Path("workflow/config/regression.yaml"))
    run = expand_runs(study)[0].model_dump(mode="json")
    run["ansatz"]["options"]["layerz"] = 3
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run))
    assert main(["resolve", "--config", str(path)]) == 2
    assert "layerz" in capsys.readouterr().err


def test_a_study_is_checked_without_jax() -> None:
    program = """
import sys
from ferminet.ansatz.options import check_wavefunctions
from ferminet.config import expand_runs, load_study
for study in ("paper", "architectures"):
    check_wavefunctions(expand_runs(load_study(f"workflow/config/{study}.yaml")))
assert not {"jax", "pyscf"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
