"""Matrix products are looked at, not believed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.errors import ResourceError
from ferminet.vmc import precision


@pytest.mark.parametrize(("name", "unit"), [("float32", 2.0**-23), ("float64", 2.0**-52)])
def test_the_error_is_that_of_the_precision(name, unit):
    assert 0.01 * unit < precision.check_products(name) < 30.0 * unit


def test_products_rounded_to_tf32_are_refused(monkeypatch):
    def rounded(left, right):
        # TF32 has 10 bits behind the point of the significand where float32 has 23.
        bits = [jax.lax.bitcast_convert_type(x, jnp.uint32) for x in (left, right)]
        short = [(b + 0x1000) & np.uint32(0xFFFFE000) for b in bits]
        return jnp.dot(*(jax.lax.bitcast_convert_type(b, jnp.float32) for b in short))

    monkeypatch.setattr(precision.jnp, "matmul", rounded)
    with pytest.raises(ResourceError, match="rounded to TF32"):
        precision.check_products("float32")
