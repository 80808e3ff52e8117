"""What is asked: a study as a person writes it, and the resolved configuration of each of its runs.

The pydantic models here are the only description of the configuration. `python -m ferminet.config
--write` generates the JSON schemas and the documented defaults in `workflow/schemas` from them.
"""

from ferminet.config.ablations import ablations_of
from ferminet.config.baselines import (
    BaselineConfig,
    LimitConfig,
    expand_baselines,
    expand_limits,
    load_baseline,
    load_limit,
)
from ferminet.config.blocks import (
    AnsatzConfig,
    AnsatzSelection,
    EvaluateConfig,
    OptimizerConfig,
    PretrainConfig,
    SamplerConfig,
    ScfConfig,
    TrainConfig,
)
from ferminet.config.load import load_any_run, load_run, load_study
from ferminet.config.runs import RunConfig, expand_runs, resolve_run, stored_hash
from ferminet.config.selections import (
    BaselineSelection,
    DensityConfig,
    LimitSelection,
    PlotsConfig,
    SystemSelection,
)
from ferminet.config.study import Study

__all__ = [
    "AnsatzConfig",
    "AnsatzSelection",
    "BaselineConfig",
    "BaselineSelection",
    "DensityConfig",
    "EvaluateConfig",
    "LimitConfig",
    "LimitSelection",
    "OptimizerConfig",
    "PlotsConfig",
    "PretrainConfig",
    "RunConfig",
    "SamplerConfig",
    "ScfConfig",
    "Study",
    "SystemSelection",
    "TrainConfig",
    "ablations_of",
    "expand_baselines",
    "expand_limits",
    "expand_runs",
    "load_any_run",
    "load_baseline",
    "load_limit",
    "load_run",
    "load_study",
    "resolve_run",
    "stored_hash",
]
