"""Small systems and settings, as fixtures."""

from tests.helpers.small_problems import *  # noqa: F403
