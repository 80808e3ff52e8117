"""The blocks of a study, each the settings that one stage reads; the defaults are the paper's.

"The paper" is Pfau, Spencer, Matthews, Foulkes, Phys. Rev. Research 2, 033429 (2020). Where this
package cannot follow it exactly (the learning rate has another convention, the step size is
adapted), the description of the field explains it.
"""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from ferminet.config.optimizers import OPTIMIZERS, check_name, is_plugin
from ferminet.errors import InputError
from ferminet.systems.validation import Block

EVALUATION_BLOCK = 25  # iterations of an evaluation per transfer of results from the device

# With a wider margin almost any two wavefunctions would be equivalent.
WIDEST_MARGIN_HARTREE = 0.02

# Names that become part of paths: of studies and suites, and of wavefunctions.
SUITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ANSATZ_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,63}")


def _named_by(pattern: re.Pattern[str], problem: str) -> AfterValidator:
    def check(name: str) -> str:
        if not pattern.fullmatch(name):
            raise InputError(f"{name!r} {problem}")
        return name

    return AfterValidator(check)


def _check_unique(values: list[Any]) -> list[Any]:
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{value} is given twice; keep one.")
    return values


AnsatzName = Annotated[
    str,
    _named_by(
        _ANSATZ_NAME,
        "must have letters, digits and underscores only, because it becomes part of paths.",
    ),
]
SuiteName = Annotated[
    str, _named_by(SUITE_NAME, "is not the name of a folder; name a suite of results/published.")
]
Unique = AfterValidator(_check_unique)
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
CountOrZero = Annotated[int, Field(ge=0, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0)]


# The builder of the default wavefunction of a study.
FERMINET = "ferminet.ansatz.ferminet:build"


class ScfConfig(Block):
    """The Hartree-Fock orbitals that pretraining matches."""

    basis: str = "cc-pvdz"
    """Gaussian basis set, by its Basis Set Exchange name."""


class PretrainConfig(Block):
    """Matching the network's orbitals to the Hartree-Fock orbitals."""

    method: Literal["least_squares", "adam"] = "least_squares"
    """least_squares (Levenberg-Marquardt) has no learning rate and stops when it has converged;
    adam is the paper's."""
    iterations: CountOrZero = 200
    """Iterations, of least_squares at most; 0 skips pretraining."""
    walkers: Annotated[int, Field(ge=2, le=2**24)] | None = None
    """Walkers of each iteration; null takes as many as the sampler."""
    learning_rate: Positive = 1e-3
    """Learning rate of Adam."""
    tolerance: Positive = 0.1
    """Largest share of the density that the orbitals may miss; above it the run stops."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_removed_key(cls, content: Any) -> Any:
        if isinstance(content, dict) and "tolerance_hartree" in content:
            raise InputError(
                "tolerance_hartree is no longer a key; remove it (tolerance limits the orbitals' "
                "error, as a share), and set method to adam for the pretraining of older versions."
            )
        return content

    @model_validator(mode="after")
    def _refuse_unread_rate(self) -> "PretrainConfig":
        if self.method != "adam" and self.learning_rate != 1e-3:
            raise InputError(
                "learning_rate is not read by least_squares, which has no rate; remove it "
                "or set method to adam."
            )
        return self

    @model_serializer(mode="wrap")
    def _without_unread_rate(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = handler(self)
        if self.method != "adam":
            content.pop("learning_rate", None)
        return content


class SamplerConfig(Block):
    """Metropolis sampling of the squared wavefunction, all electrons moved at once."""

    walkers: Annotated[int, Field(ge=2, le=2**24)] = 4096
    """Number of walkers."""
    decorrelation_steps: Count = 10
    """Metropolis steps between two measurements of the energy."""
    burn_in: CountOrZero = 100
    """Sweeps of decorrelation_steps before the first update; they adapt the step size to its target
    acceptance."""
    step_size: Positive = 0.1
    """Initial standard deviation of the Gaussian moves (bohr), adapted later."""
    target_acceptance: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Acceptance that the step size is adapted to, in training only."""
    exchange_probability: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of steps that swap one spin-up with one spin-down electron."""
    hop_probability: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of steps that move one electron from the nearest nucleus to another one, for bonds that
    break; atoms have none."""

    @model_validator(mode="after")
    def _leave_displacements(self) -> "SamplerConfig":
        if sum(self.shares()) >= 1.0:
            raise ValueError(
                "exchange_probability and hop_probability must add up to less than 1, since "
                "electrons have to be displaced as well."
            )
        return self

    @model_serializer(mode="wrap")
    def _without_hops(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The hashes of runs were made before there was this key.
        return {k: v for k, v in handler(self).items() if k != "hop_probability" or v}

    def shares(self) -> tuple[float, float]:
        """Return the shares of exchanges and of hops among the moves."""
        return self.exchange_probability, self.hop_probability


class OptimizerConfig(Block):
    """The optimiser of the energy; rate at iteration t: learning_rate / (1 + t / delay)^decay."""

    name: Annotated[str, AfterValidator(check_name)] = Field(
        default="kfac", json_schema_extra={"anyOf": [{"enum": list(OPTIMIZERS)}, {"pattern": ":"}]}
    )
    """kfac, natural (the natural gradient with memory, by conjugate gradients), spring (small
    networks: its cost grows with walkers^2 x parameters), adam, or a plug-in: module:function or
    file.py:function."""
    learning_rate: Positive = 0.05
    """Initial learning rate; natural: the largest. The paper's 1e-4 belongs to its TensorFlow
    code, whose Fisher matrix is scaled differently; 0.05 is what its authors' JAX code uses."""
    learning_rate_delay: Positive = 1e4
    """Iterations after which the learning rate has halved (for decay 1)."""
    learning_rate_decay: Annotated[float, Field(ge=0)] = 1.0
    """Exponent of the decay; 0 keeps the rate constant."""
    learning_rate_warmup: CountOrZero = 0
    """Iterations over which the rate rises linearly to its schedule, while KFAC's covariances are
    averages over few samples; 0 starts at once."""
    damping: Positive = 1e-3
    """KFAC, natural, SPRING: added to the Fisher matrix."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """natural, SPRING: share of the last direction that a step starts from."""
    norm_constraint: Positive = 1e-3
    """KFAC, SPRING: largest squared Fisher norm of a step, four times the variance over the walkers
    of its change of log|psi|. natural: at the first step; its root falls with the learning rate."""
    cg_iterations: Count = 8
    """natural: most iterations of the conjugate gradients in a step."""
    step_norm: Literal["walkers", "estimate"] = "walkers"
    """KFAC: `estimate` limits KFAC's own estimate of this norm instead, as the authors of FermiNet
    do. It is many times smaller, and wrong where few walkers have been."""
    influence: Annotated[float, Field(ge=0)] = 0.0
    """KFAC, natural: a walker has less weight in the gradient if KFAC's step would change its
    log|psi| by more than this many mean absolute deviations; 0 sets no limit."""
    covariance_decay: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """KFAC, natural: decay of the running averages of the covariances."""
    inverse_interval: Count = 1
    """KFAC, natural: iterations between two inversions."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Plug-ins: keyword arguments of the function. Of the keys above a plug-in reads the learning
    rate and its schedule."""

    @model_validator(mode="after")
    def _take_own_defaults(self) -> "OptimizerConfig":
        if not is_plugin(self.name):
            for key, value in OPTIMIZERS[self.name].defaults.items():
                if key not in self.model_fields_set:
                    # It stays unset, so that an override may name another optimiser.
                    object.__setattr__(self, key, value)
        return self

    @model_validator(mode="after")
    def _refuse_unread_keys(self) -> "OptimizerConfig":
        if not is_plugin(self.name):
            if self.options:
                raise InputError(
                    f"options belong to plug-ins, and {self.name} is not one; set the keys of "
                    "this block instead."
                )
            return self
        for key, field in type(self).model_fields.items():
            read = key in ("name", "options") or key.startswith("learning_rate")
            if not read and getattr(self, key) != field.default:
                raise InputError(
                    f"{key} is not read by the plug-in {self.name}; write it in options, or in "
                    "ansatz.NAME.settings.optimizer of the wavefunction that needs it."
                )
        return self

    @model_serializer(mode="wrap")
    def _without_new_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The hashes of runs were made before there were these keys.
        new = {"options": {}, "step_norm": "walkers", "cg_iterations": 8}
        return {k: v for k, v in handler(self).items() if k not in new or v != new[k]}


SPREAD = ("spread_start", "spread_iterations")  # keys of a shared training


class TrainConfig(Block):
    """The optimisation of the energy."""

    iterations: Count = 200_000
    """Iterations in all; raising it continues a finished run."""
    clip: Positive = 5.0
    """Local energies are clipped, in the gradient only, this many mean absolute deviations from
    their median."""
    checkpoint_interval: Count = 1000
    """Iterations between two checkpoints."""
    averaging: Annotated[float, Field(ge=0)] = 9.0
    """Exponent k of the polynomial-decay average of the parameters, which covers about the last
    1/(k+1) of the iterations."""
    shared: bool = False
    """Train one wavefunction for all geometries of a system; the walkers are divided among them."""
    spread_start: CountOrZero = 100
    """Shared training begins with all geometries equal to the one in the middle of the list, and
    lets them spread from this iteration on."""
    spread_iterations: Count = 300
    """Iterations during which the geometries of a shared training spread."""

    @model_validator(mode="after")
    def _spread_is_for_shared_training(self) -> "TrainConfig":
        for key in SPREAD:
            if not self.shared and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} has no effect without shared: true; leave it out.")
        return self

    @model_serializer(mode="wrap")
    def _without_what_has_no_effect(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = handler(self)
        hidden = () if self.shared else ("shared", *SPREAD)
        return {key: value for key, value in content.items() if key not in hidden}


class EvaluateConfig(Block):
    """The energy of the frozen wavefunction; nothing is clipped and the step size is fixed."""

    iterations: Annotated[int, Field(ge=2, le=2**31 - 1)] = 10_000
    """Measurements of the energy per walker, rounded up to a multiple of 25 and at least 50;
    raising it adds samples."""
    decorrelation_steps: Count = 10
    """Metropolis steps between measurements."""
    burn_in: CountOrZero = 1000
    """Measurements discarded at the start."""
    seed_offset: Count = 1_000_000
    """The evaluation's seed is the training's plus this."""

    def iterations_with(self, parameters: str) -> int:
        """Return the iterations with the average or the last parameters, in at least two blocks.

        The last ones are measured for comparison, with a tenth of the iterations.
        """
        iterations = self.iterations // (10 if parameters == "last" else 1)
        return EVALUATION_BLOCK * max(-(-iterations // EVALUATION_BLOCK), 2)

    @property
    def all_iterations(self) -> int:
        """The iterations of the whole stage."""
        return self.iterations_with("average") + self.iterations_with("last")


class AnsatzConfig(Block):
    """A wavefunction: the function that builds it and that function's options."""

    build: str = FERMINET
    """module:function, file.py:function, or an entry point of ferminet.ansatz."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the function."""

    @field_validator("options")
    @classmethod
    def _require_json(cls, options: dict[str, Any]) -> dict[str, Any]:
        for key, value in options.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                raise ValueError(
                    f"{key} is {value}; it must be a finite number, text, true, false, or a list "
                    "or a block of these."
                ) from None
        return options


class AnsatzSelection(AnsatzConfig):
    """A wavefunction of a study, which may have separate settings."""

    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings that hold for this wavefunction alone, in the form of a system's overrides: block ->
    key -> value, of pretrain, sampler, optimizer, train, evaluate and options. They are merged
    over the study's blocks, the options above and the overrides of systems."""
    overrides: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    """Settings of this wavefunction for some systems: system -> block -> key -> value. They are
    merged over all others, `settings` too."""
