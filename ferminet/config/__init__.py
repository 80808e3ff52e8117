"""Studies as a user writes them, and the resolved configuration of each of their runs.

The pydantic models here are the only description of the configuration. `python -m ferminet.config
--write` generates the JSON schemas and the documented defaults in `workflow/schemas` from them.
"""

from ferminet.config.baselines import (
    BaselineConfig,
    LimitConfig,
    expand_baselines,
    expand_limits,
    load_baseline,
    load_limit,
)
from ferminet.config.blocks import (
    EvaluateConfig,
    OptimizerConfig,
    PretrainConfig,
    SamplerConfig,
    TrainConfig,
)
from ferminet.config.load import load_run, load_study
from ferminet.config.runs import RunConfig, expand_runs, expand_trainings, resolve_run
from ferminet.config.study import Study
