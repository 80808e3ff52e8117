"""Precision of the tests of wavefunctions."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def _double_precision():
    """Stages set the precision of the process; these tests rely on float64."""
    jax.config.update("jax_enable_x64", True)
