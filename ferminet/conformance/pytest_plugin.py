"""Pytest plug-in: `pytest --ansatz my_net.py:build` checks a wavefunction, one test per check.

Without `--ansatz` it does nothing.
"""

from pathlib import Path

import pytest

SUITE = Path(__file__).with_name("pytest_suite.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("ferminet")
    group.addoption("--ansatz", metavar="TARGET", help="check this wavefunction's contract")
    group.addoption(
        "--ansatz-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="options of its builder, or one JSON object",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the checks, and the tests that the command line names."""
    if config.getoption("--ansatz") is None:
        return
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    config.args[:] = [str(SUITE), *(config.args if named else [])]
