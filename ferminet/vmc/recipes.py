"""The published recipes of FermiNet, and where a run departs from them.

A recipe has the settings of its authors in this package's conventions: damping and norm constraint
are twice theirs, because the Fisher matrix is (docs/explanation/physics.md). What no setting can
change is a `Choice` of the code. Sources: Pfau, Spencer, Matthews, Foulkes, Phys. Rev. Research 2,
033429 (2020), and the authors' code, google-deepmind/ferminet, branch tf (319cfd2) for the paper
and main (0ce3411) for the JAX release.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ferminet.ansatz.options import FermiNetOptions
from ferminet.config.blocks import FERMINET

PAPER_ITERATIONS = 200_000
_MOST_ELECTRONS = 20  # above, the paper has 16 GPUs instead of 8

# Not part of a recipe: the step size is adapted (see the choice "moves"), averaged parameters are a
# choice of the code, KFAC does not read SPRING's momentum, and plug-ins differ by their name.
NOT_COMPARED = {
    "sampler.step_size", "sampler.target_acceptance", "train.averaging", "optimizer.momentum",
    "optimizer.options",
}  # fmt: skip


class Deviation(NamedTuple):
    """One difference between a run and a recipe.

    Attributes:
        name: of the setting, as tables write it.
        here: the run's value.
        there: the recipe's value.
        source: where the recipe's value was read.
        fixed: whether the code decides it, so that no setting can remove the difference.
    """

    name: str
    here: str
    there: str
    source: str
    fixed: bool = False

    def __str__(self) -> str:
        colon = ":" if self.fixed else ""
        return f"{self.name}{colon} {self.here} ({self.there})"


class Choice(NamedTuple):
    """A choice of this package's code that differs from the authors' code.

    Attributes:
        name, here, there, source: as in `Deviation`.
        key: the choice matters only where this setting has the value below.
        value: see key.
    """

    name: str
    here: str
    there: str
    source: str
    key: str = ""
    value: Any = None


class Recipe(NamedTuple):
    """The settings of a publication or release: `block.key` -> (value, source), and choices."""

    name: str
    label: str
    settings: Mapping[str, tuple[Any, str]]
    choices: tuple[Choice, ...]

    def settings_for(self, system: str, n_electrons: int) -> dict[str, tuple[Any, str]]:
        """Return the settings for one system; two of the paper depend on it."""
        settings = dict(self.settings)
        if self.name == "paper" and n_electrons > _MOST_ELECTRONS:
            source = "256 walkers on each of 16 GPUs (article, text) x 1e-4"
            settings["optimizer.learning_rate"] = (256e-4, source)
        if self.name == "paper" and system == "N2_curve":
            source = "the published curve, according to arXiv:2110.05064, section 4"
            settings["options.determinants"] = (32, source)
        return settings


_NAMES = {
    "options.full_determinant": "full determinants",
    "options.jastrow": "Jastrow factor",
    "options.spin_symmetric": "even under exchange of spins",
    "options.rescale_inputs": "rescaled inputs",
    "options.one_electron_width": "one-electron width",
    "options.two_electron_width": "two-electron width",
    "scf.basis": "pretraining basis",
    "sampler.decorrelation_steps": "Metropolis steps",
    "sampler.exchange_probability": "share of exchange moves",
    "sampler.burn_in": "sweeps of burn-in",
    "optimizer.name": "optimiser",
    "optimizer.learning_rate_delay": "delay of the rate",
    "optimizer.learning_rate_decay": "decay of the rate",
    "optimizer.learning_rate_warmup": "warm-up of the rate",
    "optimizer.influence": "limit of a walker's influence",
    "optimizer.covariance_decay": "decay of the covariances",
    "train.clip": "clipping",
    "train.iterations": "iterations",
}


def setting_label(key: str) -> str:
    """Write the key of a setting as prose does.

    >>> setting_label("pretrain.learning_rate"), setting_label("optimizer.damping")
    ('pretraining learning rate', 'damping')
    """
    block, _, name = key.rpartition(".")
    prefix = "pretraining " if block == "pretrain" else ""
    return _NAMES.get(key, prefix + name.replace("_", " "))


_TF, _JAX = "ferminet/{} of branch tf", "ferminet/{} of main"
_COMMON = {
    "sampler.walkers": 4096,
    "sampler.decorrelation_steps": 10,
    "sampler.exchange_probability": 0.0,
    "sampler.burn_in": 100,
    "optimizer.name": "kfac",
    "optimizer.learning_rate_delay": 1e4,
    "optimizer.learning_rate_decay": 1.0,
    "optimizer.learning_rate_warmup": 0,
    "optimizer.damping": 2e-3,
    "optimizer.norm_constraint": 2e-3,
    "optimizer.influence": 0.0,
    "optimizer.covariance_decay": 0.95,
    "optimizer.inverse_interval": 1,
    "train.clip": 5.0,
    "pretrain.iterations": 1000,
    "precision": "float32",
}


def _settings(
    options: FermiNetOptions, others: dict[str, tuple[Any, str]], source: str
) -> dict[str, tuple[Any, str]]:
    network = {f"options.{key}": value for key, value in options.model_dump().items()}
    return {key: (value, source) for key, value in {**network, **_COMMON}.items()} | others


_KFAC = ("optimizer.name", "kfac")
_BOTH_CHOICES = (
    Choice(
        "form of the norm constraint",
        "of the step's Fisher norm over the walkers",
        "of KFAC's estimate of it",
        "kfac-jax and tensorflow/kfac",
        *_KFAC,
    ),
    Choice(
        "curvature of the envelopes' weights",
        "mean of O^2 over the walkers",
        "square of the mean of O, times the walkers",
        "kfac-jax and tensorflow/kfac, naive diagonal",
        *_KFAC,
    ),
    Choice(
        "start of the envelopes",
        "nuclear charges for cores, hydrogen and helium, 1 elsewhere",
        "1",
        "ferminet/networks.py and ferminet/envelopes.py",
    ),
    Choice(
        "pretraining schedule", "cosine to zero", "constant", "ferminet/networks.py and pretrain.py"
    ),
    Choice(
        "pretraining orbitals",
        "restricted for closed shells, determinants of a small CI where bonds break",
        "unrestricted Hartree-Fock",
        "ferminet/utils/scf.py",
    ),
    Choice(
        "evaluated parameters",
        "average over the last tenth of training, and the last ones",
        "the last ones",
        "ferminet/train.py",
    ),
)
PAPER = Recipe(
    "paper",
    "Pfau et al. 2020",
    _settings(
        FermiNetOptions(),
        {
            "scf.basis": ("sto-3g", _TF.format("train.py")),
            "pretrain.learning_rate": (1e-3, "default of TensorFlow's Adam, which networks.py has"),
            "pretrain.walkers": (8192, "4,096 of each kind: " + _TF.format("qmc.py")),
            "optimizer.learning_rate": (
                512e-4,
                "512 walkers on each of 8 GPUs (article, text) x 1e-4, because the code sums "
                "over the walkers of a GPU: " + _TF.format("qmc.py"),
            ),
            "train.iterations": (PAPER_ITERATIONS, "article, table of hyperparameters"),
        },
        _TF.format("train.py"),
    ),
    (
        *_BOTH_CHOICES,
        Choice(
            "centre of KFAC's curvature",
            "none",
            "mean of O (rank-one correction)",
            _TF.format("mean_corrected_kfac_opt.py"),
            *_KFAC,
        ),
        Choice(
            "curvature of anisotropic envelopes",
            "diagonal",
            "Kronecker factors",
            _TF.format("networks.py"),
            "options.envelope",
            "anisotropic",
        ),
        Choice(
            "moves",
            "width in proportion to the distance to the nearest nucleus, adapted",
            "one width of 0.02 bohr",
            _TF.format("train.py"),
        ),
        Choice(
            "pretraining samples",
            "half from Hartree-Fock determinants, half from the network, 2 steps",
            "half from the product of orbitals, half from the network, 10 steps",
            _TF.format("qmc.py"),
        ),
        Choice(
            "centre of the gradient",
            "mean of the clipped energies",
            "mean of the unclipped energies",
            _TF.format("qmc.py"),
        ),
        Choice("two-electron stream", "residual", "not residual", _TF.format("networks.py")),
        Choice(
            "determinant weights",
            "part of the orbitals",
            "separate parameters",
            _TF.format("networks.py"),
        ),
    ),
)
PAPER_JAX = Recipe(
    "paper-jax",
    "the authors' JAX release",
    _settings(
        FermiNetOptions(full_determinant=True, envelope="isotropic"),
        {
            "scf.basis": ("cc-pvdz", _JAX.format("base_config.py")),
            "pretrain.learning_rate": (3e-4, _JAX.format("pretrain.py")),
            "pretrain.walkers": (4096, _JAX.format("pretrain.py")),
            "optimizer.learning_rate": (0.05, _JAX.format("base_config.py")),
            "train.iterations": (1_000_000, _JAX.format("base_config.py")),
        },
        _JAX.format("base_config.py"),
    ),
    (
        *_BOTH_CHOICES,
        Choice(
            "curvature of isotropic envelopes",
            "mean of O^2 over the walkers",
            "square of the mean of O, times the walkers",
            "kfac-jax, naive diagonal",
            "options.envelope",
            "isotropic",
        ),
        Choice(
            "moves",
            "width in proportion to the distance to the nearest nucleus, adapted in every sweep",
            "one width, adapted every 100 iterations",
            _JAX.format("mcmc.py"),
        ),
        Choice(
            "pretraining samples",
            "half from Hartree-Fock determinants, half from the network, 2 steps",
            "from Hartree-Fock determinants, 1 step",
            _JAX.format("pretrain.py"),
        ),
        Choice(
            "centre of clipping",
            "median of the energies",
            "mean of the energies",
            _JAX.format("base_config.py"),
        ),
        Choice("bias of the orbital map", "yes", "no", _JAX.format("base_config.py")),
        Choice("residual connections", "sum", "sum divided by sqrt(2)", _JAX.format("networks.py")),
    ),
)
RECIPES = {recipe.name: recipe for recipe in (PAPER, PAPER_JAX)}


def deviations(
    recipe: Recipe, settings: Mapping[str, Any], system: str, n_electrons: int, ansatz: str
) -> list[Deviation]:
    """Compare a run with a recipe.

    Args:
        recipe: one of `RECIPES`.
        settings: what `RunConfig.settings` returns. A setting that it lacks had not been invented
            when the run was made and has the recipe's value.
        system: name of the run's system.
        n_electrons: number of its electrons.
        ansatz: name of the wavefunction.

    Returns:
        The settings that differ, then the choices of the code.
    """
    is_ferminet = settings.get("build") == FERMINET
    found = []
    if not is_ferminet:
        found.append(Deviation("wavefunction", ansatz, "FermiNet", recipe.label))
    for key, (there, source) in recipe.settings_for(system, n_electrons).items():
        if key.startswith("options.") and not is_ferminet:
            continue
        here = _value(settings, key, there)
        if not _same(here, there):
            found.append(Deviation(setting_label(key), _text(here), _text(there), source))
    for choice in recipe.choices:
        if not choice.key or _value(settings, choice.key, None) == choice.value:
            found.append(Deviation(*choice[:4], fixed=True))
    return found


def _value(settings: Mapping[str, Any], key: str, default: Any) -> Any:
    block, _, name = key.rpartition(".")
    value = (settings.get(block, {}) if block else settings).get(name, default)
    if key == "pretrain.walkers" and value is None:
        return settings["sampler"]["walkers"]
    return value


def _same(here: Any, there: Any) -> bool:
    if isinstance(there, float) and isinstance(here, int | float):
        return math.isclose(here, there)
    return here == there


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
