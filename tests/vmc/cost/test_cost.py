"""The cost of a run: operations as in the traced programs, seconds as in measured iterations."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from bench.flops import count_flops
from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.ansatz.determinants import LARGEST_EXPANDED
from ferminet.ansatz.options import FermiNetOptions
from ferminet.config import OptimizerConfig, RunConfig
from ferminet.systems.files import load_systems
from ferminet.vmc import evaluate, pretrain
from ferminet.vmc.cost import flops as vmc_flops
from ferminet.vmc.cost import runs as vmc_cost
from ferminet.vmc.cost.flops import DEFAULTS, Network
from ferminet.vmc.cost.published import PUBLISHED
from ferminet.vmc.cost.runs import BUSY_GFLOP_PER_S, WITHIN, predict_run
from ferminet.vmc.hamiltonian import local_energy
from ferminet.vmc.optimizers.kfac import make_kfac

ROOT = Path(__file__).parents[3]
SYSTEMS = load_systems(ROOT / "molecules")
MEASURED = list(
    csv.DictReader((ROOT / "tests/vmc/cost/measured_runs.csv").read_text().splitlines())
)
SMALL = {"layers": 3, "one_electron_width": 16, "two_electron_width": 8, "determinants": 4}
FULL = {**SMALL, "full_determinant": True, "envelope": "isotropic"}


def molecule(system: str):
    return next(iter(SYSTEMS[system].geometries.values()))


def run_with(
    system: str, options: dict[str, Any] | None = None, **blocks: dict[str, Any]
) -> RunConfig:
    """A run with the defaults, which are the paper's, changed block by block."""
    given = {
        "study": "s", "system": system, "geometry": "eq", "molecule": molecule(system).model_dump(),
        "deviations": [], "ansatz_name": "ferminet", "ansatz": {"options": options or {}},
        "plugin_digest": None, "precision": "float32", "seed": 1,
    }  # fmt: skip
    names = ("scf", "pretrain", "sampler", "optimizer", "train", "evaluate")
    precision = blocks.pop("precision", "float32")
    filled = {name: blocks.get(name, {}) for name in names}
    return RunConfig.model_validate({**given, **filled, "precision": precision})


def hours(run: RunConfig) -> float:
    cost = predict_run(run)
    assert cost is not None
    return cost.total_s / 3600


@pytest.mark.parametrize(
    ("system", "options"),
    [
        ("C", {**FULL, "determinants": 2}),
        ("N", {**SMALL, "jastrow": "electron_cusp", "rescale_inputs": True}),
        ("H", SMALL),
        ("H4", {**FULL, "spin_symmetric": True, "determinants": 3}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_products_are_those_of_the_programs(system: str, options: dict[str, Any]) -> None:
    """Every matrix product of log|psi|, of a local energy and of KFAC's step, as traced."""
    found = molecule(system)
    network = Network.of(found, options)
    nuclei = Nuclei(jnp.asarray(found.coords), jnp.asarray(found.charges, float))
    ansatz = ferminet.build(AnsatzSpec(*found.spins, len(found.symbols)), **options)
    params = jax.eval_shape(ansatz.init, jax.random.key(0), nuclei)
    walker = jax.ShapeDtypeStruct((found.n_electrons, 3), float)
    counted = count_flops(lambda p, x: ansatz.apply(p, x, nuclei).logabs, params, walker)
    assert vmc_flops.forward(network).products == counted
    energy = local_energy(ansatz)
    counted = count_flops(lambda p, x: energy(p, x, nuclei).total, params, walker)
    assert vmc_flops.local_energy(network).products == pytest.approx(counted, rel=2e-3)

    assert ansatz.layered is not None
    kfac = make_kfac(OptimizerConfig(), ansatz.layered)

    def step(n_walkers: int) -> int:
        walkers = jax.ShapeDtypeStruct((n_walkers, *walker.shape), float)
        factors = jax.eval_shape(kfac.init, params, walkers, nuclei)
        weights = jax.ShapeDtypeStruct((n_walkers,), float)
        one = lambda p, e, w, f: kfac.step(p, e, nuclei, w, f, 0)  # noqa: E731
        return count_flops(one, params, walkers, weights, factors)

    of_walker, of_iteration = vmc_flops.kfac(network)
    slope = step(3) - step(2)
    assert of_walker.products == pytest.approx(slope, rel=0.01)
    assert of_iteration.products == pytest.approx(step(2) - 2 * slope, rel=1e-3)
    sizes = [leaf.size for leaf in jax.tree.leaves(params)]
    jastrow = 2 if "jastrow" in options else 0
    assert network.parameters() == sum(sizes) - jastrow


def test_constants_are_those_of_the_stages() -> None:
    from ferminet.stages import runs as stages

    assert vmc_cost.PRETRAIN_STEPS == pretrain.STEPS_PER_ITERATION
    assert vmc_cost.ENERGY_SWEEPS == pretrain.ENERGY_SWEEPS
    assert vmc_cost.BLOCK == evaluate.BLOCK
    assert vmc_cost.MEASURE_INTERVAL == evaluate.MEASURE_INTERVAL
    assert vmc_cost.LAST_SHARE == stages.LAST_SHARE
    assert vmc_flops.LARGEST_EXPANDED == LARGEST_EXPANDED
    assert FermiNetOptions().model_dump() == DEFAULTS


def _measured_and_predicted(row: dict[str, str]) -> tuple[float, float]:
    """Seconds of an iteration on a core as busy as the model's."""
    steps = {"decorrelation_steps": int(row["metropolis_steps"])}
    run = run_with(
        row["system"],
        json.loads(row["options"]),
        sampler={"walkers": int(row["walkers"]), **steps},
        evaluate=steps,
    )
    cost = predict_run(run)
    assert cost is not None
    busy = float(row["matrix_product_gflop_per_s"]) / BUSY_GFLOP_PER_S
    return float(row["cpu_s"]) * busy, cost.iteration_s[row["stage"]]  # type: ignore[index]


@pytest.mark.parametrize(
    "row", MEASURED, ids=lambda row: f"{row['system']}-{row['walkers']}-{row['stage']}"
)
def test_predictions_are_within_a_factor_of_what_was_measured(row: dict[str, str]) -> None:
    measured, predicted = _measured_and_predicted(row)
    assert 1 / WITHIN < predicted / measured < WITHIN


def test_the_stated_factor_is_no_larger_than_it_must_be() -> None:
    pairs = [_measured_and_predicted(row) for row in MEASURED]
    largest = max(max(p / m, m / p) for m, p in pairs)
    assert largest < WITHIN < 1.1 * largest
    mean = sum(math.log(p / m) for m, p in pairs) / len(pairs)
    assert abs(mean) < math.log(1.1), "as often above as below"


MORE: list[dict[str, dict[str, Any]]] = [
    {"sampler": {"walkers": 8192}},
    {"sampler": {"decorrelation_steps": 20}},
    {"train": {"iterations": 300_000}},
    {"evaluate": {"iterations": 20_000}},
    {"evaluate": {"burn_in": 3000}},
    {"pretrain": {"iterations": 9000}},
    {"optimizer": {"influence": 20.0}},
]


@pytest.mark.parametrize("change", MORE, ids=str)
def test_more_work_costs_more(change: dict[str, dict[str, Any]]) -> None:
    assert hours(run_with("LiH", **change)) > hours(run_with("LiH"))


@pytest.mark.parametrize(
    "option", ["layers", "one_electron_width", "two_electron_width", "determinants"]
)
def test_larger_networks_cost_more(option: str) -> None:
    larger = {option: 2 * DEFAULTS[option]}
    assert hours(run_with("LiH", larger)) > hours(run_with("LiH"))
    assert hours(run_with("LiH", {"full_determinant": True})) > hours(run_with("LiH"))


def test_cost_grows_with_the_electrons_and_stays_a_power() -> None:
    names = ("H", "He", "Li", "Be", "C", "Ne", "N2", "ozone", "bicyclobutane")
    found = [hours(run_with(name)) for name in names]
    assert found == sorted(found)
    # Pfau et al.: between the second and the third power for so many electrons.
    power = math.log(found[-1] / found[-3]) / math.log(30 / 14)
    assert 1.5 < power < 3.5


def test_double_precision_and_optimisers() -> None:
    single, double = run_with("LiH"), run_with("LiH", precision="float64")  # type: ignore[arg-type]
    assert 1.9 < hours(double) / hours(single) <= 2.0
    adam = run_with("LiH", FULL, optimizer={"name": "adam"})
    kfac = run_with("LiH", FULL, optimizer={"name": "kfac"})
    spring = run_with("LiH", FULL, optimizer={"name": "spring"})
    assert hours(adam) < hours(kfac) < hours(spring)


def test_the_rate_of_a_gpu_is_what_was_published() -> None:
    """The geometric mean of what three figures give, each within a factor of 1.3 of it."""
    rates = []
    for one in PUBLISHED:
        if not one.fitted:
            continue
        cost = predict_run(run_with(one.system, {"determinants": one.determinants}), "a100")
        assert cost is not None
        reported = one.hours * 3600 / one.geometries / 200_000
        rates.append(cost.iteration_s["train"] / reported)
    assert len(rates) == 3
    assert math.prod(rates) ** (1 / 3) == pytest.approx(1.0, rel=0.02)
    assert all(1 / 1.35 < rate < 1.35 for rate in rates)


def test_memory_is_what_was_seen() -> None:
    """The peak of a training's iteration of bicyclobutane was 15.3 GiB."""
    full = {"full_determinant": True, "envelope": "isotropic"}
    cost = predict_run(run_with("bicyclobutane", full))
    assert cost is not None
    assert cost.memory_gb == pytest.approx(15.3 * 1.074, rel=0.15)
