"""Walkers divided among devices: simulated ones, in processes of their own."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.compilation import quick_environment

ROOT = Path(__file__).parents[2]

# A few iterations of KFAC and their evaluation on so many devices of the CPU (0: those of several
# processes), in a folder where a later call may resume; prints the results.
SCRIPT = """\
import json, sys
import jax
from ferminet.runtime.processes import is_first, join_processes
n_devices, walkers, optimizer, iterations, folder = sys.argv[1:]
if n_devices == "0":
    join_processes()
else:
    jax.config.update("jax_num_cpu_devices", int(n_devices))
jax.config.update("jax_enable_x64", True)
import pathlib
import jax.numpy as jnp
import numpy as np
from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.config import EvaluateConfig, OptimizerConfig, SamplerConfig, TrainConfig
from ferminet.runtime.progress import Progress
from ferminet.stages.evaluation import evaluate
from ferminet.stages.training import RunIdentity, train
from ferminet.vmc.evaluate import make_evaluator
from ferminet.vmc.programs import Problem
from ferminet.vmc.sampling import init_walkers
from ferminet.vmc.train import TrainSettings

options = dict(layers=2, one_electron_width=8, two_electron_width=4, determinants=2)
ansatz = ferminet.build(AnsatzSpec(2, 1, 1), **options)
nuclei = Nuclei(jnp.zeros((1, 3)), jnp.array([3.0]))
problem = Problem(ansatz, nuclei, 2, 1)
params = ansatz.init(jax.random.key(1), nuclei)
electrons = init_walkers(jax.random.key(2), nuclei, 2, 1, int(walkers))
sampler = SamplerConfig(walkers=len(electrons), decorrelation_steps=3, burn_in=5)
optimizer = OptimizerConfig(name=optimizer, learning_rate=0.01)
settings = TrainSettings(
    sampler, optimizer, TrainConfig(iterations=int(iterations)), 3
)
quiet = Progress("test", 1)
folder = pathlib.Path(folder)
identity = RunIdentity("abc", {})
trained = train(problem, settings, identity, params, electrons, folder / "train", quiet)
state = trained.state
result = evaluate(
    make_evaluator(problem, 0.1, 10), EvaluateConfig(iterations=25, burn_in=2), state.params,
    state.electrons, state.step_size, 4, "abc", folder / f"evaluate-{iterations}", quiet,
)
files = sorted(path.name for path in folder.rglob("*.*"))
flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.params)])
print(json.dumps({
    "first": is_first(),
    "files": files,
    "devices": len(state.electrons.sharding.device_set),
    "trained_by": [(one["first_iteration"], one["devices"]) for one in trained.trained_by],
    "parameters": flat.tolist(),
    "energy": float(np.mean(result.trace.step_energy)),
}))
"""


def command(n_devices: int, folder: Path, walkers=16, optimizer="kfac", iterations=4) -> list[str]:
    words = (n_devices, walkers, optimizer, iterations, folder)
    return [sys.executable, "-c", SCRIPT, *map(str, words)]


def run(n_devices: int, folder: Path, **more) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(n_devices, folder, **more),
        cwd=ROOT,
        env=quick_environment(),
        capture_output=True,
        text=True,
    )


def results(n_devices: int, folder: Path, **more) -> dict:
    done = run(n_devices, folder, **more)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def on_one_device(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict]:
    """Return the results of an optimiser on one device, which each test compares with."""
    return cache(
        lambda optimizer: results(1, tmp_path_factory.mktemp("one") / "run", optimizer=optimizer)
    )


def assert_close(many: dict, one: dict) -> None:
    assert many["parameters"] == pytest.approx(one["parameters"], rel=1e-8, abs=1e-10)
    assert many["energy"] == pytest.approx(one["energy"], rel=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "counts"),
    [("kfac", (4,)), ("natural", (2,)), ("spring", (2,))],
    ids=str,
)
def test_the_number_of_devices_changes_only_rounding(optimizer, counts, on_one_device, tmp_path):
    one = on_one_device(optimizer)
    for n_devices in counts:
        many = results(n_devices, tmp_path / str(n_devices), optimizer=optimizer)
        assert many["devices"] == n_devices
        assert many["trained_by"] == [[0, n_devices]]
        assert_close(many, one)


@pytest.mark.slow
def test_a_run_resumed_on_other_devices_reports_it(on_one_device, tmp_path):
    results(1, tmp_path / "parts", iterations=2)
    continued = results(2, tmp_path / "parts")
    assert continued["trained_by"] == [[0, 1], [2, 2]]
    assert_close(continued, on_one_device("kfac"))


@pytest.mark.slow
def test_two_processes_compute_the_same_as_one(on_one_device, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    started = [
        subprocess.Popen(
            command(0, tmp_path / "several"),
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=quick_environment(
                JAX_COORDINATOR_ADDRESS=address,
                JAX_NUM_PROCESSES="2",
                JAX_PROCESS_ID=str(index),
            ),
        )
        for index in (0, 1)
    ]  # fmt: skip
    ended = [process.communicate() for process in started]
    assert all(process.returncode == 0 for process in started), ended
    found = [json.loads(output.splitlines()[-1]) for output, _ in ended]  # Gloo prints, too
    one = on_one_device("kfac")
    assert [each["first"] for each in found] == [True, False]
    for each in found:
        assert each["devices"] == 2
        assert each["trained_by"] == [[0, 2]]
        assert_close(each, one)
    assert "history.csv" in found[0]["files"]


@pytest.mark.slow
def test_walkers_that_cannot_be_divided_are_refused(tmp_path):
    done = run(4, tmp_path, walkers=18)
    assert "18 walkers cannot be divided among 4 devices" in done.stderr


ENERGIES = """\
import sys
import jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.vmc.devices import fetch, replicate, shard_walkers
from ferminet.vmc.programs import Problem, make_energies
from ferminet.vmc.sampling import init_walkers

options = dict(layers=1, one_electron_width=4, two_electron_width=2, determinants=1)
ansatz = ferminet.build(AnsatzSpec(3, 2, 1), **options, full_determinant=True)
nuclei = Nuclei(jnp.zeros((1, 3)), jnp.array([5.0]))
params = replicate(ansatz.init(jax.random.key(1), nuclei))
electrons = shard_walkers(init_walkers(jax.random.key(2), nuclei, 3, 2, 4))
print(fetch(make_energies(Problem(ansatz, nuclei, 3, 2))(params, electrons, nuclei).total).tolist())
"""


@pytest.mark.slow
def test_determinants_by_elimination_work_on_several_devices():
    one, two = (
        subprocess.run(
            [sys.executable, "-c", ENERGIES, n_devices],
            cwd=ROOT,
            env=quick_environment(),
            capture_output=True,
            text=True,
        )
        for n_devices in "12"
    )
    assert two.returncode == 0, two.stderr[-2000:]
    assert json.loads(two.stdout) == pytest.approx(json.loads(one.stdout), rel=1e-10)
