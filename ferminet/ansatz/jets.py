"""Functions with their first derivatives and their Laplacian, carried forward together.

For f of x in R^k, a jet holds f, its k partial derivatives and sum_k d^2 f / dx_k^2. Linear maps
act on all three alike; a product and an elementwise function need two lines each:

    (fg)_k = f_k g + f g_k            nabla^2 (fg) = g nabla^2 f + f nabla^2 g + 2 sum_k f_k g_k
    t(f)_k = t' f_k                   nabla^2 t(f) = t' nabla^2 f + t'' sum_k f_k^2

This is the forward Laplacian of Li et al., Nat. Mach. Intell. 6, 209 (2024), written out for the
few operations that a wavefunction consists of.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ferminet.ansatz.base import Array


class Jet(NamedTuple):
    """Functions of the same k coordinates; the last axis counts the functions."""

    value: Array  # (..., d)
    gradient: Array  # (..., k, d)
    laplacian: Array  # (..., d)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return self.value.shape

    def __getitem__(self, index) -> "Jet":
        return jax.tree.map(lambda x: x[index], self)

    def __add__(self, other: "Jet") -> "Jet":
        return jax.tree.map(jnp.add, self, other)

    def __sub__(self, other: "Jet") -> "Jet":
        return jax.tree.map(jnp.subtract, self, other)

    def __mul__(self, other: "Jet") -> "Jet":
        cross = 2.0 * jnp.sum(self.gradient * other.gradient, axis=-2)
        return Jet(
            self.value * other.value,
            self.gradient * other.value[..., None, :] + other.gradient * self.value[..., None, :],
            self.laplacian * other.value + other.laplacian * self.value + cross,
        )


def add_slices(array: Array, axis: int) -> Array:
    """Return the sum over an axis other than the last, slice by slice.

    XLA's programs for CPUs take three to five times longer to reduce such an axis.
    """
    slices = (jax.lax.index_in_dim(array, i, axis, False) for i in range(array.shape[axis]))
    return functools.reduce(jnp.add, slices)


def linear(weight: Array, jet: Jet) -> Jet:
    """Return the linear map f @ weight."""
    return jax.tree.map(lambda x: x @ weight, jet)


def tanh(jet: Jet) -> Jet:
    """Return the hyperbolic tangent t of f: t' = 1 - t^2, t'' = -2 t t'."""
    value = jnp.tanh(jet.value)
    first = 1.0 - value**2
    squares = jnp.sum(jet.gradient**2, axis=-2)
    laplacian = first * (jet.laplacian - 2.0 * value * squares)
    return Jet(value, first[..., None, :] * jet.gradient, laplacian)


def add_constant(jet: Jet, constant: Array) -> Jet:
    """Return f + constant, whose derivatives are those of f."""
    return jet._replace(value=jet.value + constant)


def mean(jet: Jet) -> Jet:
    """Return the mean over the first axis."""
    return jax.tree.map(lambda x: add_slices(x, 0) / x.shape[0], jet)


def concatenate(jets: list[Jet], axis: int = 0) -> Jet:
    """Join jets along a leading axis."""
    return jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=axis), *jets)


def vector_and_length(vectors: Array, present: Array | None = None) -> Jet:
    """Return (r, |r|) as functions of r: nabla |r| = r / |r|, nabla^2 |r| = 2 / |r|.

    The vectors are (..., 3), bohr; the jet has value (..., 4) and gradient (..., 3, 4). `present`
    (...) is 0 for the pair of an electron with itself, whose length is the constant 0 without
    derivatives, else 1; `None` if there is no such pair.
    """
    squares = jnp.sum(vectors**2, axis=-1)
    if present is None:
        present = jnp.ones_like(squares)
    lengths = jnp.sqrt(squares + (1.0 - present))  # 1 for an electron paired with itself
    eye = jnp.broadcast_to(jnp.eye(3, dtype=vectors.dtype), (*vectors.shape, 3))
    slopes = (present / lengths)[..., None] * vectors
    zeros = jnp.zeros_like(vectors)
    return Jet(
        jnp.concatenate([vectors, (present * lengths)[..., None]], axis=-1),
        jnp.concatenate([present[..., None, None] * eye, slopes[..., None]], axis=-1),
        jnp.concatenate([zeros, (2.0 * present / lengths)[..., None]], axis=-1),
    )


def rescale(jet: Jet) -> Jet:
    """Return `layers.rescale` of (r, |r|): (s r, l) with l = log(1 + |r|) and s = l / |r|.

    From |r| s = l: s' = (l' - s) / |r| and nabla^2 (s r) = r (l'' + 2 s') / |r|. The jet is from
    `vector_and_length`, value (..., 4), gradient (..., 3, 4) by r.
    """
    vectors, lengths = jet.value[..., :3], jet.value[..., 3]
    present = (lengths > 0.0).astype(lengths.dtype)
    safe = lengths + (1.0 - present)
    new, first = jnp.log1p(lengths), 1.0 / (1.0 + lengths)
    second = -(first**2)
    scale = new / safe
    slope = (first - scale) / safe
    unit = jet.gradient[..., 3]
    of_vectors = (
        scale[..., None, None] * jet.gradient[..., :3]
        + (slope[..., None] * unit)[..., None] * vectors[..., None, :]
    )
    laplacian = vectors * ((second + 2.0 * slope) / safe)[..., None]
    of_length = first * jet.laplacian[..., 3] + present * second
    return Jet(
        jnp.concatenate([vectors * scale[..., None], new[..., None]], axis=-1),
        jnp.concatenate([of_vectors, (first[..., None] * unit)[..., None]], axis=-1),
        jnp.concatenate([laplacian, of_length[..., None]], axis=-1),
    )


def embed_one_electron(own: Jet) -> Jet:
    """Turn functions (n, d) of electron i's position into functions of all positions.

    The gradient (n, 3, d) becomes (n, 3 n, d), zero except for the block of electron i.
    """
    n = own.value.shape[0]
    eye = jnp.eye(n, dtype=own.value.dtype)[:, :, None, None]
    gradient = (eye * own.gradient[:, None]).reshape(n, 3 * n, -1)
    return Jet(own.value, gradient, own.laplacian)


def sum_pairs(pairs: Jet) -> Jet:
    """Return sum_j f_ij(r_i - r_j) as functions of all positions.

    r_i enters every term, and r_j one of them with the opposite sign; both count in the Laplacian.
    The gradient (n, n, 3, d) by r_i - r_j becomes (n, 3 n, d).
    """
    n = pairs.value.shape[0]
    eye = jnp.eye(n, dtype=pairs.value.dtype)[:, :, None, None]
    own = add_slices(pairs.gradient, 1)  # (n, 3, d)
    gradient = eye * own[:, None] - pairs.gradient
    return Jet(
        add_slices(pairs.value, 1),
        gradient.reshape(n, 3 * n, -1),
        2.0 * add_slices(pairs.laplacian, 1),
    )


def multiply_one_electron(jet: Jet, own: Jet, electrons: slice) -> Jet:
    """Return f_i g_i where f_i depends on all electrons and g_i on electron i alone.

    `jet` is f of m electrons, value (m, d), gradient (m, 3 n, d); `own` is g, gradient (m, 3, d);
    `electrons` are the positions of the m electrons among all n.
    """
    m, width = own.value.shape
    blocks = jet.gradient.reshape(m, -1, 3, width)
    eye = jnp.eye(blocks.shape[1], dtype=own.value.dtype)[electrons, :, None, None]
    slopes = jet.value[:, None] * own.gradient
    gradient = blocks * own.value[:, None, None] + eye * slopes[:, None]
    cross = jnp.sum(jnp.sum(eye * blocks, axis=1) * own.gradient, axis=1)
    return Jet(
        jet.value * own.value,
        gradient.reshape(jet.gradient.shape),
        jet.laplacian * own.value + jet.value * own.laplacian + 2.0 * cross,
    )
