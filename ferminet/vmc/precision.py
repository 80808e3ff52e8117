"""What matrix products are really rounded to.

Settings ask for full precision, but a device, a driver or an environment variable may have another
mind: TensorFloat-32 keeps 10 bits of 23, and local energies, differences of large terms, then lose
all that matters. So the products are looked at.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ferminet.errors import ResourceError

SIZE, CHECKED = 256, 16
# Of a product's error relative to its root mean square: float32 has 1e-7, TF32 3e-4, bfloat16 3e-3.
LARGEST_ERROR = {"float32": 1e-5, "float64": 1e-13}


def check_products(precision: str) -> float:
    """The relative error of a matrix product on this device, in the precision asked for.

    Args:
        precision: float32 or float64.

    Raises:
        ResourceError: it is larger than that of the precision.
    """
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, SIZE, SIZE)).astype(precision)
    exact = left[:CHECKED].astype(np.longdouble) @ right[:, :CHECKED].astype(np.longdouble)
    product = jax.jit(jnp.matmul)(jnp.asarray(left), jnp.asarray(right))
    product = np.asarray(product[:CHECKED, :CHECKED], np.longdouble)
    error = float(np.sqrt(np.mean((product - exact) ** 2) / np.mean(exact**2)))
    if not error < LARGEST_ERROR[precision]:
        raise ResourceError(
            f"Matrix products on this {jax.devices()[0].device_kind} have a relative error of "
            f"{error:.1e}, too much for {precision} (at most {LARGEST_ERROR[precision]:.0e}): they "
            "are rounded to TF32 or less. Unset JAX_DEFAULT_MATMUL_PRECISION and "
            "NVIDIA_TF32_OVERRIDE."
        )
    return error
