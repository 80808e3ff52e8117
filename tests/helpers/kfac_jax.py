"""KFAC from kfac-jax, an independent twin of the package's own."""

from collections.abc import Iterable

import jax.extend as jex
import jax.numpy as jnp
import kfac_jax
from kfac_jax._src import layers_and_loss_tags, tag_graph_matcher, tracer

from ferminet.ansatz.base import Ansatz, Array, Nuclei, Params
from ferminet.config import OptimizerConfig
from ferminet.vmc.optimizers.base import FISHER
from ferminet.vmc.sampling import batched_logabs


def kfac_preconditioner(config: OptimizerConfig, ansatz: Ansatz) -> kfac_jax.OptaxPreconditioner:
    """Return the inverse Fisher information as a linear operator on gradients.

    Curvature is estimated with a random sign for each walker's log|psi|. For dense layers this
    equals the exact sum over walkers; for other parameters (envelopes) it gives the mean of
    squares, where the "exact" mode would give the square of the mean.
    """
    # kfac-jax 0.0.8 needs two patches for the versions of jax that this package allows.
    tracer.__dict__["set"] = _set_in_order
    tag_graph_matcher.eval_jaxpr_eqn = _eval_jaxpr_eqn
    return kfac_jax.OptaxPreconditioner(
        _log_density(ansatz),
        damping=config.damping,
        estimation_mode="fisher_curvature_prop",
        curvature_ema=config.covariance_decay,
        inverse_update_period=config.inverse_interval,
        layer_tag_to_block_ctor={"repeated_dense": _dense_block},
        distributed_inverses=False,
        distributed_precon_apply=False,
    )


def _dense_block(layer_tag_eq: layers_and_loss_tags.LayerTagEqn) -> kfac_jax.CurvatureBlock:
    """Return the block of a layer `x @ weight + bias`.

    With masking, kfac-jax would divide by the number of rows with a slope, which is zero below a
    last layer that starts at zero. `x @ vector`, which it mistakes for a layer, gets the mean of
    squares like other parameters.
    """
    plain = kfac_jax.NaiveDiagonal(layer_tag_eq)
    if len(plain.parameters_shapes[0]) != 2:
        return plain
    return kfac_jax.RepeatedDenseKroneckerFactored(layer_tag_eq, use_masking=False)


def _log_density(ansatz: Ansatz):
    """Return log|psi| in the form that kfac-jax searches for layers.

    A normal distribution of variance 1/4 around it has the Fisher information of |psi|^2.
    """

    def value(params: Params, nuclei: Nuclei, electrons: Array) -> Array:
        logabs = batched_logabs(ansatz, params, nuclei)(electrons)
        kfac_jax.register_normal_predictive_distribution(logabs[:, None], variance=1.0 / FISHER)
        return jnp.mean(logabs)

    return value


def _set_in_order(items: Iterable = ()):
    """Replace `set` in kfac-jax's tracer by a type that keeps the order of a program's variables.

    The tracer lists the inputs of all layers through a set. Variables are hashed by address, so the
    compiled program would differ between processes and never be found in the compilation cache.
    """
    items = list(items)
    if items and all(isinstance(item, jex.core.Var) for item in items):
        return dict.fromkeys(items)
    return set(items)


def _eval_jaxpr_eqn(eqn, in_values: list) -> list:
    """Evaluate one equation; kfac-jax 0.0.8 expects the `get_bind_params` of jax before 0.9.2."""
    bind_params = eqn.primitive.get_bind_params(eqn.params)
    with jex.source_info_util.user_context(eqn.source_info.traceback):
        output = eqn.primitive.bind(*in_values, **bind_params)
    return output if eqn.primitive.multiple_results else [output]
