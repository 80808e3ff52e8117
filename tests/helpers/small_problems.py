"""Fixtures: small systems and settings that the tests of the Monte Carlo side share."""

import inspect
import logging
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz import ferminet, hydrogenic
from ferminet.ansatz.base import Ansatz, AnsatzSpec, LogPsi, Nuclei
from ferminet.ansatz.layers import dense, init_dense
from ferminet.config import OptimizerConfig, SamplerConfig, TrainConfig
from ferminet.runtime.progress import Progress
from ferminet.vmc.programs import Problem
from ferminet.vmc.train import TrainSettings

TINY = {"layers": 2, "one_electron_width": 8, "two_electron_width": 4, "determinants": 2}


@pytest.fixture(scope="session")
def make_nuclei() -> Callable[..., Nuclei]:
    """``make_nuclei([[Z, x, y, z], ...])``, bohr."""

    def make(rows: list[list[float]], dtype=jnp.float64) -> Nuclei:
        table = jnp.asarray(rows, dtype)
        return Nuclei(table[:, 1:], table[:, 0])

    return make


@pytest.fixture(scope="session")
def make_tiny(make_nuclei) -> Callable[..., Problem]:
    """``make_tiny(rows of nuclei, n_up, n_down, **options)``: a FermiNet that compiles quickly."""

    def make(rows: list[list[float]], n_up: int, n_down: int, **options) -> Problem:
        ansatz = ferminet.build(AnsatzSpec(n_up, n_down, len(rows)), **(TINY | options))
        return Problem(ansatz, make_nuclei(rows), n_up, n_down)

    return make


@pytest.fixture(scope="session")
def any_params() -> Callable[..., dict]:
    """``any_params(problem, seed)``: random parameters without the compilation of ``init``."""

    def draw(problem: Problem, seed: int = 0) -> dict:
        rng = np.random.default_rng(seed)

        def one(path, leaf):
            values = 0.5 * rng.normal(size=leaf.shape)
            if "decay" not in jax.tree_util.keystr(path):
                return values
            return values + (np.eye(3) if leaf.shape[-2:] == (3, 3) else 1.0)

        shapes = jax.eval_shape(problem.ansatz.init, jax.random.key(0), problem.nuclei)
        return jax.tree_util.tree_map_with_path(one, shapes)

    return draw


@pytest.fixture(scope="session")
def make_hydrogenic(make_nuclei) -> Callable[..., Problem]:
    """``make_hydrogenic(charge, zeta)``: one electron at one nucleus."""

    def make(charge: float, zeta: float) -> Problem:
        ansatz = hydrogenic.build(AnsatzSpec(1, 0, 1), zeta=zeta)
        return Problem(ansatz, make_nuclei([[charge, 0.0, 0.0, 0.0]]), 1, 0)

    return make


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Progress:
    """A progress report that only `caplog` shows."""
    caplog.set_level(logging.INFO, logger="ferminet")
    return Progress("test", 1)


@pytest.fixture(scope="session")
def small_sampler() -> SamplerConfig:
    """Few walkers, few steps."""
    return SamplerConfig(walkers=32, decorrelation_steps=4, burn_in=8, step_size=0.3)


@pytest.fixture(scope="session")
def small_settings(small_sampler):
    """`small_settings(optimizer, iterations, interval, **more)` as training reads them."""

    def make(optimizer: str = "adam", iterations: int = 6, interval: int = 3, **more):
        config = OptimizerConfig(name=optimizer, **({"learning_rate": 0.02} | more))
        train = TrainConfig(iterations=iterations, checkpoint_interval=interval)
        return TrainSettings(small_sampler, config, train, 7)

    return make


@pytest.fixture(scope="session")
def hydrogen_walkers() -> Callable[..., jax.Array]:
    """``hydrogen_walkers(n, zeta, seed)``: exact samples of exp(-2 zeta r), (n, 1, 3) in bohr."""

    def draw(n_walkers: int, zeta: float, seed: int) -> jax.Array:
        rng = np.random.default_rng(seed)
        radius = rng.gamma(3.0, 0.5 / zeta, size=(n_walkers, 1))  # r^2 exp(-2 zeta r)
        direction = rng.normal(size=(n_walkers, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return jnp.asarray((radius * direction)[:, None])

    return draw


@pytest.fixture
def mutate(monkeypatch) -> Callable[..., None]:
    """``mutate(function, old, new, **names)`` puts a bug into a function of the package.

    The function's text is changed and takes its place in its module until the test ends;
    ``names`` are what the new text needs.
    """

    def replace(function: Callable, old: str, new: str, **names) -> None:
        source = inspect.getsource(function)
        assert source.count(old) == 1, f"{function.__name__} has no unique {old!r}"
        module = inspect.getmodule(function)
        assert module is not None
        namespace = {**vars(module), **names}
        exec(source.replace(old, new), namespace)
        monkeypatch.setattr(module, function.__name__, namespace[function.__name__])

    return replace


@pytest.fixture(scope="session")
def small_network(make_nuclei) -> Problem:
    """A hydrogen atom with exp(-zeta r + network(r)): dense layers, and compiled in no time."""
    nuclei = make_nuclei([[1.0, 0.0, 0.0, 0.0]])

    def init(key, nuclei):
        del nuclei
        first, second = jax.random.split(key)
        return {
            "zeta": jnp.asarray(1.3),
            "hidden": init_dense(first, 2, 5, jnp.float64),
            "output": init_dense(second, 5, 1, jnp.float64),
        }

    def apply(params, electrons, nuclei):
        r = jnp.sqrt(jnp.sum((electrons - nuclei.coords[0]) ** 2, axis=-1))  # (1,)
        inputs = jnp.stack([r, jnp.exp(-r)], axis=-1)
        hidden = jnp.tanh(dense(params["hidden"], inputs))
        logabs = -params["zeta"] * r + 0.2 * dense(params["output"], hidden)[:, 0]
        return LogPsi(jnp.ones((), electrons.dtype), jnp.sum(logabs))

    return Problem(Ansatz(init, apply), nuclei, 1, 0)
