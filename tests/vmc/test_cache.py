"""One compiled program per shape: the second geometry and the second process compile nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.compilation import quick_environment

ROOT = Path(__file__).parents[2]

# Training and evaluation of one geometry; prints jax's own count of its cache's hits and misses.
SCRIPT = """\
import collections, json, pathlib, sys, tempfile
import jax
events = collections.Counter()
jax.monitoring.register_event_listener(lambda name, **more: events.update([name]))
import jax.numpy as jnp
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
ansatz = ferminet.build(AnsatzSpec(1, 1, 2), jastrow="electron_cusp", **options)
nuclei = Nuclei(jnp.array([[0.0, 0.0, 0.0], [0.0, 0.0, float(sys.argv[1])]]), jnp.ones(2))
problem = Problem(ansatz, nuclei, 1, 1)
params = ansatz.init(jax.random.key(1), nuclei)
electrons = init_walkers(jax.random.key(2), nuclei, 1, 1, 16)
sampler = SamplerConfig(walkers=16, decorrelation_steps=3, burn_in=2)
optimizer = OptimizerConfig(name=sys.argv[2])
settings = TrainSettings(sampler, optimizer, TrainConfig(iterations=3), 3)
quiet = Progress("test", 1)
folder = pathlib.Path(tempfile.mkdtemp())
identity = RunIdentity("abc", {})
state = train(problem, settings, identity, params, electrons, folder / "train", quiet).state
evaluate(
    make_evaluator(problem, 0.1, 10), EvaluateConfig(iterations=25, burn_in=2), state.params,
    state.electrons, state.step_size, 4, "abc", folder / "evaluate", quiet,
)
print(json.dumps({name.rpartition("/")[2]: count for name, count in events.items()}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["kfac", "natural"])
def test_a_second_geometry_finds_every_program(tmp_path, optimizer):
    environment = quick_environment(
        JAX_COMPILATION_CACHE_DIR=str(tmp_path),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
        JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="0",
    )

    def counts(bond: str) -> dict[str, int]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, bond, optimizer],
            cwd=ROOT, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    first, second = counts("1.4"), counts("1.7")
    assert first.get("cache_misses", 0) > 10
    assert second.get("cache_misses", 0) == 0
    assert second["cache_hits"] >= first["cache_misses"]
