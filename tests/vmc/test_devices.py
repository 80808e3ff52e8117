"""Walkers divided among devices: simulated ones, in processes of their own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A few iterations of KFAC and their evaluation on so many devices of the CPU; prints what came out.
SCRIPT = """\
import json, sys
import jax
from ferminet.processes import is_first, join_processes
if len(sys.argv) > 4:
    join_processes()
else:
    jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
jax.config.update("jax_enable_x64", True)
import io, pathlib, tempfile
import jax.numpy as jnp
import numpy as np
from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.config import EvaluateConfig, OptimizerConfig, SamplerConfig, TrainConfig
from ferminet.progress import Progress
from ferminet.vmc.evaluate import evaluate, make_evaluator
from ferminet.vmc.programs import Problem
from ferminet.vmc.sampling import init_walkers
from ferminet.vmc.train import TrainSettings, train

options = dict(layers=2, one_electron_width=8, two_electron_width=4, determinants=2)
ansatz = ferminet.build(AnsatzSpec(2, 1, 1), **options)
nuclei = Nuclei(jnp.zeros((1, 3)), jnp.array([3.0]))
problem = Problem(ansatz, nuclei, 2, 1)
params = ansatz.init(jax.random.key(1), nuclei)
electrons = init_walkers(jax.random.key(2), nuclei, 2, 1, int(sys.argv[2]))
sampler = SamplerConfig(walkers=len(electrons), decorrelation_steps=3, burn_in=5)
optimizer = OptimizerConfig(name=sys.argv[3], learning_rate=0.01)
settings = TrainSettings(sampler, optimizer, TrainConfig(iterations=4), 3, "abc", {})
quiet = Progress("test", 1, stream=io.StringIO())
folder = pathlib.Path(sys.argv[4] if len(sys.argv) > 4 else tempfile.mkdtemp())
state = train(problem, settings, params, electrons, folder / "train", quiet).state
result = evaluate(
    make_evaluator(problem, 0.1), EvaluateConfig(iterations=25, burn_in=2), state.params,
    state.electrons, state.step_size, 4, "abc", folder / "evaluate", quiet,
)
files = sorted(path.name for path in folder.rglob("*.*"))
flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.params)])
print(json.dumps({
    "first": is_first(),
    "files": files,
    "devices": len(state.electrons.sharding.device_set),
    "parameters": flat.tolist(),
    "energy": float(np.mean(result.trace.step_energy)),
}))
"""


def run(n_devices: int, walkers: int = 16, optimizer: str = "kfac") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(n_devices), str(walkers), optimizer],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


def results(n_devices: int, optimizer: str) -> dict:
    done = run(n_devices, optimizer=optimizer)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "counts"), [("kfac", (2, 4)), ("spring", (2,))], ids=str)
def test_devices_change_nothing_but_rounding(optimizer, counts):
    one = results(1, optimizer)
    for n_devices in counts:
        many = results(n_devices, optimizer)
        assert many["devices"] == n_devices
        assert many["parameters"] == pytest.approx(one["parameters"], rel=1e-8, abs=1e-10)
        assert many["energy"] == pytest.approx(one["energy"], rel=1e-8)


@pytest.mark.slow
def test_two_processes_compute_what_one_does(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, "1", "16", "kfac", str(tmp_path)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={
                **os.environ,
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": str(index),
            },
        )
        for index in (0, 1)
    ]  # fmt: skip
    ended = [process.communicate() for process in started]
    assert all(process.returncode == 0 for process in started), ended
    found = [json.loads(output.splitlines()[-1]) for output, _ in ended]  # Gloo prints, too
    one = results(1, "kfac")
    assert [each["first"] for each in found] == [True, False]
    for each in found:
        assert each["devices"] == 2
        assert each["parameters"] == pytest.approx(one["parameters"], rel=1e-8, abs=1e-10)
        assert each["energy"] == pytest.approx(one["energy"], rel=1e-8)
    assert "history.csv" in found[0]["files"]


@pytest.mark.slow
def test_walkers_that_cannot_be_divided_are_refused():
    done = run(4, walkers=18)
    assert "18 walkers cannot be divided among 4 devices" in done.stderr
